"""Multi-head attention, the gated feed-forward and the transformer block of Stable Diffusion.

Attribute names (`to_q`, `to_out.0`, `ff.net.0.proj`) are the diffusers state-dict layout, the ecosystem's common
tongue. Knows nothing of pictures or noise. Sums are made in the tensor that was just computed, which nobody else has.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from sfumato.nn.norms import GroupNorm

PLAIN_SCORES = 128 * 128
"""Up to this many query x key products the plain form beats the fused kernel on CPU (4x in training)."""

PLAIN_BF16_SCORES = 256 * 256
"""The same where bfloat16 is trained: the fused kernel is slow on its way back there (51 ms both ways, plain 24 ms)."""


def attention(
    q: Float[Tensor, "b h n d"],
    k: Float[Tensor, "b h m d"],
    v: Float[Tensor, "b h m d"],
    *,
    causal: bool = False,
) -> Float[Tensor, "b h n d"]:
    """Scaled dot-product attention (Vaswani et al. 2017, eq. 1), softmax over keys computed in float32.

    Short sequences take matmul-softmax-matmul, long ones the fused kernel: the same function, but for rounding.
    """
    n, m = q.shape[-2], k.shape[-2]
    plain = PLAIN_BF16_SCORES if q.dtype == torch.bfloat16 and q.requires_grad else PLAIN_SCORES
    if q.device.type != "cpu" or n * m > plain:
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    if causal:
        scores = scores + torch.full((n, m), float("-inf"), dtype=scores.dtype, device=scores.device).triu(1)
    return scores.softmax(-1) @ v


class Attending(nn.Module):
    """What computes attention; `attend` may be another way to compute the same."""

    attend = staticmethod(attention)


class Attention(Attending):
    """Self-attention, or cross-attention when `context` is given. (b, n, dim) -> (b, n, dim)."""

    def __init__(self, dim: int, heads: int, *, context_dim: int | None = None, bias: bool = False) -> None:
        super().__init__()
        context_dim = dim if context_dim is None else context_dim
        self.heads = heads
        self.to_q = nn.Linear(dim, dim, bias=bias)
        self.to_k = nn.Linear(context_dim, dim, bias=bias)
        self.to_v = nn.Linear(context_dim, dim, bias=bias)
        self.to_out = nn.ModuleList([nn.Linear(dim, dim), nn.Identity()])

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        context = x if context is None else context
        q, k, v = (
            rearrange(t, "b n (h d) -> b h n d", h=self.heads)
            for t in (self.to_q(x), self.to_k(context), self.to_v(context))
        )
        return self.to_out[0](rearrange(self.attend(q, k, v), "b h n d -> b n (h d)"))


class GEGLU(nn.Module):
    """Linear unit gated by GELU (Shazeer 2020): half of the projection gates the other half."""

    def __init__(self, dim: int, inner: int) -> None:
        super().__init__()
        self.proj = nn.Linear(dim, 2 * inner)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.proj(x).chunk(2, dim=-1)
        return F.gelu(gate).mul_(value)


class FeedForward(nn.Module):
    """dim -> 4 dim gated -> dim."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.net = nn.ModuleList([GEGLU(dim, 4 * dim), nn.Identity(), nn.Linear(4 * dim, dim)])

    def forward(self, x: Tensor) -> Tensor:
        return self.net[2](self.net[0](x))


class TransformerBlock(nn.Module):
    """Self-attention, cross-attention to the text, feed-forward; each normalised first, each residual.

    With `only_cross` the first attends to the text as well.
    """

    def __init__(self, dim: int, heads: int, context_dim: int, *, only_cross: bool = False) -> None:
        super().__init__()
        self.only_cross = only_cross
        self.norm1 = nn.LayerNorm(dim)
        self.attn1 = Attention(dim, heads, context_dim=context_dim if only_cross else None)
        self.norm2 = nn.LayerNorm(dim)
        self.attn2 = Attention(dim, heads, context_dim=context_dim)
        self.norm3 = nn.LayerNorm(dim)
        self.ff = FeedForward(dim)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        seen = self.norm1(x)
        x = (self.attn1(seen, context) if self.only_cross else self.attn1(seen)).add_(x)
        x = self.attn2(self.norm2(x), context).add_(x)
        return self.ff(self.norm3(x)).add_(x)


class SpatialTransformer(nn.Module):
    """A picture's positions as a sequence through transformer blocks (Rombach et al. 2022, section 3.3)."""

    def __init__(
        self,
        channels: int,
        heads: int,
        depth: int,
        context_dim: int,
        *,
        linear: bool,
        groups: int,
        only_cross: bool = False,
    ) -> None:
        super().__init__()
        self.linear = linear
        self.norm = GroupNorm(groups, channels, eps=1e-6)
        self.proj_in = nn.Linear(channels, channels) if linear else nn.Conv2d(channels, channels, 1)
        self.transformer_blocks = nn.ModuleList(
            TransformerBlock(channels, heads, context_dim, only_cross=only_cross) for _ in range(depth)
        )
        self.proj_out = nn.Linear(channels, channels) if linear else nn.Conv2d(channels, channels, 1)

    def forward(self, x: Float[Tensor, "b c h w"], context: Float[Tensor, "b m d"]) -> Float[Tensor, "b c h w"]:
        height = x.shape[2]
        y = self.norm(x)
        if not self.linear:
            y = self.proj_in(y)
        y = rearrange(y, "b c h w -> b (h w) c")
        if self.linear:
            y = self.proj_in(y)
        for block in self.transformer_blocks:
            y = block(y, context)
        if self.linear:
            y = self.proj_out(y)
        y = rearrange(y, "b (h w) c -> b c h w", h=height)
        if not self.linear:
            y = self.proj_out(y)
        return y.add_(x)
