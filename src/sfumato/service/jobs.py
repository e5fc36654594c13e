"""What was asked and what became of it, in a database. What is acknowledged here is on the disk.

    paused <--pause, resume--> queued
    queued --claim--> running --finish--> done, failed
       ^  <--crash, restart--  |
       |                       `--cancel--> cancelled <--cancel-- queued
       `--retry-- failed, cancelled

Knows nothing of HTTP or of processes.
"""

import hashlib
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from sfumato.errors import SfumatoError, UnknownNameError
from sfumato.requests import Request, parse_request
from sfumato.service import database, speeds
from sfumato.service.company import company
from sfumato.service.database import Database

State = Literal["queued", "paused", "running", "done", "failed", "cancelled"]
OPEN: tuple[State, ...] = ("queued", "paused", "running")
WAITING: tuple[State, ...] = ("queued", "paused")
MOST_ATTEMPTS = 3
"""A job whose worker dies is tried again, twice."""
MAX_PRIORITY = 100
SKETCH = "sketch"
"""The dialect of jobs that are forgotten as soon as they have ended."""
_HELD = "queue is paused"

_jobs, _pictures, _settings = database.jobs, database.pictures, database.settings


class QueueFullError(SfumatoError):
    """No more jobs may wait; `retry_after` seconds from now there may be room."""

    def __init__(self, limit: int, retry_after: int) -> None:
        super().__init__(f"the queue is full: {limit} jobs wait; come back in {retry_after} seconds")
        self.retry_after = retry_after


class UsedKeyError(SfumatoError):
    """An Idempotency-Key came again with another request."""


class StateError(SfumatoError):
    """A job's state does not allow what is asked."""


@dataclass(frozen=True)
class Picture:
    """A finished picture: number `index` of its job, from 0, in the file `name` of the job's folder."""

    index: int
    seed: int
    name: str
    width: int
    height: int


@dataclass(frozen=True)
class Job:
    """A request and what became of it.

    Attributes:
        request: of JSON; the executed one when the job is done.
        client: who is served in turn with others.
        dialect: in which API it was asked: ``native``, ``a1111``, ``openai``, ``comfy``, ``sketch``.
        attempts: how often it was begun.
        cancelling: it is running and about to be cancelled.
        reason: why it failed.
        report: seeds, timings, provenance and peak memory of a job that is done.
    """

    number: int
    id: str
    state: State
    task: str
    request: str
    format: str
    quality: int | None
    priority: int
    client: str
    dialect: str
    attempts: int
    cancelling: bool
    reason: str | None
    created: float
    started: float | None
    finished: float | None
    report: Mapping[str, Any] | None
    pictures: tuple[Picture, ...] = field(default=())

    @property
    def open(self) -> bool:
        """Whether there is still something to come."""
        return self.state in OPEN

    @classmethod
    def _of(cls, row: Row[Any], pictures: Sequence[Picture] = ()) -> Self:
        values = {name: value for name, value in row._mapping.items() if name not in ("key", "digest")}
        report = None if values["report"] is None else json.loads(values["report"])
        return cls(**{**values, "report": report, "pictures": tuple(pictures)})


def fair(queued: Sequence[Job], served: Mapping[str, float]) -> list[Job]:
    """The order in which jobs are begun: by priority, among equals the client that waited longest since its last turn,
    and of one client the oldest.

    Args:
        served: when a client's last job was begun.
    """
    last, rest, order = dict(served), sorted(queued, key=lambda job: job.number), []
    turn = max(last.values(), default=0.0)
    while rest:
        job = min(rest, key=lambda job: (-job.priority, last.get(job.client, -1.0), job.number))
        rest.remove(job)
        order.append(job)
        turn += 1
        last[job.client] = turn
    return order


class Jobs:
    """The jobs of a service; safe for threads.

    Args:
        database: where they are kept.
        limit: how many jobs may wait.
    """

    def __init__(self, database: Database, *, limit: int = 32) -> None:
        self.limit = limit
        self._begin = database.begin
        self.close = database.close

    @classmethod
    def in_folder(cls, folder: Path, *, limit: int = 32) -> Self:
        """Those of a service's data folder.

        Raises:
            SfumatoError: a newer sfumato has written it.
        """
        return cls(Database.in_folder(folder), limit=limit)

    # ------------------------------------------------------------------------------------------------------ asking

    def submit(
        self,
        request: Request,
        *,
        client: str = "",
        dialect: str = "native",
        priority: int = 0,
        key: str | None = None,
        format: str = "png",
        quality: int | None = None,
        id: str | None = None,
    ) -> tuple[Job, bool]:
        """A new job, or the one that this client asked for under the same key; and whether it is new.

        Args:
            request: its seed is drawn here where it has none, so that another attempt paints the same.
            key: the Idempotency-Key.
            id: of a new job, 16 digits of a random number; drawn when left out.

        Raises:
            QueueFullError: come back later.
            UsedKeyError: the key was for another request.
        """
        digest = _digest(request, format, quality)
        with self._begin() as connection:
            if key is not None:
                known = connection.execute(
                    select(_jobs).where(_jobs.c.client == client, _jobs.c.key == key)
                ).one_or_none()
                if known is not None and known.digest != digest:
                    raise UsedKeyError(f"the Idempotency-Key {key[:40]!r} was for another request; take a new one")
                if known is not None:
                    return self._whole(connection, known), False
            self._make_room(connection)
            row = {
                "id": id or secrets.token_hex(8),
                "state": "queued",
                "task": request.task,
                "request": request.seeded().to_json(),
                "format": format,
                "quality": quality,
                "priority": priority,
                "client": client,
                "dialect": dialect,
                "key": key,
                "digest": digest,
                "attempts": 0,
                "cancelling": False,
                "created": time.time(),
            }
            connection.execute(insert(_jobs).values(row))
            return self._get(connection, str(row["id"])), True

    def same(self, request: Request, *, dialect: str, since: float, format: str, quality: int | None) -> Job | None:
        """The newest job of that dialect for an equal request, asked for after a time and not cancelled."""
        query = (
            select(_jobs)
            .where(_jobs.c.digest == _digest(request, format, quality), _jobs.c.dialect == dialect)
            .where(_jobs.c.created >= since, _jobs.c.state != "cancelled")
            .order_by(_jobs.c.number.desc())
        )
        with self._begin() as connection:
            row = connection.execute(query).first()
            return None if row is None else self._whole(connection, row)

    def cancel(self, id: str) -> Job:
        """A job that waits is cancelled; one that is running is marked for it. Others stay as they are.

        Raises:
            UnknownNameError: there is no such job.
        """
        with self._begin() as connection:
            job = self._get(connection, id)
            if job.state in WAITING:
                self._set(connection, id, state="cancelled", finished=time.time())
            elif job.state == "running":
                self._set(connection, id, cancelling=True)
            return self._get(connection, id)

    def pause(self, id: str) -> Job:
        """A job that waits is passed over until it is resumed; one that is paused stays so.

        Raises:
            UnknownNameError: there is no such job.
            StateError: it is in another state.
        """
        return self._moved(id, "paused")

    def resume(self, id: str) -> Job:
        """A job that was paused waits in its old place; one that waits stays so. Raises as `pause`."""
        return self._moved(id, "queued")

    def _moved(self, id: str, state: State) -> Job:
        with self._begin() as connection:
            job = self._get(connection, id)
            if job.state not in WAITING:
                raise StateError(f"job {id} is {job.state}; only jobs that wait are paused and resumed")
            self._set(connection, id, state=state)
            return self._get(connection, id)

    @property
    def held(self) -> bool:
        """Whether no job is begun: the queue is paused."""
        return self.settings().get(_HELD) == "yes"

    def hold(self, held: bool) -> None:
        """Pause the queue, also over a restart, or let it go on. What is running is painted to its end."""
        self.set(_HELD, "yes" if held else "no")

    def retry(self, id: str) -> Job:
        """A job that failed or was cancelled waits again, from its beginning.

        Raises:
            UnknownNameError: there is no such job.
            StateError: it is in another state.
            QueueFullError: come back later.
        """
        with self._begin() as connection:
            job = self._get(connection, id)
            if job.state not in ("failed", "cancelled"):
                raise StateError(f"job {id} is {job.state}; only failed and cancelled jobs are tried again")
            self._make_room(connection)
            connection.execute(delete(_pictures).where(_pictures.c.job == id))
            self._set(connection, id, state="queued", attempts=0, cancelling=False, reason=None, finished=None)
            return self._get(connection, id)

    def prefer(self, id: str, priority: int) -> Job:
        """Another priority, higher ones first.

        Raises:
            UnknownNameError: there is no such job.
        """
        with self._begin() as connection:
            self._get(connection, id)
            self._set(connection, id, priority=priority)
            return self._get(connection, id)

    def _make_room(self, connection: Connection) -> None:
        waiting = connection.execute(select(func.count()).where(_jobs.c.state.in_(WAITING))).scalar_one()
        if waiting >= self.limit:
            first = connection.execute(select(_jobs).where(_jobs.c.state.in_(OPEN)).limit(1)).first()
            seconds = None if first is None else speeds.estimate(connection, parse_request(first.request))
            raise QueueFullError(self.limit, max(1, round(seconds or 10)))

    # ----------------------------------------------------------------------------------------------------- painting

    def recover(self) -> list[Job]:
        """After a restart: what was running waits again, its attempt counted; or has failed for good."""
        with self._begin() as connection:
            rows = connection.execute(select(_jobs.c.id).where(_jobs.c.state == "running")).scalars().all()
            return [self._lost(connection, id, "the service ended while it was painted") for id in rows]

    def claim(self, beside: tuple[object, ...] | None = None) -> Job | None:
        """The next job, which is running from now on; None where there is none, or the queue is paused.

        Args:
            beside: the `company` of what is running; only a job that belongs to it is begun, and for the first time.
        """
        with self._begin() as connection:
            held = connection.execute(select(_settings.c.value).where(_settings.c.name == _HELD)).scalar()
            order = [] if held == "yes" else self._order(connection)
            if not order:
                return None
            job = order[0]
            if beside is not None and (job.attempts or company(parse_request(job.request)) != beside):
                return None
            self._set(
                connection, job.id, state="running", attempts=job.attempts + 1, started=time.time(), cancelling=False
            )
            return self._get(connection, job.id)

    def painted(self, id: str, pictures: Sequence[Picture]) -> None:
        """Some of its pictures are there; those of an earlier attempt are the same."""
        with self._begin() as connection:
            for each in pictures:
                connection.execute(delete(_pictures).where(_pictures.c.job == id, _pictures.c.index == each.index))
                connection.execute(insert(_pictures).values(job=id, **{**each.__dict__, "seed": str(each.seed)}))

    def finish(
        self, id: str, state: State, *, reason: str | None = None, report: Mapping[str, Any] | None = None
    ) -> Job:
        """A running job's end. The executed request takes the place of the one that was asked for."""
        with self._begin() as connection:
            values: dict[str, Any] = {"state": state, "reason": reason, "finished": time.time(), "cancelling": False}
            if report is not None:
                rest = {name: value for name, value in report.items() if name != "request"}
                values |= {
                    "request": json.dumps(report["request"], ensure_ascii=False, separators=(",", ":")),
                    "report": json.dumps(rest),
                }
            self._set(connection, id, **values)
            return self._get(connection, id)

    def crashed(self, id: str, reason: str) -> Job:
        """The worker died over it: it waits again, is cancelled if that was asked, or has failed for good."""
        with self._begin() as connection:
            return self._lost(connection, id, reason)

    def give_back(self, id: str) -> None:
        """The service is about to end: the job waits again, and this attempt does not count."""
        with self._begin() as connection:
            job = self._get(connection, id)
            if job.state == "running":
                self._set(connection, id, state="queued", attempts=job.attempts - 1)

    def forget_sketches(self) -> list[str]:
        """After a restart: sketches, for which nobody waits any more, never were. Their ids, for what is left of them
        elsewhere."""
        with self._begin() as connection:
            ids = list(connection.execute(select(_jobs.c.id).where(_jobs.c.dialect == SKETCH)).scalars())
            connection.execute(delete(_pictures).where(_pictures.c.job.in_(ids)))
            connection.execute(delete(_jobs).where(_jobs.c.id.in_(ids)))
            return ids

    def forget(self, id: str) -> None:
        """A job that never was; one that has not ended stays."""
        with self._begin() as connection:
            ended = select(_jobs.c.id).where(_jobs.c.id == id, _jobs.c.state.not_in(OPEN))
            if connection.execute(ended).first() is not None:
                connection.execute(delete(_pictures).where(_pictures.c.job == id))
                connection.execute(delete(_jobs).where(_jobs.c.id == id))

    def _lost(self, connection: Connection, id: str, reason: str) -> Job:
        job = self._get(connection, id)
        if job.cancelling:
            self._set(connection, id, state="cancelled", cancelling=False, finished=time.time())
        elif job.attempts >= MOST_ATTEMPTS:
            said = f"{reason}, at each of {job.attempts} attempts"
            self._set(connection, id, state="failed", reason=said, finished=time.time())
        else:
            self._set(connection, id, state="queued", reason=reason)
        return self._get(connection, id)

    # ------------------------------------------------------------------------------------------------------ looking

    def get(self, id: str) -> Job:
        """A job.

        Raises:
            UnknownNameError: there is no such job.
        """
        with self._begin() as connection:
            return self._get(connection, id)

    def listed(self, *, state: State | None = None, limit: int = 60, before: int | None = None) -> list[Job]:
        """Jobs but for sketches, the newest first.

        Args:
            before: only those with a smaller number: the next page.
        """
        query = select(_jobs).where(_jobs.c.dialect != SKETCH).order_by(_jobs.c.number.desc()).limit(limit)
        query = query if state is None else query.where(_jobs.c.state == state)
        query = query if before is None else query.where(_jobs.c.number < before)
        with self._begin() as connection:
            return [self._whole(connection, row) for row in connection.execute(query).all()]

    def keyed(self, dialect: str, key: str) -> list[Job]:
        """Jobs of a dialect under a key, of any client; the newest first."""
        query = select(_jobs).where(_jobs.c.dialect == dialect, _jobs.c.key == key).order_by(_jobs.c.number.desc())
        with self._begin() as connection:
            return [self._whole(connection, row) for row in connection.execute(query).all()]

    def order(self) -> list[Job]:
        """What waits, the next one first."""
        with self._begin() as connection:
            return self._order(connection)

    def running(self) -> list[Job]:
        """The jobs that are being painted, the one that began first first."""
        query = select(_jobs).where(_jobs.c.state == "running").order_by(_jobs.c.started)
        with self._begin() as connection:
            return [self._whole(connection, row) for row in connection.execute(query).all()]

    def counts(self) -> dict[str, int]:
        """How many jobs are in each state."""
        with self._begin() as connection:
            rows = connection.execute(select(_jobs.c.state, func.count().label("number")).group_by(_jobs.c.state)).all()
        return {row.state: row.number for row in rows}

    def _order(self, connection: Connection) -> list[Job]:
        rows = connection.execute(select(_jobs).where(_jobs.c.state == "queued")).all()
        begun = connection.execute(
            select(_jobs.c.client, func.max(_jobs.c.started).label("last"))
            .where(_jobs.c.started.is_not(None))
            .group_by(_jobs.c.client)
        ).all()
        return fair([Job._of(row) for row in rows], {row.client: row.last for row in begun})

    def _get(self, connection: Connection, id: str) -> Job:
        row = connection.execute(select(_jobs).where(_jobs.c.id == id)).one_or_none()
        if row is None:
            raise UnknownNameError("job", id[:32], (), otherwise="the list of jobs has those that are there")
        return self._whole(connection, row)

    def _whole(self, connection: Connection, row: Row[Any]) -> Job:
        rows = connection.execute(
            select(*_pictures.c[1:-1]).where(_pictures.c.job == row.id).order_by(_pictures.c.index)
        ).all()
        return Job._of(row, [Picture(**{**each._mapping, "seed": int(each.seed)}) for each in rows])

    def _set(self, connection: Connection, id: str, **values: object) -> None:
        connection.execute(update(_jobs).where(_jobs.c.id == id).values(**values))

    # -------------------------------------------------------------------------------------------------------- speed

    def measured(self, request: Request, seconds: float, steps: int) -> None:
        """See `speeds.measured`."""
        with self._begin() as connection:
            speeds.measured(connection, request, seconds, steps)

    def estimate(self, request: Request) -> float | None:
        """See `speeds.estimate`."""
        with self._begin() as connection:
            return speeds.estimate(connection, request)

    # ----------------------------------------------------------------------------------------------------- settings

    def settings(self) -> dict[str, str]:
        """What was put into `set`."""
        with self._begin() as connection:
            return {row.name: row.value for row in connection.execute(select(_settings)).all()}

    def set(self, name: str, value: str) -> None:
        """Remember a setting."""
        with self._begin() as connection:
            connection.execute(delete(_settings).where(_settings.c.name == name))
            connection.execute(insert(_settings).values(name=name, value=value))


def _digest(request: Request, format: str, quality: int | None) -> str:
    """Digest of what was asked, before its seed is drawn."""
    return hashlib.sha256(f"{request.to_json()} {format} {quality}".encode()).hexdigest()
