"""Which models there are by name: the bundled one, those below `SFUMATO_MODELS`, in other programs' folders and in the
Hub's cache. Imports no torch, and opens no connection."""

import difflib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from sfumato.checkpoints import extra_paths, hub
from sfumato.checkpoints.hub import INDEX, Address
from sfumato.checkpoints.sniff import first_bytes, foreign
from sfumato.errors import CheckpointError, UnknownNameError

MAX_PATH = 4000
MAX_DEPTH = 3
BUNDLED = ("nano",)
SUFFIXES = hub.WEIGHTS
"""Files that may hold a model; what they are, their content says."""


_OTHERWISE = "a path of a folder or file serves too, and sfumato pull ORG/NAME fetches a model of the Hub"


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
    """All models that can be asked for by name, bundled ones first. Of equal names the first counts; a file can also
    be asked for with its ending.

    Raises:
        CheckpointError: see `extra_paths.folders`.
    """
    found = [_describe(name, bundled_folder(name), "bundled, works offline") for name in BUNDLED if _is_bundled(name)]
    roots = [Path(root).expanduser() for root in os.environ.get("SFUMATO_MODELS", "").split(os.pathsep) if root]
    places = [(root, "from SFUMATO_MODELS") for root in roots]
    places += [(root, f"from {extra_paths.VARIABLE}") for root in extra_paths.folders("checkpoints", "diffusers")]
    for root, origin in places:
        found += [_describe(_name_of(path, root), path, origin) for path in _below(root)]
    return found + [_describe(str(address), path, "from the Hub's cache") for address, path in hub.models()]


def _is_bundled(name: str) -> bool:
    return (bundled_folder(name) / INDEX).is_file()


def _below(root: Path) -> Iterator[Path]:
    """Model folders and checkpoint files; what lies inside a model's folder is its own."""
    for place, folders, files in os.walk(root, followlinks=True):
        here = Path(place)
        if INDEX in files:
            folders.clear()
            yield here
            continue
        folders[:] = [] if len(here.relative_to(root).parts) >= MAX_DEPTH else sorted(folders)
        if "config.json" not in files:  # a network's configuration: the file is a part of something
            yield from (here / file for file in sorted(files) if Path(file).suffix.lower() in hub.ALONE)


def _name_of(path: Path, root: Path) -> str:
    name = path.relative_to(root.parent if path == root else root)
    return (name if path.is_dir() else name.with_suffix("")).as_posix()


def _describe(name: str, path: Path, origin: str) -> ModelInfo:
    if path.is_file():
        return ModelInfo(name, "one file", path, path.stat().st_size, origin)
    size = sum(file.stat().st_size for file in path.rglob("*.safetensors"))
    try:
        pipeline = json.loads((path / INDEX).read_text(encoding="utf-8")).get("_class_name", "?")
    except (OSError, ValueError, AttributeError):
        pipeline = f"unreadable {INDEX}"
    return ModelInfo(name, name if name in BUNDLED else pipeline, path, size, origin)


def find(model: str | Path) -> Path:
    """The folder or the file of a model given by name, path or address on the Hub (which must have been pulled).

    Raises:
        UnknownNameError: no such name; near ones are offered.
        CheckpointError: a path that is no model.
    """
    known = available()
    for info in known:
        if str(model) in (info.name, f"{info.name}{info.path.suffix}"):
            return info.path
    path = Path(os.path.expanduser(model))  # noqa: PTH111 - Path.expanduser raises for an unknown user
    if len(os.fsencode(path)) > MAX_PATH or "\0" in str(path):
        raise UnknownNameError("model", f"{str(model)[:40]}...", [info.name for info in known])
    if path.is_dir():
        if not (path / INDEX).is_file():
            raise CheckpointError(f"{path} has no {INDEX}; give a model folder in the diffusers layout")
        return path
    if path.is_file():
        if path.suffix.lower() not in SUFFIXES:
            what = foreign(first_bytes(path)) or f"is no model; give a folder or a {SUFFIXES[0]} file"
            raise CheckpointError(f"{path} {what}")
        return path
    if (address := Address.parse(str(model))) is not None:
        return _pulled(address, [info.name for info in known])
    if os.sep in str(model) or str(model).startswith(".") or path.suffix.lower() in SUFFIXES:
        raise CheckpointError(f"there is no folder or file {path}; give a model's name, folder or file")
    raise UnknownNameError("model", str(model), [info.name for info in known], otherwise=_OTHERWISE)


def _pulled(address: Address, known: list[str]) -> Path:
    """Where a model of the Hub lies in its cache."""
    path = hub.cached(address)
    if path is None:
        near = difflib.get_close_matches(str(address), known, n=3, cutoff=0.7)
        meant = f"did you mean {' or '.join(near)}? or " if near else ""
        raise CheckpointError(
            f"there is no folder or file {address}, nor is it in the Hub's cache; {meant}sfumato pull {address}"
        )
    return path
