"""Takes in what was painted, and what is brought from outside; and erases what is too old. Lives in the service's loop.

One child looks at files, one after the other, while there are any, and ends a minute later.
"""

import asyncio
import contextlib
import hashlib
import os
import sys
import time
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from sfumato.errors import RequestError, SfumatoError, UnknownNameError
from sfumato.files import write_atomic
from sfumato.service import wire
from sfumato.service.bus import Bus, Event
from sfumato.service.gallery.store import Entry, Gallery, Painted
from sfumato.service.process import Process

COMMAND = (sys.executable, "-m", "sfumato.service.gallery.look")
SHOWN = (sys.executable, "-m", "sfumato.service.gallery.shown")
AT_ONCE, AWAITED = 32, 128
"""Pictures that are read in one order, and how many somebody who asks waits for."""
_PATIENCE, _LOADING = 60.0, 300.0  # seconds for one order, and for one before which networks are loaded
_IDLE = 60.0
_OFTEN = 3600.0  # seconds between looking for what is too old
_SUFFIXES = {"jpeg": "jpg", "tiff": "tif", "mpo": "jpg"}


class Child:
    """A program that takes orders one by one, and is there while there are any.

    Args:
        command: starts it.
        patience: seconds that an order may take.
    """

    def __init__(self, command: tuple[str, ...], patience: float = _PATIENCE) -> None:
        self._command, self._patience = command, patience
        self._child: Process | None = None
        self._alone = asyncio.Lock()
        self._used = 0.0

    async def ask(self, order: wire.Message) -> wire.Message | None:
        """What it reports; None if it died or took too long."""
        async with self._alone:
            if self._child is None:
                self._child = await Process.started(self._command)
            report = None
            try:
                async with asyncio.timeout(self._patience):
                    await self._child.send(order)
                    report = await self._child.receive()
            except (TimeoutError, wire.WireError):
                pass
            finally:  # also when the service ends meanwhile: the next order would get this answer
                self._used = time.monotonic()
                if report is None:
                    await self._end()
        return report

    async def rest(self) -> None:
        """End the child if it was not used for a minute."""
        async with self._alone:
            if time.monotonic() - self._used >= _IDLE:
                await self._end()

    async def close(self) -> None:
        """End the child."""
        async with self._alone:
            await self._end()

    async def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            await child.end()


class Looker(Child):
    """Looks at files.

    Args:
        gallery: says where thumbnails and uploads are.
    """

    def __init__(self, gallery: Gallery) -> None:
        super().__init__(COMMAND)
        self._gallery = gallery

    async def look(self, path: Path, id: str) -> wire.Message:
        """What `look` reports of a file, whose thumbnail it makes.

        Raises:
            RequestError: it cannot be decoded.
        """
        report = await self.ask(
            {
                "path": str(path),
                "uploads": str(self._gallery.folder / "uploads"),
                "thumbnail": str(self._gallery.thumbnail(id)),
            }
        )
        if report is None:
            raise RequestError("the picture cannot be decoded; save it anew")
        if "refused" in report:
            raise RequestError(report["refused"])
        return report


class Reader(Child):
    """Knows what pictures show, by their thumbnails, when somebody asks: the oldest first.

    Args:
        gallery: keeps the marks.
    """

    def __init__(self, gallery: Gallery) -> None:
        super().__init__(SHOWN, _LOADING)
        self._gallery = gallery
        self._marking = asyncio.Lock()
        self._later: asyncio.Task[None] | None = None

    async def ready(self) -> None:
        """Have what is not marked yet marked: now where there is little, or while others go on."""
        todo = await asyncio.to_thread(self._gallery.likeness.missing, "shown", AWAITED + 1)
        if len(todo) <= AWAITED:
            await self.mark()
        elif self._later is None or self._later.done():
            self._later = asyncio.create_task(self.mark())

    async def close(self) -> None:
        """End the child, and what it is asked for."""
        if self._later is not None:
            self._later.cancel()
            await asyncio.gather(self._later, return_exceptions=True)
        await super().close()

    async def mark(self) -> None:
        """Mark all that are not marked yet, the oldest first; what cannot be, not now."""
        async with self._marking:
            while todo := await asyncio.to_thread(self._gallery.likeness.missing, "shown", AT_ONCE):
                paths = [str(self._gallery.thumbnail(id)) for _, id in todo]
                report = await self.ask({"pictures": paths})
                if report is None:
                    return
                marks = dict(zip((number for number, _ in todo), map(bytes.fromhex, report["marks"]), strict=True))
                await asyncio.to_thread(self._gallery.likeness.keep, "shown", marks)

    async def text(self, words: str) -> bytes:
        """The mark of a text.

        Raises:
            RequestError: it cannot be made.
        """
        report = await self.ask({"text": words})
        if report is None:
            raise RequestError("the words cannot be read just now; try again")
        return bytes.fromhex(report["marks"][0])


class Collector:
    """Keeps the gallery up to date.

    Args:
        gallery: is filled.
        bus: tells when something was painted.
        retain: seconds after which pictures and jobs are erased; None: never.
    """

    def __init__(self, gallery: Gallery, bus: Bus, *, retain: float | None = None) -> None:
        self.gallery, self.retain = gallery, retain
        self.looker, self.reader = Looker(gallery), Reader(gallery)
        self._bus = bus
        self._news = asyncio.Event()
        self._expired = 0.0

    async def run(self) -> None:
        """Take in what is painted until this is cancelled."""
        listening = asyncio.create_task(self._listen())
        try:
            while True:
                try:
                    await self._expire()
                    self._news.clear()
                    while waiting := await asyncio.to_thread(self.gallery.uncollected):
                        for each in waiting:
                            await self._collect(each)
                    async with asyncio.timeout(_IDLE):
                        await self._news.wait()
                except TimeoutError:
                    await self.looker.rest()
                    await self.reader.rest()
                except (DBAPIError, OSError):  # the disk is full; it may have room again
                    await asyncio.sleep(2)
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            await self.looker.close()
            await self.reader.close()

    async def _listen(self) -> None:
        with self._bus.listening() as queue:
            while True:
                if (await queue.get()).kind in ("picture", "state"):
                    self._news.set()

    async def _collect(self, painted: Painted) -> None:
        id = f"{painted.job}-{painted.index}"
        file = f"pictures/{painted.job}/{painted.name}"
        try:
            facts = await self.looker.look(self.gallery.folder / file, id)
            await self._add(id, file, facts, created=painted.created, painted=painted)
        except (DBAPIError, OSError):
            raise
        except Exception as error:  # a defect costs one picture its place; its message may hold a prompt
            why = error if isinstance(error, RequestError) else f"a defect of sfumato: {type(error).__name__}"
            print(f"sfumato: picture {id} is not in the gallery: {why}", file=sys.stderr)
            await asyncio.to_thread(self.gallery.passed_over, painted)

    async def bring(self, data: bytes, *, created: float | None = None) -> tuple[Entry, bool]:
        """Take in a picture from outside, whatever painted it; and whether it is new.

        Args:
            created: when it was painted, in seconds since 1970; now when that is not known.

        Raises:
            RequestError: it is no picture, is damaged or too large.
            OSError: it cannot be written.
        """
        digest = hashlib.sha256(data).hexdigest()
        with contextlib.suppress(UnknownNameError):
            return await asyncio.to_thread(self.gallery.get, digest[:32]), False
        folder = self.gallery.folder / "imports" / digest[:2]
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / digest
        try:
            await asyncio.to_thread(write_atomic, path, data)
            facts = await self.looker.look(path, digest[:32])
            file = path.with_suffix(f".{_SUFFIXES.get(facts['format'], facts['format'])}")
            await asyncio.to_thread(os.replace, path, file)
        except (SfumatoError, OSError):
            path.unlink(missing_ok=True)
            raise
        name = str(file.relative_to(self.gallery.folder))
        when = time.time() if created is None else created
        return await self._add(digest[:32], name, facts, created=when), True

    async def _add(
        self, id: str, file: str, facts: wire.Message, *, created: float, painted: Painted | None = None
    ) -> Entry:
        entry = await asyncio.to_thread(self.gallery.add, id, file, facts, created=created, painted=painted)
        self._bus.publish(Event(entry.job or "", "gallery", {"id": entry.id}))
        return entry

    async def unrestored(self, id: str) -> list[str]:
        """What of a picture's settings its request does not have, a line each; of our own pictures nothing.

        Raises:
            UnknownNameError: there is no picture of that id.
            RequestError: its file cannot be decoded any more.
        """
        entry = await asyncio.to_thread(self.gallery.get, id)
        facts = await self.looker.look(self.gallery.file(entry), id)
        return [str(each) for each in facts["unrestored"]]

    async def _expire(self) -> None:
        if self.retain is not None and time.monotonic() - self._expired >= _OFTEN:
            await asyncio.to_thread(self.gallery.expire, time.time() - self.retain)
            self._expired = time.monotonic()
