"""The service as OpenAPI: what FastAPI knows of its routes, the models of all requests, and bodies that are read
leniently, each with an example."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, get_origin

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from sfumato.requests import REQUESTS, Request, Source
from sfumato.service.asked import served

_REF = "#/components/schemas/{model}"
UPLOADED = {"sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}
_ID = "0123456789abcdef-0"
_BESIDE: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {"inpaint": {"mask": UPLOADED}, "outpaint": {"right": 64}, "enhance": {"sharpen": 0.5}}
)
"""What a task needs one of, so that no field of it must be there."""
_WORDS = {"prompt": "a red apple", "to": "a green apple", "old": "the apple"}


def example(kind: type[Request]) -> dict[str, Any]:
    """The shortest request of a task: what it needs, and no more."""
    found: dict[str, Any] = {"task": kind.model_fields["task"].default}
    for name, field in kind.model_fields.items():
        if not field.is_required():
            continue
        if field.annotation is Source:
            found[name] = UPLOADED
        elif get_origin(field.annotation) is tuple:
            found[name] = [UPLOADED] if name == "images" else ["apple", "pear"]
        else:
            found[name] = _WORDS[name]
    return {**found, **_BESIDE.get(found["task"], {})}


ASKED: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "oneOf": [{"$ref": _REF.format(model=kind.__name__)} for kind in REQUESTS.values()],
                "discriminator": {
                    "propertyName": "task",
                    "mapping": {task: _REF.format(model=kind.__name__) for task, kind in REQUESTS.items()},
                },
            },
            "examples": {task: {"value": example(kind)} for task, kind in REQUESTS.items()},
        }
    },
}
"""The request of any task, as a body."""

_BASE64 = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsTn6sAAAAABJRU5ErkJggg=="
_PAINTED = {"prompt": "a red apple", "negative_prompt": "", "steps": 20, "cfg_scale": 5, "width": 256, "height": 256}
_ASKED_FOR = {"prompt": "a red apple", "n": 1, "size": "256x256"}
_GRAPH = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "nano"}},
    "2": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": "a red apple"}},
    "3": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": ""}},
    "4": {"class_type": "EmptyLatentImage", "inputs": {"width": 256, "height": 256, "batch_size": 1}},
    "5": {
        "class_type": "KSampler",
        "inputs": {
            **{"model": ["1", 0], "positive": ["2", 0], "negative": ["3", 0], "latent_image": ["4", 0], "seed": 1},
            **{"steps": 20, "cfg": 5, "sampler_name": "euler", "scheduler": "normal", "denoise": 1},
        },
    },
    "6": {"class_type": "VAEDecode", "inputs": {"samples": ["5", 0], "vae": ["1", 2]}},
    "7": {"class_type": "SaveImage", "inputs": {"images": ["6", 0], "filename_prefix": "sfumato"}},
}
EXAMPLES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "PATCH /api/v1/jobs/{id}": {"priority": 5},
        "PATCH /api/v1/queue": {"paused": True},
        "POST /api/v1/models": {"path": "styles/ink.safetensors"},
        "POST /api/v1/prompts": {"text": "a (red:1.2) apple", "model": "nano"},
        "POST /api/v1/words": {"prompt": "a {red|green} apple"},
        "PATCH /api/v1/gallery": {"ids": [_ID], "rating": 4, "add_tags": ["fruit"]},
        "PATCH /api/v1/gallery/{id}": {"rating": 4, "tags": ["fruit"], "boards": ["still life"]},
        "POST /api/v1/gallery/trash": {"ids": [_ID]},
        "POST /api/v1/gallery/restore": {"ids": [_ID]},
        "POST /api/v1/gallery/erase": {"ids": [_ID]},
        "POST /sdapi/v1/txt2img": _PAINTED,
        "POST /sdapi/v1/img2img": {**_PAINTED, "init_images": [_BASE64], "denoising_strength": 0.6},
        "POST /sdapi/v1/options": {"sd_model_checkpoint": "nano"},
        "POST /sdapi/v1/extra-single-image": {"image": _BASE64, "upscaling_resize": 2, "upscaler_1": "Lanczos"},
        "POST /sdapi/v1/extra-batch-images": {
            "imageList": [{"data": _BASE64, "name": "one.png"}],
            "upscaling_resize": 2,
            "upscaler_1": "Lanczos",
        },
        "POST /sdapi/v1/png-info": {"image": _BASE64},
        "POST /v1/images/generations": _ASKED_FOR,
        "POST /prompt": {"prompt": _GRAPH, "client_id": "mine"},
        "POST /queue": {"clear": True},
        "POST /interrupt": {},
    }
)
"""A body of each operation that reads JSON; the fields of one that has no model of its own are those of its example,
and more."""
FORMS: Mapping[str, tuple[tuple[str, ...], Mapping[str, Any]]] = MappingProxyType(
    {
        "POST /v1/images/edits": (("image", "mask"), _ASKED_FOR),
        "POST /v1/images/variations": (("image",), {"n": 1, "size": "256x256"}),
        "POST /upload/image": (("image",), {}),
        "POST /upload/mask": (("image",), {"original_ref": '{"filename": "' + UPLOADED["sha256"] + '.png"}'}),
    }
)
"""Operations that read a form: its files, the first of which must be there, and an example of its other fields."""


def described(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI of the application."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, routes=app.routes)
        _, models = models_json_schema([(kind, "validation") for kind in REQUESTS.values()], ref_template=_REF)
        schema["components"]["schemas"] |= served(models)["$defs"]
        for name, operation in _operations(schema):
            if name in EXAMPLES:
                body = operation.setdefault("requestBody", _lenient(EXAMPLES[name]))
                body["content"]["application/json"]["example"] = EXAMPLES[name]
            elif name in FORMS:
                operation["requestBody"] = _form(*FORMS[name])
        app.openapi_schema = schema
    return app.openapi_schema


def _operations(schema: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    paths = schema["paths"].items()
    return [(f"{method.upper()} {path}", each) for path, methods in paths for method, each in methods.items()]


def _lenient(example: Mapping[str, Any]) -> dict[str, Any]:
    """A body of which nothing must be there, and whose values are read as far as they make sense."""
    fields = {name: {} if isinstance(value, (int, float, str)) else _shape(value) for name, value in example.items()}
    return {"required": True, "content": {"application/json": {"schema": {"type": "object", "properties": fields}}}}


def _shape(value: object) -> dict[str, Any]:
    return {"type": "array"} if isinstance(value, list) else {"type": "object"}


def _form(files: tuple[str, ...], example: Mapping[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {name: {"type": "string", "format": "binary"} for name in files}
    fields |= {name: {"example": value} for name, value in example.items()}
    schema = {"type": "object", "properties": fields, "required": [files[0]]}
    return {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
