"""Which models there are by name: the bundled one and the folders below `SFUMATO_MODELS`. Imports no torch."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from sfumato.errors import CheckpointError, UnknownNameError

BUNDLED = ("nano",)


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
    """The folder of a model given by name or path.

    Raises:
        UnknownNameError: no such name; near ones are offered.
        CheckpointError: a path that is no model folder.
    """
    for info in available():
        if info.name == str(model):
            return info.path
    path = Path(model).expanduser()
    if path.is_dir():
        if not (path / "model_index.json").is_file():
            raise CheckpointError(f"{path} has no model_index.json; give a model folder in the diffusers layout")
        return path
    if path.is_file():
        raise CheckpointError(f"{path} is a single file; give a model folder in the diffusers layout")
    if os.sep in str(model) or str(model).startswith("."):
        raise CheckpointError(f"there is no folder {path}; give a model's name or folder")
    raise UnknownNameError("model", str(model), [info.name for info in available()])
