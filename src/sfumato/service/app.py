"""The application: the native API under ``/api/v1``, the dialects beside it, the door around it."""

import asyncio
import contextlib
import html
import json
import time
from collections.abc import AsyncIterator, Mapping
from importlib.metadata import version
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Header, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, StreamingResponse
from pydantic import BaseModel, Field
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from sfumato.choices import Browsable
from sfumato.errors import OutputError, SfumatoError, UnknownNameError
from sfumato.requests.base import read_object
from sfumato.service import about, inspected, page, uploads, writing
from sfumato.service.bus import Event
from sfumato.service.described import ASKED, described
from sfumato.service.desk import MOST_KEY, Desk, client_of
from sfumato.service.dialects import a1111, comfy, openai
from sfumato.service.door import HEALTH, guarded
from sfumato.service.gallery import routes
from sfumato.service.gallery.collector import Collector
from sfumato.service.gallery.store import Gallery
from sfumato.service.jobs import MAX_PRIORITY, Job, QueueFullError, State, StateError, UsedKeyError
from sfumato.service.refusals import Refusal, body_of
from sfumato.service.settings import Settings
from sfumato.service.sketches import Sketches

Priority = Annotated[int, Query(ge=-MAX_PRIORITY, le=MAX_PRIORITY, description="higher ones are painted first")]


class PictureShown(BaseModel):
    """A finished picture."""

    index: int
    seed: str = Field(description="in decimal; it has 64 bits, more than numbers of JavaScript hold")
    width: int
    height: int
    url: str


class JobShown(BaseModel):
    """A job."""

    id: str
    number: int
    state: Literal["queued", "paused", "running", "cancelling", "done", "failed", "cancelled"]
    task: str
    request: dict[str, Any] = Field(description="as asked; of a job that is done, as executed")
    priority: int
    position: int | None = Field(description="in the queue, from 1")
    seconds_left: float | None = Field(description="until it is done, by measured speed; null where none was measured")
    progress: float = Field(description="0 to 1")
    attempts: int
    reason: str | None
    created: float
    started: float | None
    finished: float | None
    pictures: list[PictureShown]
    report: dict[str, Any] | None = Field(description="seeds, timings, provenance and peak memory")


class QueueChanged(BaseModel):
    """What can be changed of the queue."""

    paused: bool


class QueueShown(QueueChanged):
    """The queue."""

    jobs: dict[str, int] = Field(description="how many are in each state")
    limit: int = Field(description="how many may wait")


class Preference(BaseModel):
    """What can be changed of a job that waits."""

    priority: int = Field(ge=-MAX_PRIORITY, le=MAX_PRIORITY)


def create(settings: Settings) -> ASGIApp:
    """The application of a service, with its door. Raises as `guarded`."""
    return guarded(application(settings), settings)


def application(settings: Settings, desk: Desk | None = None) -> FastAPI:
    """The application without its door; of a desk that takes jobs already, where there is one."""
    desk = Desk.of(settings) if desk is None else desk
    gallery = Gallery(desk.database, settings.folder)
    collector = Collector(gallery, desk.bus, retain=settings.retain)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        running = [asyncio.create_task(each.run()) for each in (desk.dispatcher, collector)]
        yield
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        desk.database.close()

    app = FastAPI(title="sfumato", version=version("sfumato"), lifespan=lifespan, openapi_url=None)
    app.state.desk = desk
    _native(app, desk)
    dialects = (each.router(desk) for each in (a1111, openai, comfy))
    for each in (
        page.router(settings.token),
        inspected.router(),  # before what takes any name of a model
        about.router(desk),
        writing.router(desk),
        routes.router(gallery, collector),
        *dialects,
    ):
        app.router.routes.extend(each.routes)  # flat, so that whoever enumerates routes sees them
    _pages(app)

    def refused(request: Request, error: Exception) -> JSONResponse:
        if isinstance(error, HTTPException):
            error = Refusal(
                error.status_code,
                f"{request.method} {request.url.path[:80]}: {error.detail}; /docs lists what there is",
            )
        elif isinstance(error, RequestValidationError):
            error = Refusal(422, _broken(error.errors()[0]))
        refusal = refusal_of(error)
        return JSONResponse(body_of(request.url.path, refusal), refusal.status, headers=refusal.headers)

    for kind in (HTTPException, RequestValidationError, Refusal, SfumatoError, DBAPIError, OSError, Exception):
        app.add_exception_handler(kind, refused)
    app.openapi = lambda: described(app)  # type: ignore[method-assign]
    return app


def refusal_of(error: Exception) -> Refusal:
    """An error as an answer."""
    match error:
        case Refusal():
            return error
        case QueueFullError():
            return Refusal(429, str(error), headers={"Retry-After": str(error.retry_after)})
        case UsedKeyError() | StateError():
            return Refusal(409, str(error))
        case UnknownNameError() if str(error).startswith(("unknown job", "unknown picture")):
            return Refusal(404, str(error))
        case OutputError():
            return Refusal(507, str(error))
        case SfumatoError():
            return Refusal(422, str(error))
        case DBAPIError() | OSError():
            return Refusal(507, "the service cannot write to its data folder; free some space and ask again")
    return Refusal(500, f"a defect of sfumato: {type(error).__name__}")


def _broken(first: Mapping[str, Any]) -> str:
    """The field, what was given, and the rule that it breaks."""
    field = ".".join(map(str, first["loc"][1:])) or "the body"
    if first["type"] in ("missing", "json_invalid"):
        return (
            f"{field} is {'missing' if first['type'] == 'missing' else 'not JSON'}; /docs says what is asked for here"
        )
    rule = str(first["msg"]).removeprefix("Input should ")
    return f"{field} {repr(first['input'])[:60]} should {rule}" if rule.startswith("be ") else f"{field}: {rule}"


def stream(lines: AsyncIterator[str]) -> StreamingResponse:
    """Server-sent events."""
    return StreamingResponse(lines, media_type="text/event-stream", headers={"Cache-Control": "no-store"})


async def _sent(events: AsyncIterator[Event | None]) -> AsyncIterator[str]:
    async for event in events:
        if event is None:
            yield ": still there\n\n"
        else:
            yield f"event: {event.kind}\ndata: {json.dumps({'job': event.job, **event.data})}\n\n"


def _native(app: FastAPI, desk: Desk) -> None:
    started, sketches = time.time(), Sketches(desk)

    @app.post(
        "/api/v1/jobs", status_code=202, tags=["jobs"], response_model=JobShown, openapi_extra={"requestBody": ASKED}
    )
    async def submit(
        request: Request,
        priority: Priority = 0,
        format: Browsable = "png",
        quality: Annotated[int | None, Query(ge=1, le=100, description="of all formats but png")] = None,
        idempotency_key: Annotated[str | None, Header(max_length=MOST_KEY)] = None,
    ) -> dict[str, Any]:
        """Ask for pictures: the request of any task. The same Idempotency-Key and request are the same job."""
        if quality is not None and format == "png":
            raise Refusal(422, "quality is for jpeg, webp and avif, and PNG loses nothing; leave it out")
        painting = await desk.request(read_object(await request.body()))
        job, _ = await desk.submit(
            painting,
            client=client_of(request),
            priority=priority,
            key=idempotency_key,
            format=format,
            quality=quality,
        )
        return await asyncio.to_thread(desk.shown, job)

    @app.post(
        "/api/v1/sketches",
        tags=["pictures"],
        response_class=Response,
        responses={200: {"content": {"image/jpeg": {}}}, 204: {"description": "a later sketch took its place"}},
        openapi_extra={"requestBody": ASKED},
    )
    async def sketch(request: Request) -> Response:
        """A quick picture of a txt2img request while it is being written, as a JPEG; it is kept nowhere. Of one client
        only the latest sketch is painted."""
        painting = await desk.request(read_object(await request.body()))
        jpeg = await sketches.paint(painting, client_of(request))
        return Response(status_code=204) if jpeg is None else Response(jpeg, media_type="image/jpeg")

    @app.get("/api/v1/jobs", tags=["jobs"], response_model=list[JobShown])
    async def listed(
        state: State | None = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 60,
        before: Annotated[int | None, Query(ge=0, le=2**62, description="a job's number: the page after it")] = None,
    ) -> list[dict[str, Any]]:
        """Jobs, the newest first."""

        def found() -> list[dict[str, Any]]:
            waiting = desk.waiting()
            return [desk.shown(job, waiting) for job in desk.jobs.listed(state=state, limit=limit, before=before)]

        return await asyncio.to_thread(found)

    @app.get("/api/v1/jobs/{id}", tags=["jobs"], response_model=JobShown)
    async def shown(id: str) -> dict[str, Any]:
        """A job."""
        job = await desk.get(id)
        return await asyncio.to_thread(desk.shown, job)

    @app.patch("/api/v1/jobs/{id}", tags=["jobs"], response_model=JobShown)
    async def prefer(id: str, preference: Preference) -> dict[str, Any]:
        """Give a job another priority."""
        job = await asyncio.to_thread(desk.jobs.prefer, id, preference.priority)
        return await asyncio.to_thread(desk.shown, job)

    @app.post("/api/v1/jobs/{id}/cancel", tags=["jobs"], response_model=JobShown)
    async def cancel(id: str) -> dict[str, Any]:
        """Cancel a job; one that is running stops within a step. What has ended stays as it is."""
        return await asyncio.to_thread(desk.shown, await desk.dispatcher.cancel(id))

    @app.post("/api/v1/jobs/{id}/retry", tags=["jobs"], response_model=JobShown)
    async def retry(id: str) -> dict[str, Any]:
        """Put a job that failed or was cancelled into the queue again."""
        job = await asyncio.to_thread(desk.jobs.retry, id)
        desk.dispatcher.wake()
        return await asyncio.to_thread(desk.shown, job)

    @app.post("/api/v1/jobs/{id}/pause", tags=["jobs"], response_model=JobShown)
    async def pause(id: str) -> dict[str, Any]:
        """Pass a job that waits over until it is resumed."""
        return await moved(await asyncio.to_thread(desk.jobs.pause, id))

    @app.post("/api/v1/jobs/{id}/resume", tags=["jobs"], response_model=JobShown)
    async def resume(id: str) -> dict[str, Any]:
        """Let a job that was paused wait in its old place."""
        return await moved(await asyncio.to_thread(desk.jobs.resume, id))

    async def moved(job: Job) -> dict[str, Any]:
        desk.bus.publish(Event(job.id, "state", {"state": job.state, "reason": job.reason}))
        desk.dispatcher.wake()
        return await asyncio.to_thread(desk.shown, job)

    @app.get("/api/v1/queue", tags=["jobs"], response_model=QueueShown)
    async def queue() -> dict[str, Any]:
        """Whether the queue is paused, and how many jobs are in each state."""

        def found() -> dict[str, Any]:
            return {"paused": desk.jobs.held, "jobs": desk.jobs.counts(), "limit": desk.jobs.limit}

        return await asyncio.to_thread(found)

    @app.patch("/api/v1/queue", tags=["jobs"], response_model=QueueShown)
    async def hold(change: QueueChanged) -> dict[str, Any]:
        """Pause the queue, also over a restart, or let it go on. What is running is painted to its end."""
        await asyncio.to_thread(desk.jobs.hold, change.paused)
        desk.dispatcher.wake()
        return await queue()

    @app.get("/api/v1/jobs/{id}/events", tags=["events"], response_class=StreamingResponse)
    async def watch(id: str) -> StreamingResponse:
        """What happens to a job until its end, as server-sent events: state, progress, preview (a JPEG in Base64),
        picture."""
        await desk.get(id)
        return stream(_sent(desk.events(id)))

    @app.get("/api/v1/events", tags=["events"], response_class=StreamingResponse)
    async def watch_all() -> StreamingResponse:
        """What happens to all jobs, as server-sent events; and gallery, when a picture was taken into it."""
        return stream(_sent(desk.events(None)))

    @app.get("/api/v1/pictures/{id}/{index}", tags=["pictures"], response_class=FileResponse)
    async def picture(id: str, index: int) -> FileResponse:
        """The file of a finished picture, its request inside."""
        return FileResponse(desk.file(await desk.get(id), index))

    @app.post(
        "/api/v1/uploads",
        status_code=201,
        tags=["pictures"],
        openapi_extra={"requestBody": {"required": True, "content": {"image/*": {"schema": {"type": "string"}}}}},
    )
    async def upload(request: Request) -> dict[str, str]:
        """Send a picture, as the body. Requests name it by the digest that comes back: {"sha256": "..."}. What is kept
        are its pixels alone, without EXIF."""
        return {"sha256": await uploads.keep(await request.body(), desk.uploads)}

    @app.get("/api/v1/uploads/{sha256}", tags=["pictures"], response_class=FileResponse)
    async def uploaded(sha256: Annotated[str, Path(pattern="^[0-9a-f]{64}$")]) -> FileResponse:
        """The pixels of an upload, as a PNG."""
        file = desk.uploads / f"{sha256}.png"
        if not file.is_file():
            raise Refusal(404, f"there is no upload {sha256[:16]}...; upload the picture before")
        return FileResponse(file)

    @app.get(HEALTH, tags=["service"])
    async def health() -> dict[str, Any]:
        """Whether it is there."""
        return {"status": "ok", "version": app.version, "painting": desk.dispatcher.live is not None}

    @app.get("/api/v1/metrics", tags=["service"], response_class=PlainTextResponse)
    async def metrics() -> PlainTextResponse:
        """Counts and sizes, as Prometheus reads them."""
        counts = await asyncio.to_thread(desk.jobs.counts)
        lines = ["# TYPE sfumato_jobs gauge"]
        lines += [f'sfumato_jobs{{state="{state}"}} {count}' for state, count in sorted(counts.items())]
        for name, kind, value in (
            ("worker_crashes_total", "counter", desk.dispatcher.crashes),
            ("worker_peak_bytes", "gauge", desk.dispatcher.peak),
            ("worker_up", "gauge", int(desk.dispatcher.worker is not None)),
            ("queue_limit", "gauge", desk.jobs.limit),
            ("uptime_seconds", "gauge", round(time.time() - started, 3)),
        ):
            lines += [f"# TYPE sfumato_{name} {kind}", f"sfumato_{name} {value}"]
        return PlainTextResponse("\n".join(lines) + "\n", media_type="text/plain; version=0.0.4")


def _pages(app: FastAPI) -> None:
    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> JSONResponse:
        """The API, for programs; it is made when it is asked for first, which takes a second."""
        return JSONResponse(await asyncio.to_thread(app.openapi))

    @app.get("/docs", include_in_schema=False, response_class=HTMLResponse)
    async def described() -> HTMLResponse:
        """The API, as a page."""
        rows = [
            f"<tr><td><code>{method.upper()}</code><td><code>{html.escape(path)}</code><td>"
            f"{html.escape(how.get('description', how.get('summary', '')))}"
            for path, methods in (await asyncio.to_thread(app.openapi))["paths"].items()
            for method, how in methods.items()
        ]
        return HTMLResponse(
            f"<!doctype html><html lang=en><title>sfumato: API</title><h1>API</h1><table>{''.join(rows)}</table></html>"
        )
