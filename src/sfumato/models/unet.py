"""The conditional U-Net of Stable Diffusion 1.x, 2.x and XL, of any size by configuration (Rombach et al. 2022).

State-dict layout: diffusers `UNet2DConditionModel`. The network predicts epsilon, v or a flow; it does not know which.

Its conditioning besides the text, where configured: SDXL adds a pooled text vector and numbers (sizes, crop, score) to
the time embedding (Podell et al. 2023, arXiv:2307.01952, section 2.2); a latent consistency model adds the guidance
scale, which it was distilled with (Luo et al. 2023, arXiv:2310.04378); the x4 upscaler a class, which says
how much noise there is in the picture that it sees beside the latents.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from sfumato.diffusion.conditioning import Conditioning
from sfumato.models.config import ModelConfig
from sfumato.models.residuals import NO_RESIDUALS, Residuals
from sfumato.nn.attention import SpatialTransformer
from sfumato.nn.blocks import Downsample, ResnetBlock, Upsample
from sfumato.nn.embeddings import TimestepEmbedding, sinusoidal
from sfumato.nn.norms import GroupNorm


@dataclass(frozen=True)
class UNetConfig(ModelConfig):
    """The defaults are Stable Diffusion 1.5."""

    class_name: ClassVar[str] = "UNet2DConditionModel"

    sample_size: int | tuple[int, int] | None = 64
    in_channels: int = 4
    out_channels: int = 4
    block_out_channels: tuple[int, ...] = (320, 640, 1280, 1280)
    down_block_types: tuple[str, ...] = ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",)
    up_block_types: tuple[str, ...] = ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3
    mid_block_type: str | None = "UNetMidBlock2DCrossAttn"
    """The coarsest level: residual, attention, residual; `UNetMidBlock2D`: one residual block; None: nothing there."""
    layers_per_block: int | tuple[int, ...] = 2
    transformer_layers_per_block: int | tuple[int | tuple[int, ...], ...] = 1
    """Blocks in each spatial transformer: one number for all, a level, or a residual block of a level."""
    reverse_transformer_layers_per_block: tuple[int | tuple[int, ...], ...] | None = None
    """The same on the way up, from the coarsest level on, where it is not the way down reversed."""
    attention_head_dim: int | tuple[int, ...] = 8
    """Despite its published name this is the number of heads, one for all levels or one a level."""
    cross_attention_dim: int = 768
    use_linear_projection: bool = False
    norm_num_groups: int = 32
    norm_eps: float = 1e-5
    flip_sin_to_cos: bool = True
    freq_shift: int = 0
    center_input_sample: bool = False
    addition_embed_type: str | None = None
    addition_time_embed_dim: int | None = None
    """Width of the embedding of each number."""
    projection_class_embeddings_input_dim: int | None = None
    """Width of the pooled vector and of all numbers, side by side."""
    time_cond_proj_dim: int | None = None
    """Width of the embedding of the guidance scale."""
    only_cross_attention: bool | tuple[bool, ...] = False
    """Whether transformers have attention to the text in the place of self-attention, for all levels or by level."""
    num_class_embeds: int | None = None
    """How many classes have an embedding that is added to the time's."""

    fixed: ClassVar[dict[str, tuple[Any, ...]]] = {
        "act_fn": ("silu", "swish"),
        "mid_block_type": ("UNetMidBlock2DCrossAttn", "UNetMidBlock2D", None),
        "mid_block_only_cross_attention": (None, False),
        "mid_block_scale_factor": (1, 1.0),
        "downsample_padding": (1,),
        "conv_in_kernel": (3,),
        "conv_out_kernel": (3,),
        "resnet_time_scale_shift": ("default",),
        "time_embedding_type": ("positional",),
        "dual_cross_attention": (False,),
        "class_embeddings_concat": (False,),
        "dropout": (0.0, 0),
        "resnet_skip_time_act": (False,),
        "resnet_out_scale_factor": (1.0, 1),
        "attention_type": ("default",),
        "addition_embed_type": (None, "text_time"),
    } | dict.fromkeys(
        (
            "class_embed_type",
            "addition_embed_type_num_heads",
            "encoder_hid_dim",
            "encoder_hid_dim_type",
            "num_attention_heads",
            "time_embedding_dim",
            "time_embedding_act_fn",
            "timestep_post_act",
            "cross_attention_norm",
        ),
        (None,),
    )
    fixed["addition_embed_type_num_heads"] = (64, None)
    ignored: ClassVar[frozenset[str]] = frozenset({"upcast_attention"})
    """`upcast_attention` asks for exact scores at half precision; ours are rounded before a float32 softmax."""

    def heads(self, level: int) -> int:
        """Attention heads at `level` (0 is the finest)."""
        value = self.attention_head_dim
        return value if isinstance(value, int) else value[level]

    def layers(self, level: int) -> int:
        """Residual blocks at `level` on the way down; on the way up it has one more."""
        value = self.layers_per_block
        return value if isinstance(value, int) else value[level]

    def down_depths(self, level: int) -> tuple[int, ...]:
        """Transformer blocks after each residual block at `level` on the way down."""
        return _each(self.transformer_layers_per_block, level, self.layers(level))

    def up_depths(self, level: int) -> tuple[int, ...]:
        """Transformer blocks after each residual block at `level` on the way up."""
        if self.reverse_transformer_layers_per_block is not None:
            position = len(self.block_out_channels) - 1 - level
            return _each(self.reverse_transformer_layers_per_block, position, self.layers(level) + 1)
        return _each(self.transformer_layers_per_block, level, self.layers(level) + 1)

    def only_cross(self, level: int | None) -> bool:
        """Whether transformers at `level`, or in the middle for None, attend to the text alone."""
        value = self.only_cross_attention
        return value if isinstance(value, bool) else level is not None and value[level]

    @property
    def mid_cross(self) -> bool:
        """Whether the coarsest level attends to the text."""
        return self.mid_block_type == CROSS_MID

    @property
    def mid_depth(self) -> int:
        """Transformer blocks in the middle, where it attends to the text."""
        value = self.transformer_layers_per_block
        own = value if isinstance(value, int) else value[-1]
        return own if isinstance(own, int) else own[0]


CROSS_MID = "UNetMidBlock2DCrossAttn"
KINDS = {
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
}


def _each(value: int | tuple[int | tuple[int, ...], ...], level: int, count: int) -> tuple[int, ...]:
    """The numbers of one level, one for each of its `count` residual blocks."""
    own = value if isinstance(value, int) else value[level]
    if isinstance(own, int):
        return (own,) * count
    if len(own) != count:
        raise ValueError(f"{len(own)} depths of transformers {list(own)} for {count} residual blocks of a level")
    return own


DOWN = (
    *("down_block_types", "layers_per_block", "transformer_layers_per_block", "attention_head_dim"),
    "only_cross_attention",
)
UP = ("up_block_types", "reverse_transformer_layers_per_block")
"""What a configuration gives by level, for the way down and for the way up."""


def _check(config: UNetConfig, keys: tuple[str, ...]) -> None:
    """Whether what is given by level is given for each.

    Raises:
        ValueError: it is not, or a block is of a kind that is not known here.
    """
    levels = len(config.block_out_channels)
    for key in keys:
        value = getattr(config, key)
        if isinstance(value, tuple) and len(value) != levels:
            raise ValueError(f"{key} has {len(value)} values for {levels} levels")
        if key in KINDS and (unknown := [kind for kind in value if kind not in KINDS[key]]):
            raise ValueError(f"a {unknown[0]!r} in {key}, only {' or '.join(KINDS[key])}")


GUIDANCE_UNIT = 1000.0
"""Guidance scales are embedded as `GUIDANCE_UNIT * (scale - 1)`."""


class Level(nn.Module):
    """One resolution, down or up: residual blocks, each followed by a transformer where there are `depths`."""

    def __init__(
        self, config: UNetConfig, level: int, widths_in: list[int], width: int, depths: tuple[int, ...]
    ) -> None:
        super().__init__()
        time = 4 * config.block_out_channels[0]
        self.resnets = nn.ModuleList(
            ResnetBlock(c, width, time_channels=time, groups=config.norm_num_groups, eps=config.norm_eps)
            for c in widths_in
        )
        only = config.only_cross(level)
        self.attentions = nn.ModuleList(_transformer(config, level, depth, only) for depth in depths)
        self.downsamplers = nn.ModuleList()
        self.upsamplers = nn.ModuleList()

    def layer(self, i: int, x: Tensor, time: Tensor, context: Tensor) -> Tensor:
        """The i-th residual block and its attention."""
        x = self.resnets[i](x, time)
        return self.attentions[i](x, context) if self.attentions else x


def _transformer(config: UNetConfig, level: int, depth: int, only_cross: bool) -> SpatialTransformer:
    return SpatialTransformer(
        config.block_out_channels[level],
        config.heads(level),
        depth,
        config.cross_attention_dim,
        linear=config.use_linear_projection,
        groups=config.norm_num_groups,
        only_cross=only_cross,
    )


class MidBlock(nn.Module):
    """The coarsest level: residual, and where configured attention, residual."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        width, time = config.block_out_channels[-1], 4 * config.block_out_channels[0]
        cross = config.mid_cross
        self.resnets = nn.ModuleList(
            ResnetBlock(width, width, time_channels=time, groups=config.norm_num_groups, eps=config.norm_eps)
            for _ in range(2 if cross else 1)
        )
        level, only = len(config.block_out_channels) - 1, config.only_cross(None)
        self.attentions = nn.ModuleList([_transformer(config, level, config.mid_depth, only)] if cross else [])

    def forward(self, x: Tensor, time: Tensor, context: Tensor) -> Tensor:
        x = self.resnets[0](x, time)
        if self.attentions:
            x = self.resnets[1](self.attentions[0](x, context), time)
        return x


class UNetEncoder(nn.Module):
    """The first half of a U-Net: the embedding of time and micro-conditioning, the down blocks, the middle."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        _check(config, DOWN)
        self.config = config
        widths = config.block_out_channels
        time = 4 * widths[0]
        self.conv_in = nn.Conv2d(config.in_channels, widths[0], 3, padding=1)
        self.time_embedding = TimestepEmbedding(widths[0], time, config.time_cond_proj_dim)
        label_width = config.projection_class_embeddings_input_dim if config.addition_embed_type is not None else None
        self.add_embedding = None if label_width is None else TimestepEmbedding(label_width, time)
        classes = config.num_class_embeds
        self.class_embedding = None if classes is None else nn.Embedding(classes, time)

        self.down_blocks = nn.ModuleList()
        self.skips = [widths[0]]
        """The widths of the skips, in the order in which they are laid."""
        width = widths[0]
        for i, kind in enumerate(config.down_block_types):
            layers, depths = config.layers(i), config.down_depths(i) if kind.startswith("CrossAttn") else ()
            level = Level(config, i, [width] + [widths[i]] * (layers - 1), widths[i], depths)
            width = widths[i]
            self.skips += [width] * layers
            if i < len(widths) - 1:
                level.downsamplers.append(Downsample(width))
                self.skips.append(width)
            self.down_blocks.append(level)

        self.mid_block = None if config.mid_block_type is None else MidBlock(config)

    def down(
        self, x: Tensor, time: Tensor, tokens: Tensor, residuals: tuple[Tensor, ...] = ()
    ) -> tuple[Tensor, list[Tensor]]:
        """What the middle gives, and the skips.

        Args:
            x: what `conv_in` gives.
            residuals: of the levels, see `Residuals`; one more is the middle's.
        """
        skips = [x]
        for position, level in enumerate(cast("list[Level]", self.down_blocks)):
            for i in range(len(level.resnets)):
                x = level.layer(i, x, time, tokens)
                skips.append(x)
            # Where diffusers adds it: in levels with attention before their downsampling, in others behind it.
            before = bool(level.attentions)
            if before and position < len(residuals):
                x = skips[-1] = x + residuals[position]
            for downsample in level.downsamplers:
                x = downsample(x)
                skips.append(x)
            if not before and position < len(residuals):
                x = skips[-1] = x + residuals[position]
        if self.mid_block is not None:
            x = self.mid_block(x, time, tokens)
        if len(residuals) > len(self.down_blocks):
            x = x + residuals[-1]
        return x, skips

    def time(self, label: Tensor, cond: Conditioning, dtype: torch.dtype) -> Float[Tensor, "b t"]:
        """The time embedding, and added to it those of the pooled vector and of the micro-conditioning."""
        config = self.config

        def embedded(values: Tensor, dim: int) -> Tensor:
            return sinusoidal(values, dim, cos_first=config.flip_sin_to_cos, shift=config.freq_shift).to(dtype)

        scale = None
        if config.time_cond_proj_dim is not None and cond.guidance is not None:
            weight = GUIDANCE_UNIT * (cond.guidance - 1)
            scale = sinusoidal(weight, config.time_cond_proj_dim, cos_first=False, shift=1.0).to(dtype)
        time: Tensor = self.time_embedding(embedded(label, config.block_out_channels[0]), scale)
        if self.class_embedding is not None:
            assert cond.kind is not None
            time = time + self.class_embedding(cond.kind).to(dtype)
        if self.add_embedding is None:
            return time
        assert cond.pooled is not None
        assert cond.numbers is not None
        assert config.addition_time_embed_dim is not None
        numbers = embedded(cond.numbers.flatten(), config.addition_time_embed_dim).reshape(len(cond), -1)
        return time + self.add_embedding(torch.cat([cond.pooled.to(dtype), numbers], dim=-1))


class UNet(UNetEncoder):
    """F(x, label, cond): noisy latents, time label and text to the raw prediction."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__(config)
        _check(config, UP)
        widths, skips = config.block_out_channels, list(self.skips)
        width = widths[-1]
        self.up_blocks = nn.ModuleList()
        for position, kind in enumerate(config.up_block_types):
            i = len(widths) - 1 - position
            widths_in = []
            for _ in range(config.layers(i) + 1):
                widths_in.append(width + skips.pop())
                width = widths[i]
            depths = config.up_depths(i) if kind.startswith("CrossAttn") else ()
            level = Level(config, i, widths_in, width, depths)
            if i > 0:
                level.upsamplers.append(Upsample(width))
            self.up_blocks.append(level)

        self.conv_norm_out = GroupNorm(config.norm_num_groups, widths[0], eps=config.norm_eps)
        self.conv_out = nn.Conv2d(widths[0], config.out_channels, 3, padding=1)

    def forward(
        self,
        x: Float[Tensor, "b c h w"],
        label: Float[Tensor, " b"],
        cond: Conditioning,
        residuals: Residuals = NO_RESIDUALS,
    ) -> Float[Tensor, "b k h w"]:
        """`label` is the time label in training steps, 0 to 999, fractions allowed."""
        return self.whole(x, label, cond, residuals)[0]

    def whole(
        self,
        x: Float[Tensor, "b c h w"],
        label: Float[Tensor, " b"],
        cond: Conditioning,
        residuals: Residuals = NO_RESIDUALS,
    ) -> tuple[Float[Tensor, "b k h w"], Float[Tensor, "b d h w"]]:
        """The prediction, and the deep features, which come up to the last layer."""
        x, time, tokens = self._entered(x, label, cond)
        x, skips = self.down(x, time, tokens, residuals.levels)
        if residuals.skips:
            skips = [skip + more for skip, more in zip(skips, residuals.skips, strict=True)]
        if residuals.mid is not None:
            x = x + residuals.mid
        for level in cast("list[Level]", self.up_blocks):
            for i in range(len(level.resnets)):
                if len(skips) > 1:
                    x = level.layer(i, torch.cat([x, skips.pop()], dim=1), time, tokens)
            for upsample in level.upsamplers:
                x = upsample(x, size=(skips[-1].shape[2], skips[-1].shape[3]))
        return self._left(x, skips[0], time, tokens), x

    def shallow(
        self,
        x: Float[Tensor, "b c h w"],
        label: Float[Tensor, " b"],
        cond: Conditioning,
        deep: Float[Tensor, "b d h w"],
    ) -> Float[Tensor, "b k h w"]:
        """The prediction by the first convolution and the last layer alone, with deep features of another call."""
        x, time, tokens = self._entered(x, label, cond)
        return self._left(deep, x, time, tokens)

    def _entered(self, x: Tensor, label: Tensor, cond: Conditioning) -> tuple[Tensor, Tensor, Tensor]:
        """The first skip, the time embedding, and what attention sees beside the picture."""
        tokens = cond.tokens if cond.seen is None else torch.cat([cond.tokens, cond.seen.to(cond.tokens)], dim=1)
        if cond.channels is not None:
            x = torch.cat([x, cond.channels.to(x)], dim=1)
        if self.config.center_input_sample:
            x = 2 * x - 1.0
        return self.conv_in(x), self.time(label, cond, x.dtype), tokens

    def _left(self, deep: Tensor, skip: Tensor, time: Tensor, tokens: Tensor) -> Tensor:
        """The last layer and what follows."""
        level = cast("Level", self.up_blocks[-1])
        x = level.layer(len(level.resnets) - 1, torch.cat([deep, skip], dim=1), time, tokens)
        return self.conv_out(F.silu(self.conv_norm_out(x)))
