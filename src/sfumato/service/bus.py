"""Who listens to how jobs go. All within one event loop; a slow listener loses what is oldest, and never the end."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["state", "progress", "preview", "picture", "gallery"]
_KEPT = 64


@dataclass(frozen=True)
class Event:
    """Something about a job; its id is empty where no job of ours is meant."""

    job: str
    kind: Kind
    data: dict[str, Any] = field(default_factory=dict)


class Bus:
    """Tells listeners."""

    def __init__(self) -> None:
        self._queues: dict[asyncio.Queue[Event], str | None] = {}
        self._aside: set[str] = set()

    def publish(self, event: Event) -> None:
        """Tell all who listen to that job."""
        for queue, job in self._queues.items():
            if job == event.job or (job is None and event.job not in self._aside):
                if queue.full():
                    queue.get_nowait()
                queue.put_nowait(event)

    @contextmanager
    def aside(self, job: str) -> Iterator[None]:
        """While it lasts, a job's events reach only who listens to that job."""
        self._aside.add(job)
        try:
            yield
        finally:
            self._aside.remove(job)

    @contextmanager
    def listening(self, job: str | None = None) -> "Iterator[asyncio.Queue[Event]]":
        """Events of a job, or of all, from now on."""
        queue: asyncio.Queue[Event] = asyncio.Queue(_KEPT)
        self._queues[queue] = job
        try:
            yield queue
        finally:
            del self._queues[queue]
