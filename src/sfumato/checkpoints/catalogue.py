"""Which models there are by name: the bundled one and the folders below `SFUMATO_MODELS`. Imports no torch."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from sfumato.errors import CheckpointError, UnknownNameError

MAX_PATH = 4000
BUNDLED = ("nano",)
SUFFIXES = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")
"""Files that may hold a model; what they are, their content says."""


@dataclass(frozen=True)
class ModelInfo:
    """A model that can be asked for by `name`."""

    name: str
    family: str
    path: Path
    size_bytes: int
    description: str


def bundled_folder(name: str) -> Path:
    """Where a bundled model lies."""
    return Path(str(resources.files("sfumato"))) / "data" / name


def available() -> list[ModelInfo]:
    """All models that can be asked for by name, bundled ones first."""
    found = [bundled_folder(name) for name in BUNDLED if (bundled_folder(name) / "model_index.json").is_file()]
    return [_describe(folder, bundled=True) for folder in found] + [_describe(f, bundled=False) for f in _own()]


def _own() -> Iterator[Path]:
    for root in filter(None, os.environ.get("SFUMATO_MODELS", "").split(os.pathsep)):
        folder = Path(root).expanduser()
        if folder.is_dir():
            yield from sorted(child for child in folder.iterdir() if (child / "model_index.json").is_file())


def _describe(folder: Path, *, bundled: bool) -> ModelInfo:
    size = sum(file.stat().st_size for file in folder.rglob("*.safetensors"))
    try:
        pipeline = json.loads((folder / "model_index.json").read_text(encoding="utf-8")).get("_class_name", "?")
    except (OSError, ValueError, AttributeError):
        pipeline = "unreadable model_index.json"
    family = folder.name if bundled else pipeline
    return ModelInfo(folder.name, family, folder, size, "bundled, works offline" if bundled else "from SFUMATO_MODELS")


def find(model: str | Path) -> Path:
    """The folder or the file of a model given by name or path.

    Raises:
        UnknownNameError: no such name; near ones are offered.
        CheckpointError: a path that is no model.
    """
    for info in available():
        if info.name == str(model):
            return info.path
    path = Path(os.path.expanduser(model))  # noqa: PTH111 - Path.expanduser raises for an unknown user
    if len(os.fsencode(path)) > MAX_PATH or "\0" in str(path):
        raise UnknownNameError("model", f"{str(model)[:40]}...", [info.name for info in available()])
    if path.is_dir():
        if not (path / "model_index.json").is_file():
            raise CheckpointError(f"{path} has no model_index.json; give a model folder in the diffusers layout")
        return path
    if path.is_file():
        if path.suffix.lower() not in SUFFIXES:
            raise CheckpointError(f"{path} is no model; give a folder or a {SUFFIXES[0]} file")
        return path
    if os.sep in str(model) or str(model).startswith(".") or path.suffix.lower() in SUFFIXES:
        raise CheckpointError(f"there is no folder or file {path}; give a model's name, folder or file")
    raise UnknownNameError("model", str(model), [info.name for info in available()])
