"""Weights of one byte and a scale: `layer.weight` holds whole numbers or tiny floats, `layer.weight_scale` what a one
among them is worth, for the tensor or for each of its rows.

So the large families are published ("fp8_scaled", where it was called `layer.scale_weight`; see
https://github.com/comfyanonymous/ComfyUI/blob/master/QUANTIZATION.md), and so is the model that we bundle. They are
read as the numbers that they stand for. Forms with a scale a block, or with rotated weights, are refused.
"""

import json
import math
from collections.abc import Mapping
from typing import Any, Final

from torch import Tensor

from sfumato.errors import CheckpointError

ONE_BYTE: Final = ("I8", "F8_E4M3", "F8_E5M2")
SCALES: Final = ("weight_scale", "scale_weight")
FURTHER: Final = ("weight_scale_2", "pre_quant_scale", "weight_zero_point")
"""Entries of forms that one scale does not undo."""
BLOCKWISE: Final = ("absmax", "quant_map", "qweight", "qzeros")
"""Entries of bitsandbytes and GPTQ, which have a scale for each block."""
UNUSED: Final = ("input_scale", "scale_input")
"""Scales of activations, for arithmetic in one byte."""
FORM: Final = "comfy_quant"
"""A layer's form as JSON in bytes."""
MARKER: Final = "scaled_fp8"
METADATA: Final = "_quantization_metadata"
"""All layers' forms, in the metadata of a file."""

Entries = Mapping[str, Mapping[str, Any]]
"""Entries of a safetensors header: {"dtype", "shape"} by name."""


def find_scales(entries: Entries, source: str) -> dict[str, str]:
    """The name of the scale of each weight that has one.

    Raises:
        CheckpointError: a form that one scale for a tensor or row does not undo.
    """
    found = {}
    for name in entries:
        layer, _, last = name.rpartition(".")
        if last in BLOCKWISE:
            raise _unknown(layer, source)
        weight = f"{layer}.weight"
        if last not in (*SCALES, *FURTHER) or weight not in entries:
            continue
        shape, rows = entries[name]["shape"], entries[weight]["shape"][:1]
        even = math.prod(shape) == 1 or (list(shape[:1]) == list(rows) and math.prod(shape) == rows[0])
        if last in FURTHER or entries[weight]["dtype"] not in ONE_BYTE or not even or weight in found:
            raise _unknown(weight, source)
        found[weight] = name
    return found


def aside(entries: Entries, source: str) -> set[str]:
    """The names of what only says how weights are stored. Raises as `find_scales`."""
    scales = find_scales(entries, source)
    layers = {weight.removesuffix("weight") for weight in scales}
    beside = {f"{layer}{last}" for layer in layers for last in (*UNUSED, FORM)}
    return {*scales.values(), *(name for name in entries if name in beside or name.rpartition(".")[2] == MARKER)}


def unscaled(
    tensors: Mapping[str, Tensor], entries: Entries, metadata: Mapping[str, Any], source: str
) -> dict[str, Tensor]:
    """The tensors with each scaled weight as the numbers that it stands for, in bfloat16, whose rounding is a part of
    that to a byte; without what only says how they are stored.

    Raises:
        CheckpointError: a form that is not known here, or scales that are no numbers.
    """
    scales, hidden, layers = find_scales(entries, source), aside(entries, source), _forms(metadata)
    for weight in scales:
        layer = weight.removesuffix(".weight")
        form = tensors.get(f"{layer}.{FORM}")
        if not _plain(layers.get(layer, {})) or (form is not None and not _plain(_parsed(bytes(form.tolist())))):
            raise _unknown(weight, source)
    return {
        name: _worth(tensor, tensors[scales[name]]) if name in scales else tensor
        for name, tensor in tensors.items()
        if name not in hidden
    }


def _worth(weight: Tensor, scale: Tensor) -> Tensor:
    each = scale.float().reshape(-1, *[1] * (weight.ndim - 1)) if scale.numel() > 1 else scale.float().reshape(())
    return (weight.float() * each).bfloat16()


def _forms(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    layers = _parsed(metadata[METADATA]).get("layers") if METADATA in metadata else None
    return layers if isinstance(layers, dict) else {}


def _parsed(raw: str | bytes) -> dict[str, Any]:
    try:
        form = json.loads(raw)
    except (ValueError, TypeError, RecursionError):
        form = None
    return form if isinstance(form, dict) else {"format": "unreadable"}


def _plain(form: Any) -> bool:
    """Whether a layer's form is no more than a scale."""
    if not isinstance(form, dict) or form.get("convrot"):
        return False
    return str(form.get("format", "float8")).startswith(("float8", "int8"))


def _unknown(weight: str, source: str) -> CheckpointError:
    return CheckpointError(
        f"{source}: {weight!r} is stored in a form that is not known here; give the model in fp32, fp16 or bf16, or in "
        "fp8 or int8 with a scale for each tensor or row"
    )
