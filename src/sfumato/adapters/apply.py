"""Pieces onto a model's tensors: which piece is of which module, what does not fit, and the weights that come of it.

Works on names and tensors alone, so that a loaded model and a file being converted are the same thing.
"""

import difflib
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from sfumato.adapters.formats import READ, Adapter, Piece
from sfumato.adapters.kinds import MisfitError, bias_change, weight_change
from sfumato.adapters.requested import WeightedFile
from sfumato.checkpoints.rules import Move, Rule, Split, Swap, convert, revert
from sfumato.checkpoints.tables import ldm_unet, mmdit
from sfumato.errors import CheckpointError
from sfumato.models.mmdit import MMDiTConfig
from sfumato.models.unet import UNetConfig
from sfumato.prompts.blocks import BASE, MIDDLE, BlockWeights

FLATTENED: Mapping[str, tuple[str, ...]] = {
    "unet": ("lora_unet_", "oft_unet_", "lycoris_unet_", "lycoris_"),
    "transformer": ("lora_unet_", "oft_unet_", "lora_transformer_", "lycoris_"),
    "text_encoder": ("lora_te_", "lora_te1_", "lycoris_te_", "lycoris_te1_"),
    "text_encoder_2": ("lora_te2_", "lycoris_te2_"),
    "text_encoder_3": ("lora_te3_", "lycoris_te3_"),
}
"""Components of a model, by their folders, and what kohya and LyCORIS put before the names of modules whose dots they
write as underscores."""

DOTTED: Mapping[str, tuple[str, ...]] = {
    "unet": ("diffusion_model.",),
    "transformer": ("diffusion_model.",),
    "text_encoder": ("clip_l.", "clip_l.transformer.", "clip_h.transformer."),
    "text_encoder_2": ("clip_g.", "clip_g.transformer."),
    "text_encoder_3": ("t5.", "t5xxl.", "t5xxl.transformer."),
}
"""What ComfyUI and OneTrainer put before names with dots; Forge and others put kohya's beginnings there, too."""

ORIGINAL: Mapping[type, Callable[..., tuple[Rule, ...]]] = {UNetConfig: ldm_unet.table, MMDiTConfig: mmdit.table}
"""How the original code names a network's tensors, by its configuration."""


@dataclass(frozen=True)
class Arranged:
    """A module of the original code whose tensors are made of ours: fused, or with halves exchanged."""

    rules: tuple[Rule, ...]
    ours: tuple[str, ...]
    """The tensors it is made of."""


@dataclass(frozen=True)
class Base:
    """What adapters are fitted to."""

    name: str
    family: str
    tensors: Mapping[str, Tensor]
    """Tensors by `component.name`, as `unet.conv_in.weight`."""
    modules: Mapping[str, str]
    """How files may call a module, to `component.module`."""
    arranged: Mapping[str, Arranged]
    """Those modules of the original code, by `component.module`, that are no module here."""
    blocks: Mapping[str, str]
    """The modules within blocks of a U-Net, by `component.module`, to the names that `prompts.blocks` has."""

    @classmethod
    def of(
        cls, name: str, family: str, components: Mapping[str, Mapping[str, Tensor]], configs: Mapping[str, object]
    ) -> "Base":
        """A model of these components (state dicts) and configurations."""
        tensors = {f"{part}.{key}": value for part, state in components.items() for key, value in state.items()}
        arranged: dict[str, Arranged] = {}
        spelled: dict[str, set[str]] = {}
        blocks: dict[str, str] = {}
        for part, state in components.items():
            rules = _rules(part, configs.get(part))
            others = _arranged(rules, tensors)
            arranged |= others
            original = _renamed(rules, {f"{part}.{key}" for key in state}, others)
            modules = {f"{part}.{key}".rpartition(".")[0] for key in state}
            for module in (*modules, *others):
                if block := _block(original.get(module, module)):
                    blocks[module] = block
                for spelling in _spellings(part, module, original.get(module)):
                    spelled.setdefault(spelling, set()).add(module)
        # What could be either of two modules is neither.
        known = {k: next(iter(v)) for k, v in spelled.items() if len(v) == 1}
        return cls(name, family, tensors, known, arranged, blocks)

    def within(self, module: str) -> Mapping[str, Tensor]:
        """Tensors among which are those of a module of `modules`."""
        made = self.arranged.get(module)
        return self.tensors if made is None else revert({name: self.tensors[name] for name in made.ours}, made.rules)


_BLOCK = re.compile(r"unet\.(?:(input|output)_blocks\.(\d+)|middle_block)\.")


def _block(original: str) -> str | None:
    """The block of a module of the original code."""
    found = _BLOCK.match(original)
    if found is None:
        return None
    return MIDDLE if found[1] is None else f"{found[1][:-3].upper()}{int(found[2]):02}"


def original_names(part: str, config: object, tensors: Iterable[str]) -> dict[str, str]:
    """The modules of a component that the original code has as they are here, by their names here and there, both
    without the component's."""
    rules = _rules(part, config)
    names = {f"{part}.{name}" for name in tensors}
    found = _renamed(rules, names, _arranged(rules, names))
    return {ours.removeprefix(f"{part}."): theirs.removeprefix(f"{part}.") for ours, theirs in found.items()}


def _rules(part: str, config: object) -> tuple[Rule, ...]:
    table = ORIGINAL.get(type(config))
    return () if table is None else table(config, file=f"{part}.", model=f"{part}.")


def _arranged(rules: Iterable[Rule], tensors: Iterable[str]) -> dict[str, Arranged]:
    found: dict[str, Arranged] = {}
    for rule in rules:
        if isinstance(rule, Split):
            module, ours = rule.file.rpartition(".")[0], rule.model
        elif isinstance(rule, Swap):
            module, ours = rule.file, tuple(name for name in tensors if name.startswith(f"{rule.model}."))
        else:
            continue
        before = found.get(module, Arranged((), ()))
        found[module] = Arranged((*before.rules, rule), (*before.ours, *ours))
    return found


def _renamed(rules: Iterable[Rule], tensors: Iterable[str], arranged: Mapping[str, Arranged]) -> dict[str, str]:
    """What the original code calls the modules that it has as they are here."""
    moves = [rule for rule in rules if isinstance(rule, Move)]
    if not moves:
        return {}
    taken = {name for one in arranged.values() for name in one.ours}
    marked = {name: torch.empty(0) for name in tensors if name not in taken}
    ours = {id(mark): name.rpartition(".")[0] for name, mark in marked.items()}
    return {ours[id(mark)]: name.rpartition(".")[0] for name, mark in revert(marked, moves).items()}


def _spellings(component: str, module: str, original: str | None) -> Iterable[str]:
    """How files call a `component.module`, which the original code may have by another name."""
    own = module.removeprefix(f"{component}.")
    theirs = own if original is None else original.removeprefix(f"{component}.")
    modules = [own]
    if own.startswith("text_model."):  # transformers 5 dropped it
        modules.append(own.removeprefix("text_model."))
    names = dict.fromkeys((*modules, theirs))
    flattened, dotted = FLATTENED.get(component, ()), DOTTED.get(component, ())
    flat = [name.replace(".", "_") for name in names]
    yield from (prefix + name for prefix in flattened for name in flat)
    yield from (f"{prefix[:-1]}.{name}" for prefix in flattened if prefix.startswith("lora_") for name in names)
    yield from (prefix + name for prefix in (f"{component}.", *dotted) for name in names)
    if component.startswith("text_encoder"):
        yield from (f"text_encoders.{prefix}{name}" for prefix in dotted for name in names)
    yield from modules


@dataclass(frozen=True)
class Fitting:
    """How the names of an adapter meet a base; whether shapes do, `changed` and `measure` find."""

    adapter: Adapter
    pairs: tuple[tuple[Piece, str], ...]
    """Pieces whose module is found, each with its `component.module`."""
    unmatched: tuple[str, ...]
    """Names of tensors in the file that find no module."""


def fit(adapter: Adapter, base: Base) -> Fitting:
    """Look for each piece's module; nothing is changed."""
    pairs, unmatched = [], list(adapter.strange)
    for piece in adapter.pieces:
        module = base.modules.get(piece.module)
        if module is None:
            unmatched += piece.names
        else:
            pairs.append((piece, module))
    return Fitting(adapter, tuple(pairs), tuple(unmatched))


def complaint(fitting: Fitting, base: Base, misshapen: Sequence[str]) -> str:
    """What is wrong with a fitting and with the modules named as `misshapen`, on one line; empty when nothing is."""
    adapter, unmatched, wrong = fitting.adapter, fitting.unmatched, []
    if adapter.foreign:
        return f"it is {adapter.foreign}; {READ} are read here"
    if unmatched:
        module = next((p.module for p in adapter.pieces if unmatched[0] in p.names), unmatched[0])
        near = difflib.get_close_matches(module, base.modules, n=1, cutoff=0.8)
        nearest = f" (nearest: {near[0]!r})" if near else ""
        wrong.append(f"{len(unmatched)} of its tensors match no module, first {unmatched[0]!r}{nearest}")
    if misshapen:
        wrong.append(f"{len(misshapen)} of its modules have other shapes, first {misshapen[0]}")
    if wrong and adapter.family and not base.family.startswith(adapter.family):
        wrong.append(f"it was made for {adapter.family} and {base.name} is {base.family}")
    return "; ".join(wrong)


@dataclass(frozen=True)
class Weighted:
    """A fitting and how strongly it counts, in the text encoders and in the denoiser."""

    fitting: Fitting
    weight: float = 1.0
    text_weight: float = 1.0
    blocks: BlockWeights = ()

    @classmethod
    def of(cls, fitting: Fitting, asked: WeightedFile) -> Self:
        """The adapter as a request asks for it."""
        return cls(fitting, asked.weight, asked.text_weight, asked.blocks)

    def within(self, module: str, base: Base) -> float:
        """How strongly it counts in a `component.module`; outside of all blocks that is its plain weight."""
        texts = module.startswith("text_encoder")
        block = BASE if texts else base.blocks.get(module, "")
        return (self.text_weight if texts else self.weight) * dict(self.blocks).get(block, 1.0)


def _require(fitting: Fitting, base: Base, misshapen: Sequence[str]) -> None:
    if report := complaint(fitting, base, misshapen):
        raise CheckpointError(f"{fitting.adapter.path} does not fit {base.name}: {report}")


def changes(piece: Piece, module: str, base: Base) -> dict[str, Tensor]:
    """What a piece at full strength adds to the tensors of its module, in float32.

    Raises:
        MisfitError: its shapes are not the module's.
    """
    found = {}
    tensors = base.within(module)
    weight, bias = tensors.get(f"{module}.weight"), tensors.get(f"{module}.bias")
    if piece.kind is not None:
        if weight is None:
            raise MisfitError("the module has no weight")
        found[f"{module}.weight"] = weight_change(piece.kind, piece.parts, piece.scale, weight.float())
    more = bias_change(piece.parts, piece.scale, None if bias is None else bias.float())
    if more is not None:
        found[f"{module}.bias"] = more
    made = base.arranged.get(module)
    return found if made is None else convert(found, made.rules)


def changed(base: Base, weighted: Sequence[Weighted], dtype: torch.dtype | None = None) -> dict[str, Tensor]:
    """The tensors of `base` that change, as they become: W + sum of strength * change, added in float32.

    Each change is that of the bare W, so that the order of adapters does not matter. What counts 0 changes nothing.
    Device and memory layout are the base's.

    Args:
        dtype: theirs; the base's by default.

    Raises:
        CheckpointError: not all of an adapter fits, or a weight would become NaN or infinity.
    """
    whole = {name.rpartition(".")[0]: module for module, one in base.arranged.items() for name in one.ours}
    by_module: dict[str, list[tuple[int, Piece, str]]] = {}
    misshapen: list[list[str]] = [list(one.fitting.adapter.faults) for one in weighted]
    for i, one in enumerate(weighted):
        _require(one.fitting, base, misshapen[i])
        if one.blocks and not base.blocks:
            raise CheckpointError(f"{base.name} has no blocks of a U-Net, which lbw weighs; leave it out")
        for piece, module in one.fitting.pairs:
            by_module.setdefault(whole.get(module, module), []).append((i, piece, module))
    made: dict[str, Tensor] = {}
    for pieces in by_module.values():
        sums: dict[str, Tensor] = {}
        for i, piece, module in pieces:
            try:
                found = changes(piece, module, base)
            except MisfitError as error:
                misshapen[i].append(f"{piece.names[0]}: {error}")
                continue
            strength = weighted[i].within(module, base)
            for name, change in found.items() if strength != 0 else ():
                sums[name] = sums[name] + strength * change if name in sums else strength * change
        for name, change in sums.items():
            old = base.tensors[name]
            made[name] = torch.empty_like(old, dtype=dtype).copy_(old.float() + change)
            if not bool(made[name].isfinite().all()):
                raise CheckpointError(f"{name} becomes NaN or infinity; lower the weights of the adapters")
    for one, wrong in zip(weighted, misshapen, strict=True):
        _require(one.fitting, base, wrong)
    return made


@dataclass(frozen=True)
class Measure:
    """What an adapter does to a base."""

    strength: Mapping[str, float]
    """The size of the change beside that of what it changes, ||change|| / ||W||, by component."""
    misshapen: tuple[str, ...]
    """Modules of other shapes, by a tensor in the file, and why."""
    matched: int
    """Tensors of the file that fit."""


def measure(fitting: Fitting, base: Base) -> Measure:
    """Compute every change, and change nothing."""
    sums: dict[str, list[float]] = {}
    misshapen = list(fitting.adapter.faults)
    matched = 0
    for piece, module in fitting.pairs:
        try:
            found = changes(piece, module, base)
        except MisfitError as error:
            misshapen.append(f"{piece.names[0]}: {error}")
            continue
        matched += len(piece.names)
        both = sums.setdefault(module.partition(".")[0], [0.0, 0.0])
        for name, change in found.items():
            both[0] += float(change.square().sum())
            both[1] += float(base.tensors[name].float().square().sum())
    strength = {part: math.sqrt(change / whole) if whole else math.inf for part, (change, whole) in sums.items()}
    return Measure(strength, tuple(misshapen), matched)
