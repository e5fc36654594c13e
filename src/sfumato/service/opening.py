"""The application while it is loaded: its port is open at once, and /health says so.

Most of a service's start is the import of what answers. Meanwhile the door stands, /health answers ``starting``, jobs
are taken as soon as there is a queue, and whatever else is asked waits for its answer, which comes when the application
is there. Imports nothing of it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sfumato.service.door import HEALTH

if TYPE_CHECKING:
    from starlette.applications import Starlette

Taker = Callable[[Request], Awaitable[Response | None]]
"""Answers a post of a job; None: the application shall."""
JOBS = "/api/v1/jobs"


class Opening:
    """An application that is loaded in a thread once the server runs.

    Args:
        load: makes it. What it is called with takes a `Taker`, which answers until the application does.
        failed: is called where that raises; the exception is then `error`.
    """

    def __init__(self, load: "Callable[[Callable[[Taker], None]], Starlette]", failed: Callable[[], None]) -> None:
        self.error: Exception | None = None
        self._load, self._failed = load, failed
        self._app: ASGIApp | None = None
        self._take: Taker | None = None
        self._taking, self._known, self._over = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application's answer, when it is there."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if not self._known.is_set() and scope["path"] == HEALTH and scope["type"] == "http":
            told = {"status": "starting", "version": version("sfumato"), "painting": False}
            await JSONResponse(told)(scope, receive, send)
            return
        if not self._known.is_set() and (scope.get("method"), scope["path"]) == ("POST", JOBS):
            await self._taking.wait()
            request = Request(scope, receive)
            body = await request.body()
            answer = None if self._take is None else await self._take(request)
            if answer is not None:
                await answer(scope, receive, send)
                return
            receive = _again(body, receive)
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
        loop = asyncio.get_running_loop()

        def taken_by(take: Taker) -> None:
            self._take = take
            loop.call_soon_threadsafe(self._taking.set)

        try:
            app = await asyncio.to_thread(self._load, taken_by)
        except Exception as error:
            self.error, self._take = error, None
            self._known.set()
            self._taking.set()
            self._failed()
            return
        async with app.router.lifespan_context(app):
            self._app = app
            self._known.set()
            self._taking.set()
            await self._over.wait()


def _again(body: bytes, receive: Receive) -> Receive:
    """What gives a body that was read already."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
