"""Folders of other programs, from files in the form of ComfyUI's `extra_model_paths.yaml`. Imports no torch.

    comfyui:
        base_path: ~/ComfyUI
        checkpoints: models/checkpoints
        loras: |
            models/loras
            models/lycoris

Each section has an optional `base_path` and, by kind, a folder or several, a line each. Relative ones lie below the
base path, or beside the file. Kinds are called `checkpoints`, `diffusers`, `loras`, `embeddings`, `vae` and more.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from sfumato.errors import CheckpointError
from sfumato.files import read_regular

VARIABLE = "SFUMATO_EXTRA_MODEL_PATHS"
MAX_BYTES = 2**20


def folders(*kinds: str) -> list[Path]:
    """The folders of these kinds in all files that `SFUMATO_EXTRA_MODEL_PATHS` names; those that are there.

    Raises:
        CheckpointError: a file is missing or not of that form.
    """
    found: list[Path] = []
    for name in filter(None, os.environ.get(VARIABLE, "").split(os.pathsep)):
        for folder in _listed(Path(_expanded(name)), kinds):
            if folder not in found and folder.is_dir():
                found.append(folder)
    return found


def _listed(file: Path, kinds: tuple[str, ...]) -> Iterator[Path]:
    import yaml

    try:
        text = read_regular(file, MAX_BYTES + 1)
        sections = yaml.safe_load(text) if len(text) <= MAX_BYTES else None
    except OSError as error:
        raise CheckpointError(f"{VARIABLE}: cannot read {file}: {error.strerror}; correct or unset it") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:120]
        raise CheckpointError(f"{VARIABLE}: {file} is not YAML: {reason}; correct or unset it") from None
    if not isinstance(sections, dict):
        raise CheckpointError(f"{VARIABLE}: {file} has no sections with folders; see ComfyUI's extra_model_paths.yaml")
    for title, section in sections.items():
        if section is None:
            continue
        if not isinstance(section, dict):
            raise CheckpointError(f"{VARIABLE}: {title!r} in {file} is no section; write its folders below it")
        base = file.parent / _expanded(str(section.get("base_path") or ""))
        for kind in kinds:
            lines = section.get(kind)
            if lines is not None and not isinstance(lines, str):
                raise CheckpointError(f"{VARIABLE}: {kind} of {title!r} in {file} is no text; write a folder a line")
            yield from (base / _expanded(line.strip()) for line in (lines or "").split("\n") if line.strip())


def _expanded(name: str) -> str:
    return os.path.expandvars(os.path.expanduser(name))  # noqa: PTH111 - Path.expanduser raises for an unknown user
