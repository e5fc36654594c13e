"""Painting within so many bytes: what a request would take at most, what is given up for that, and what is let go.

The most of memory is weights. Those that are mapped from their file take memory while their part runs, and are let go
when it has done its work; others stay. Where they would be too much, they are left as the file has them and cast in
use. Beside them stands what a step or the decoder makes, by the rule of `LIVE`.
"""

import logging
import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from sfumato.adapters.applied import Applied
from sfumato.checkpoints.tensor_file import numbers
from sfumato.checkpoints.tensors import is_mapped, release
from sfumato.errors import RequestError
from sfumato.model import LIVE, Model, decoding
from sfumato.models.mmdit import MMDiT
from sfumato.nn.packed import filter_bytes, without_filters
from sfumato.nn.stored import largest_cast
from sfumato.requests import Painting
from sfumato.requests.fields import BYTES, amount_of

BASE = 450_000_000
"""Bytes of a process with torch, before a model is loaded."""
WIDE = 8
"""The widest map of a step, by the width of the finest level: the hidden layer of its attention's feed-forward."""

ROOM = 1.5
"""Where so many times a model's weights do not fit beside a process with torch, they are cast in use (`nn.stored`)."""

log = logging.getLogger(__name__)


def is_short(ram: str, path: Path, dtype: torch.dtype) -> bool:
    """Whether a model in a precision is too much for `ram`, so that its weights should stay as they are stored."""
    return int(amount_of(ram, BYTES)) < BASE + ROOM * numbers(path) * dtype.itemsize


def fitted(applied: Applied, request: Painting) -> tuple[Applied, Painting]:
    """The model told to keep to `ram`, and the request without it; where no size is that small, in tiles.

    Raises:
        RequestError: it cannot be done; the message says what the nearest that can is.
    """
    assert request.ram is not None
    ram = int(amount_of(request.ram, BYTES))
    model = replace(applied.model, ram=ram)
    free = request.changed(ram=None)
    size = free.width or model.size[0], free.height or model.size[1]
    tries = [(model, free)]
    if any(filter_bytes(module) for module in networks_of(model)):
        model = model.sharing(*model.components, "vae")
        for module in networks_of(model):
            without_filters(module)
        tries.append((model, free))
    if math.prod(size) > math.prod(model.size) and free.tile is None and free.task == "txt2img" and not free.controls:
        tile = min(model.size)
        tries.append((model, free.changed(tile=tile, tile_overlap=min(free.tile_overlap, tile // 4))))
    for held, each in tries:
        if peak(held, each) <= ram:
            if each is not free:
                log.warning("ram %s: in tiles of %d", request.ram, each.tile)
            return replace(applied, model=held), each
    least = peak(*tries[-1])
    other = "" if model.dtype.itemsize == 2 else " or --precision bf16"
    raise RequestError(
        f"ram {request.ram} is too little: {model.name} takes about {least / 1e9:.1f} GB for this; give --ram "
        f"{math.ceil(least / 1e8) / 10:g}G{other}{' or a smaller --batch' if (free.batch or 1) > 1 else ''}"
    )


def peak(model: Model, request: Painting) -> int:
    """The most bytes that painting takes at once, about."""
    width, height = request.width or model.size[0], request.height or model.size[1]
    size = model.dtype.itemsize
    side = min(width, request.tile or width), min(height, request.tile or height)
    rows = (request.batch or 1) * (1 if request.guidance == 1 else 2)
    network = model.network
    width_of_level = network.config.width if isinstance(network, MMDiT) else network.config.block_out_channels[0]
    step = LIVE * size * rows * WIDE * width_of_level * math.prod(side) // model.grain**2
    texts = sum(mapped(module) for module in texts_of(model))
    autoencoder = cast("nn.Module", model.autoencoder)
    kept = sum(weights(module) + filter_bytes(module) - mapped(module) for module in networks_of(model))
    step += largest_cast(model.network, model.dtype)
    turns = texts, mapped(model.network) + step, mapped(autoencoder) + decoding(model, width * height)[1]
    return int(BASE + kept + max(turns))


def texts_of(model: Model) -> list[nn.Module]:
    """The text encoders."""
    return [part.encoder for part in model.texts.values()]


def networks_of(model: Model) -> list[nn.Module]:
    """All networks."""
    return [*model.components.values(), cast("nn.Module", model.autoencoder)]


def weights(module: nn.Module) -> int:
    """Bytes of a network's weights."""
    return sum(each.numel() * each.element_size() for each in _tensors(module))


def mapped(module: nn.Module) -> int:
    """Those of these bytes that lie in a file and can be let go."""
    return sum(
        each.numel() * each.element_size() for each in _tensors(module) if not each.is_mkldnn and is_mapped(each)
    )


def let_go(model: Model, modules: Iterable[nn.Module]) -> None:
    """Give the memory of what has done its work back, where there is little; it is read again when it is needed."""
    if model.ram is None:
        return
    for module in modules:
        for each in _tensors(module):
            if not each.is_mkldnn:
                release(each)


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]
