"""Adapters made of adapters: read onto a model's own names, cut to a rank, added up, taken out of a tuned model.

pieces_of(path, model)          -> Trained, one a module, whatever the file calls it
resized(pieces, model, ...)     each change as up times down of a lower rank, nearest by its singular values
blended(weighted, model, ...)   sum of weight * change: exact and of the ranks' sum, unless a rank is asked for
extracted(tuned, model, ...)    what a tuned model's layers have more than the model's
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from sfumato.adapters.applied import base_of
from sfumato.adapters.apply import Base, changes, complaint, fit
from sfumato.adapters.formats import Piece, read_adapter
from sfumato.adapters.kinds import MisfitError, kind_of
from sfumato.adapters.targets import CONVOLUTION, LINEAR, layers
from sfumato.adapters.written import Trained
from sfumato.checkpoints.rules import convert
from sfumato.errors import CheckpointError
from sfumato.model import Model


@dataclass(frozen=True)
class Rank:
    """How far a change is cut: to `most` ranks, and to so many as keep the share `keep` of its square."""

    most: int | None = None
    keep: float = 1.0


@dataclass
class Kept:
    """Sums of squares of changes, and of what of them was kept."""

    whole: float = 0.0
    kept: float = 0.0
    ranks: list[int] = field(default_factory=list)

    @property
    def share(self) -> float:
        """The share of the square of all changes."""
        return self.kept / self.whole if self.whole else 1.0


def pieces_of(path: Path, model: Model) -> list[Trained]:
    """The shares of a file by the model's own names; what the original code fuses is parted.

    Raises:
        CheckpointError: it cannot be read, does not fit whole, or brings words, for which there is no place.
    """
    base = base_of(model)
    adapter = read_adapter(path)
    if adapter.bundled:
        raise CheckpointError(f"{path} brings the word {next(iter(adapter.bundled))!r}; nothing here keeps it")
    fitting = fit(adapter, base)
    if wrong := complaint(fitting, base, adapter.faults):
        raise CheckpointError(f"{path} does not fit {model.name}: {wrong}")
    found: list[Trained] = []
    for piece, module in fitting.pairs:
        made = base.arranged.get(module)
        if made is None:
            found.append(Trained(module, piece.parts, piece.scale))
            continue
        if piece.parts.keys() != {"down", "up"}:
            raise CheckpointError(f"{piece.module} of {path} is several layers at once, by no plain LoRA; leave it out")
        split = convert({f"{module}.weight": piece.parts["up"].flatten(1)}, made.rules)
        found += [
            Trained(name.rpartition(".")[0], {"down": piece.parts["down"], "up": up}, piece.scale)
            for name, up in split.items()
        ]
    return found


def change_of(piece: Trained, base: Base) -> dict[str, Tensor]:
    """What a piece adds to the weight and bias of its layer, in float32, by "weight" and "bias".

    Raises:
        CheckpointError: its shapes are not the layer's.
    """

    whole = Piece(piece.module, piece.parts, kind_of(piece.parts), piece.scale, (piece.module,))
    try:
        return {name.rpartition(".")[2]: change for name, change in changes(whole, piece.module, base).items()}
    except MisfitError as error:
        raise CheckpointError(f"{piece.module}: {error}") from error


def factors(
    change: Float[Tensor, "o ..."], rank: Rank, kept: Kept
) -> tuple[Float[Tensor, "r ..."], Float[Tensor, "o r ..."]]:
    """down and up, whose product is the nearest of that rank to a change (Eckart and Young 1936)."""
    flat = change.flatten(1)
    u, s, v = torch.linalg.svd(flat, full_matrices=False)
    energy = s.double().square().cumsum(0)
    whole = float(energy[-1])
    count = len(s) if rank.most is None else min(rank.most, len(s))
    if rank.keep < 1:
        count = min(count, int((energy < rank.keep * whole).sum()) + 1)
    count = max(1, min(count, int((s > s[0] * 1e-6).sum())))
    kept.whole += whole
    kept.kept += float(energy[count - 1])
    kept.ranks.append(count)
    root = s[:count].sqrt()
    down, up = root[:, None] * v[:count], u[:, :count] * root
    return down.reshape(count, *change.shape[1:]), up.reshape(len(up), count, *[1] * (change.ndim - 2))


@torch.no_grad()
def resized(pieces: Iterable[Trained], model: Model, rank: Rank) -> tuple[list[Trained], Kept]:
    """Every change as a plain LoRA of at most that rank, and how much of it that is.

    Raises:
        CheckpointError: shapes that are not the model's, or a change of a norm, which has no rank.
    """
    base, kept = base_of(model), Kept()
    return [_factored(piece.module, change_of(piece, base), rank, kept) for piece in pieces], kept


def _factored(module: str, change: Mapping[str, Tensor], rank: Rank, kept: Kept) -> Trained:
    weight = change.get("weight")
    if weight is None or weight.ndim < 2:
        raise CheckpointError(f"{module} changes a vector, which no rank can be cut of; leave it out")
    down, up = factors(weight, rank, kept)
    bias = {"diff_b": change["bias"]} if "bias" in change else {}
    return Trained(module, {"down": down, "up": up, **bias}, 1.0)


@torch.no_grad()
def blended(
    weighted: Sequence[tuple[Sequence[Trained], float]], model: Model, rank: Rank | None = None
) -> tuple[list[Trained], Kept]:
    """The sum of adapters by their weights. Plain LoRAs are put side by side, which is exact.

    Raises:
        CheckpointError: as `resized`.
    """
    by_module: dict[str, list[tuple[Trained, float]]] = {}
    for pieces, weight in weighted:
        for piece in pieces:
            by_module.setdefault(piece.module, []).append((piece, weight))
    base, kept = base_of(model), Kept()
    found = []
    for module, shares in by_module.items():
        if rank is None and all(piece.parts.keys() == {"down", "up"} for piece, _ in shares):
            down = torch.cat([piece.parts["down"].float() for piece, _ in shares])
            ups = [piece.parts["up"].float() * (piece.scale * weight) for piece, weight in shares]
            found.append(Trained(module, {"down": down, "up": torch.cat(ups, dim=1)}, 1.0))
            continue
        total: dict[str, Tensor] = {}
        for piece, weight in shares:
            for name, change in change_of(piece, base).items():
                total[name] = total[name] + weight * change if name in total else weight * change
        own = Rank() if rank is None else rank
        found.append(_factored(module, total, own, kept))
    return found, kept


@dataclass(frozen=True)
class Extracted:
    """A LoRA of a difference, how much of the difference it is, and which layers changed that it has no place for."""

    pieces: list[Trained]
    kept: Kept
    left_out: list[str]


@torch.no_grad()
def extracted(tuned: Model, model: Model, rank: Rank, *, least: float = 1e-4) -> Extracted:
    """What the linear and convolutional layers of `tuned` have more than those of `model`.

    Args:
        least: changes smaller than this share of their weight are rounding, and none.

    Raises:
        CheckpointError: the models are of other forms, or do not differ.
    """
    ours = {f"{part}.{name}": t for part, m in model.components.items() for name, t in m.state_dict().items()}
    theirs = {f"{part}.{name}": t for part, m in tuned.components.items() for name, t in m.state_dict().items()}
    other = {n for n in ours.keys() & theirs.keys() if ours[n].shape != theirs[n].shape}
    if other or ours.keys() != theirs.keys():
        first = sorted(other or ours.keys() ^ theirs.keys())[0]
        raise CheckpointError(f"{tuned.name} is not of the form of {model.name}: they differ in {first}")
    able = {name for name, layer in layers(model).items() if isinstance(layer, (*LINEAR, *CONVOLUTION))}
    pieces, kept, left_out = [], Kept(), []
    for name, weight in ours.items():
        change = theirs[name].float() - weight.float()
        size = math.sqrt(float(change.square().sum()))
        if size <= least * math.sqrt(float(weight.float().square().sum())):
            continue
        module, _, leaf = name.rpartition(".")
        if leaf == "weight" and module in able:
            pieces.append(_factored(module, {"weight": change}, rank, kept))
        else:
            left_out.append(name)
    if not pieces:
        raise CheckpointError(f"no layer of {tuned.name} differs from {model.name}; give the tuned model first")
    return Extracted(pieces, kept, left_out)
