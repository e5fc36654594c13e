"""OpenAI's ``/v1/images`` over the queue: generations, edits, variations, streams of partial pictures, models.

vLLM-Omni's names of further options are taken, and ours. The official client gives up after 600 seconds and asks again:
such a repetition finds the job that it began, as does one with the same Idempotency-Key.
"""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from starlette.datastructures import UploadFile

from sfumato.checkpoints import catalogue
from sfumato.errors import RequestError
from sfumato.metadata.gathering import Gathering
from sfumato.requests import Img2Img, Inpaint, Painting, Source, Txt2Img, parse_size
from sfumato.service import uploads
from sfumato.service.asked import check
from sfumato.service.desk import MOST_KEY, Desk, client_of, refuse_failed
from sfumato.service.dialects.body import json_object
from sfumato.service.jobs import Job
from sfumato.service.refusals import Refusal

FIELDS: Mapping[str, str] = {
    "prompt": "prompt",
    "model": "model",
    "n": "count",
    "negative_prompt": "negative",
    "num_inference_steps": "steps",
    "guidance_scale": "guidance",
    "seed": "seed",
    "sampler": "sampler",
    "scheduler": "schedule",
    "strength": "strength",
}
FORMATS = ("png", "jpeg", "webp")
FOREIGN_MODELS = ("dall-e-", "gpt-image-", "chatgpt-image-")
"""Beginnings of names that clients send when nobody chose one: the model is ours then."""
MOST = 10
MOST_FIELDS = 64
MOST_PARTIAL = 3
AGAIN = 24 * 3600.0
"""Seconds within which a repetition is one."""


def router(desk: Desk) -> APIRouter:
    """All addresses of the dialect."""
    api = APIRouter(prefix="/v1", tags=["OpenAI"])

    @api.get("/models")
    async def models() -> dict[str, Any]:
        """Models that may be named."""
        known = await asyncio.to_thread(catalogue.available)
        return {"object": "list", "data": [_model(info.name) for info in known]}

    @api.get("/models/{name:path}")
    async def model(name: str) -> dict[str, Any]:
        """A model."""
        if all(info.name != name for info in await asyncio.to_thread(catalogue.available)):
            raise Refusal(404, f"the model {name[:60]!r} does not exist; GET /v1/models lists them")
        return _model(name)

    @api.post("/images/generations", response_model=None)
    async def generations(request: Request) -> dict[str, Any] | StreamingResponse:
        """Paint from a text."""
        return await answered(request, await json_object(request), Txt2Img, {}, "image_generation")

    @api.post("/images/edits", response_model=None)
    async def edits(request: Request) -> dict[str, Any] | StreamingResponse:
        """Paint from a picture; with a mask only where that is transparent."""
        asked, files, given = await taken(request)
        kind: type[Painting] = Img2Img
        if "mask" in files:
            kind = Inpaint
            given["mask"] = Source(sha256=await uploads.keep(await files["mask"].read(), desk.uploads, "mask"))
        return await answered(request, asked, kind, given, "image_edit")

    @api.post("/images/variations", response_model=None)
    async def variations(request: Request) -> dict[str, Any] | StreamingResponse:
        """Paint a picture anew, without a text; ``strength`` says how far from it, 0 to 1."""
        asked, _, given = await taken(request)
        return await answered(request, {"prompt": "", **asked}, Img2Img, given, "image_variation")

    async def taken(request: Request) -> tuple[dict[str, Any], dict[str, UploadFile], dict[str, object]]:
        """Values, files and the picture of a form."""
        form = await request.form(max_files=17, max_fields=MOST_FIELDS)
        asked: dict[str, Any] = {name: value for name, value in form.multi_items() if isinstance(value, str)}
        sent = [(name.removesuffix("[]"), file) for name, file in form.multi_items() if isinstance(file, UploadFile)]
        files, pictures = dict(sent), sum(name == "image" for name, _ in sent)
        if not pictures:
            raise RequestError("image is missing; send a picture as a file")
        if pictures > 1:
            raise RequestError(f"image has {pictures} pictures, and one is edited at a time; send one")
        digest = await uploads.keep(await files["image"].read(), desk.uploads)
        return asked, files, {"image": Source(sha256=digest)}

    async def answered(
        request: Request, asked: dict[str, Any], kind: type[Painting], given: Mapping[str, object], event: str
    ) -> dict[str, Any] | StreamingResponse:
        painting = gathered(kind, asked, given)
        await asyncio.to_thread(check, painting, desk.uploads)
        format = asked.get("output_format") or "png"
        if format not in FORMATS:
            raise Refusal(400, f"output_format {str(format)[:40]!r} must be one of {', '.join(FORMATS)}")
        quality = None if format == "png" else max(1, _number(asked, "output_compression", 100, most=100))
        streams = str(asked.get("stream", False)).lower() == "true"
        partial = _number(asked, "partial_images", 0, most=MOST_PARTIAL) if streams else 0
        style: dict[str, Any] = {"format": format, "quality": quality}
        key, job = request.headers.get("idempotency-key", "")[:MOST_KEY], None
        if request.headers.get("x-stainless-retry-count", "0") != "0":
            since = time.time() - AGAIN
            job = await asyncio.to_thread(lambda: desk.jobs.same(painting, dialect="openai", since=since, **style))
        if job is None:
            how = {**style, "client": client_of(request), "key": key or None}
            job, _ = await desk.submit(painting, dialect="openai", **how)
        facts = {"output_format": format, "quality": "auto", "background": "opaque"}
        if streams:
            lines = streamed(job, event, partial, facts)
            return StreamingResponse(lines, media_type="text/event-stream", headers={"Cache-Control": "no-store"})
        job = await desk.ended(job.id)
        refuse_failed(job)
        by_url = asked.get("response_format") == "url"
        base = str(request.base_url).rstrip("/")
        data = [
            {"url": f"{base}/api/v1/pictures/{job.id}/{each.index}"}
            if by_url
            else {"b64_json": pixels(job, each.index)}
            for each in job.pictures
        ]
        return {"created": int(job.created), "data": data, "size": size(job), "usage": USAGE, **facts}

    async def streamed(job: Job, event: str, partial: int, facts: Mapping[str, str]) -> AsyncIterator[str]:
        """Partial pictures, evenly over the job, and then the finished ones."""
        sent, share, latest = 0, 0.0, None
        async for told in desk.events(job.id):
            if told is None:
                yield ": still there\n\n"
                continue
            if told.kind == "preview":
                latest = told.data["jpeg"]
            # Previews are as many as cost little: where a step has none, the one before stands for it.
            if latest is not None and sent < partial and share >= (sent + 1) / (partial + 1):
                yield _line(
                    {
                        "type": f"{event}.partial_image",
                        "partial_image_index": sent,
                        "b64_json": latest,
                        "created_at": int(time.time()),
                        "size": "auto",
                        **facts,
                        "output_format": "jpeg",
                    }
                )
                sent += 1
            if told.kind == "progress":
                share = told.data["share"]
        job = await desk.get(job.id)
        if job.state != "done":
            reason = job.reason or f"the job is {job.state}"
            yield _line({"error": {"message": reason, "type": "server_error", "param": None, "code": None}})
            return
        for each in job.pictures:
            yield _line(
                {
                    "type": f"{event}.completed",
                    "b64_json": await asyncio.to_thread(pixels, job, each.index),
                    "created_at": int(time.time()),
                    "size": size(job),
                    "usage": USAGE,
                    **facts,
                }
            )
        yield "data: [DONE]\n\n"

    def pixels(job: Job, index: int) -> str:
        return base64.b64encode(desk.file(job, index).read_bytes()).decode()

    return api


USAGE = {
    "input_tokens": 0,
    "output_tokens": 0,
    "total_tokens": 0,
    "input_tokens_details": {"text_tokens": 0, "image_tokens": 0},
}
"""Nothing is counted, for nothing is sold."""


def gathered(kind: type[Painting], asked: Mapping[str, Any], given: Mapping[str, object]) -> Painting:
    """The request of what a client sent; numbers may be texts.

    Raises:
        Refusal: a value breaks its rule.
    """
    found = Gathering(kind, **given)
    if not isinstance(asked.get("prompt"), str):
        raise Refusal(400, "prompt is missing; give a text")
    for theirs, ours in FIELDS.items():
        value = asked.get(theirs)
        foreign = theirs == "model" and str(value).startswith(FOREIGN_MODELS)
        if ours in kind.model_fields and value not in (None, "") and not foreign:
            found.take(ours, value)
    wanted = asked.get("size")
    if wanted not in (None, "", "auto"):
        width, height = parse_size(str(wanted))
        found.take("width", width)
        found.take("height", height)
    for lora in asked.get("loras") or ():
        name, _, weight = str(lora).partition(":")
        found.lora(name, weight or 1.0)
    if found.lost:
        raise Refusal(400, "; ".join(found.lost))
    request = found.request()
    if request.count > MOST:
        raise Refusal(400, f"n is {request.count}; at most {MOST} are painted at once")
    return request


def size(job: Job) -> str:
    """Width and height of a job's first picture."""
    return f"{job.pictures[0].width}x{job.pictures[0].height}" if job.pictures else "auto"


def _number(asked: Mapping[str, Any], name: str, default: int, *, most: int) -> int:
    said = default if asked.get(name) is None else asked[name]
    try:
        number = int(str(said)[:10])
    except ValueError:
        number = -1
    if not 0 <= number <= most:
        raise Refusal(400, f"{name} {str(said)[:40]!r} must be a whole number, 0 to {most}")
    return number


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "sfumato"}


def _line(data: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(data)}\n\n"
