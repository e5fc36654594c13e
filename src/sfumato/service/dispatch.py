"""Gives jobs to the worker, and writes down what becomes of them. Lives in the service's event loop.

One job is painted, and beside it such as can share its batches, while the next in turn is one of these. So nobody is
passed over. A job over which a worker died is painted by itself: it is the one, or another is."""

import asyncio
import contextlib
import json
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from sfumato.errors import UnknownNameError
from sfumato.requests import parse_request
from sfumato.service import wire
from sfumato.service.bus import Bus, Event
from sfumato.service.company import company
from sfumato.service.jobs import Job, Jobs, Picture
from sfumato.service.process import WORKER, Process

_PAUSE = 2.0  # seconds until a database that refused is tried again


@dataclass
class Live:
    """How the job that is being painted goes.

    Attributes:
        image, batch: the pictures that are forming, and how many they are.
        index: steps of them that are done.
        total: steps that they have.
        preview: a JPEG in Base64, the last one.
        begun: by the monotonic clock, in seconds; of what is computed now, not found from an attempt that was cut off.
        found: the share that was.
        company: of the jobs that may be painted beside it, see `company`.
        room: how many of them there may be at once, with this one.
        alone: whether there were none.
    """

    job: str
    count: int
    image: int = 0
    batch: int = 1
    index: int = 0
    total: int = 0
    preview: str | None = None
    begun: float = 0.0
    found: float = 0.0
    company: tuple[object, ...] | None = None
    room: int = 1
    alone: bool = True

    @property
    def share(self) -> float:
        """How much of the job is done, 0 to 1."""
        if not self.total:
            return 0.0
        return min(1.0, (self.image + self.batch * self.index / self.total) / self.count)

    @property
    def seconds_left(self) -> float | None:
        """Seconds left, from the time that was needed until now; None before the second step."""
        share, begun = self.share, self.index > 1 or self.image > 0
        if not begun or share <= self.found:
            return None
        return (time.monotonic() - self.begun) * (1 - share) / (share - self.found)

    def going_on(self) -> None:
        """What is done until now was found."""
        self.found, self.begun = self.share, time.monotonic()


class Dispatcher:
    """Paints what waits.

    Args:
        jobs: the queue.
        folder: the service's data.
        bus: is told.
        idle: seconds without a job after which the worker ends, and with it the models in memory.
        command: starts a worker.
    """

    def __init__(
        self, jobs: Jobs, folder: Path, bus: Bus, *, idle: float = 600.0, command: Sequence[str] = WORKER
    ) -> None:
        self.jobs, self.folder, self.bus, self.idle, self.command = jobs, folder, bus, idle, command
        self.lives: dict[str, Live] = {}
        """The jobs that are being painted, by id."""
        self.peak = 0
        """Bytes of memory that a worker had at most."""
        self.crashes = 0
        self._worker: Process | None = None
        self._news = asyncio.Event()

    @property
    def live(self) -> Live | None:
        """The job that has been painted for the longest."""
        return next(iter(self.lives.values()), None)

    @property
    def unfinished(self) -> Path:
        """Where what was painted of jobs that are not done is kept, a file each; see `sfumato.diffusion.saved`."""
        return self.folder / "unfinished"

    @property
    def worker(self) -> int | None:
        """The worker's process, while there is one."""
        return None if self._worker is None else self._worker.pid

    def wake(self) -> None:
        """There may be a job."""
        self._news.set()

    async def run(self) -> None:
        """Paint until this is cancelled; a job that is running then waits again."""
        try:
            await asyncio.to_thread(self._recover)
            while True:
                try:
                    await self._next()
                except DBAPIError as error:  # the disk is full: it may have room again
                    print(f"sfumato: the database cannot be used: {error.orig}; trying again", file=sys.stderr)
                    await self._end_worker()
                    await asyncio.sleep(_PAUSE)
        finally:
            for id in self.lives:
                self.jobs.give_back(id)
            await self._end_worker()

    def _recover(self) -> None:
        for id in self.jobs.forget_sketches():
            shutil.rmtree(self.folder / "pictures" / id, ignore_errors=True)
        self.jobs.recover()
        for file in self.unfinished.glob("*"):
            with contextlib.suppress(UnknownNameError):
                if self.jobs.get(file.name).open:
                    continue
            self._forget(file.name)

    async def _next(self) -> None:
        """Paint the next job, or wait for one."""
        for id in list(self.lives):
            await asyncio.to_thread(self.jobs.give_back, id)
            del self.lives[id]
        self._news.clear()
        job = await asyncio.to_thread(self.jobs.claim)
        if job is not None:
            await self._paint(job)
            return
        try:
            async with asyncio.timeout(self.idle if self._worker is not None else None):
                await self._news.wait()
        except TimeoutError:
            await self._end_worker()

    async def cancel(self, id: str) -> Job:
        """Cancel a job; one that is running stops within a step. Raises as `Jobs.cancel`."""
        job = await asyncio.to_thread(self.jobs.cancel, id)
        if job.cancelling and self._worker is not None:
            await self._worker.send({"do": "cancel", "job": id})
        elif not job.open:
            self._told(job)
        return job

    async def _paint(self, job: Job) -> None:
        """Paint a job, and those that keep it company."""
        if self._worker is None or not self._worker.alive:
            await self._end_worker()
            self._worker = await Process.started(self.command)
        worker = self._worker
        await self._begin(job, worker)
        try:
            while self.lives and (message := await worker.receive()) is not None:
                live = self.lives.get(message.get("job", ""))
                if live is not None and await self._noted(live, message):
                    del self.lives[live.job]
                    self._news.set()  # there is room for another
                await self._accompany(worker)
            if self.lives:
                await self._crashed()
        except wire.WireError as error:
            await self._crashed(str(error))

    async def _begin(self, job: Job, worker: Process) -> None:
        request = parse_request(job.request)
        self.lives[job.id] = live = Live(job.id, max(request.pictures, 1), begun=time.monotonic())
        live.company = company(request) if job.attempts == 1 else None
        if len(self.lives) > 1:
            for each in self.lives.values():
                each.alone = False
        self._told(job)
        await worker.send(
            {
                "do": "paint",
                "job": job.id,
                "request": json.loads(job.request),
                "folder": str(self.folder / "pictures" / job.id),
                "uploads": str(self.folder / "uploads"),
                "saved": str(self.unfinished / job.id),
                "format": job.format,
                "quality": job.quality,
            }
        )
        self._news.set()  # others may wait to keep it company

    async def _accompany(self, worker: Process) -> None:
        """Begin the next job as well, if there may be one that can be painted beside the present ones."""
        live = self.live
        if live is None or live.company is None or not self._news.is_set():
            return
        if len(self.lives) >= min(each.room for each in self.lives.values()):
            return
        self._news.clear()
        job = await asyncio.to_thread(self.jobs.claim, live.company)
        if job is not None:
            await self._begin(job, worker)

    async def _noted(self, live: Live, message: wire.Message) -> bool:
        """Write down what the worker reports; whether it was the last of the job."""
        id, facts = live.job, message
        match message["event"]:
            case "progress":
                live.image, live.batch = facts["image"], facts["batch"]
                live.index, live.total = facts["index"] + 1, facts["total"]
                live.room = facts.get("room", 1)
                if facts.get("saved"):
                    live.going_on()
                told = {name: facts[name] for name in ("image", "batch", "sigma")}
                told |= {"step": live.index, "steps": live.total, "share": live.share}
                self.bus.publish(Event(id, "progress", {**told, "seconds_left": live.seconds_left}))
                if facts.get("preview"):
                    live.preview = facts["preview"]
                    self.bus.publish(Event(id, "preview", {"image": live.image, "jpeg": live.preview}))
            case "pictures":
                pictures = [Picture(**each) for each in facts["files"]]
                await asyncio.to_thread(self.jobs.painted, id, pictures)
                for each in pictures:
                    self.bus.publish(Event(id, "picture", {"index": each.index, "seed": str(each.seed)}))
            case "done":
                seconds = time.monotonic() - live.begun - facts["timings"].get("load", 0.0)
                parts = ("request", "seeds", "timings", "provenance", "peak", "report")
                report = {name: facts[name] for name in parts if facts.get(name) is not None}
                job = await asyncio.to_thread(self.jobs.finish, id, "done", report=report)
                self.peak = max(self.peak, facts["peak"])
                if live.alone and not live.found:
                    request = parse_request(job.request)
                    await asyncio.to_thread(self.jobs.measured, request, max(seconds, 1e-3), live.total)
                self._told(job)
                return True
            case "failed":
                self._told(await asyncio.to_thread(self.jobs.finish, id, "failed", reason=facts["reason"]))
                return True
            case "cancelled":
                self._told(await asyncio.to_thread(self.jobs.finish, id, "cancelled"))
                return True
        return False

    async def _crashed(self, reason: str | None = None) -> None:
        self.crashes += 1
        code = await self._end_worker()
        for id in list(self.lives):
            self._told(await asyncio.to_thread(self.jobs.crashed, id, reason or died(code)))
            del self.lives[id]

    async def _end_worker(self) -> int:
        worker, self._worker = self._worker, None
        return 0 if worker is None else await worker.end()

    def _forget(self, id: str) -> None:
        with contextlib.suppress(OSError):  # there is none, or the disk is out of order; the next start tries again
            (self.unfinished / id).unlink()

    def _told(self, job: Job) -> None:
        if not job.open:
            self._forget(job.id)
        self.bus.publish(Event(job.id, "state", {"state": job.state, "reason": job.reason}))


def died(code: int) -> str:
    """Why a worker that ended by itself did, in words."""
    if code >= 0:
        return f"the worker ended with exit code {code}"
    name = signal.Signals(-code).name
    memory = ", as the system does when memory is short" if name == "SIGKILL" else ""
    return f"the worker was ended by {name}{memory}"
