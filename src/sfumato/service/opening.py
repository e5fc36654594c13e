"""The application while it is loaded: its port is open at once, and /health says so.

Most of a service's start is the import of what answers. Meanwhile the door stands, /health answers ``starting``, and
whatever else is asked waits for its answer, which comes as soon as the application is there. Imports nothing of it.
"""

import asyncio
from collections.abc import Callable
from importlib.metadata import version
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from sfumato.service.door import HEALTH

if TYPE_CHECKING:
    from starlette.applications import Starlette


class Opening:
    """An application that is loaded in a thread once the server runs.

    Args:
        load: makes it.
        failed: is called where that raises; the exception is then `error`.
    """

    def __init__(self, load: "Callable[[], Starlette]", failed: Callable[[], None]) -> None:
        self.error: Exception | None = None
        self._load, self._failed = load, failed
        self._app: ASGIApp | None = None
        self._known, self._over = asyncio.Event(), asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application's answer, when it is there."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if not self._known.is_set() and scope["path"] == HEALTH and scope["type"] == "http":
            told = {"status": "starting", "version": version("sfumato"), "painting": False}
            await JSONResponse(told)(scope, receive, send)
            return
        await self._known.wait()
        if self._app is not None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await JSONResponse({"error": {"status": 503, "message": "the service could not start"}}, 503)(
                scope, receive, send
            )

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        opened = asyncio.create_task(self._open())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._over.set()
        await opened
        await send({"type": "lifespan.shutdown.complete"})

    async def _open(self) -> None:
        try:
            app = await asyncio.to_thread(self._load)
        except Exception as error:
            self.error = error
            self._known.set()
            self._failed()
            return
        async with app.router.lifespan_context(app):
            self._app = app
            self._known.set()
            await self._over.wait()
