"""What there is to paint with, and on what: models and what they know, adapters, tasks, prompts as read, the machine.

The page's forms are made of these answers. No torch: files are looked into, and nothing is loaded.
"""

import asyncio
import functools
import json
import os
import shutil
import time
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import psutil
from fastapi import APIRouter
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field

from sfumato.adapters import folders
from sfumato.checkpoints import catalogue
from sfumato.checkpoints.catalogue import ModelInfo
from sfumato.choices import Syntax
from sfumato.errors import CheckpointError, UnknownNameError
from sfumato.models.tokenizer import ClipTokenizer
from sfumato.prompts import parse, timeline
from sfumato.prompts.interpretation import interpret
from sfumato.prompts.lexicon import Lexicon, lexicon_of
from sfumato.prompts.vocabulary import Vocabulary
from sfumato.prompts.windows import windows
from sfumato.requests import REQUESTS
from sfumato.requests.groups import place_of
from sfumato.service.asked import served
from sfumato.service.desk import Desk
from sfumato.service.writing import picture_of, shown_picture

_LICENCES = {"nano": "Apache-2.0"}
"""Licences of bundled models; others' stand in their own cards."""


class PromptAsked(BaseModel):
    """A prompt to be read as a model would."""

    text: Annotated[str, Field(max_length=8192)]
    model: Annotated[str, Field(max_length=4096)] = "nano"
    syntax: Syntax = "a1111"


class PromptRead(BaseModel):
    """How long a prompt is, and what of it is new to the model."""

    tokens: int
    windows: list[int] = Field(description="tokens in each window, in order")
    room: int = Field(description="tokens that a window takes")
    unknown: list[str] = Field(description="words that the model never learned, where it says what it learned")
    caption: str = Field(description="what the model's lexicon makes of it; empty where it is read as it stands")


def router(desk: Desk) -> APIRouter:
    """Its routes."""
    api = APIRouter(prefix="/api/v1")
    started = time.time()

    @api.get("/models", tags=["models"])
    async def models() -> list[dict[str, Any]]:
        """Models that requests may name."""
        return [_shown(info) for info in await asyncio.to_thread(catalogue.available)]

    @api.get("/models/{name:path}/preview", tags=["models"], response_class=FileResponse)
    async def preview(name: str) -> FileResponse:
        """The picture beside a model."""
        return shown_picture((await asyncio.to_thread(info_of, name)).path, name)

    @api.get("/models/{name:path}", tags=["models"])
    async def model(name: str) -> dict[str, Any]:
        """A model, and what it has learned: kind of picture -> attribute -> what it may be."""
        info = await asyncio.to_thread(info_of, name)
        vocabulary = await asyncio.to_thread(_vocabulary, info.path)
        return {**_shown(info), "about": {} if vocabulary is None else vocabulary.about}

    @api.get("/adapters", tags=["models"])
    async def adapters() -> dict[str, list[str]]:
        """Adapters and autoencoders that requests may name."""
        return {f"{sort.lower().replace('-', '_')}s": sorted(folders.available(sort)) for sort in folders.VARIABLES}

    @api.get("/tasks", tags=["models"])
    async def tasks() -> dict[str, Any]:
        """The JSON schema of each task's request: fields, limits, descriptions."""
        return await asyncio.to_thread(_schemas)

    @api.post("/prompts", tags=["models"], response_model=PromptRead)
    async def prompt(asked: PromptAsked) -> PromptRead:
        """Read a prompt: its tokens and windows (of its first step), and words that are new to the model."""
        return await asyncio.to_thread(_read, asked)

    @api.get("/status", tags=["service"])
    async def status() -> dict[str, Any]:
        """How the service, its worker and the machine are."""
        memory = psutil.virtual_memory()
        return {
            "version": version("sfumato"),
            "uptime": time.time() - started,
            "queue_limit": desk.jobs.limit,
            "jobs": await asyncio.to_thread(desk.jobs.counts),
            "worker": {
                "up": desk.dispatcher.worker is not None,
                "peak_bytes": desk.dispatcher.peak,
                "crashes": desk.dispatcher.crashes,
            },
            "machine": {
                "cores": os.cpu_count() or 1,
                "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
                "memory_bytes": memory.total,
                "memory_free_bytes": memory.available,
                "disk_free_bytes": shutil.disk_usage(desk.folder).free,
            },
        }

    return api


@functools.cache
def _schemas() -> dict[str, Any]:
    """By task, its request's schema; fields that belong together say so (`x-group`) and in which order (`x-place`)."""
    found = {task: served(kind.model_json_schema()) for task, kind in REQUESTS.items()}
    for task, schema in found.items():
        for name, field in schema.get("properties", {}).items():
            if (place := place_of(REQUESTS[task], name)) is not None:
                field["x-group"], field["x-place"] = place
    return found


def _shown(info: ModelInfo) -> dict[str, Any]:
    return {
        "name": info.name,
        "family": info.family,
        "bytes": info.size_bytes,
        "description": info.description,
        "size": _size(info.path),
        "licence": _LICENCES.get(info.name),
        "preview": None if picture_of(info.path) is None else f"/api/v1/models/{info.name}/preview",
    }


def info_of(name: str) -> ModelInfo:
    """The model that a request calls so.

    Raises:
        UnknownNameError: there is none; near names are offered.
    """
    known = catalogue.available()
    for info in known:
        if name in (info.name, f"{info.name}{info.path.suffix}"):
            return info
    raise UnknownNameError("model", name[:64], [info.name for info in known])


def _size(path: Path) -> int | None:
    """Pixels of a side that a model in a folder was trained on, by its configurations; None where they do not say."""
    for network in ("unet", "transformer"):
        try:
            side = json.loads((path / network / "config.json").read_bytes())["sample_size"]
            vae = json.loads((path / "vae" / "config.json").read_bytes())
            folded = vae.get("fold")
            levels = len(vae["channels"] if folded else vae["block_out_channels"]) - 1
            return int(side) * 2**levels * (folded or 1)
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


def _read(asked: PromptAsked) -> PromptRead:
    path = info_of(asked.model).path
    tokenizer = _tokenizer(path)
    reading = timeline(parse(asked.text, asked.syntax), 1)[0].readings[0]
    found = [len(window.ids) for prompt in reading.prompts for window in windows(prompt, tokenizer)]
    lexicon, vocabulary = _lexicon(path), _vocabulary(path)
    caption = None if lexicon is None or reading.plain is None else interpret(reading.plain, lexicon).caption
    unknown = [] if vocabulary is None or caption is not None else vocabulary.unknown(asked.text)
    return PromptRead(
        tokens=sum(found), windows=found, room=tokenizer.length - 2, unknown=unknown, caption=caption or ""
    )


@functools.lru_cache(8)
def _tokenizer(path: Path) -> ClipTokenizer:
    """A folder's own; of other models CLIP's, which they share."""
    try:
        return ClipTokenizer.from_folder(path / "tokenizer")
    except CheckpointError:
        return ClipTokenizer.clip()


def _lexicon(path: Path) -> Lexicon | None:
    return lexicon_of(path) if path.is_dir() else None


@functools.lru_cache(8)
def _vocabulary(path: Path) -> Vocabulary | None:
    return Vocabulary.read(path) if path.is_dir() else None
