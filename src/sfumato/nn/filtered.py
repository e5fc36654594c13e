"""Convolutions of 3x3 that are trained by minimal filtering: forwards, and back to the input and to the weight.

`nn.winograd` has the method and its maps. Between the maps all is products of matrices, so that the gradients are as
well: the gradient of the result goes back through the last map, is multiplied with the mapped input and with the mapped
filters, and goes back through theirs. All three take (m + 2)^2 products for the 9 m^2 of the definition.

`train_filtered(network)` changes what a network computes by rounding alone (1e-6 of a weight's gradient), and nothing
of what it is: parameters, their names and copies are as before. Which way a layer takes follows from its shape, not
from a race, so that a run that goes on is the run that was cut off.
"""

from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from sfumato.nn.standing_in import StandIn
from sfumato.nn.winograd import TABLES, is_filterable

COPY = 100
"""What moving a number into its tile and back costs, over all passes, in multiplications."""
FILTER = 40
"""What mapping a filter costs, forwards and back, in multiplications a position."""
CACHE, FAR = 16_000_000, 3.5
"""So many numbers of mapped filters leave the cache, and cost so many times more."""
FEW = 16
"""Tiles with which a product of matrices takes twice the time of what it multiplies: it waits for the filters."""
WORTH = 0.85
"""Filtering must cost at most so much of the definition."""


class FilteredConv2d(StandIn, nn.Conv2d):
    """A convolution of 3x3 that filters where that costs less, on a CPU in float32."""

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight
        floats = x.dtype == weight.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
        m = cheapest(x.shape, len(weight)) if floats and x.device.type == "cpu" else None
        if m is None:
            return self._conv_forward(x, weight, self.bias)
        y: Tensor = _Filtered.apply(x, weight, self.bias, m)
        return y.permute(0, 3, 1, 2)


def train_filtered(network: nn.Module) -> None:
    """Let the convolutions of a network be filtered, but for those whose `forward` is another's."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Conv2d and "forward" not in child.__dict__ and is_filterable(child):
                setattr(parent, name, FilteredConv2d(child))


@cache
def cheapest(shape: torch.Size, outputs: int) -> int | None:
    """m of the tiles that cost least for a batch (b, c, h, w), forwards and back; None where the definition does."""
    n, c, height, breadth = shape
    costs = {m: 3 * 9 * n * height * breadth * c * outputs * WORTH if m is None else 0.0 for m in (None, *TABLES)}
    for m in TABLES:
        positions, tiles = (m + 2) ** 2, n * -(-height // m) * -(-breadth // m)
        products = 3 * positions * tiles * c * outputs * (1 + FEW / tiles)
        maps = 2 * positions * tiles * (positions * c + m * m * outputs)
        numbers = positions * c * outputs
        filters = FILTER * numbers * (1 + FAR * min(1.0, numbers / CACHE))
        costs[m] = products + maps + filters + COPY * positions * tiles * (c + outputs)
    return min(costs, key=costs.__getitem__)


@cache
def _maps(m: int) -> tuple[Tensor, Tensor, Tensor]:
    """What tiles, filters and results, as columns, are multiplied with from the left."""
    tables = (torch.tensor(table, dtype=torch.float32) for table in TABLES[m])
    into, filters, out_of = (torch.kron(table, table) for table in tables)
    return into, filters, out_of


class _Filtered(torch.autograd.Function):
    """(b, c, h, w), (k, c, 3, 3), (k,), m -> (b, h, w, k)."""

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor | None, m: int
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.m, ctx.biased = m, bias is not None  # type: ignore[attr-defined]
        n, _, height, breadth = x.shape
        down, across, k = -(-height // m), -(-breadth // m), len(weight)
        out_of = _maps(m)[2]
        found = out_of @ torch.bmm(_mapped(x, m), _filters(weight, m)).flatten(1)
        y = found.new_empty(n, down * m, across * m, k)  # and no view of it, in which callers could not add
        y.view(n, down, m, across, m, k).copy_(found.view(m, m, n, down, across, k).permute(2, 3, 0, 4, 1, 5))
        if (down * m, across * m) != (height, breadth):
            y = y[:, :height, :breadth].clone(memory_format=torch.contiguous_format)
        return y if bias is None else y.add_(bias)

    @staticmethod
    def backward(
        ctx: torch.autograd.function.FunctionCtx, gradient: Tensor
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors  # type: ignore[attr-defined]
        m: int = ctx.m  # type: ignore[attr-defined]
        n, c, height, breadth = x.shape
        down, across, k = -(-height // m), -(-breadth // m), len(weight)
        into, filters, out_of = _maps(m)
        whole = F.pad(gradient, (0, 0, 0, across * m - breadth, 0, down * m - height))
        tiles = whole.view(n, down, m, across, m, k).permute(2, 4, 0, 1, 3, 5).reshape(m * m, -1)
        products = (out_of.T @ tiles).view(len(into), -1, k)
        to_x = to_weight = to_bias = None
        if ctx.needs_input_grad[0]:  # type: ignore[attr-defined]
            back = into.T @ torch.bmm(products, _filters(weight, m).transpose(1, 2)).flatten(1)
            to_x = _overlapped(back.view(m + 2, m + 2, n, down, across, c), m)[:, 1 : 1 + height, 1 : 1 + breadth]
            to_x = to_x.permute(0, 3, 1, 2)
        if ctx.needs_input_grad[1]:  # type: ignore[attr-defined]
            each = filters.T @ torch.bmm(_mapped(x, m).transpose(1, 2), products).flatten(1)
            to_weight = each.view(3, 3, c, k).permute(3, 2, 0, 1)
        if ctx.needs_input_grad[2]:  # type: ignore[attr-defined]
            to_bias = gradient.sum((0, 1, 2))
        return to_x, to_weight, to_bias, None


def _mapped(x: Float[Tensor, "b c h w"], m: int) -> Float[Tensor, "positions tiles c"]:
    """The tiles of a batch, which overlap by two, mapped."""
    n, c, height, breadth = x.shape
    down, across, side = -(-height // m), -(-breadth // m), m + 2
    padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1 + across * m - breadth, 1, 1 + down * m - height)).contiguous()
    image, row, place, _ = padded.stride()
    strides = (row, place, image, m * row, m * place, 1)
    tiles = padded.as_strided((side, side, n, down, across, c), strides, padded.storage_offset())
    return (_maps(m)[0] @ tiles.reshape(side * side, -1)).view(side * side, -1, c)


def _filters(weight: Float[Tensor, "k c 3 3"], m: int) -> Float[Tensor, "positions c k"]:
    k, c = weight.shape[:2]
    return (_maps(m)[1] @ weight.permute(2, 3, 1, 0).reshape(9, c * k)).view(-1, c, k)


def _overlapped(tiles: Tensor, m: int) -> Float[Tensor, "b h w c"]:
    """The sum of tiles (m + 2, m + 2, b, down, across, c) where they lie: the other way of taking them."""
    side, _, n, down, across, c = tiles.shape
    whole = tiles.new_zeros(n, down * m + 2, across * m + 2, c)
    image, row, place, _ = whole.stride()
    for top, bottom in ((0, m), (m, side)):
        for left, right in ((0, m), (m, side)):
            size = (n, down, bottom - top, across, right - left, c)
            there = whole.as_strided(size, (image, m * row, row, m * place, place, 1), top * row + left * place)
            there += tiles[top:bottom, left:right].permute(2, 3, 0, 4, 1, 5)
    return whole
