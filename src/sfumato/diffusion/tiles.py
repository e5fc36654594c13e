"""A denoiser of small pictures on a large one, tile by tile, with the memory of a tile. A plain call, as guidance."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from .denoiser import Denoise


def starts(length: int, tile: int, overlap: int, *, step: int = 1) -> list[int]:
    """Where tiles begin that cover `length` and overlap by at least `overlap`, spread evenly on multiples of `step`.

    `length` and `tile` are multiples of `step`; a tile that is longer than `length` is one at 0.
    """
    if tile >= length:
        return [0]
    count = math.ceil((length - overlap) / (tile - overlap))
    return [(length - tile) * k // (count - 1) // step * step for k in range(count)]


def borders(length: int, tile: int, overlap: int, *, step: int = 1) -> list[int]:
    """Where tiles begin or end inside of `length`; see `starts`."""
    begins = starts(length, tile, overlap, step=step)
    return sorted({*begins, *(begin + tile for begin in begins)} - {0, *range(length, length + tile + 1)})


def window(tile: int, overlap: int) -> Float[Tensor, " tile"]:
    """The weight of a tile's places: 1 inside, falling smoothly within `overlap` of both ends, above 0 everywhere."""
    distance = torch.minimum(torch.arange(1, tile + 1), torch.arange(tile, 0, -1)).float()
    return torch.sin((distance / (overlap + 1)).clamp_max(1) * torch.pi / 2) ** 2


def tiled(denoise: Denoise, tile: tuple[int, int], overlap: int, *, step: int = 1) -> Denoise:
    """The mean of D over tiles that overlap, weighted by `window` (MultiDiffusion, Bar-Tal et al. 2023,
    arXiv:2302.08113, eq. 5 as a D): the clean estimate in which all tiles agree best.

    A denoiser that looks at each place alone is left as it is.

    Args:
        tile: height and width in latents.
        overlap: in latents, below the tile's sides.
        step: what tiles begin at multiples of, as the patches of a transformer.
    """

    def averaged(x: Float[Tensor, "b c h w"], sigma: Float[Tensor, ""]) -> Float[Tensor, "b c h w"]:
        high, wide = (min(side, length) for side, length in zip(tile, x.shape[-2:], strict=True))
        weight = (window(high, overlap)[:, None] * window(wide, overlap)).to(x)
        total, weights = torch.zeros_like(x), torch.zeros_like(x[:1, :1])
        for top in starts(x.shape[-2], high, overlap, step=step):
            for left in starts(x.shape[-1], wide, overlap, step=step):
                place = (..., slice(top, top + high), slice(left, left + wide))
                total[place] += weight * denoise(x[place], sigma)
                weights[place] += weight
        return total / weights

    return averaged
