"""Which layers of a model an adapter acts on: by preset, or by the ends of their names."""

import difflib
import fnmatch
from collections.abc import Mapping, Sequence

from torch import nn

from sfumato.errors import RequestError
from sfumato.model import Model

LINEAR, CONVOLUTION, NORM = (nn.Linear,), (nn.Conv2d,), (nn.GroupNorm, nn.LayerNorm)
PRESETS: Mapping[str, tuple[tuple[type[nn.Module], ...], tuple[str, ...]]] = {
    "attention": (LINEAR, ("to_q", "to_k", "to_v", "to_out.0", "add_?_proj", "to_add_out", "?_proj", "out_proj")),
    "cross-attention": (LINEAR, ("attn2.to_?", "attn2.to_out.0", "attn.add_?_proj")),
    "keys-and-values": (LINEAR, ("attn2.to_k", "attn2.to_v", "attn.add_k_proj", "attn.add_v_proj", "k_proj", "v_proj")),
    "feed-forward": (LINEAR, ("net.0.proj", "net.2", "fc1", "fc2")),
    "projections": ((*LINEAR, *CONVOLUTION), ("proj_in", "proj_out")),
    "linear": (LINEAR, ("*",)),
    "convolutions": (CONVOLUTION, ("*",)),
    "norms": (NORM, ("*",)),
    "all": ((*LINEAR, *CONVOLUTION), ("*",)),
}
"""Kinds of layers and the ends of their names, by what they are called together."""
LAYERS = (*LINEAR, *CONVOLUTION, *NORM)
"""What an adapter can act on."""


def layers(model: Model) -> dict[str, nn.Module]:
    """The layers that an adapter can act on, by `component.module`."""
    return {
        f"{part}.{name}": layer
        for part, module in model.components.items()
        for name, layer in module.named_modules()
        if isinstance(layer, LAYERS)
    }


def chosen(model: Model, targets: Sequence[str], *, text: bool) -> dict[str, nn.Module]:
    """Layers of the denoiser, or with `text` those of the text encoders, that any of the targets names.

    A target is one of `PRESETS`, or a name with `*` and `?`, which is met by the end of a layer's.

    Raises:
        RequestError: one meets no layer; the nearest presets and names are offered.
    """
    known = {name: layer for name, layer in layers(model).items() if name.startswith("text_encoder") == text}
    found: dict[str, nn.Module] = {}
    for target in targets:
        kinds, ends = PRESETS.get(target, (LAYERS, (target,)))
        met = {
            name: layer
            for name, layer in known.items()
            if isinstance(layer, kinds) and any(_ends_in(name, end) for end in ends)
        }
        if not met:
            where = "text encoders" if text else "denoiser"
            raise RequestError(f"{target!r} meets no layer of the {where} of {model.name}; {_near(target, known)}")
        found |= met
    return {name: layer for name, layer in known.items() if name in found}


def _ends_in(name: str, end: str) -> bool:
    return fnmatch.fnmatchcase(name, end) or fnmatch.fnmatchcase(name, f"*.{end}")


def _near(target: str, known: Mapping[str, nn.Module]) -> str:
    last = {name.rpartition(".")[2]: None for name in known}
    depth = target.count(".") + 1
    last |= dict.fromkeys(".".join(name.split(".")[-depth:]) for name in known)
    near = difflib.get_close_matches(target, [*PRESETS, *last], n=3, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else f"presets: {', '.join(PRESETS)}"
