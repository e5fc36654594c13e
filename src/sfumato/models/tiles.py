"""Autoencoders on large pictures, tile by tile, with the result that the whole would have.

Convolutions need a margin around the tile, which is cut off again. Group normalisation needs the mean and variance of
the whole picture: the tiles are run with an estimate of them and measured meanwhile, until both agree. What is small
at any size and looks everywhere, the attention in the middle of a KL autoencoder, is run whole.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from typing import TypeVar, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sfumato.models.autoencoder_kl import AutoencoderKL
from sfumato.nn.sharing import sharing

MARGIN = 24
"""Latents around a tile: the autoencoders here look less far."""
AGREED = 1e-3
"""In deviations: how far estimated means and deviations may be from those that they lead to."""
MAX_ROUNDS = 12
"""Each costs as much as the whole at once would: time is paid for memory."""


@dataclass
class Place:
    """Which part of the present tile is its own: the rest is margin, or belongs to others too."""

    rows: tuple[int, int] = (0, 0)
    columns: tuple[int, int] = (0, 0)
    size: tuple[int, int] = (1, 1)
    """Size of the tile with its margin, in the same positions."""

    def own(self, x: Tensor) -> Tensor:
        """The part of a map of the tile, at whatever scale."""
        (top, bottom), (left, right) = (
            tuple(place * have // size for place in own)
            for own, have, size in zip((self.rows, self.columns), x.shape[-2:], self.size, strict=True)
        )
        return x[..., top:bottom, left:right]


@dataclass
class _Moments:
    """Sums over the tiles of a round, by picture and group, in float64."""

    count: int = 0
    total: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.float64))
    square: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.float64))

    def add(self, groups: Tensor) -> None:
        """Values of a tile, (b, g, n)."""
        self.count += groups.shape[-1]
        self.total = groups.sum(-1, dtype=torch.float64) + self.total.to(groups.device)
        self.square = groups.float().square().sum(-1, dtype=torch.float64) + self.square.to(groups.device)

    def result(self) -> tuple[Tensor, Tensor]:
        """Mean and variance, (b, g)."""
        mean = self.total / self.count
        return mean, (self.square / self.count - mean.square()).clamp_min(0)


class SharedNorm(nn.Module):
    """Group normalisation by given moments, or the tile's own in the first round; it measures on the way."""

    def __init__(self, plain: nn.GroupNorm, place: Place) -> None:
        super().__init__()
        self.plain, self.place = plain, place
        self.given: tuple[Tensor, Tensor] | None = None
        self.seen = _Moments()

    def forward(self, x: Tensor) -> Tensor:
        self.measure(x)
        return self.plain(x) if self.given is None else self.normalised(x)

    def measure(self, x: Tensor) -> None:
        """Add the tile's own part of a map to what was seen."""
        self.seen.add(self.place.own(x).unflatten(1, (self.plain.num_groups, -1)).flatten(2))

    def normalised(self, x: Tensor) -> Tensor:
        """Normalises by the given moments."""
        plain = self.plain
        assert self.given is not None
        each = x.shape[1] // plain.num_groups
        mean, variance = (moment.float().repeat_interleave(each, 1)[..., None, None] for moment in self.given)
        scale = (variance + plain.eps).rsqrt() * plain.weight[:, None, None].float()
        return torch.addcmul((plain.bias[:, None, None].float() - mean * scale).to(x.dtype), x, scale.to(x.dtype))

    def settle(self) -> float:
        """Take what was measured for the next round; how far that is from what was used, in deviations."""
        before, now = self.given, self.seen.result()
        self.given, self.seen = now, _Moments()
        if before is None:
            return math.inf
        deviation = (now[1] + self.plain.eps).sqrt()
        off = torch.maximum((now[0] - before[0]).abs(), (deviation - (before[1] + self.plain.eps).sqrt()).abs())
        return float((off / deviation).max())


def decode(
    autoencoder: nn.Module, latents: Float[Tensor, "b c y x"], tile: int, margin: int = MARGIN
) -> Float[Tensor, "b 3 h w"]:
    """Pixels as ``autoencoder.decode`` has them, by tiles of so many latents a side without their margin."""
    factor = cast("int", autoencoder.factor)
    if not isinstance(autoencoder, AutoencoderKL):
        return in_tiles(autoencoder, "decode", latents, tile, margin, factor, 1)
    middle = autoencoder.decoder.middle(autoencoder.unscaled(latents))
    return in_tiles(autoencoder.decoder, "grown", middle, tile, margin, factor, 1)


def encode(
    autoencoder: nn.Module, pixels: Float[Tensor, "b 3 h w"], tile: int, margin: int = MARGIN
) -> Float[Tensor, "b c y x"]:
    """Latents as ``autoencoder.encode`` has them, by tiles of so many latents a side without their margin."""
    factor = cast("int", autoencoder.factor)
    if not isinstance(autoencoder, AutoencoderKL):
        return in_tiles(autoencoder, "encode", pixels, factor * tile, factor * margin, 1, factor)
    pixels = pixels.to(autoencoder.encoder.conv_norm_out.weight.dtype)
    shrunk = in_tiles(autoencoder.encoder, "shrunk", pixels, factor * tile, factor * margin, 1, factor)
    return autoencoder.scaled(autoencoder.moments(autoencoder.encoder.finished(shrunk))[0])


def in_tiles(network: nn.Module, method: str, x: Tensor, tile: int, margin: int, up: int, down: int) -> Tensor:
    """A method of a convolutional network on tiles of a map; the result has ``up / down`` times its sides.

    Args:
        tile: positions a side of `x`, and `margin` on each side of it, multiples of `down`.
    """
    place = Place()
    copy = sharing(network)
    norms = replaced_norms(copy, place, SharedNorm)
    run: Callable[[Tensor], Tensor] = getattr(copy, method)
    height, width = x.shape[-2:]
    result = torch.empty(0)
    for _ in range(MAX_ROUNDS):
        for top, left in product(range(0, height, tile), range(0, width, tile)):
            bottom, right = min(top + tile, height), min(left + tile, width)
            above, before = max(top - margin, 0), max(left - margin, 0)
            part = x[..., above : bottom + margin, before : right + margin]
            place.rows, place.columns = (top - above, bottom - above), (left - before, right - before)
            place.size = (part.shape[-2], part.shape[-1])
            own = place.own(run(part))
            if not result.numel():
                result = own.new_empty(*own.shape[:2], height * up // down, width * up // down)
            result[..., top * up // down : bottom * up // down, left * up // down : right * up // down] = own
        if max((norm.settle() for norm in norms), default=0.0) <= AGREED:
            break
    return result


Norm = TypeVar("Norm", bound=SharedNorm)


def replaced_norms(network: nn.Module, place: Place, kind: type[Norm]) -> list[Norm]:
    """Put a norm of that kind in the place of each in a network; all of them, in the order of its modules."""
    found = [
        (module, name, child)
        for module in network.modules()
        for name, child in module.named_children()
        if isinstance(child, nn.GroupNorm)
    ]
    norms = []
    for module, name, child in found:
        norms.append(kind(child, place))
        setattr(module, name, norms[-1])
    return norms
