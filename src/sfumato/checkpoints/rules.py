"""Strict conversion of state dicts by tables of rules: what is not named and does not fit is an error.

A table turns a file's names into a model's. Nothing is skipped in silence: a key is renamed, ignored by name, or kept;
what then is missing, left over or mis-shaped is reported with its neighbours.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sfumato.errors import CheckpointError


@dataclass(frozen=True)
class Rename:
    """Every match of the regular expression `pattern` in a name becomes `replacement`."""

    pattern: str
    replacement: str


@dataclass(frozen=True)
class Ignore:
    """Names that match `pattern` from their beginning carry nothing that the model uses (say why in the table)."""

    pattern: str


Rule = Rename | Ignore


def convert(state: Mapping[str, Tensor], table: Iterable[Rule]) -> dict[str, Tensor]:
    """Apply every rule in turn to every name.

    Raises:
        CheckpointError: two names became one.
    """
    rules = tuple(table)
    converted: dict[str, Tensor] = {}
    for name, tensor in state.items():
        new: str | None = name
        for rule in rules:
            if new is None:
                break
            if isinstance(rule, Ignore):
                new = None if re.match(rule.pattern, new) else new
            else:
                new = re.sub(rule.pattern, rule.replacement, new)
        if new is None:
            continue
        if new in converted:
            raise CheckpointError(f"{name!r} and another tensor are both {new!r}; the file mixes two layouts")
        converted[new] = tensor
    return converted


def fit(model: nn.Module, state: Mapping[str, Tensor], source: str, dtype: torch.dtype) -> None:
    """Give `model` (built on the meta device) the tensors of `state` as its own, cast to `dtype`.

    Raises:
        CheckpointError: missing, unexpected or mis-shaped tensors, all counted and the first ones named.
    """
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    missing = sorted(wanted.keys() - state.keys())
    unexpected = sorted(state.keys() - wanted.keys())
    shapes = sorted(name for name in wanted.keys() & state.keys() if wanted[name] != tuple(state[name].shape))
    if missing or unexpected or shapes:
        raise CheckpointError(
            f"{source} does not fit: " + "; ".join(_report(missing, unexpected, shapes, wanted, state))
        )
    cast = {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    model.load_state_dict(cast, strict=True, assign=True)


def _report(
    missing: list[str],
    unexpected: list[str],
    shapes: list[str],
    wanted: Mapping[str, tuple[int, ...]],
    state: Mapping[str, Tensor],
) -> list[str]:
    parts = []
    if missing:
        parts.append(f"{len(missing)} tensors are missing, first {missing[0]!r}")
    if unexpected:
        near = difflib.get_close_matches(unexpected[0], missing or list(wanted), n=1)
        parts.append(
            f"{len(unexpected)} are unexpected, first {unexpected[0]!r}" + (f" (nearest: {near[0]!r})" if near else "")
        )
    if shapes:
        name = shapes[0]
        parts.append(
            f"{len(shapes)} have another shape, first {name!r}: {tuple(state[name].shape)} for {wanted[name]}; "
            "is it another family?"
        )
    return parts


def check_finite(state: Mapping[str, Tensor], source: str) -> None:
    """Refuse weights with NaN or infinity.

    Raises:
        CheckpointError: naming the first such tensor and how many there are.
    """
    # The sum of a tensor with a NaN or infinity is not finite; a finite one of halves cannot overflow float32's sum.
    bad = [n for n, t in state.items() if t.is_floating_point() and not torch.isfinite(t.sum(dtype=torch.float64))]
    if bad:
        raise CheckpointError(f"{source}: {len(bad)} tensors hold NaN or infinity, first {bad[0]!r}; get a sound copy")
