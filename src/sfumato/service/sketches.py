"""Quick pictures while somebody types: painted in the queue as any job is, shown once and kept nowhere."""

import asyncio
import contextlib
import secrets
import shutil

from sfumato.errors import UnknownNameError
from sfumato.requests import Request, Txt2Img
from sfumato.service.desk import Desk, refuse_failed
from sfumato.service.jobs import SKETCH
from sfumato.service.refusals import Refusal

QUALITY = 90
SPARED = ("count", "batch", "budget", "hires", "upscale")
"""Fields that are as usual in a sketch, whatever is asked for."""


class Sketches:
    """Each client's latest sketch; the one before is given up."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._latest: dict[str, str] = {}

    async def paint(self, request: Request, client: str) -> bytes | None:
        """The picture as a JPEG; None where a later sketch of the client took its place.

        Raises:
            Refusal: the request is no txt2img, or fails.
            QueueFullError: too many jobs wait.
        """
        if not isinstance(request, Txt2Img):
            raise Refusal(422, f"a sketch is of txt2img, not of {request.task}")
        desk, id = self._desk, secrets.token_hex(8)
        before, self._latest[client] = self._latest.get(client), id
        if before is not None:
            await self._give_up(before)
        with desk.bus.aside(id):
            how = {"client": client, "dialect": SKETCH, "id": id, "format": "jpeg", "quality": QUALITY}
            try:
                await desk.submit(
                    request.changed(fast=True, **{name: Txt2Img.model_fields[name].default for name in SPARED}), **how
                )
                if self._latest.get(client) != id:  # while this one was put into the queue
                    await self._give_up(id)
                job = await desk.ended(id)
                refuse_failed(job)
                return await asyncio.to_thread(desk.file(job, 0).read_bytes) if job.state == "done" else None
            finally:
                if self._latest.get(client) == id:
                    del self._latest[client]
                await asyncio.to_thread(self._forget, id)

    async def _give_up(self, id: str) -> None:
        with contextlib.suppress(UnknownNameError):  # it has ended, and is forgotten
            await self._desk.dispatcher.cancel(id)

    def _forget(self, id: str) -> None:
        self._desk.jobs.forget(id)
        shutil.rmtree(self._desk.folder / "pictures" / id, ignore_errors=True)
