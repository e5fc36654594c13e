"""What all dialects do with the queue: ask, wait, watch, cancel, and say how long it takes."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from starlette.requests import Request as Call
from starlette.responses import JSONResponse

from sfumato.requests import Request, parse_request
from sfumato.requests.base import read_object
from sfumato.service import asked
from sfumato.service.bus import Bus, Event
from sfumato.service.database import Database
from sfumato.service.dispatch import Dispatcher
from sfumato.service.jobs import OPEN, Job, Jobs
from sfumato.service.refusals import Refusal
from sfumato.service.settings import Settings

MOST_KEY = 200
"""Characters of an Idempotency-Key."""
_HEARTBEAT = 15.0  # seconds between signs of life for who watches


@dataclass(frozen=True)
class Desk:
    """The queue, as dialects see it.

    Attributes:
        folder: the service's data.
    """

    jobs: Jobs
    dispatcher: Dispatcher
    bus: Bus
    folder: Path
    database: Database

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """That of a service, with its database, which `jobs.close` closes.

        Raises:
            SfumatoError: the database cannot be used.
        """
        settings.folder.mkdir(parents=True, exist_ok=True)
        database = Database(settings.database) if settings.database else Database.in_folder(settings.folder)
        jobs, bus = Jobs(database, limit=settings.queue), Bus()
        dispatcher = Dispatcher(jobs, settings.folder, bus, idle=settings.idle, command=settings.worker)
        return cls(jobs, dispatcher, bus, settings.folder, database)

    @property
    def uploads(self) -> Path:
        """Where pictures from outside lie."""
        return self.folder / "uploads"

    async def request(self, options: dict[str, Any]) -> Request:
        """A request that this service may carry out. Raises as `asked.request_of`."""
        return await asyncio.to_thread(asked.request_of, options, self.uploads)

    async def submit(self, request: Request, **how: Any) -> tuple[Job, bool]:
        """Put a request into the queue. Takes and raises what `Jobs.submit` does."""
        job, new = await asyncio.to_thread(lambda: self.jobs.submit(request, **how))
        if new:
            self.bus.publish(Event(job.id, "state", {"state": job.state, "reason": None}))
        self.dispatcher.wake()
        return job, new

    async def take(self, call: Call) -> JSONResponse | None:
        """The answer to a post of a job without further wishes, where there is nothing to refuse; else None."""
        key = call.headers.get("idempotency-key")
        if call.query_params or len(key or "") > MOST_KEY:
            return None
        try:
            request = await self.request(read_object(await call.body()))
            job, _ = await self.submit(request, client=client_of(call), key=key)
        except Exception:  # whoever refuses says why; nothing was taken
            return None
        return JSONResponse(await asyncio.to_thread(self.shown, job), 202)

    async def get(self, id: str) -> Job:
        """A job as it is now. Raises as `Jobs.get`."""
        return await asyncio.to_thread(self.jobs.get, id)

    async def ended(self, id: str) -> Job:
        """A job when nothing more will come of it."""
        with self.bus.listening(id) as queue:
            while (job := await self.get(id)).open:
                await queue.get()
        return job

    async def events(self, id: str | None) -> AsyncIterator[Event | None]:
        """What happens to a job until its end, beginning with its state; or to all, for ever. None: nothing for a
        while."""
        with self.bus.listening(id) as queue:
            if id is not None:
                job = await self.get(id)
                yield Event(id, "state", {"state": job.state, "reason": job.reason})
                if not job.open:
                    return
            while True:
                try:
                    async with asyncio.timeout(_HEARTBEAT):
                        event = await queue.get()
                except TimeoutError:
                    yield None
                    continue
                yield event
                if id is not None and event.kind == "state" and event.data["state"] not in OPEN:
                    return

    def file(self, job: Job, index: int) -> Path:
        """The file of a finished picture.

        Raises:
            Refusal: there is none.
        """
        found = next((each for each in job.pictures if each.index == index), None)
        if found is None:
            raise Refusal(404, f"job {job.id} has no picture {index}; it has {len(job.pictures)}")
        return self.folder / "pictures" / job.id / found.name

    def waiting(self) -> dict[str, tuple[int, float | None]]:
        """The place of each job that waits, from 1, and the seconds until it is done, where that can be known."""
        sum_: float | None = 0.0
        for job in self.jobs.running():  # which go on side by side: the one that takes longest counts
            live = self.dispatcher.lives.get(job.id)
            left = None if live is None else live.seconds_left
            left = self.jobs.estimate(parse_request(job.request)) if left is None else left
            sum_ = None if sum_ is None or left is None else max(sum_, left)
        found = {}
        for place, job in enumerate(self.jobs.order(), 1):
            own = self.jobs.estimate(parse_request(job.request))
            sum_ = None if sum_ is None or own is None else sum_ + own
            found[job.id] = place, sum_
        return found

    def shown(self, job: Job, waiting: dict[str, tuple[int, float | None]] | None = None) -> dict[str, Any]:
        """A job as JSON."""
        live = self.dispatcher.lives.get(job.id)
        position, left = None, None if live is None else live.seconds_left
        if job.state == "queued":
            position, left = (self.waiting() if waiting is None else waiting).get(job.id, (None, None))
        return {
            "id": job.id,
            "number": job.number,
            "state": "cancelling" if job.cancelling else job.state,
            "task": job.task,
            "request": json.loads(job.request),
            "priority": job.priority,
            "position": position,
            "seconds_left": left,
            "progress": 1.0 if job.state == "done" else 0.0 if live is None else live.share,
            "attempts": job.attempts,
            "reason": job.reason,
            "created": job.created,
            "started": job.started,
            "finished": job.finished,
            "pictures": [
                {
                    "index": each.index,
                    "seed": str(each.seed),
                    "width": each.width,
                    "height": each.height,
                    "url": f"/api/v1/pictures/{job.id}/{each.index}",
                }
                for each in job.pictures
            ],
            "report": job.report,
        }


def client_of(request: Call) -> str:
    """Who is served in turn: a program on a machine."""
    host = "" if request.client is None else request.client.host
    return f"{host} {request.headers.get('user-agent', '')[:100]}"


def refuse_failed(job: Job) -> None:
    """Raises Refusal for a job that came to nothing."""
    if job.state == "failed":
        ours = job.attempts > 1 or (job.reason or "").startswith("a defect")
        raise Refusal(500 if ours else 422, job.reason or "it failed")
