"""The U-Net of the latent upscaler (stabilityai/sd-x2-latent-upscaler), of k-diffusion's kind.

State-dict layout: diffusers `UNet2DConditionModel` of ``K...Block2D``. Group norms are scaled and shifted by what is
told (as AdaGN, Dhariwal and Nichol 2021, arXiv:2105.05233), sizes change by a fixed binomial filter, levels attend to
the text without a feed-forward, and each hands one skip to the way up. The network gives a channel more than latents
have, the variance, which nobody uses.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from sfumato.diffusion.conditioning import Conditioning
from sfumato.models.config import ModelConfig
from sfumato.models.unet import UNetConfig
from sfumato.nn.attention import Attention

GROUP = 32
"""Channels that are normalised together."""


@dataclass(frozen=True)
class KUNetConfig(ModelConfig):
    """The defaults are the published ones."""

    class_name: ClassVar[str] = UNetConfig.class_name

    sample_size: int | tuple[int, int] | None = 128
    in_channels: int = 8
    out_channels: int = 5
    block_out_channels: tuple[int, ...] = (384, 384, 768, 768)
    down_block_types: tuple[str, ...] = ("KDownBlock2D",) + ("KCrossAttnDownBlock2D",) * 3
    up_block_types: tuple[str, ...] = ("KCrossAttnUpBlock2D",) * 3 + ("KUpBlock2D",)
    layers_per_block: int | tuple[int, ...] = 4
    attention_head_dim: int = 64
    """Here it is what its name says."""
    cross_attention_dim: int = 768
    time_cond_proj_dim: int = 896
    """Width of what is told beside the text: 128 numbers for how much noise the picture has, and the pooled text."""
    norm_eps: float = 1e-5

    fixed: ClassVar[dict[str, tuple[Any, ...]]] = {
        "act_fn": ("gelu",),
        "mid_block_type": (None,),
        "conv_in_kernel": (1,),
        "conv_out_kernel": (1,),
        "norm_num_groups": (None,),
        "resnet_time_scale_shift": ("scale_shift",),
        "time_embedding_type": ("fourier",),
        "timestep_post_act": ("gelu",),
        "flip_sin_to_cos": (True,),
        "center_input_sample": (False,),
        "only_cross_attention": (False,),
        "class_embeddings_concat": (False,),
        "dropout": (0.0, 0),
        **dict.fromkeys(
            ("class_embed_type", "num_class_embeds", "addition_embed_type", "encoder_hid_dim", "time_embedding_dim"),
            (None,),
        ),
    }
    ignored: ClassVar[frozenset[str]] = frozenset(
        {"upcast_attention", "use_linear_projection", "freq_shift", "downsample_padding", "dual_cross_attention"}
        | {"mid_block_scale_factor", "mid_block_only_cross_attention", "attention_type", "transformer_layers_per_block"}
        | {"reverse_transformer_layers_per_block", "resnet_skip_time_act", "resnet_out_scale_factor"}
        | {"num_attention_heads", "time_embedding_act_fn", "cross_attention_norm", "encoder_hid_dim_type"}
        | {"addition_embed_type_num_heads", "addition_time_embed_dim", "projection_class_embeddings_input_dim"}
    )
    """Settings of other blocks."""

    @classmethod
    def describes(cls, data: Mapping[str, Any]) -> bool:
        """Whether these settings are such a U-Net's, by its blocks."""
        blocks = data.get("down_block_types")
        return isinstance(blocks, list | tuple) and any(str(block).startswith("K") for block in blocks)

    def layers(self, level: int) -> int:
        """Residual blocks at `level`, on either way."""
        value = self.layers_per_block
        return value if isinstance(value, int) else value[level]

    @property
    def time_width(self) -> int:
        """Width of the conditioning's embedding."""
        return 2 * self.block_out_channels[0]


class AdaGroupNorm(nn.Module):
    """Group normalisation, then (1 + scale) x + shift, both linear in the conditioning's embedding."""

    def __init__(self, time: int, width: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.groups, self.eps = max(1, width // GROUP), eps
        self.linear = nn.Linear(time, 2 * width)

    def forward(self, x: Float[Tensor, "b c h w"], time: Float[Tensor, "b t"]) -> Float[Tensor, "b c h w"]:
        scale, shift = self.linear(time)[:, :, None, None].chunk(2, dim=1)
        return F.group_norm(x, self.groups, eps=self.eps) * (1 + scale) + shift


class KResnetBlock(nn.Module):
    """norm-gelu-conv twice, with a shortcut without bias."""

    def __init__(self, c_in: int, width: int, c_out: int, time: int, eps: float) -> None:
        super().__init__()
        self.norm1 = AdaGroupNorm(time, c_in, eps)
        self.conv1 = nn.Conv2d(c_in, width, 3, padding=1)
        self.norm2 = AdaGroupNorm(time, width, eps)
        self.conv2 = nn.Conv2d(width, c_out, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(c_in, c_out, 1, bias=False) if c_in != c_out else None

    def forward(self, x: Float[Tensor, "b c h w"], time: Float[Tensor, "b t"]) -> Float[Tensor, "b k h w"]:
        y = self.conv1(F.gelu(self.norm1(x, time)))
        y = self.conv2(F.gelu(self.norm2(y, time)))
        return y.add_(x if self.conv_shortcut is None else self.conv_shortcut(x))


class NormedAttention(Attention):
    """To a context that is normalised first."""

    def __init__(self, dim: int, heads: int, context_dim: int) -> None:
        super().__init__(dim, heads, context_dim=context_dim, bias=True)
        self.norm_cross = nn.LayerNorm(context_dim)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        return super().forward(x, None if context is None else self.norm_cross(context))


class KAttentionBlock(nn.Module):
    """Self-attention at the coarsest level, then attention to the text."""

    def __init__(self, width: int, config: KUNetConfig, *, own: bool) -> None:
        super().__init__()
        heads, time = width // config.attention_head_dim, config.time_width
        if own:
            self.norm1 = AdaGroupNorm(time, width)
            self.attn1 = Attention(width, heads, bias=True)
        self.own = own
        self.norm2 = AdaGroupNorm(time, width)
        self.attn2 = NormedAttention(width, heads, config.cross_attention_dim)

    def forward(self, x: Float[Tensor, "b c h w"], time: Tensor, context: Tensor) -> Float[Tensor, "b c h w"]:
        height = x.shape[2]

        def placed(rows: Tensor) -> Tensor:
            return rearrange(rows, "b (h w) c -> b c h w", h=height)

        if self.own:
            x = x + placed(self.attn1(rearrange(self.norm1(x, time), "b c h w -> b (h w) c")))
        return x + placed(self.attn2(rearrange(self.norm2(x, time), "b c h w -> b (h w) c"), context))


def _filter(x: Tensor, gain: float) -> Tensor:
    """(1 3 3 1) in both directions, once a channel."""
    line = torch.tensor([1.0, 3.0, 3.0, 1.0]).to(x) * gain / 8
    return torch.outer(line, line).expand(x.shape[1], 1, 4, 4)


def smaller(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h/2 w/2"]:
    """Half the size, smoothed; the edge is mirrored."""
    return F.conv2d(F.pad(x, (1, 1, 1, 1), "reflect"), _filter(x, 1.0), stride=2, groups=x.shape[1])


def larger(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c 2h 2w"]:
    """Double the size, likewise."""
    x = F.pad(x, (1, 1, 1, 1), "reflect")
    return F.conv_transpose2d(x, _filter(x, 2.0), stride=2, padding=3, groups=x.shape[1])


class KLevel(nn.Module):
    """Residual blocks of one resolution, (channels in, between, out) each; after each, where wanted, attention."""

    def __init__(self, config: KUNetConfig, widths: list[tuple[int, int, int]], *, attends: bool, own: bool) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(KResnetBlock(*each, config.time_width, config.norm_eps) for each in widths)
        outs = [out for _, _, out in widths] if attends else []
        self.attentions = nn.ModuleList(KAttentionBlock(out, config, own=own) for out in outs)

    def forward(self, x: Tensor, time: Tensor, context: Tensor) -> Tensor:
        for i, resnet in enumerate(self.resnets):
            x = resnet(x, time)
            if self.attentions:
                x = self.attentions[i](x, time, context)
        return x


class Fourier(nn.Module):
    """Cosines and sines at frequencies that were drawn before training."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width // 2), requires_grad=False)

    def forward(self, values: Float[Tensor, " b"]) -> Float[Tensor, "b width"]:
        angles = 2 * torch.pi * values[:, None] * self.weight.float()
        return torch.cat([angles.cos(), angles.sin()], dim=-1)


class Told(nn.Module):
    """What is told in vectors: the label of the noise level, and beside it the rest."""

    def __init__(self, width: int, beside: int) -> None:
        super().__init__()
        self.cond_proj = nn.Linear(beside, width, bias=False)
        self.linear_1 = nn.Linear(width, width)
        self.linear_2 = nn.Linear(width, width)

    def forward(self, x: Tensor, beside: Tensor) -> Tensor:
        return F.gelu(self.linear_2(F.gelu(self.linear_1(x + self.cond_proj(beside)))))


class KUNet(nn.Module):
    """F(x, label, cond): noisy latents, with the channels of the small picture, to the raw prediction."""

    def __init__(self, config: KUNetConfig) -> None:
        super().__init__()
        self.config = config
        widths, last = config.block_out_channels, len(config.block_out_channels) - 1
        for key in ("down_block_types", "up_block_types", "layers_per_block"):
            value = getattr(config, key)
            if isinstance(value, tuple) and len(value) != len(widths):
                raise ValueError(f"{key} has {len(value)} values for {len(widths)} levels")
        self.conv_in = nn.Conv2d(config.in_channels, widths[0], 1)
        self.time_proj = Fourier(config.time_width)
        self.time_embedding = Told(config.time_width, config.time_cond_proj_dim)
        self.down_blocks, self.up_blocks = nn.ModuleList(), nn.ModuleList()
        for i, (kind, width) in enumerate(zip(config.down_block_types, widths, strict=True)):
            entering = (widths[max(i - 1, 0)], *(width,) * (config.layers(i) - 1))
            attends = kind == "KCrossAttnDownBlock2D"
            through = [(c, width, width) for c in entering]
            self.down_blocks.append(KLevel(config, through, attends=attends, own=i == last))
        for kind, i in zip(config.up_block_types, range(last, -1, -1), strict=True):
            width, after = widths[i], widths[max(i - 1, 0)]
            first = width == after == config.time_width  # as diffusers knows the coarsest level, which has no skip
            c = [width if first else 2 * width, *(width,) * (config.layers(i) - 1)]
            through = [(each, width, width) for each in c]
            attends = kind == "KCrossAttnUpBlock2D"
            through[-1] = (c[-1], width if attends else after, after)
            self.up_blocks.append(KLevel(config, through, attends=attends, own=first))
        self.conv_out = nn.Conv2d(widths[0], config.out_channels, 1)

    def forward(self, x: Float[Tensor, "b c h w"], label: Float[Tensor, " b"], cond: Conditioning) -> Tensor:
        """(b, c, h, w) without the variance; `label` is log(sigma) / 4, and `cond.pooled` what is told beside it.

        Height and width must be multiples of two to the number of levels less one.
        """
        assert cond.pooled is not None
        if cond.channels is not None:
            x = torch.cat([x, cond.channels.to(x)], dim=1)
        time = self.time_embedding(self.time_proj(label).to(x.dtype), cond.pooled.to(x.dtype))
        x = self.conv_in(x)
        skips: list[Tensor] = []
        for level in cast("list[KLevel]", self.down_blocks):
            x = level(smaller(x) if skips else x, time, cond.tokens)
            skips.append(x)
        x = skips.pop()
        for position, level in enumerate(cast("list[KLevel]", self.up_blocks)):
            x = level(x if position == 0 else torch.cat([larger(x), skips.pop()], dim=1), time, cond.tokens)
        return self.conv_out(x)[:, :-1]
