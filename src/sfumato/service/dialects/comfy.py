"""ComfyUI's API over the queue: graphs that `nodes` reads as one request, and a WebSocket that tells how they go.

A job's graph lies beside its pictures, and is erased with them. A picture's name is that of its job; the name of an
upload is what ``/upload/image`` gives back.
"""

import asyncio
import contextlib
import json
import re
import secrets
import struct
import sys
import threading
import time
import uuid
from base64 import b64decode
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
from fastapi import APIRouter, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import FileResponse, JSONResponse
from fastapi.routing import APIRoute
from starlette.datastructures import FormData, UploadFile

from sfumato.adapters import folders
from sfumato.errors import RequestError
from sfumato.files import write_atomic
from sfumato.service import uploads
from sfumato.service.asked import check
from sfumato.service.bus import Event
from sfumato.service.desk import Desk, client_of
from sfumato.service.dialects import nodes
from sfumato.service.dialects.body import json_object
from sfumato.service.dialects.graph import translated
from sfumato.service.dialects.links import GraphError, Mask
from sfumato.service.jobs import Job
from sfumato.service.refusals import Refusal

DIALECT = "comfy"
_GRAPH = "graph.json"
_KEPT = 256  # graphs in memory
_MOST_ID = 100  # characters
_PICTURE = re.compile(r"([0-9a-f]{16})_([0-9]{5})_\.png")
_UPLOAD = re.compile(r"[0-9a-f]{64}\.png")
_LISTED = 200
_IMAGE, _JPEG, _PNG = (struct.pack(">I", number) for number in (1, 1, 2))
"""What binary messages begin with: the event, and the format."""


@dataclass(frozen=True)
class Ticket:
    """What of a graph its request does not say.

    Attributes:
        prompt: ComfyUI's id of the job.
        client: who is told how it goes.
        outputs: nodes that show the pictures.
        sampler: the node that paints.
    """

    prompt: str
    client: str
    graph: Mapping[str, Any]
    outputs: tuple[str, ...]
    sampler: str

    def row(self, job: Job) -> list[Any]:
        """The job as queue and history have it."""
        return [job.number, self.prompt, self.graph, {"client_id": self.client}, list(self.outputs)]

    def kind(self, node: str) -> str:
        """What a node is."""
        return str(self.graph.get(node, {}).get("class_type", ""))


class Tickets:
    """The tickets of jobs: the newest in memory, all in files beside the pictures; safe for threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[str, Ticket] = {}
        self._lock = threading.Lock()

    def keep(self, id: str, ticket: Ticket) -> None:
        """In memory, before there is a job."""
        with self._lock:
            self._known[id] = ticket
            while len(self._known) > _KEPT:
                del self._known[next(iter(self._known))]

    def drop(self, id: str) -> None:
        """No such job came to be."""
        with self._lock:
            self._known.pop(id, None)

    def write(self, id: str) -> None:
        """For later services, when there is a job."""
        ticket = self._known.get(id)
        if ticket is not None:
            (self.folder / id).mkdir(parents=True, exist_ok=True)
            write_atomic(self.folder / id / _GRAPH, json.dumps(vars(ticket)).encode())

    def of(self, id: str) -> Ticket | None:
        """A job's; None where it was asked for in another dialect."""
        if (ticket := self._known.get(id)) is not None:
            return ticket
        try:
            found = json.loads((self.folder / id / _GRAPH).read_bytes())
        except OSError:
            return None
        ticket = Ticket(**{**found, "outputs": tuple(found["outputs"])})
        self.keep(id, ticket)
        return ticket


def router(desk: Desk) -> APIRouter:
    """All addresses of the dialect."""
    api = APIRouter(tags=["ComfyUI"])
    tickets = Tickets(desk.folder / "pictures")

    @api.post("/prompt", response_model=None)
    async def ask(request: Request) -> dict[str, Any] | JSONResponse:
        """Paint what a graph in API format says."""
        asked = await json_object(request, again=True)
        graph = asked.get("prompt")
        try:
            found = await asyncio.to_thread(translated, graph)
            mask = None if found.mask is None else await _mask(desk, found.mask)
            painting = found.request(mask)
            try:
                await asyncio.to_thread(check, painting, desk.uploads)
            except RequestError as error:
                raise GraphError("value_not_in_list", str(error), node=found.sampler) from None
        except GraphError as error:
            return JSONResponse(_refused(error, graph), 400)
        prompt = str(asked.get("prompt_id") or uuid.uuid4())
        if len(prompt) > _MOST_ID or not prompt.isprintable():
            raise Refusal(400, f"prompt_id must be at most {_MOST_ID} printable characters, as a UUID")
        id, client = secrets.token_hex(8), str(asked.get("client_id") or "")[:_MOST_ID]
        tickets.keep(id, Ticket(prompt, client, dict(graph or {}), found.outputs, found.sampler))
        try:
            how = {"dialect": DIALECT, "key": prompt, "priority": int(bool(asked.get("front")))}
            job, new = await desk.submit(painting, client=client_of(request), id=id, **how)
        except BaseException:
            tickets.drop(id)
            raise
        if new:
            await asyncio.to_thread(tickets.write, id)
        else:
            tickets.drop(id)
        return {"prompt_id": prompt, "number": job.number, "node_errors": {}}

    @api.get("/prompt")
    async def remaining() -> dict[str, Any]:
        """How many jobs are not done."""
        return {"exec_info": {"queue_remaining": await asyncio.to_thread(_remaining, desk)}}

    @api.get("/queue")
    async def queue() -> dict[str, Any]:
        """Jobs that were asked for here and are not done."""

        def found() -> dict[str, Any]:
            rows = {"queue_running": desk.jobs.running(), "queue_pending": desk.jobs.order()}
            return {
                name: [ticket.row(job) for job in jobs if (ticket := tickets.of(job.id)) is not None]
                for name, jobs in rows.items()
            }

        return await asyncio.to_thread(found)

    @api.post("/queue")
    async def cancel(request: Request) -> dict[str, Any]:
        """Cancel jobs that wait and were asked for here: ``{"delete": [prompt_id]}`` or ``{"clear": true}``."""
        asked = await json_object(request, again=True)
        named = asked.get("delete")
        named = named if isinstance(named, list) else []
        for job in await asyncio.to_thread(desk.jobs.order):
            ticket = tickets.of(job.id)
            if ticket is not None and (asked.get("clear") or ticket.prompt in named):
                await desk.dispatcher.cancel(job.id)
        return {}

    @api.post("/interrupt")
    async def interrupt(request: Request) -> dict[str, Any]:
        """Cancel the present job of those that were asked for here, or the one of ``prompt_id`` if it is running."""
        wanted = (await json_object(request, again=True)).get("prompt_id")
        running = [(job, tickets.of(job.id)) for job in await asyncio.to_thread(desk.jobs.running)]
        ours = [job for job, ticket in running if ticket is not None and wanted in (None, ticket.prompt)]
        for job in ours[:1]:
            await desk.dispatcher.cancel(job.id)
        return {}

    def ended(limit: int, prompt: str | None = None) -> dict[str, Any]:
        jobs = desk.jobs.listed(limit=_LISTED) if prompt is None else desk.jobs.keyed(DIALECT, prompt)
        done = [job for job in jobs if not job.open and job.dialect == DIALECT][:limit]
        found = [(job, ticket) for job in reversed(done) if (ticket := tickets.of(job.id)) is not None]
        return {ticket.prompt: _history(job, ticket) for job, ticket in found}

    @api.get("/history")
    async def history(max_items: int = _LISTED) -> dict[str, Any]:
        """Jobs that were asked for here and have ended, the newest last."""
        return await asyncio.to_thread(ended, max(0, max_items))

    @api.get("/history/{id}")
    async def of_one(id: str) -> dict[str, Any]:
        """One of them; empty while it has not ended."""
        return await asyncio.to_thread(ended, 1, id)

    @api.get("/view", response_class=FileResponse)
    async def view(filename: str, subfolder: str = "", type: str = "output") -> FileResponse:
        """A picture, by the name that history gives; or an upload."""
        if type == "input" and _UPLOAD.fullmatch(filename) and (desk.uploads / filename).is_file():
            return FileResponse(desk.uploads / filename)
        if type in ("output", "temp") and (found := _PICTURE.fullmatch(filename)) is not None:
            return FileResponse(desk.file(await desk.get(found[1]), int(found[2])))
        raise Refusal(404, f"there is no {type[:10]} {filename[:90]!r}; GET /history names them")

    @api.post("/upload/image")
    async def upload(request: Request) -> dict[str, str]:
        """Send a picture as ``image`` of a form; LoadImage takes the ``name`` that comes back."""
        async with request.form(max_files=1, max_fields=8) as form:
            digest = await uploads.keep(await _image(form), desk.uploads)
        return {"name": f"{digest}.png", "subfolder": "", "type": "input"}

    @api.post("/upload/mask")
    async def upload_mask(request: Request) -> dict[str, str]:
        """Send a picture as ``image`` that says how transparent ``original_ref`` is, and have that with it."""
        async with request.form(max_files=1, max_fields=8) as form:
            mask = await _image(form)
            original = str(form.get("original_ref"))
        name = re.search(r'"filename": *"([0-9a-f]{64}\.png)"', original)
        if name is None or not (desk.uploads / name[1]).is_file():
            raise RequestError("original_ref names no upload; upload the picture before, and give the name it got")
        both = uploads.pair(await asyncio.to_thread((desk.uploads / name[1]).read_bytes), mask)
        digest = await uploads.keep(both, desk.uploads, "masked")
        return {"name": f"{digest}.png", "subfolder": "", "type": "input"}

    @api.get("/object_info")
    async def known() -> dict[str, Any]:
        """All nodes that graphs may have."""
        return await asyncio.to_thread(lambda: {name: nodes.described(name) for name in nodes.NODES})

    @api.get("/object_info/{name}")
    async def known_one(name: str) -> dict[str, Any]:
        """A node; empty where it is not known."""
        return await asyncio.to_thread(lambda: {name: nodes.described(name)} if name in nodes.NODES else {})

    @api.get("/embeddings")
    async def embeddings() -> list[str]:
        """Textual inversions."""
        return sorted(folders.available("embedding"))

    @api.get("/system_stats")
    async def stats() -> dict[str, Any]:
        """The machine."""
        memory = psutil.virtual_memory()
        device = {"name": "cpu", "type": "cpu", "index": None}
        sizes = {"vram_total": memory.total, "vram_free": memory.available}
        torch = {f"torch_{name}": size for name, size in sizes.items()}
        return {
            "system": {
                "os": sys.platform,
                "ram_total": memory.total,
                "ram_free": memory.available,
                "comfyui_version": f"sfumato {version('sfumato')}",
                "python_version": sys.version,
                "pytorch_version": version("torch"),
                "embedded_python": False,
                "argv": [],
            },
            "devices": [{**device, **sizes, **torch}],
        }

    @api.websocket("/ws")
    async def watch(socket: WebSocket) -> None:
        """Tells a client how its jobs go."""
        client = socket.query_params.get("clientId", "")[:_MOST_ID] or secrets.token_hex(16)
        await socket.accept()

        async def tell() -> None:
            async for message in _told(desk, tickets, client):
                await (socket.send_bytes(message) if isinstance(message, bytes) else socket.send_json(message))

        async def listen() -> None:
            while (await socket.receive())["type"] != "websocket.disconnect":
                pass  # what clients say changes nothing

        both = [asyncio.create_task(tell()), asyncio.create_task(listen())]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for task in both:
            task.cancel()
        with contextlib.suppress(WebSocketDisconnect, RuntimeError, asyncio.CancelledError):
            await asyncio.gather(*both)

    for route in list(api.routes):  # newer clients ask below /api
        if isinstance(route, APIRoute):
            how: dict[str, Any] = {"response_model": None, "include_in_schema": False}
            api.add_api_route(f"/api{route.path}", route.endpoint, methods=list(route.methods or ()), **how)
    api.add_api_websocket_route("/api/ws", watch)
    return api


async def _told(desk: Desk, tickets: Tickets, client: str) -> AsyncIterator[dict[str, Any] | bytes]:
    """What a client is told: the length of the queue, and of its own jobs how they go."""
    with desk.bus.listening() as queue:
        yield await _status(desk, sid=client)
        while True:
            event = await queue.get()
            ticket = await asyncio.to_thread(tickets.of, event.job)
            if event.kind == "state":
                yield await _status(desk)
            if ticket is not None and ticket.client == client:
                async for message in _messages(desk, event, ticket):
                    yield message


async def _messages(desk: Desk, event: Event, ticket: Ticket) -> AsyncIterator[dict[str, Any] | bytes]:
    """An event in ComfyUI's words."""
    about = {"prompt_id": ticket.prompt}
    stamp = {**about, "timestamp": int(time.time() * 1000)}
    at = {"node": ticket.sampler, "display_node": ticket.sampler, **about}
    match event.kind, event.data.get("state"):
        case "progress", _:
            steps = event.data["steps"]
            yield _said("progress", value=round(event.data["share"] * steps), max=steps, **at)
        case "preview", _:
            yield _IMAGE + _JPEG + b64decode(event.data["jpeg"])
        case "state", "running":
            yield _said("execution_start", **stamp)
            yield _said("execution_cached", nodes=[], **stamp)
            yield _said("executing", **at)
        case "state", "done":
            job = await desk.get(event.job)
            outputs = _outputs(job, ticket)
            for node in ticket.outputs:
                yield _said("executing", node=node, display_node=node, **about)
                if node in outputs:
                    yield _said("executed", node=node, display_node=node, output=outputs[node], **about)
                    continue
                for each in job.pictures:
                    yield _IMAGE + _PNG + await asyncio.to_thread(desk.file(job, each.index).read_bytes)
            yield _said("execution_success", **stamp)
            yield _said("executing", node=None, **about)
        case "state", "failed" | "cancelled":
            yield _said(*_ending(ticket, event.data["state"], event.data["reason"]))
            yield _said("executing", node=None, **about)


def _said(type: str, data: Mapping[str, Any] | None = None, /, **more: Any) -> dict[str, Any]:
    return {"type": type, "data": {**(data or {}), **more}}


def _ending(ticket: Ticket, state: str, reason: str | None) -> tuple[str, dict[str, Any]]:
    """What is said of a job that came to nothing."""
    at = {"prompt_id": ticket.prompt, "node_id": ticket.sampler, "node_type": ticket.kind(ticket.sampler)}
    if state == "cancelled":
        return "execution_interrupted", {**at, "executed": []}
    why = {"exception_message": reason or "it failed", "exception_type": "RuntimeError", "traceback": []}
    return "execution_error", {**at, "executed": [], **why, "current_inputs": {}, "current_outputs": []}


def _remaining(desk: Desk) -> int:
    counts = desk.jobs.counts()
    return counts.get("queued", 0) + counts.get("running", 0)


async def _status(desk: Desk, **more: str) -> dict[str, Any]:
    left = await asyncio.to_thread(_remaining, desk)
    return _said("status", status={"exec_info": {"queue_remaining": left}}, **more)


def _outputs(job: Job, ticket: Ticket) -> dict[str, Any]:
    """The pictures of each output node; those of `nodes.SOCKET` were sent."""
    return {
        node: {
            "images": [
                {
                    "filename": f"{job.id}_{each.index:05}_.png",
                    "subfolder": "",
                    "type": "temp" if ticket.kind(node) == "PreviewImage" else "output",
                }
                for each in job.pictures
            ]
        }
        for node in ticket.outputs
        if ticket.kind(node) != nodes.SOCKET
    }


def _history(job: Job, ticket: Ticket) -> dict[str, Any]:
    """A job that has ended."""
    done = job.state == "done"
    about = {"prompt_id": ticket.prompt}
    ends = ("execution_success", about) if done else _ending(ticket, job.state, job.reason)
    return {
        "prompt": ticket.row(job),
        "outputs": _outputs(job, ticket) if done else {},
        "status": {
            "status_str": "success" if done else "error",
            "completed": done,
            "messages": [["execution_start", about], list(ends)],
        },
        "meta": {},
    }


async def _mask(desk: Desk, mask: Mask) -> str:
    """The picture of a mask, as an upload of its own.

    Raises:
        GraphError: there is no such upload, or nothing of it is transparent.
    """
    path = desk.uploads / f"{mask.digest}.png"
    try:
        data = await asyncio.to_thread(path.read_bytes)
        return await uploads.keep(data, desk.uploads, mask.made)
    except OSError:
        raise GraphError("value_not_in_list", f"there is no upload {mask.digest[:16]}...; upload it before") from None
    except RequestError as error:
        raise GraphError("unsupported_graph", str(error)) from None


def _refused(error: GraphError, graph: object) -> dict[str, Any]:
    """A graph's refusal, the node that is at fault named."""
    told = {"type": error.type, "message": str(error), "details": error.input or "", "extra_info": {}}
    if error.node is None or not isinstance(graph, dict):
        return {"error": told, "node_errors": {}}
    extra = {} if error.input is None else {"input_name": error.input}
    name = str(graph[error.node].get("class_type", ""))
    ends = [id for id, node in graph.items() if nodes.is_output(node)]
    faults = [{**told, "extra_info": extra}]
    return {
        "error": {**told, "message": f"node {error.node[:40]} ({name[:80]}): {error}"},
        "node_errors": {error.node: {"errors": faults, "dependent_outputs": ends, "class_type": name}},
    }


async def _image(form: FormData) -> bytes:
    image = form.get("image")
    if not isinstance(image, UploadFile):
        raise RequestError("image is missing; send a picture as a file")
    return await image.read()
