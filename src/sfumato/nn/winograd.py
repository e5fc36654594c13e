"""Convolutions of 3x3 by minimal filtering: F(m x m, 3 x 3) of Lavin and Gray 2016 (arXiv:1509.09308), section 4.

A tile of m + 2 positions a side goes through a small linear map, is multiplied position by position with filters that
went through another, and comes back through a third to m x m results. That takes (m + 2)^2 products for the 9 m^2 of
the definition: 4 times fewer at m = 4, 2.25 times at m = 2. It is exact but for rounding, which the maps make larger:
float32 takes m = 4, bfloat16 m = 2.

The products are one 1x1 convolution of as many groups as a tile has positions, by oneDNN with filters packed once. The
tiles are done by bands, so that what lies between the maps stays in the cache.
"""

from dataclasses import dataclass
from itertools import product

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

TABLES = {
    4: (
        (
            *((4, 0, -5, 0, 1, 0), (0, -4, -4, 1, 1, 0), (0, 4, -4, -1, 1, 0)),
            *((0, -2, -1, 2, 1, 0), (0, 2, -1, -2, 1, 0), (0, 4, 0, -5, 0, 1)),
        ),
        (
            *((1 / 4, 0, 0), (-1 / 6, -1 / 6, -1 / 6), (-1 / 6, 1 / 6, -1 / 6)),
            *((1 / 24, 1 / 12, 1 / 6), (1 / 24, -1 / 12, 1 / 6), (0, 0, 1)),
        ),
        ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1)),
    ),
    2: (
        ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1)),
        ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1)),
        ((1, 1, 1, 0), (0, 1, -1, -1)),
    ),
}
"""Matrices by m: what tiles, filters and results are multiplied with from the left, B^T, G and A^T."""

BAND = 256
"""Tiles of a band at most: fewer read the filters too often, more leave the cache."""


@dataclass(frozen=True)
class Bands:
    """How the tiles of a batch are parted: bands of equal size, of whole images or of rows of one, the last of which
    overlap what went before. The packed filters serve that size."""

    down: int
    across: int
    images: int
    rows: int

    @classmethod
    def of(cls, shape: torch.Size, m: int) -> "Bands":
        """The bands of a batch (b, c, h, w)."""
        n, _, height, width = shape
        down, across = -(-height // m), -(-width // m)
        if down * across > BAND:
            return cls(down, across, 1, max(1, BAND // across))
        return cls(down, across, min(n, BAND // (down * across)), down)

    @property
    def tiles(self) -> int:
        """In each band."""
        return self.images * self.rows * self.across


def is_filterable(conv: nn.Conv2d) -> bool:
    """Whether a convolution is of 3x3, of stride 1 and padded with zeros, so that its size stays."""
    form = conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.groups, conv.padding_mode
    return form == ((3, 3), (1, 1), (1, 1), (1, 1), 1, "zeros")


def outputs(dtype: torch.dtype) -> int:
    """m, the results of a tile a side, in that precision."""
    return 4 if dtype == torch.float32 else 2


def growth(dtype: torch.dtype) -> float:
    """How many times as much memory as the weight the filters take."""
    return (outputs(dtype) + 2) ** 2 / 9


def filters(weight: Float[Tensor, "k c 3 3"], bands: Bands) -> Tensor:
    """The packed filters of a weight, for `convolve` in such bands."""
    m = outputs(weight.dtype)
    g = torch.tensor(TABLES[m][1], dtype=torch.float32)
    k, c = weight.shape[:2]
    positions = (m + 2) ** 2
    each = torch.kron(g, g) @ weight.float().permute(2, 3, 0, 1).reshape(9, k * c)
    one = each.to(weight.dtype).view(positions * k, c, 1, 1)
    size = [1, positions * c, bands.tiles, 1]
    packed: Tensor = torch.ops.mkldnn._reorder_convolution_weight(one, [0, 0], [1, 1], [1, 1], positions, size)
    return packed


def convolve(
    x: Float[Tensor, "b c h w"], filters: Tensor, bands: Bands, bias: Float[Tensor, " k"] | None, width: int
) -> Float[Tensor, "b k h w"]:
    """The convolution of stride 1 whose border is padded with zeros; channels last, as the result.

    Args:
        filters: of the function of that name, and `bands` those of this batch.
        width: channels of the result.
    """
    m = outputs(x.dtype)
    side, positions = m + 2, (m + 2) ** 2
    into, out_of = (_both_ways(TABLES[m][i], x.dtype) for i in (0, 2))
    n, c, height, breadth = x.shape
    down, across, images, rows = bands.down, bands.across, bands.images, bands.rows
    padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1 + across * m - breadth, 1, 1 + down * m - height))
    padded = padded.contiguous()
    image, row, place, _ = padded.stride()
    result = x.new_empty(n, down * m, across * m, width)
    for first, top in product(range(0, n, images), range(0, down, rows)):
        first, top = min(first, n - images), min(top, down - rows)
        tiles = padded.as_strided(
            (images, rows, across, side, side, c),
            (image, m * row, m * place, row, place, 1),
            padded.storage_offset() + first * image + top * m * row,
        )
        mapped = torch.matmul(into, tiles.reshape(-1, positions, c))
        mapped = mapped.view(1, bands.tiles, 1, positions * c).permute(0, 3, 1, 2)
        found = torch.ops.mkldnn._convolution_pointwise(
            mapped, filters, None, [0, 0], [1, 1], [1, 1], positions, "none", [], ""
        )
        found = torch.matmul(out_of, found.permute(0, 2, 3, 1).reshape(bands.tiles, positions, width))
        found = found.view(images, rows, across, m, m, width).transpose(2, 3)
        here = result[first : first + images, top * m : (top + rows) * m].view(found.shape)
        if bias is None:
            here.copy_(found)
        else:
            torch.add(found, bias, out=here)
    return result[:, :height, :breadth].permute(0, 3, 1, 2)


def _both_ways(table: tuple[tuple[float, ...], ...], dtype: torch.dtype) -> Tensor:
    """A map of columns and rows at once, on positions in one row."""
    one = torch.tensor(table, dtype=torch.float32)
    return torch.kron(one, one).to(dtype)
