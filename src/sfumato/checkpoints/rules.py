"""Strict conversion of state dicts by tables of rules: what is not named and does not fit is an error.

A table turns a file's names into a model's, and back. Nothing is skipped in silence: a tensor is moved, ignored by
name with a reason, or reported; what then is missing, left over or mis-shaped is named with its neighbours.
"""

import difflib
import logging
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sfumato.checkpoints.tensors import release
from sfumato.errors import CheckpointError
from sfumato.nn.stored import stored

log = logging.getLogger(__name__)

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Rename:
    """Every match of the regular expression `pattern` in a name becomes `replacement`. One way: for old spellings."""

    pattern: str
    replacement: str


@dataclass(frozen=True)
class Ignore:
    """Names that match `pattern` from their beginning carry nothing that the model uses, for this `reason`."""

    pattern: str
    reason: str


@dataclass(frozen=True)
class Move:
    """The module (or tensor) `file` and all below it is `model` in the model. The longest such rule counts."""

    file: str
    model: str


@dataclass(frozen=True)
class Pointwise:
    """A 1x1 convolution in the file, weight (o, i, 1, 1), is a linear layer in the model, weight (o, i)."""

    file: str
    model: str


@dataclass(frozen=True)
class Split:
    """One tensor in the file is several of equal height in the model, one below the other (fused q, k and v)."""

    file: str
    model: tuple[str, ...]


@dataclass(frozen=True)
class Swap:
    """The module's tensors have an upper and a lower half in the file, which change places in the model."""

    file: str
    model: str


@dataclass(frozen=True)
class Identity:
    """The square tensor `model` of that size, which the file leaves out because it changes nothing."""

    model: str
    size: int


@dataclass(frozen=True)
class Transpose:
    """One matrix in the file is the model's with rows and columns exchanged."""

    file: str
    model: str


Placed = Move | Pointwise | Swap | Transpose
Rule = Rename | Ignore | Split | Identity | Placed


class _Table:
    """The rules by what they match: spelling in order, then moves by the longest name."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        rules = tuple(rules)
        self.spelling = [rule for rule in rules if isinstance(rule, Rename | Ignore)]
        moves = [rule for rule in rules if isinstance(rule, Placed)]
        self.splits = [rule for rule in rules if isinstance(rule, Split)]
        self.by_file = {rule.file: rule for rule in moves} | {rule.file: rule for rule in self.splits}
        self.by_model = {rule.model: rule for rule in moves}
        self.parts = {part for rule in self.splits for part in rule.model}
        self.identities = {rule.model: rule.size for rule in rules if isinstance(rule, Identity)}

    def spell(self, name: str) -> str | Ignore:
        """The name as the moves know it, or the rule that ignores it."""
        for rule in self.spelling:
            if isinstance(rule, Rename):
                name = re.sub(rule.pattern, rule.replacement, name)
            elif re.match(rule.pattern, name):
                return rule
        return name

    def of_file(self, name: str) -> tuple[Placed | Split, str]:
        """The rule for a name in the file, and what follows it in the name."""
        for module in _ancestors(name):
            if module in self.by_file:
                return self.by_file[module], name[len(module) :]
        raise CheckpointError(f"{name!r} is unexpected{_nearest(name, self.by_file)}")

    def of_model(self, name: str) -> tuple[Placed, str]:
        """The rule for a name in the model, and what follows it in the name."""
        for module in _ancestors(name):
            if module in self.by_model:
                return self.by_model[module], name[len(module) :]
        raise CheckpointError(f"{name!r} has no place in the file{_nearest(name, self.by_model)}")


def _ancestors(name: str) -> Iterator[str]:
    """`a.b.c`, `a.b`, `a`."""
    while name:
        yield name
        name = name.rpartition(".")[0]


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" (nearest: {near[0]!r})" if near else ""


def convert(state: Mapping[str, Tensor], table: Iterable[Rule]) -> dict[str, Tensor]:
    """The model's tensors from a file's. A table without moves leaves names that it does not spell otherwise.

    Raises:
        CheckpointError: two tensors became one, or a table of moves does not know a name.
    """
    rules = _Table(table)
    converted: dict[str, Tensor] = {}
    for name, tensor in state.items():
        spelled = rules.spell(name)
        if isinstance(spelled, Ignore):
            continue
        for new, value in _forward(rules, spelled, tensor) if rules.by_file else [(spelled, tensor)]:
            if new in converted:
                raise CheckpointError(f"{name!r} and another tensor are both {new!r}; the file mixes two layouts")
            converted[new] = value
    return converted | {name: torch.eye(size) for name, size in rules.identities.items()}


def _forward(rules: _Table, name: str, tensor: Tensor) -> list[tuple[str, Tensor]]:
    rule, rest = rules.of_file(name)
    if isinstance(rule, Split):
        if tensor.ndim == 0 or tensor.shape[0] % len(rule.model):
            raise CheckpointError(f"{name!r} of shape {tuple(tensor.shape)} is not {len(rule.model)} tensors in one")
        return list(zip(rule.model, tensor.chunk(len(rule.model)), strict=True))
    if isinstance(rule, Pointwise) and rest == ".weight":
        if tensor.ndim != 4 or tensor.shape[2:] != (1, 1):
            raise CheckpointError(f"{name!r} of shape {tuple(tensor.shape)} is no 1x1 convolution")
        tensor = tensor[:, :, 0, 0]
    if isinstance(rule, Swap):
        tensor = _swapped(name, tensor)
    if isinstance(rule, Transpose):
        tensor = _transposed(name, tensor)
    return [(rule.model + rest, tensor)]


def _transposed(name: str, tensor: Tensor) -> Tensor:
    if tensor.ndim != 2:
        raise CheckpointError(f"{name!r} of shape {tuple(tensor.shape)} is no matrix")
    return tensor.T


def _swapped(name: str, tensor: Tensor) -> Tensor:
    if tensor.ndim == 0 or tensor.shape[0] % 2:
        raise CheckpointError(f"{name!r} of shape {tuple(tensor.shape)} has no two halves")
    return torch.cat(tensor.chunk(2)[::-1])


def revert(state: Mapping[str, Tensor], table: Iterable[Rule]) -> dict[str, Tensor]:
    """The file's tensors from a model's: what `convert` undoes.

    Raises:
        CheckpointError: a name that the table does not know, or a part of a fused tensor is missing.
    """
    rules = _Table(table)
    reverted: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if name in rules.parts or name in rules.identities:
            continue
        rule, rest = rules.of_model(name)
        if isinstance(rule, Pointwise) and rest == ".weight":
            tensor = tensor[:, :, None, None]
        elif isinstance(rule, Swap):
            tensor = _swapped(name, tensor)
        elif isinstance(rule, Transpose):
            tensor = _transposed(name, tensor)
        reverted[rule.file + rest] = tensor
    for split in rules.splits:
        if missing := [part for part in split.model if part not in state]:
            raise CheckpointError(f"{missing[0]!r} is missing, a part of {split.file!r}")
        reverted[split.file] = torch.cat([state[part] for part in split.model])
    return reverted


@dataclass(frozen=True)
class Fit:
    """How a file's names and shapes meet a model's, in the file's names."""

    matched: int
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    misshapen: tuple[str, ...]
    ignored: Mapping[str, int]
    """Tensors without use, counted by reason."""
    report: str
    """What is wrong, on one line; empty when nothing is."""

    def __bool__(self) -> bool:
        return not self.report


def compare(shapes: Shapes, model: Mapping[str, Tensor], table: Iterable[Rule]) -> Fit:
    """Whether a file of these `shapes` is the `model` (a state dict, best on the meta device), before reading it."""
    rules = _Table(table := tuple(table))
    wanted = {name: tuple(tensor.shape) for name, tensor in revert(model, table).items()}
    found: dict[str, tuple[int, ...]] = {}
    ignored: dict[str, int] = {}
    twice = []
    for name, shape in shapes.items():
        spelled = rules.spell(name)
        if isinstance(spelled, Ignore):
            ignored[spelled.reason] = ignored.get(spelled.reason, 0) + 1
        elif spelled in found:
            twice.append(name)
        else:
            found[spelled] = shape
    return _meet(wanted, found, ignored, twice)


def check_same(model: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Refuse a state that is not `model`'s.

    Raises:
        CheckpointError: missing, unexpected or mis-shaped tensors, all counted and the first ones named.
    """
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    if verdict := _meet(wanted, {name: tuple(tensor.shape) for name, tensor in state.items()}).report:
        raise CheckpointError(f"{source} does not fit: {verdict}")


def fit(model: nn.Module, state: Mapping[str, Tensor], source: str, dtype: torch.dtype) -> None:
    """Give `model` (built on the meta device) the tensors of `state` as its own, cast to `dtype`, but for those that it
    casts in use (`nn.stored`). They must be as read.

    Raises:
        CheckpointError: missing, unexpected or mis-shaped tensors, all counted and the first ones named.
    """
    check_same(model, state, source)
    whole = sorted(name for name, tensor in state.items() if not tensor.is_floating_point())
    if whole:
        raise CheckpointError(f"{source}: {whole[0]!r} holds {state[whole[0]].dtype}, not floating-point numbers")
    kept = stored(model)
    own = {name: tensor if name in kept else _own(tensor, dtype) for name, tensor in state.items()}
    for name in kept:
        release(own[name])  # whoever looked for NaN has read them all
    model.load_state_dict(own, strict=True, assign=True)


def _own(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """In `dtype`, convolutions' kernels with channels last: one copy, after which a file's pages are given back."""
    layout = torch.channels_last if tensor.ndim == 4 else torch.preserve_format
    ready = tensor.to(dtype, memory_format=layout)
    if ready.data_ptr() != tensor.data_ptr():
        release(tensor)
    return ready


def _meet(wanted: Shapes, found: Shapes, ignored: Mapping[str, int] | None = None, twice: Iterable[str] = ()) -> Fit:
    missing = sorted(wanted.keys() - found.keys())
    unexpected = sorted([*(found.keys() - wanted.keys()), *twice])
    misshapen = sorted(name for name in wanted.keys() & found.keys() if wanted[name] != found[name])
    parts = []
    if missing:
        parts.append(f"{len(missing)} tensors are missing, first {missing[0]!r}")
    if unexpected:
        parts.append(
            f"{len(unexpected)} are unexpected, first {unexpected[0]!r}{_nearest(unexpected[0], missing or wanted)}"
        )
    if misshapen:
        name = misshapen[0]
        parts.append(
            f"{len(misshapen)} have another shape, first {name!r}: {found[name]} for {wanted[name]}; "
            "is it another family?"
        )
    matched = len(wanted) - len(missing) - len(misshapen)
    return Fit(matched, tuple(missing), tuple(unexpected), tuple(misshapen), ignored or {}, "; ".join(parts))


def non_finite(state: Mapping[str, Tensor], *, fresh: bool = False) -> list[str]:
    """The names of tensors with NaN or infinity.

    Args:
        fresh: they are as read, and their pages are given back.
    """
    # Both extremes of a tensor are finite exactly when all of it is: NaN counts as either. A sum costs twentyfold
    # for halves. One-byte floats have no extremes in torch, hence the cast.
    bad = []
    for name, tensor in state.items():
        if tensor.is_floating_point() and tensor.numel():
            low, high = (tensor.float() if tensor.itemsize == 1 else tensor).aminmax()
            if not (math.isfinite(low) and math.isfinite(high)):
                bad.append(name)
            if fresh:
                release(tensor)
    return bad


def check_finite(state: Mapping[str, Tensor], source: str, *, allow: bool = False) -> None:
    """Refuse weights with NaN or infinity, or only name them if they are allowed. They must be as read.

    Raises:
        CheckpointError: naming the first such tensors and how many there are.
    """
    if bad := non_finite(state, fresh=True):
        named = ", ".join(map(repr, bad[:3])) + (" ..." if len(bad) > 3 else "")
        found = f"{source}: {len(bad)} tensors hold NaN or infinity, first {named}"
        if not allow:
            raise CheckpointError(f"{found}; get a sound copy, or load it with --allow-nonfinite")
        log.warning("%s; loaded as asked", found)
