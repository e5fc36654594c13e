"""What there is to paint with, looked into: the report of ``sfumato inspect``, and which of it a path means.

Reading weights takes torch and memory, so that the command does it, in a process of its own, one at a time. A path that
a client gives is only compared with what is listed already: of all others nothing is told, not even whether they are
there.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from sfumato.adapters import folders
from sfumato.checkpoints import catalogue, extra_paths
from sfumato.checkpoints.hub import ALONE, INDEX
from sfumato.errors import RequestError
from sfumato.service.about import info_of
from sfumato.service.writing import SORTS, adapter_of

COMMAND = (sys.executable, "-m", "sfumato", "inspect", "--json")
_MAX_SECONDS = 300
MODELS = "models"


class Asked(BaseModel):
    """A model or adapter, by the path of its file or folder."""

    model_config = ConfigDict(extra="forbid")

    path: Annotated[str, Field(min_length=1, max_length=4096)] = Field(
        description="absolute, or below one of the folders that are served"
    )


class Found(BaseModel):
    """By what name requests call what lies at a path."""

    sort: str = Field(description=f"{MODELS}, or a sort of adapters: {', '.join(SORTS)}")
    name: str


def router() -> APIRouter:
    """Its routes; to be put before those that take any name of a model."""
    api = APIRouter(prefix="/api/v1", tags=["models"])
    turn = asyncio.Lock()

    @api.post("/models", response_model=Found)
    async def found(asked: Asked) -> Found:
        """Which model or adapter lies at a path, within the folders that are served."""
        return await asyncio.to_thread(found_at, asked.path)

    @api.get("/models/{name:path}/report")
    async def model(name: str) -> dict[str, Any]:
        """What ``sfumato inspect`` says of a model: family, form, tensors, digest, and whether it loads."""
        path = (await asyncio.to_thread(info_of, name)).path
        async with turn:
            return await inspected(path)

    @api.get("/adapters/{sort}/{name:path}/report")
    async def adapter(
        sort: str, name: str, model: Annotated[str | None, Query(max_length=4096)] = None
    ) -> dict[str, Any]:
        """What ``sfumato inspect`` says of an adapter; of a LoRA or embedding also whether it fits a model."""
        path = await asyncio.to_thread(adapter_of, sort, name)
        held = None if model is None else (await asyncio.to_thread(info_of, model)).path
        async with turn:
            return await inspected(path, held)

    return api


async def inspected(path: Path, model: Path | None = None) -> dict[str, Any]:
    """The report of ``sfumato inspect``, without the folders of this machine.

    Raises:
        RequestError: the file cannot be read, or takes minutes.
    """
    pipe = asyncio.subprocess.PIPE
    more = () if model is None else ("--model", str(model))
    child = await asyncio.create_subprocess_exec(*COMMAND, *more, "--", str(path), stdout=pipe, stderr=pipe)
    try:
        async with asyncio.timeout(_MAX_SECONDS):
            out, said = await child.communicate()
    except TimeoutError:
        raise RequestError(f"{path.name} takes over {_MAX_SECONDS} seconds to look into; use sfumato inspect") from None
    finally:
        if child.returncode is None:  # also where nobody waits any more
            child.kill()
    names = {str(each): each.name for each in (path, model) if each is not None}
    if not out.strip():
        lines = said.decode(errors="replace").strip().splitlines() or ["sfumato: it cannot be read"]
        raise RequestError(_without(lines[-1].removeprefix("sfumato: "), names))
    report: dict[str, Any] = json.loads(_without(out.decode(), names))
    return report


def _without(text: str, names: dict[str, str]) -> str:
    for path, name in names.items():
        text = text.replace(path, name)
    return text


def found_at(asked: str) -> Found:
    """What is listed at a path.

    Raises:
        RequestError: nothing is: it is elsewhere, or no model and no adapter.
    """
    listed = {sort: folders.available(kind) for sort, kind in SORTS.items()}
    listed[MODELS] = {info.name: info.path for info in catalogue.available()}
    found = {_real(path): Found(sort=sort, name=name) for sort, files in listed.items() for name, path in files.items()}
    roots, path = served_folders(), Path(asked.strip().replace("\0", ""))
    for each in [_real(path)] if path.is_absolute() else [_real(root / path) for root in roots]:
        if each in found:
            return found[each]
    if path.is_absolute() and not any(_real(path).is_relative_to(root) for root in roots):
        raise RequestError(
            f"{asked[:200]!r} is in none of the folders that this service serves; put the file into one of them, or "
            "start the service with --models FOLDER"
        )
    raise RequestError(
        f"there is no model and no adapter {asked[:200]!r} in the folders that this service serves; check the path: "
        f"models are folders with a {INDEX}, or files that end in {' or '.join(ALONE)}"
    )


def served_folders() -> list[Path]:
    """The folders in which models and adapters are looked for, and that of bundled models."""
    variables = ["SFUMATO_MODELS", *folders.VARIABLES.values()]
    named = [Path(each) for name in variables for each in os.environ.get(name, "").split(os.pathsep) if each]
    kinds = ("checkpoints", "diffusers", *(each for kinds in folders.ELSEWHERE.values() for each in kinds))
    return [_real(each) for each in (*named, *extra_paths.folders(*kinds), catalogue.bundled_folder("."))]


def _real(path: Path) -> Path:
    return Path(os.path.realpath(os.path.expanduser(path)))  # noqa: PTH111 - Path.expanduser raises for an unknown user
