"""The encoder of T5 1.1 (Raffel et al. 2020; Shazeer 2020), Stable Diffusion 3's third reader of prompts.

State-dict layout: transformers `T5EncoderModel`. No absolute positions: attention adds a bias by distance, which the
first block holds for all; scores are not scaled, norms do not centre, nothing has a bias.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from sfumato.models.config import ModelConfig


@dataclass(frozen=True)
class T5Config(ModelConfig):
    """The defaults are T5 1.1 XXL's, as in Stable Diffusion 3."""

    class_name: ClassVar[str] = "T5EncoderModel"

    vocab_size: int = 32128
    d_model: int = 4096
    d_kv: int = 64
    d_ff: int = 10240
    num_layers: int = 24
    num_heads: int = 64
    relative_attention_num_buckets: int = 32
    relative_attention_max_distance: int = 128
    layer_norm_epsilon: float = 1e-6

    fixed: ClassVar[dict[str, tuple[Any, ...]]] = {
        "model_type": ("t5",),
        "feed_forward_proj": ("gated-gelu",),
        "architectures": (["T5EncoderModel"], ["T5ForConditionalGeneration"], None),
    }
    tolerant: ClassVar[bool] = True

    def to_json(self) -> dict[str, Any]:
        """transformers' keys: `architectures` in place of diffusers' `_class_name`."""
        data = super().to_json()
        del data["_class_name"]
        return data


def buckets(length: int, count: int, furthest: int) -> Int[Tensor, "n n"]:
    """The row of the bias table for query i and key j: a half of `count` for keys behind, a half for those ahead.

    In each half, distances below a half of it have a row of their own; further ones share rows, ever wider in equal
    ratios up to `furthest`, from where on all share the last.
    """
    place = torch.arange(length)
    ahead = place[None, :] - place[:, None]
    distance, half = ahead.abs(), count // 2
    exact = half // 2
    ratio = (distance.clamp(min=1).float() / exact).log() / math.log(furthest / exact)
    shared = (exact + (ratio * (half - exact)).long()).clamp(max=half - 1)
    return torch.where(distance < exact, distance, shared) + (ahead > 0) * half


class SelfAttention(nn.Module):
    """Multi-head attention with a bias to its scores."""

    def __init__(self, config: T5Config, *, first: bool) -> None:
        super().__init__()
        inner = config.num_heads * config.d_kv
        self.config = config
        self.q, self.k, self.v = (nn.Linear(config.d_model, inner, bias=False) for _ in range(3))
        self.o = nn.Linear(inner, config.d_model, bias=False)
        if first:
            self.relative_attention_bias = nn.Embedding(config.relative_attention_num_buckets, config.num_heads)

    def bias(self, length: int) -> Float[Tensor, "1 h n n"]:
        """What the first block adds to the scores of every block."""
        config, table = self.config, self.relative_attention_bias.weight
        rows = buckets(length, config.relative_attention_num_buckets, config.relative_attention_max_distance)
        return rearrange(table[rows.to(table.device)], "i j h -> 1 h i j").contiguous()

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        q, k, v = (
            rearrange(project(x), "b n (h d) -> b h n d", h=self.config.num_heads)
            for project in (self.q, self.k, self.v)
        )
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=1.0)
        return self.o(rearrange(out, "b h n d -> b n (h d)"))


class Gated(nn.Module):
    """Linear unit gated by GELU in its tanh form."""

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.wi_0, self.wi_1 = (nn.Linear(config.d_model, config.d_ff, bias=False) for _ in range(2))
        self.wo = nn.Linear(config.d_ff, config.d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.wo(F.gelu(self.wi_0(x), approximate="tanh") * self.wi_1(x))


class AttentionLayer(nn.Module):
    """Norm and attention, residual."""

    def __init__(self, config: T5Config, *, first: bool) -> None:
        super().__init__()
        self.SelfAttention = SelfAttention(config, first=first)
        self.layer_norm = nn.RMSNorm(config.d_model, eps=config.layer_norm_epsilon)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        return x + self.SelfAttention(self.layer_norm(x), bias)


class FeedForwardLayer(nn.Module):
    """Norm and gated feed-forward, residual."""

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.DenseReluDense = Gated(config)
        self.layer_norm = nn.RMSNorm(config.d_model, eps=config.layer_norm_epsilon)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.DenseReluDense(self.layer_norm(x))


class Block(nn.Module):
    """Attention and feed-forward."""

    def __init__(self, config: T5Config, *, first: bool) -> None:
        super().__init__()
        self.layer = nn.ModuleList([AttentionLayer(config, first=first), FeedForwardLayer(config)])

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        return _in_range(self.layer[1](_in_range(self.layer[0](x, bias))))


def _in_range(x: Tensor) -> Tensor:
    """T5 was trained in bfloat16; where float16 overflows, its largest number is nearer than infinity."""
    return x.clamp(-6.4e4, 6.4e4) if x.dtype == torch.float16 else x


class Stack(nn.Module):
    """All blocks and the last norm."""

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.block = nn.ModuleList(Block(config, first=i == 0) for i in range(config.num_layers))
        self.final_layer_norm = nn.RMSNorm(config.d_model, eps=config.layer_norm_epsilon)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        first = cast("AttentionLayer", cast("Block", self.block[0]).layer[0])
        bias = first.SelfAttention.bias(x.shape[1])
        if mask is not None:
            bias = bias.masked_fill(~mask[:, None, None], float("-inf"))
        for block in self.block:
            x = block(x, bias)
        return self.final_layer_norm(x)


class T5Encoder(nn.Module):
    """Token ids to one vector a token; padding is read like words, as Stable Diffusion 3 was trained. No token sees
    those whose `mask` is False.
    """

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.config = config
        self.shared = nn.Embedding(config.vocab_size, config.d_model)
        self.encoder = Stack(config)

    def forward(self, ids: Int[Tensor, "b n"], mask: Bool[Tensor, "b n"] | None = None) -> Float[Tensor, "b n d"]:
        return self.encoder(self.shared(ids), mask)
