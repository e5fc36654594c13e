"""The multimodal diffusion transformer of Stable Diffusion 3 and 3.5 (Esser et al. 2024, arXiv:2403.03206, figure 2).

Picture and text are two rows of tokens with weights of their own that attend to each other as one; time and the pooled
text shift, scale and gate every layer (Peebles and Xie 2023). State-dict layout: diffusers `SD3Transformer2DModel`.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from sfumato.diffusion.conditioning import Conditioning
from sfumato.models.config import ModelConfig
from sfumato.models.residuals import NO_RESIDUALS, Residuals
from sfumato.nn.attention import Attending
from sfumato.nn.embeddings import TimestepEmbedding, sinusoidal

EPS = 1e-6
"""The epsilon of every norm."""
TIME_CHANNELS = 256
"""Sines and cosines of the time label."""


@dataclass(frozen=True)
class MMDiTConfig(ModelConfig):
    """The defaults are Stable Diffusion 3 Medium."""

    class_name: ClassVar[str] = "SD3Transformer2DModel"

    sample_size: int = 128
    patch_size: int = 2
    in_channels: int = 16
    out_channels: int = 16
    num_layers: int = 24
    attention_head_dim: int = 64
    num_attention_heads: int = 24
    joint_attention_dim: int = 4096
    """Width of the text tokens."""
    caption_projection_dim: int = 1536
    """Width of the text inside, which is that of the picture."""
    pooled_projection_dim: int = 2048
    pos_embed_max_size: int = 192
    """Patches a side for which there are positions; a picture takes those in the middle."""
    dual_attention_layers: tuple[int, ...] = ()
    """Blocks in which the picture attends to itself a second time; 3.5 Medium has 13."""
    qk_norm: str | None = None
    """`rms_norm` of queries and keys, as in 3.5, or none."""

    fixed: ClassVar[dict[str, tuple[Any, ...]]] = {"qk_norm": (None, "rms_norm")}

    @property
    def width(self) -> int:
        """Channels of a token inside."""
        return self.num_attention_heads * self.attention_head_dim


SD35_MEDIUM = MMDiTConfig(dual_attention_layers=tuple(range(13)), qk_norm="rms_norm", pos_embed_max_size=384)
SD35_LARGE = MMDiTConfig(
    num_layers=38, num_attention_heads=38, caption_projection_dim=2432, qk_norm="rms_norm", pos_embed_max_size=192
)
"""Stable Diffusion 3.5 Large, and Large Turbo, which differs in its weights alone."""


def positions(side: int, base: int, width: int) -> Float[Tensor, "1 side*side width"]:
    """Sines and cosines of column and row (half of the width each), `side` of them stretched over 0 to `base`."""
    places = torch.arange(side, dtype=torch.float32) * base / side
    axis = sinusoidal(places, width // 2, cos_first=False)
    columns, rows = axis.expand(side, side, -1), axis[:, None].expand(side, side, -1)
    return torch.cat([columns, rows], dim=-1).reshape(1, side * side, width)


class PatchEmbedding(nn.Module):
    """Latents to one token a patch, its position added."""

    pos_embed: Tensor

    def __init__(self, config: MMDiTConfig) -> None:
        super().__init__()
        patch, self.side = config.patch_size, config.pos_embed_max_size
        self.proj = nn.Conv2d(config.in_channels, config.width, patch, stride=patch)
        self.register_buffer("pos_embed", positions(self.side, config.sample_size // patch, config.width))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b n d"]:
        x = self.proj(x)
        height, width = x.shape[2:]
        if max(height, width) > self.side:
            raise ValueError(f"{width}x{height} patches are more than this model's {self.side} a side; paint smaller")
        top, left = (self.side - height) // 2, (self.side - width) // 2
        grid = rearrange(self.pos_embed, "1 (y x) d -> y x d", y=self.side)
        here = grid[top : top + height, left : left + width].flatten(0, 1)
        return x.flatten(2).transpose(1, 2) + here


class PlainPatchEmbedding(nn.Module):
    """The same without positions, of any channels."""

    def __init__(self, config: MMDiTConfig, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, config.width, config.patch_size, stride=config.patch_size)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b n d"]:
        return self.proj(x).flatten(2).transpose(1, 2)


class Condition(nn.Module):
    """Time and pooled text as one vector."""

    def __init__(self, config: MMDiTConfig) -> None:
        super().__init__()
        self.timestep_embedder = TimestepEmbedding(TIME_CHANNELS, config.width)
        self.text_embedder = TimestepEmbedding(config.pooled_projection_dim, config.width)

    def forward(self, label: Float[Tensor, " b"], pooled: Float[Tensor, "b p"]) -> Float[Tensor, "b d"]:
        time = sinusoidal(label, TIME_CHANNELS).to(pooled.dtype)
        return self.timestep_embedder(time) + self.text_embedder(pooled)


class Modulation(nn.Module):
    """The condition as `parts` vectors that shift, scale or gate tokens."""

    def __init__(self, width: int, parts: int) -> None:
        super().__init__()
        self.parts = parts
        self.linear = nn.Linear(width, parts * width)

    def forward(self, condition: Float[Tensor, "b d"]) -> tuple[Float[Tensor, "b 1 d"], ...]:
        return self.linear(F.silu(condition))[:, None].chunk(self.parts, dim=-1)


def _modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], eps=EPS) * (1 + scale) + shift


class SelfAttention(Attending):
    """Multi-head attention of tokens to each other. (b, n, width) -> (b, n, width)."""

    def __init__(self, config: MMDiTConfig) -> None:
        super().__init__()
        self.heads = config.num_attention_heads
        self.to_q, self.to_k, self.to_v = (nn.Linear(config.width, config.width) for _ in range(3))
        self.norm_q, self.norm_k = _head_norm(config), _head_norm(config)
        self.to_out = nn.ModuleList([nn.Linear(config.width, config.width), nn.Identity()])

    def _heads(self, x: Tensor) -> Tensor:
        return rearrange(x, "b n (h d) -> b h n d", h=self.heads)

    def _qkv(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return (
            self.norm_q(self._heads(self.to_q(x))),
            self.norm_k(self._heads(self.to_k(x))),
            self._heads(self.to_v(x)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.to_out[0](rearrange(self.attend(*self._qkv(x)), "b h n d -> b n (h d)"))


class JointAttention(SelfAttention):
    """Attention of two rows of tokens, each with projections of its own, to both."""

    def __init__(self, config: MMDiTConfig, *, last: bool) -> None:
        super().__init__(config)
        self.add_q_proj, self.add_k_proj, self.add_v_proj = (nn.Linear(config.width, config.width) for _ in range(3))
        self.norm_added_q, self.norm_added_k = _head_norm(config), _head_norm(config)
        self.to_add_out = None if last else nn.Linear(config.width, config.width)

    def both(self, x: Tensor, text: Tensor) -> tuple[Tensor, Tensor | None]:
        """What picture and text receive; the last block's text is not used any more."""
        of_text = (
            self.norm_added_q(self._heads(self.add_q_proj(text))),
            self.norm_added_k(self._heads(self.add_k_proj(text))),
            self._heads(self.add_v_proj(text)),
        )
        q, k, v = (torch.cat(pair, dim=2) for pair in zip(self._qkv(x), of_text, strict=True))
        out = rearrange(self.attend(q, k, v), "b h n d -> b n (h d)")
        out, out_text = out.split([x.shape[1], text.shape[1]], dim=1)
        return self.to_out[0](out), None if self.to_add_out is None else self.to_add_out(out_text)


def _head_norm(config: MMDiTConfig) -> nn.Module:
    return nn.RMSNorm(config.attention_head_dim, eps=EPS) if config.qk_norm else nn.Identity()


class GELU(nn.Module):
    """A projection through GELU in its tanh form."""

    def __init__(self, dim: int, inner: int) -> None:
        super().__init__()
        self.proj = nn.Linear(dim, inner)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(self.proj(x), approximate="tanh")


class FeedForward(nn.Module):
    """dim -> 4 dim -> dim."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.net = nn.ModuleList([GELU(dim, 4 * dim), nn.Identity(), nn.Linear(4 * dim, dim)])

    def forward(self, x: Tensor) -> Tensor:
        return self.net[2](self.net[0](x))


class JointBlock(nn.Module):
    """Joint attention (and a second one of the picture alone, where `dual`), then a feed-forward for each row.

    The `last` block has no use for the text after its attention, and no weights for it.
    """

    def __init__(self, config: MMDiTConfig, *, dual: bool, last: bool) -> None:
        super().__init__()
        width = config.width
        self.norm1 = Modulation(width, 9 if dual else 6)
        self.norm1_context = Modulation(width, 2 if last else 6)
        self.attn = JointAttention(config, last=last)
        self.attn2 = SelfAttention(config) if dual else None
        self.ff = FeedForward(width)
        self.ff_context = None if last else FeedForward(width)

    def forward(self, x: Tensor, text: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        shift, scale, gate, shift_ff, scale_ff, gate_ff, *second = self.norm1(condition)
        of_text = self.norm1_context(condition)
        # The published last block has its text's scale before its shift.
        shift_text, scale_text = of_text[:2] if self.ff_context is not None else of_text[::-1]
        seen, seen_text = self.attn.both(_modulated(x, shift, scale), _modulated(text, shift_text, scale_text))
        after = x + gate * seen
        if self.attn2 is not None:
            shift, scale, gate = second
            after = after + gate * self.attn2(_modulated(x, shift, scale))
        x = after + gate_ff * self.ff(_modulated(after, shift_ff, scale_ff))
        if self.ff_context is not None and seen_text is not None:
            gate, shift_ff, scale_ff, gate_ff = of_text[2:]
            text = text + gate * seen_text
            text = text + gate_ff * self.ff_context(_modulated(text, shift_ff, scale_ff))
        return x, text


class SingleBlock(nn.Module):
    """Attention of the picture alone, then a feed-forward: a transformer's block that sees no text."""

    def __init__(self, config: MMDiTConfig) -> None:
        super().__init__()
        self.norm1 = Modulation(config.width, 6)
        self.attn = SelfAttention(config)
        self.ff = FeedForward(config.width)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        shift, scale, gate, shift_ff, scale_ff, gate_ff = self.norm1(condition)
        x = x + gate * self.attn(_modulated(x, shift, scale))
        return x + gate_ff * self.ff(_modulated(x, shift_ff, scale_ff))


class MMDiT(nn.Module):
    """F(x, label, cond): noisy latents, time label and text (tokens and pooled) to the raw prediction, a flow."""

    def __init__(self, config: MMDiTConfig) -> None:
        super().__init__()
        if config.caption_projection_dim != config.width:
            raise ValueError(f"text is {config.caption_projection_dim} wide inside, the picture {config.width}")
        self.config = config
        self.pos_embed = PatchEmbedding(config)
        self.time_text_embed = Condition(config)
        self.context_embedder = nn.Linear(config.joint_attention_dim, config.width)
        self.transformer_blocks = nn.ModuleList(
            JointBlock(config, dual=i in config.dual_attention_layers, last=i == config.num_layers - 1)
            for i in range(config.num_layers)
        )
        self.norm_out = Modulation(config.width, 2)
        self.proj_out = nn.Linear(config.width, config.patch_size**2 * config.out_channels)

    def forward(
        self,
        x: Float[Tensor, "b c h w"],
        label: Float[Tensor, " b"],
        cond: Conditioning,
        residuals: Residuals = NO_RESIDUALS,
    ) -> Float[Tensor, "b k h w"]:
        """`label` is 1000 times the noise level of the straight path; `h` and `w` are whole patches.

        Raises:
            ValueError: a picture of broken patches, or of more than there are positions for.
        """
        patch, (height, width) = self.config.patch_size, x.shape[2:]
        if height % patch or width % patch:
            raise ValueError(f"latents of {width}x{height} are not made of patches of {patch}; pad or crop them")
        assert cond.pooled is not None
        condition = self.time_text_embed(label, cond.pooled)
        x, text = self.pos_embed(x), self.context_embedder(cond.tokens)
        last = len(self.transformer_blocks) - 1
        for i, block in enumerate(self.transformer_blocks):
            x, text = block(x, text, condition)
            if i < last:
                x = residuals.behind(i, last + 1, x)
        scale, shift = self.norm_out(condition)
        x = self.proj_out(_modulated(x, shift, scale))
        return rearrange(x, "b (y x) (p q c) -> b c (y p) (x q)", y=height // patch, p=patch, q=patch)
