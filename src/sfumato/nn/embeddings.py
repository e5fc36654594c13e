"""Embeddings of numbers: the sinusoidal time embedding and the two-layer network on top of it."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


def sinusoidal(
    values: Float[Tensor, " b"],
    dim: int,
    *,
    cos_first: bool = True,
    shift: float = 0.0,
    max_period: float = 10_000.0,
) -> Float[Tensor, "b dim"]:
    """Sines and cosines of `values` at `dim // 2` frequencies from 1 down to 1 / max_period (Vaswani et al. 2017)."""
    half = dim // 2
    steps = torch.arange(half, dtype=torch.float32, device=values.device)
    angles = values.float()[:, None] * torch.exp(-math.log(max_period) * steps / (half - shift))
    parts = (angles.cos(), angles.sin()) if cos_first else (angles.sin(), angles.cos())
    return torch.cat(parts, dim=-1)


FOUR = 4
"""Rows of a product from which on a CPU's libraries compute it in one way: sums of fewer round by their number, and by
where weights and rows lie in memory."""


def in_fours(layer: nn.Module, rows: Float[Tensor, "b c"]) -> Float[Tensor, "b k"]:
    """What a layer makes of vectors; on a CPU of four at a time, so that what it makes of one is the same in any batch,
    see `sfumato.diffusion.batching`."""
    if rows.device.type != "cpu":
        return layer(rows)
    fours = F.pad(rows, (0, 0, 0, -len(rows) % FOUR)).split(FOUR)
    return torch.cat([layer(each) for each in fours])[: len(rows)]


class TimestepEmbedding(nn.Module):
    """linear - silu - linear; `c_cond` numbers more are projected and added before."""

    def __init__(self, c_in: int, dim: int, c_cond: int | None = None) -> None:
        super().__init__()
        self.cond_proj = None if c_cond is None else nn.Linear(c_cond, c_in, bias=False)
        self.linear_1 = nn.Linear(c_in, dim)
        self.linear_2 = nn.Linear(dim, dim)

    def forward(self, x: Float[Tensor, "b c"], cond: Float[Tensor, "b k"] | None = None) -> Float[Tensor, "b dim"]:
        if self.cond_proj is not None and cond is not None:
            x = x + in_fours(self.cond_proj, cond)
        return in_fours(self.linear_2, F.silu(in_fours(self.linear_1, x)))
