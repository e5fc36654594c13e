"""IP-Adapter (Ye et al. 2023, arXiv:2308.06721): a picture as a prompt, by keys and values of its own in each
cross-attention of a U-Net.

State-dict layout: the authors' (`image_proj.*`, `ip_adapter.1.to_k_ip.weight` ...), in which the cross-attentions are
numbered 1, 3, 5 ... on the way down, then up, then in the middle.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from sfumato.models.clip_vision import Seen
from sfumato.models.config import ModelConfig
from sfumato.models.unet import UNet
from sfumato.nn.attention import Attention, TransformerBlock, attention

HEAD = 64
"""Channels of a head of the resampler."""


@dataclass(frozen=True)
class IPAdapterConfig(ModelConfig):
    """The defaults are those of `ip-adapter_sd15`."""

    class_name: ClassVar[str] = "IPAdapter"

    image_dim: int = 1024
    """Width of what the picture's encoder gives: the pooled vector's, of a resampler the tokens'."""
    cross_attention_dim: int = 768
    tokens: int = 4
    widths: tuple[int, ...] = (320,)
    """Widths of the cross-attentions."""
    resampler: tuple[int, int, int] | None = None
    """The plus kind's: width, heads and layers of what reads the picture's tokens."""


class Projection(nn.Module):
    """The pooled vector as a few tokens."""

    def __init__(self, config: IPAdapterConfig) -> None:
        super().__init__()
        self.tokens = config.tokens
        self.proj = nn.Linear(config.image_dim, config.tokens * config.cross_attention_dim)
        self.norm = nn.LayerNorm(config.cross_attention_dim)

    def forward(self, seen: Seen) -> Float[Tensor, "b m d"]:
        return self.norm(rearrange(self.proj(seen.pooled), "b (m d) -> b m d", m=self.tokens))


class PerceiverAttention(nn.Module):
    """A few tokens look at many and at each other."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.to_q = nn.Linear(width, heads * HEAD, bias=False)
        self.to_kv = nn.Linear(width, 2 * heads * HEAD, bias=False)
        self.to_out = nn.Linear(heads * HEAD, width, bias=False)

    def forward(self, many: Tensor, few: Tensor) -> Tensor:
        many, few = self.norm1(many), self.norm2(few)
        k, v = self.to_kv(torch.cat([many, few], dim=1)).chunk(2, dim=-1)
        q, k, v = (rearrange(each, "b n (h d) -> b h n d", h=self.heads) for each in (self.to_q(few), k, v))
        return self.to_out(rearrange(attention(q, k, v), "b h n d -> b n (h d)"))


class Resampler(nn.Module):
    """Learned tokens that read the picture's, layer by layer (Jaegle et al. 2021, arXiv:2103.03206)."""

    def __init__(self, config: IPAdapterConfig) -> None:
        super().__init__()
        assert config.resampler is not None
        width, heads, depth = config.resampler
        self.latents = nn.Parameter(torch.randn(1, config.tokens, width) / width**0.5)
        self.proj_in = nn.Linear(config.image_dim, width)
        self.layers = nn.ModuleList(
            nn.ModuleList([PerceiverAttention(width, heads), _feed_forward(width)]) for _ in range(depth)
        )
        self.proj_out = nn.Linear(width, config.cross_attention_dim)
        self.norm_out = nn.LayerNorm(config.cross_attention_dim)

    def forward(self, seen: Seen) -> Float[Tensor, "b m d"]:
        many, few = self.proj_in(seen.tokens), self.latents.expand(len(seen.tokens), -1, -1)
        for layer in cast("Iterator[nn.ModuleList]", iter(self.layers)):
            look, think = layer
            few = few + look(many, few)
            few = few + think(few)
        return self.norm_out(self.proj_out(few))


def _feed_forward(width: int) -> nn.Sequential:
    inner = 4 * width
    return nn.Sequential(
        nn.LayerNorm(width), nn.Linear(width, inner, bias=False), nn.GELU(), nn.Linear(inner, width, bias=False)
    )


class KeysAndValues(nn.Module):
    """Projections of one cross-attention."""

    def __init__(self, width: int, context: int) -> None:
        super().__init__()
        self.to_k_ip, self.to_v_ip = (nn.Linear(context, width, bias=False) for _ in range(2))


class IPAdapter(nn.Module):
    """A picture's encoding to tokens, and keys and values for a U-Net."""

    def __init__(self, config: IPAdapterConfig) -> None:
        super().__init__()
        self.config = config
        self.image_proj = Projection(config) if config.resampler is None else Resampler(config)
        self.ip_adapter = nn.ModuleDict(
            {str(2 * i + 1): KeysAndValues(width, config.cross_attention_dim) for i, width in enumerate(config.widths)}
        )


class Decoupled(nn.Module):
    """Cross-attention whose last `count` tokens are a picture's, which is attended to apart, and added."""

    def __init__(self, inner: Attention, own: KeysAndValues, count: int, weight: float) -> None:
        super().__init__()
        self.inner, self.own = inner, own
        self.count, self.weight = count, weight

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        inner = self.inner
        text, picture = context[:, : -self.count], context[:, -self.count :]
        q, k, v, k_own, v_own = (
            rearrange(each, "b n (h d) -> b h n d", h=inner.heads)
            for each in (
                inner.to_q(x),
                inner.to_k(text),
                inner.to_v(text),
                self.own.to_k_ip(picture),
                self.own.to_v_ip(picture),
            )
        )
        out = attention(q, k, v) + self.weight * attention(q, k_own, v_own)
        projected: Tensor = inner.to_out[0](rearrange(out, "b h n d -> b n (h d)"))
        return projected


def cross_attentions(unet: UNet) -> Iterator[TransformerBlock]:
    """The blocks whose cross-attentions are numbered: on the way down, up, in the middle."""
    for part in (unet.down_blocks, unet.up_blocks, unet.mid_block):
        if part is not None:
            yield from (block for block in part.modules() if isinstance(block, TransformerBlock))


def widths_of(unet: UNet) -> tuple[int, ...]:
    """Widths of its cross-attentions, in that order."""
    return tuple(block.attn2.to_q.out_features for block in cross_attentions(unet))


def attach(unet: UNet, adapter: IPAdapter, weight: float) -> None:
    """Decouple the cross-attentions of a U-Net of one's own, whose conditions then end in a picture's tokens."""
    for block, own in zip(cross_attentions(unet), adapter.ip_adapter.values(), strict=True):
        block.add_module("attn2", Decoupled(block.attn2, own, adapter.config.tokens, weight))  # type: ignore[arg-type]
