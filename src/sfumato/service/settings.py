"""How a service is set up. Nothing heavy is imported here."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sfumato.service.process import WORKER


@dataclass(frozen=True)
class Settings:
    """Settings of a service.

    Attributes:
        folder: for its data.
        host: where it listens.
        token: who comes must show; None only on loopback.
        idle: seconds after which models are dropped.
        queue: how many jobs may wait.
        hosts: more names by which it is called.
        worker: starts a worker.
        database: another than SQLite in `folder`, by its URL.
        retain: seconds after which pictures and jobs are erased; None: never.
    """

    folder: Path
    host: str = "127.0.0.1"
    token: str | None = None
    idle: float = 600.0
    queue: int = 32
    hosts: Sequence[str] = ()
    worker: Sequence[str] = WORKER
    database: str | None = None
    retain: float | None = None
