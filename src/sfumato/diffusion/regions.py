"""Several denoisers of one picture, each for a part of it. A plain call, as guidance and tiles."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from .denoiser import Denoise

Box = tuple[float, float, float, float]
"""Top, left, bottom and right, in latents."""


@dataclass(frozen=True)
class Part:
    """A denoiser for a box of the picture."""

    denoise: Denoise
    box: Box


def ramp(length: int, begin: float, end: float, feather: float) -> Float[Tensor, " length"]:
    """1 from `begin` to `end` and 0 beyond, through 1/2 at both, in a straight line over `feather`, so that parts which
    meet sum to 1. What reaches an end of `length` does not fall there.
    """
    places = torch.arange(length) + 0.5
    inside = torch.full((length,), float("inf"))
    if begin > 0:
        inside = torch.minimum(inside, places - begin)
    if end < length:
        inside = torch.minimum(inside, end - places)
    return (inside / feather + 0.5).clamp(0, 1)


def masks(boxes: Sequence[Box], size: tuple[int, int], feather: float) -> Float[Tensor, "n h w"]:
    """How much each box counts at each place; where they overlap they share it, so that no sum is above 1."""
    high, wide = size
    found = torch.stack(
        [
            ramp(high, top, bottom, feather)[:, None] * ramp(wide, left, right, feather)
            for top, left, bottom, right in boxes
        ]
    )
    return found / found.sum(0).clamp(min=1)


def covered(boxes: Sequence[Box], size: tuple[int, int], feather: float) -> bool:
    """Whether the boxes leave nothing of a picture of this height and width."""
    return bool((masks(boxes, size, feather).sum(0) > 1 - 1e-6).all())


def window(length: int, begin: float, end: float, least: int, step: int) -> slice:
    """What of `length` is looked at for the part from `begin` to `end`: it, and around its middle at least `least`
    places, on multiples of `step`, as all lengths here are.
    """
    first, last = max(int(begin), 0), min(int(-(-end // 1)), length)
    side = min(-(-max(last - first, least) // step) * step, length)
    start = min(max((first + last - side) // 2, 0), length - side) // step * step
    if start + side < last:
        side = min(side + step, length - start)
    return slice(start, start + side)


def regional(
    base: Denoise, parts: Sequence[Part], least: tuple[int, int], *, feather: float = 8.0, step: int = 1
) -> Denoise:
    """D of the parts in their boxes, blended at the edges, and of `base` elsewhere (MultiDiffusion, Bar-Tal et al.
    2023, arXiv:2302.08113, section 4.2, as a D). Each part looks at a window around its box; where boxes cover all,
    `base` is not asked.

    Args:
        least: height and width, in latents, that a denoiser looks at at least: those that it was trained on.
        feather: how wide edges are, in latents.
        step: what windows begin and end at multiples of.
    """

    boxes, half = [part.box for part in parts], feather / 2

    @cache
    def laid_out(high: int, wide: int) -> tuple[Tensor, bool, list[tuple[slice, slice]]]:
        windows = [
            (
                window(high, top - half, bottom + half, least[0], step),
                window(wide, left - half, right + half, least[1], step),
            )
            for top, left, bottom, right in boxes
        ]
        return masks(boxes, (high, wide), feather), covered(boxes, (high, wide), feather), windows

    def denoise(x: Float[Tensor, "b c h w"], sigma: Float[Tensor, ""]) -> Float[Tensor, "b c h w"]:
        weights, alone, windows = laid_out(*x.shape[-2:])
        weights = weights.to(x)
        total = torch.zeros_like(x) if alone else (1 - weights.sum(0)) * base(x, sigma)
        for part, weight, (rows, columns) in zip(parts, weights, windows, strict=True):
            total[..., rows, columns] += weight[rows, columns] * part.denoise(x[..., rows, columns], sigma)
        return total

    return denoise
