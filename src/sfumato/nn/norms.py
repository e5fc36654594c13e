"""Group normalisation that is quick on small channels_last maps, where torch's CPU kernel walks channels one by one."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

SMALL_MAP = 32 * 32
"""Below so many places torch takes that kernel (ATen, group_norm_kernel.cpp)."""


class GroupNorm(nn.GroupNorm):
    """Wu and He 2018, eq. 1 to 7: every group of channels of a picture to mean 0 and variance 1, then scale and shift.

    The same function everywhere, but for rounding; on small maps differentiable once.
    """

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        small = x[0, 0].numel() < SMALL_MAP and x.is_contiguous(memory_format=torch.channels_last)
        if x.device.type != "cpu" or x.dtype == torch.float64 or not small:
            return super().forward(x)
        return _Moments.apply(x, self.weight, self.bias, self.num_groups, self.eps)


class _Moments(torch.autograd.Function):
    """From each channel's sum and sum of squares, in float32; the maps themselves are passed over as they lie."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float) -> Tensor:
        rows = x.permute(0, 2, 3, 1).flatten(1, 2)  # (b, h w, c), no copy
        each = rows.shape[1] * x.shape[1] // groups
        mean = _by_group(rows.sum(1, dtype=torch.float32), groups) / each
        square = _by_group(rows.float().square().sum(1), groups) / each
        scale = (square - mean.square()).clamp_min_(0).add_(eps).rsqrt_()
        ctx.save_for_backward(x, weight, mean, scale)
        ctx.groups = groups
        mean, scale = _by_channel(mean, x), _by_channel(scale, x) * weight
        return _weighed(bias - mean * scale, rows, scale).view_as(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, scale = ctx.saved_tensors
        groups, each = ctx.groups, x[0].numel() // ctx.groups
        rows, dy_rows = (t.permute(0, 2, 3, 1).flatten(1, 2) for t in (x, dy))
        mean, scale = _by_channel(mean, x), _by_channel(scale, x)
        # With x^ = (x - mean) scale and d = dy weight: dx = scale (d - mean(d) - x^ mean(d x^)), means over a group.
        d_bias = dy_rows.sum(1, dtype=torch.float32)
        d_weight = ((dy_rows * rows).sum(1, dtype=torch.float32) - mean * d_bias) * scale
        level = _by_channel(_by_group(d_bias * weight, groups) / each, x)
        slope = _by_channel(_by_group(d_weight * weight, groups) / each, x) * scale
        dx = _weighed(scale * (slope * mean - level), rows, -scale * slope)
        dx = torch.addcmul(dx, dy_rows, (scale * weight).to(dy.dtype)[:, None])
        return dx.view_as(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), d_weight.sum(0), d_bias.sum(0), None, None


def _by_group(channels: Float[Tensor, "b c"], groups: int) -> Float[Tensor, "b g"]:
    return channels.unflatten(1, (groups, -1)).sum(2)


def _by_channel(values: Float[Tensor, "b g"], x: Tensor) -> Float[Tensor, "b c"]:
    return values.repeat_interleave(x.shape[1] // values.shape[1], 1)


def _weighed(
    offset: Float[Tensor, "b c"], rows: Float[Tensor, "b n c"], factor: Float[Tensor, "b c"]
) -> Float[Tensor, "b n c"]:
    """offset + rows * factor, in the precision of `rows`."""
    return torch.addcmul(offset.to(rows.dtype)[:, None], rows, factor.to(rows.dtype)[:, None])
