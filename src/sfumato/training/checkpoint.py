"""Atomic training checkpoints: weights, average, optimisers and position, in safetensors and JSON; no pickle.

A checkpoint is a folder `checkpoints/00001200/` of `state.safetensors` and `state.json`, the latter with the SHA-256
of the former. It is written under a temporary name, synced and renamed, so it exists whole or not at all.
"""

import json
import math
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sfumato.checkpoints.folder import part_file
from sfumato.checkpoints.rules import fit
from sfumato.checkpoints.tensors import read_tensors
from sfumato.errors import TrainingError
from sfumato.files import sha256, whole_folder


@dataclass
class Snapshot:
    """`tensors` by name and everything else as JSON in `facts` (`facts["step"]` is the number of steps done)."""

    tensors: dict[str, Tensor]
    facts: dict[str, Any]


def save(run: Path, snapshot: Snapshot, keep: int = 2) -> Path:
    """Write the checkpoint and drop all but the newest `keep`.

    Raises:
        OutputError: when it cannot be written (disk full, no permission); older checkpoints are untouched.
    """
    final = run / "checkpoints" / f"{snapshot.facts['step']:08d}"
    with whole_folder(final) as folder:
        weights = folder / "state.safetensors"
        save_file({k: v.detach().contiguous() for k, v in snapshot.tensors.items()}, weights)
        facts = snapshot.facts | {"sha256": sha256(weights)}
        (folder / "state.json").write_text(json.dumps(facts, indent=1))
    for old in _folders(run)[:-keep]:
        shutil.rmtree(old)
    return final


def _folders(run: Path) -> list[Path]:
    folder = run / "checkpoints"
    return sorted(p for p in folder.iterdir() if re.fullmatch(r"\d{8}", p.name)) if folder.is_dir() else []


def load_latest(run: Path) -> Snapshot | None:
    """The newest checkpoint whose digest holds; a damaged one is passed over for the one before it. None for a new run.

    Raises:
        TrainingError: when there are checkpoints but all are damaged.
    """
    folders = _folders(run)
    for folder in reversed(folders):
        try:
            facts = json.loads((folder / "state.json").read_text())
            weights = folder / "state.safetensors"
            if sha256(weights) == facts["sha256"]:
                return Snapshot(load_file(weights), facts)
        except (OSError, ValueError, KeyError):
            pass  # damaged like one whose digest does not hold
        shutil.rmtree(folder)
    if folders:
        raise TrainingError(f"no checkpoint in {run / 'checkpoints'} was whole; run it again to start anew")
    return None


def latest_facts(run: Path) -> dict[str, Any] | None:
    """The JSON half of the newest readable checkpoint, without its weights."""
    for folder in reversed(_folders(run)):
        try:
            facts: dict[str, Any] = json.loads((folder / "state.json").read_text())
        except (OSError, ValueError):
            continue
        return facts
    return None


def drop_latest(run: Path) -> None:
    """Remove the newest checkpoint, which turned out to be of no use."""
    for folder in _folders(run)[-1:]:
        shutil.rmtree(folder)


class Best:
    """The weights of a run that had the lowest validation loss so far, in its folder `best`."""

    def __init__(self, run: Path) -> None:
        self.folder = run / "best"
        self.step, self.loss = 0, math.inf
        if (self.folder / "best.json").is_file():
            facts = json.loads((self.folder / "best.json").read_text())
            self.step, self.loss = int(facts["step"]), float(facts["loss"])

    def offer(self, step: int, loss: float, model: nn.Module) -> None:
        """Keep the weights of `model` if none were better.

        Raises:
            OutputError: they cannot be written; those before are untouched.
        """
        if not loss < self.loss:
            return
        with whole_folder(self.folder) as folder:
            save_file(
                {name: v.detach().contiguous() for name, v in model.state_dict().items()}, folder / "best.safetensors"
            )
            (folder / "best.json").write_text(json.dumps({"step": step, "loss": loss}))
        self.step, self.loss = step, loss

    def restore(self, model: nn.Module) -> None:
        """Give `model` the weights that were best."""
        model.load_state_dict(load_file(self.folder / "best.safetensors"))


def pack_optimizer(prefix: str, optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """An optimiser's state as named tensors and the JSON rest (both halves come back through `unpack_optimizer`)."""
    state = optimizer.state_dict()["state"]
    tensors = {
        f"{prefix}/{index}/{name}": value
        for index, entry in state.items()
        for name, value in entry.items()
        if isinstance(value, Tensor)
    }
    rest = {
        str(index): {name: value for name, value in entry.items() if not isinstance(value, Tensor)}
        for index, entry in state.items()
    }
    return tensors, rest


def unpack_optimizer(
    prefix: str, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], rest: dict[str, Any]
) -> None:
    """Restore what `pack_optimizer` gave. Learning rates are not restored: they are a function of the step."""
    state: dict[int, dict[str, Any]] = {int(index): dict(entry) for index, entry in rest.items()}
    for key, value in tensors.items():
        if key.startswith(f"{prefix}/"):
            _, index, name = key.rsplit("/", 2)
            state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


Grow = Callable[[nn.Module, dict[str, Tensor]], dict[str, Tensor]]
"""Tensors for a module of those of a smaller one; see `growth`."""


def take_over(part: nn.Module, folder: Path, grow: Grow = lambda part, tensors: tensors) -> None:
    """Give `part` the weights in that folder of a model, which must be of its form, or become so by `grow`.

    Raises:
        CheckpointError: they are missing, damaged or of another form.
    """
    file = part_file(folder)
    fit(part, grow(part, read_tensors(file)), str(file), torch.float32)
