"""Pieces onto a model's tensors: which piece is of which module, what does not fit, and the weights that come of it.

Works on names and tensors alone, so that a loaded model and a file being converted are the same thing.
"""

import difflib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sfumato.adapters.formats import Adapter, Piece
from sfumato.adapters.kinds import MisfitError, bias_change, weight_change
from sfumato.checkpoints.rules import Rule, revert
from sfumato.checkpoints.tables import ldm_unet
from sfumato.errors import CheckpointError
from sfumato.models.unet import UNetConfig

KOHYA: Mapping[str, tuple[str, ...]] = {
    "unet": ("lora_unet_", "lycoris_unet_", "lycoris_"),
    "transformer": ("lora_unet_", "lora_transformer_", "lycoris_"),
    "text_encoder": ("lora_te_", "lora_te1_", "lycoris_te_", "lycoris_te1_"),
    "text_encoder_2": ("lora_te2_", "lycoris_te2_"),
    "text_encoder_3": ("lora_te3_", "lycoris_te3_"),
}
"""Components of a model, by their folders, and what kohya and LyCORIS put before their modules."""

LDM_TABLES: Mapping[type, Callable[[Any], tuple[Rule, ...]]] = {
    UNetConfig: lambda config: ldm_unet.table(config, file="", model="")
}
"""How the original code names a network's modules, by its configuration."""


@dataclass(frozen=True)
class Base:
    """What adapters are fitted to."""

    name: str
    family: str
    tensors: Mapping[str, Tensor]
    """By `component.name`, as `unet.conv_in.weight`."""
    modules: Mapping[str, str]
    """How files may call a module, to `component.module`."""

    @classmethod
    def of(
        cls, name: str, family: str, components: Mapping[str, Mapping[str, Tensor]], configs: Mapping[str, object]
    ) -> "Base":
        """A model of these components (state dicts) and configurations."""
        tensors = {f"{part}.{key}": value for part, state in components.items() for key, value in state.items()}
        spelled: dict[str, set[str]] = {}
        for part, state in components.items():
            ldm = _ldm_names(state, configs.get(part))
            for key in state:
                module = key.rpartition(".")[0]
                for spelling in _spellings(part, module, ldm.get(key)):
                    spelled.setdefault(spelling, set()).add(f"{part}.{module}")
        # What could be either of two modules is neither.
        return cls(name, family, tensors, {k: next(iter(v)) for k, v in spelled.items() if len(v) == 1})


def _ldm_names(state: Mapping[str, Tensor], config: object) -> dict[str, str]:
    """Modules as the original code names them, by the names of their tensors here."""
    table = LDM_TABLES.get(type(config))
    if table is None:
        return {}
    marked = {key: torch.empty(0) for key in state}
    places = {id(tensor): key for key, tensor in marked.items()}
    return {places[id(tensor)]: name.rpartition(".")[0] for name, tensor in revert(marked, table(config)).items()}


def _spellings(component: str, module: str, ldm: str | None) -> Iterable[str]:
    modules = [module]
    if module.startswith("text_model."):  # transformers 5 dropped it
        modules.append(module.removeprefix("text_model."))
    flat = [name.replace(".", "_") for name in (*modules, *([] if ldm is None else [ldm]))]
    yield from (prefix + name for prefix in KOHYA.get(component, ()) for name in flat)
    yield from (f"{component}.{name}" for name in modules)
    yield from modules
    if component in ("unet", "transformer"):
        yield f"diffusion_model.{module if ldm is None else ldm}"


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

    def of(self, module: str) -> float:
        """How strongly it counts in a `component.module`."""
        return self.text_weight if module.startswith("text_encoder") else self.weight


def _require(fitting: Fitting, base: Base, misshapen: Sequence[str]) -> None:
    if report := complaint(fitting, base, misshapen):
        raise CheckpointError(f"{fitting.adapter.path} does not fit {base.name}: {report}")


def changes(piece: Piece, module: str, base: Base) -> dict[str, Tensor]:
    """What a piece at full strength adds to the tensors of its module, in float32.

    Raises:
        MisfitError: its shapes are not the module's.
    """
    found = {}
    weight, bias = base.tensors.get(f"{module}.weight"), base.tensors.get(f"{module}.bias")
    if piece.kind is not None:
        if weight is None:
            raise MisfitError("the module has no weight")
        found[f"{module}.weight"] = weight_change(piece.kind, piece.parts, piece.scale, weight.float())
    more = bias_change(piece.parts, None if bias is None else bias.float())
    if more is not None:
        found[f"{module}.bias"] = more
    return found


def changed(base: Base, worn: Sequence[Weighted]) -> dict[str, Tensor]:
    """The tensors of `base` that change, as they become: W + sum of strength * change, added in float32.

    Each change is that of the bare W, so that the order of adapters does not matter. What counts 0 changes nothing.
    Data type, device and memory layout are the base's.

    Raises:
        CheckpointError: not all of an adapter fits, or a weight would become NaN or infinity.
    """
    by_module: dict[str, list[tuple[int, Piece]]] = {}
    misshapen: list[list[str]] = [list(one.fitting.adapter.faults) for one in worn]
    for i, one in enumerate(worn):
        _require(one.fitting, base, misshapen[i])
        for piece, module in one.fitting.pairs:
            by_module.setdefault(module, []).append((i, piece))
    made: dict[str, Tensor] = {}
    for module, pieces in by_module.items():
        sums: dict[str, Tensor] = {}
        for i, piece in pieces:
            try:
                found = changes(piece, module, base)
            except MisfitError as error:
                misshapen[i].append(f"{piece.names[0]}: {error}")
                continue
            strength = worn[i].of(module)
            for name, change in found.items() if strength != 0 else ():
                sums[name] = sums[name] + strength * change if name in sums else strength * change
        for name, change in sums.items():
            old = base.tensors[name]
            made[name] = torch.empty_like(old).copy_(old.float() + change)
            if not bool(made[name].isfinite().all()):
                raise CheckpointError(f"{name} becomes NaN or infinity; lower the weights of the adapters")
    for one, wrong in zip(worn, misshapen, strict=True):
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
