"""What a request from outside may name: models, adapters and autoencoders of the catalogue, pictures that were uploaded
before. Never a path: whether a file is there is not for strangers to ask.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from sfumato.adapters import folders
from sfumato.checkpoints import catalogue
from sfumato.choices import OwnUpscaler
from sfumato.errors import RequestError, UnknownNameError
from sfumato.metadata import names
from sfumato.prompts import parse
from sfumato.requests import REQUESTS, Control, Lora, Painting, Request, Source, Txt2Img, Upscale

PATHS = ("text_encoders", "image_encoder")
"""Fields that hold paths, which a service does not take."""
_UPLOAD = {
    "type": "object",
    "description": "an upload",
    "properties": {"sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"}},
    "required": ["sha256"],
}


def served(schema: dict[str, Any]) -> dict[str, Any]:
    """The JSON schema of requests, without what a service refuses: paths. A picture is a digest there."""
    definitions = schema.get("$defs", {})
    for each in (schema, *definitions.values()):
        for name in PATHS:
            each.get("properties", {}).pop(name, None)
    if "Source" in definitions:
        definitions["Source"] = _UPLOAD
    return schema


def request_of(options: Mapping[str, Any], uploads: Path) -> Request:
    """The request of a task, by its JSON, when this service may carry it out.

    Raises:
        RequestError: it breaks a rule of its fields, or names what is not there.
    """
    task = options.get("task", "txt2img")
    if not isinstance(task, str) or task not in REQUESTS:
        raise UnknownNameError("task", str(task)[:64], REQUESTS)
    request = REQUESTS[task].build(**names.understood(options))
    check(request, uploads)
    return request


def check(request: Request, uploads: Path) -> None:
    """Raises RequestError where a request names what is not there."""
    for field in ("model", "refiner"):
        if (model := getattr(request, field, None)) is not None:
            _known(field, model, {info.name: info.path for info in catalogue.available()})
    for kind, field in ((Txt2Img, "upscaler"), (Upscale, "method")):
        upscaler = getattr(request, field) if isinstance(request, kind) else None
        if upscaler is not None and upscaler not in get_args(OwnUpscaler):
            _known("upscaler", upscaler, folders.available("upscaler"))
    syntax = request.prompt_syntax if isinstance(request, Painting) else "a1111"
    for text in (value for _, value in request if isinstance(value, str) and "<" in value):
        for network in parse(text, syntax).networks:  # of any prompt that there is, also of what paints on the way
            _known("lora", network.name, folders.available("lora"))
    if isinstance(request, Painting):
        _check_painting(request)
    for part in parts(request):
        match part:
            case Lora():
                _known("lora", part.name, folders.available("lora"))
            case Control():
                _known("control", part.model, folders.available("control"))
            case Source() if part.path or part.sha256 is None:
                raise RequestError('pictures are named by the digest of an upload: {"sha256": "..."}; upload it before')
            case Source() if not (uploads / f"{part.sha256}.png").is_file():
                raise RequestError(f"there is no upload {str(part.sha256)[:16]}...; upload the picture before")


def _check_painting(request: Painting) -> None:
    if request.vae is not None:
        _known("vae", request.vae, folders.available("vae"))
    if request.like_model is not None:
        _known("IP-Adapter", request.like_model, folders.available("IP-Adapter"))
    for field in PATHS:
        if getattr(request, field):
            raise RequestError(f"{field} is a path, which a service does not take; put the file beside the model's")
    for name in request.embeddings:
        _known("embedding", name, folders.available("embedding"))


def parts(value: object) -> Iterator[object]:
    """The models within a request, at any depth."""
    for _, inner in value if isinstance(value, BaseModel) else ():
        for each in inner if isinstance(inner, tuple) else (inner,):
            if isinstance(each, BaseModel):
                yield each
                yield from parts(each)


def _known(sort: str, name: str, known: Mapping[str, Path]) -> None:
    if not any(name in (each, f"{each}{path.suffix}") for each, path in known.items()):
        raise UnknownNameError(sort, name[:64], known)
