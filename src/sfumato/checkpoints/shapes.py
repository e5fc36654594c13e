"""Configurations of networks from the names and shapes of tensors in the layouts of single files.

What shapes do not tell is left at the values of Stable Diffusion 1 (2 and XL where projections are linear).
"""

import math
from dataclasses import replace

from sfumato.checkpoints.rules import Shapes
from sfumato.checkpoints.tables import open_clip_text
from sfumato.errors import CheckpointError
from sfumato.models.autoencoder_kl import AutoencoderKLConfig
from sfumato.models.clip import CLIPTextConfig, ProjectedCLIPTextConfig
from sfumato.models.controlnet import ControlNetConfig
from sfumato.models.mmdit import MMDiTConfig
from sfumato.models.sd3_controlnet import SINCOS, SD3ControlNetConfig
from sfumato.models.t2i_adapter import LIGHT, XL, T2IAdapterConfig
from sfumato.models.t5 import T5Config
from sfumato.models.unet import CROSS_MID, UNetConfig


class ShapesByName:
    """Shapes by name; what is asked for must be there."""

    def __init__(self, shapes: Shapes, source: str) -> None:
        self.shapes = shapes
        self.source = source

    def __contains__(self, name: str) -> bool:
        return name in self.shapes

    def axis(self, name: str, axis: int) -> int:
        """The length of an axis. Raises CheckpointError where there is none."""
        if name not in self.shapes:
            raise CheckpointError(f"{self.source} does not fit: {name!r} is missing")
        shape = self.shapes[name]
        if axis >= len(shape) or shape[axis] < 1:
            raise CheckpointError(f"{self.source} does not fit: {name!r} has the shape {shape}")
        return shape[axis]

    def rank(self, name: str) -> int:
        """How many axes. Raises CheckpointError for a scalar or where there is none."""
        self.axis(name, 0)
        return len(self.shapes[name])

    def count(self, pattern: str) -> int:
        """How many numbers from 0 on make `pattern` a name."""
        number = 0
        while pattern.format(number) in self.shapes:
            number += 1
        return number

    def every(self, pattern: str, step: int, begin: int = 0) -> list[str]:
        """The names that `pattern` makes of `begin`, `begin + step` ... as long as they are there."""
        names: list[str] = []
        while (name := pattern.format(begin + step * len(names))) in self.shapes:
            names.append(name)
        return names

    def fail(self, why: str) -> CheckpointError:
        """To be raised."""
        return CheckpointError(f"{self.source} does not fit: {why}")


Depth = int | tuple[int, ...]
"""Blocks in the transformers of a level: one number, or one for each residual block."""


def read_unet(shapes: ShapesByName, prefix: str) -> UNetConfig:
    """Walk the blocks: a convolution, then levels of residual blocks that end in a downsampling, and back up."""
    first = f"{prefix}input_blocks.0.0.weight"
    channels = shapes.axis(first, 1)
    widths, down = _way_down(shapes, prefix)
    up = _way_up(shapes, prefix)
    depths = [_depth(shapes, level) for level in down]
    ups = [_depth(shapes, level) for level in reversed(up)]
    layers = [len(level) for level in down]
    middle = f"{prefix}middle_block.1."
    depth = shapes.count(middle + "transformer_blocks.{}.attn2.to_k.weight") or None
    last = depths[-1][0] if isinstance(depths[-1], tuple) else depths[-1]
    if depth is not None and last not in (None, depth):
        raise shapes.fail(f"transformers of {depths[-1]} blocks beside {depth} in the middle")
    label, guided = f"{prefix}label_emb.0.0.weight", f"{prefix}time_embed.cond_proj.weight"
    attention = next((name for name in shapes.shapes if name.startswith(prefix) and name.endswith(KEYS)), middle)
    transformer = attention.partition("transformer_blocks.")[0]
    linear = shapes.rank(f"{transformer}proj_in.weight") == 2
    own = {own for own in (*depths, depth) if own is not None}
    even = all(isinstance(level, int) for level in own) and depths == ups
    filled = [*depths[:-1], depth if depths[-1] is None else depths[-1]]
    return UNetConfig(
        in_channels=channels,
        out_channels=shapes.axis(f"{prefix}out.2.weight", 0),
        block_out_channels=tuple(widths),
        down_block_types=tuple("DownBlock2D" if there is None else "CrossAttnDownBlock2D" for there in depths),
        up_block_types=tuple("UpBlock2D" if there is None else "CrossAttnUpBlock2D" for there in reversed(ups)),
        mid_block_type=_middle(shapes, prefix, attends=depth is not None),
        layers_per_block=layers[0] if len(set(layers)) == 1 else tuple(layers),
        transformer_layers_per_block=own.pop() if even and len(own) == 1 else tuple(level or 1 for level in filled),
        reverse_transformer_layers_per_block=None if even else tuple(level or 1 for level in reversed(ups)),
        attention_head_dim=tuple(max(1, width // 64) for width in widths) if linear else 8,
        cross_attention_dim=shapes.axis(attention, 1),
        use_linear_projection=linear,
        addition_embed_type="text_time" if label in shapes else None,
        addition_time_embed_dim=256 if label in shapes else None,
        projection_class_embeddings_input_dim=shapes.axis(label, 1) if label in shapes else None,
        time_cond_proj_dim=shapes.axis(guided, 1) if guided in shapes else None,
    )


KEYS = ".transformer_blocks.0.attn2.to_k.weight"


def _way_down(shapes: ShapesByName, prefix: str) -> tuple[list[int], list[list[int]]]:
    """The width of each level, and the depth of the transformer after each of its residual blocks, 0 for none."""
    widths: list[int] = []
    levels: list[list[int]] = [[]]
    block, width = 1, 0
    while True:
        name = f"{prefix}input_blocks.{block}."
        if name + "0.op.weight" in shapes:
            widths.append(width)
            levels.append([])
        elif name + "0.in_layers.2.weight" in shapes:
            width = shapes.axis(name + "0.in_layers.2.weight", 0)
            levels[-1].append(shapes.count(name + "1.transformer_blocks.{}.attn2.to_k.weight"))
        else:
            break
        block += 1
    widths.append(width)
    if not all(levels):
        raise shapes.fail("a level of its U-Net has no residual block")
    return widths, levels


def _way_up(shapes: ShapesByName, prefix: str) -> list[list[int]]:
    """The same of the levels on the way up, which end in an upsampling."""
    levels: list[list[int]] = [[]]
    block = 0
    while f"{prefix}output_blocks.{block}.0.in_layers.2.weight" in shapes:
        name = f"{prefix}output_blocks.{block}."
        levels[-1].append(shapes.count(name + "1.transformer_blocks.{}.attn2.to_k.weight"))
        if f"{name}1.conv.weight" in shapes or f"{name}2.conv.weight" in shapes:
            levels.append([])
        block += 1
    return levels


def _depth(shapes: ShapesByName, level: list[int]) -> Depth | None:
    """None where no residual block of a level has a transformer."""
    if not any(level):
        return None
    if not all(level):
        raise shapes.fail(f"a level has transformers of {level} blocks; all residual blocks or none must have one")
    return level[0] if len(set(level)) == 1 else tuple(level)


def _middle(shapes: ShapesByName, prefix: str, *, attends: bool) -> str | None:
    if attends:
        return CROSS_MID
    return "UNetMidBlock2D" if f"{prefix}middle_block.0.in_layers.2.weight" in shapes else None


def read_ldm_controlnet(shapes: ShapesByName, prefix: str) -> ControlNetConfig:
    """A ControlNet's configuration as its authors name it; every second convolution that sees the picture widens."""
    widths, down = _way_down(shapes, prefix)
    hints = shapes.every(prefix + "input_hint_block.{}.weight", 4)
    return _controlnet(
        shapes,
        widths,
        down,
        middle=shapes.count(prefix + "middle_block.1.transformer_blocks.{}.attn2.to_k.weight"),
        first=f"{prefix}input_blocks.0.0.weight",
        label=f"{prefix}label_emb.0.0.weight",
        hints=hints,
    )


def read_controlnet(shapes: ShapesByName) -> ControlNetConfig:
    """The configuration of a ControlNet as diffusers names it."""
    start = "down_blocks.{}."
    levels = range(shapes.count(start + "resnets.0.conv1.weight"))
    widths = [shapes.axis(start.format(level) + "resnets.0.conv1.weight", 0) for level in levels]
    down = [
        [
            shapes.count(f"{start.format(level)}attentions.{i}.transformer_blocks.{{}}.attn2.to_k.weight")
            for i in range(shapes.count(start.format(level) + "resnets.{}.conv1.weight"))
        ]
        for level in levels
    ]
    if not widths:
        raise shapes.fail("it has no first level")
    hint = "controlnet_cond_embedding."
    wide = shapes.every(hint + "blocks.{}.weight", 2, begin=1)
    return _controlnet(
        shapes,
        widths,
        down,
        middle=shapes.count("mid_block.attentions.0.transformer_blocks.{}.attn2.to_k.weight"),
        first="conv_in.weight",
        label="add_embedding.linear_1.weight",
        hints=[f"{hint}conv_in.weight", *wide],
    )


def read_t2i_adapter(shapes: ShapesByName) -> T2IAdapterConfig:
    """A T2I-Adapter's configuration as diffusers names it. SDXL's folds 16 pixels a side into channels, others 8."""
    stages = shapes.count("adapter.body.{}.resnets.0.block1.weight")
    light = "adapter.body.0.out_conv.weight" in shapes
    ends = ["out_conv" if light else "resnets.0.block1"] * stages
    widths = [shapes.axis(f"adapter.body.{i}.{end}.weight", 0) for i, end in enumerate(ends)]
    folded = shapes.axis("adapter.body.0.in_conv.weight" if light else "adapter.conv_in.weight", 1)
    xl = not light and folded % 256 == 0
    factor = 16 if xl else 8
    return T2IAdapterConfig(
        in_channels=folded // factor**2,
        channels=tuple(widths[:-1] if light else widths),
        num_res_blocks=shapes.count("adapter.body.0.resnets.{}.block1.weight"),
        downscale_factor=factor,
        adapter_type=LIGHT if light else XL if xl else "full_adapter",
    )


def _controlnet(
    shapes: ShapesByName,
    widths: list[int],
    down: list[list[int]],
    *,
    middle: int,
    first: str,
    label: str,
    hints: list[str],
) -> ControlNetConfig:
    """The configuration of a ControlNet whose levels have these widths and depths of transformers.

    Args:
        middle: the depth of the transformer in the middle, 0 for none.
        first, label, hints: names of the first convolution, of the first layer of SDXL's micro-conditioning, and of
            the convolutions that see the picture, one a width.
    """
    depths = [_depth(shapes, level) for level in down]
    layers = [len(level) for level in down]
    attention = next((name for name in shapes.shapes if name.endswith(KEYS)), KEYS)
    linear = shapes.rank(attention.partition("transformer_blocks.")[0] + "proj_in.weight") == 2
    filled = [*depths[:-1], depths[-1] or middle]
    if not hints:
        raise shapes.fail("it sees no picture")
    return ControlNetConfig(
        in_channels=shapes.axis(first, 1),
        block_out_channels=tuple(widths),
        down_block_types=tuple("DownBlock2D" if there is None else "CrossAttnDownBlock2D" for there in depths),
        mid_block_type=CROSS_MID if middle else "UNetMidBlock2D",
        layers_per_block=layers[0] if len(set(layers)) == 1 else tuple(layers),
        transformer_layers_per_block=tuple(level or 1 for level in filled),
        attention_head_dim=tuple(max(1, width // 64) for width in widths) if linear else 8,
        cross_attention_dim=shapes.axis(attention, 1),
        use_linear_projection=linear,
        addition_embed_type="text_time" if label in shapes else None,
        addition_time_embed_dim=256 if label in shapes else None,
        projection_class_embeddings_input_dim=shapes.axis(label, 1) if label in shapes else None,
        conditioning_channels=shapes.axis(hints[0], 1),
        conditioning_embedding_out_channels=tuple(shapes.axis(name, 0) for name in hints),
    )


def read_vae(shapes: ShapesByName, prefix: str) -> AutoencoderKLConfig:
    """The configuration of the KL autoencoder, as latent-diffusion code names it."""
    levels = shapes.count(prefix + "encoder.down.{}.block.0.conv1.weight")
    return AutoencoderKLConfig(
        in_channels=shapes.axis(f"{prefix}encoder.conv_in.weight", 1),
        out_channels=shapes.axis(f"{prefix}decoder.conv_out.weight", 0),
        latent_channels=shapes.axis(f"{prefix}decoder.conv_in.weight", 1),
        block_out_channels=tuple(
            shapes.axis(f"{prefix}encoder.down.{i}.block.0.conv1.weight", 0) for i in range(levels)
        ),
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        layers_per_block=shapes.count(prefix + "encoder.down.0.block.{}.conv1.weight"),
        use_quant_conv=f"{prefix}quant_conv.weight" in shapes,
        use_post_quant_conv=f"{prefix}post_quant_conv.weight" in shapes,
        mid_block_add_attention=f"{prefix}encoder.mid.attn_1.q.weight" in shapes,
    )


def linear_vae(shapes: ShapesByName, prefix: str) -> bool:
    """Whether the autoencoder's attention is of linear layers."""
    name = f"{prefix}encoder.mid.attn_1.q.weight"
    return name in shapes and shapes.rank(name) == 2


def read_clip(shapes: ShapesByName, start: str) -> CLIPTextConfig:
    """The configuration of a text encoder as transformers names it."""
    inner = start + "text_model." if start + "text_model.final_layer_norm.weight" in shapes else start
    return _text(
        shapes,
        words=inner + "embeddings.token_embedding.weight",
        places=inner + "embeddings.position_embedding.weight",
        layers=shapes.count(inner + "encoder.layers.{}.layer_norm1.weight"),
        inner=inner + "encoder.layers.0.mlp.fc1.weight",
    )


def read_open_clip(shapes: ShapesByName, start: str, *, projected: bool) -> CLIPTextConfig:
    """The configuration of a text encoder as OpenCLIP names it."""
    layers = shapes.count(start + "transformer.resblocks.{}.ln_1.weight")
    config = _text(
        shapes,
        words=start + "token_embedding.weight",
        places=start + "positional_embedding",
        layers=layers if projected else min(layers, open_clip_text.DEPTH - 1),
        inner=start + "transformer.resblocks.0.mlp.c_fc.weight",
    )
    config = replace(config, hidden_act="gelu", pad_token_id=0)
    if not projected:
        return replace(config, projection_dim=512)
    width = shapes.axis(start + "text_projection", 1)
    return ProjectedCLIPTextConfig(**{**vars(config), "projection_dim": width})


def _text(shapes: ShapesByName, *, words: str, places: str, layers: int, inner: str) -> CLIPTextConfig:
    """CLIP's heads are 64 wide in every published size."""
    width = shapes.axis(words, 1)
    return CLIPTextConfig(
        vocab_size=shapes.axis(words, 0),
        hidden_size=width,
        intermediate_size=shapes.axis(inner, 0),
        num_hidden_layers=layers,
        num_attention_heads=max(1, width // 64),
        max_position_embeddings=shapes.axis(places, 0),
        projection_dim=width,
    )


def read_projected(shapes: ShapesByName, start: str) -> ProjectedCLIPTextConfig:
    """A text encoder's configuration as transformers names it, with its projection; a missing one is the identity."""
    config = read_clip(shapes, start)
    projection = f"{start}text_projection.weight"
    width = shapes.axis(projection, 0) if projection in shapes else config.hidden_size
    return ProjectedCLIPTextConfig(**{**vars(config), "projection_dim": width})


def read_mmdit(shapes: ShapesByName, prefix: str) -> MMDiTConfig:
    """Configuration of Stable Diffusion 3's transformer; heads are 64 wide unless their norms say otherwise."""
    layers = shapes.count(prefix + "joint_blocks.{}.x_block.attn.qkv.weight")
    if not layers:
        raise shapes.fail("it has no first block")
    width, patch = (shapes.axis(f"{prefix}x_embedder.proj.weight", axis) for axis in (0, 2))
    norm = f"{prefix}joint_blocks.0.x_block.attn.ln_q.weight"
    head = shapes.axis(norm, 0) if norm in shapes else MMDiTConfig.attention_head_dim
    places, row = shapes.axis(f"{prefix}pos_embed", 1), f"{prefix}final_layer.linear.weight"
    return MMDiTConfig(
        patch_size=patch,
        in_channels=shapes.axis(f"{prefix}x_embedder.proj.weight", 1),
        out_channels=shapes.axis(row, 0) // patch**2,
        num_layers=layers,
        attention_head_dim=head,
        num_attention_heads=max(1, width // head),
        joint_attention_dim=shapes.axis(f"{prefix}context_embedder.weight", 1),
        caption_projection_dim=width,
        pooled_projection_dim=shapes.axis(f"{prefix}y_embedder.mlp.0.weight", 1),
        pos_embed_max_size=math.isqrt(places),
        dual_attention_layers=tuple(
            i for i in range(layers) if f"{prefix}joint_blocks.{i}.x_block.attn2.qkv.weight" in shapes
        ),
        qk_norm="rms_norm" if norm in shapes else None,
    )


def read_sd3_controlnet(shapes: ShapesByName, *, fused: bool) -> SD3ControlNetConfig:
    """The configuration of a ControlNet of Stable Diffusion 3.

    One that sees the text is taken for one of InstantX's, trained without the pooled text; one that
    does not for one of Stability's.

    Args:
        fused: as Stability names it.
    """
    block, seen = "transformer_blocks.0.", "pos_embed_input.proj.weight"
    width, patch = (shapes.axis(seen, axis) for axis in (0, 2))
    norm, places, text = f"{block}attn.norm_q.weight", "pos_embed.pos_embed", "context_embedder.weight"
    head = shapes.axis(norm, 0) if norm in shapes else SD3ControlNetConfig.attention_head_dim
    own, joint = "pos_embed.proj.weight" in shapes, text in shapes
    channels = shapes.axis("pos_embed.proj.weight" if own else seen, 1)
    layers = shapes.count(f"transformer_blocks.{{}}.attn.{'qkv' if fused else 'to_q'}.weight")
    return SD3ControlNetConfig(
        patch_size=patch,
        in_channels=channels,
        out_channels=channels,
        num_layers=layers,
        attention_head_dim=head,
        num_attention_heads=max(1, width // head),
        joint_attention_dim=shapes.axis(text, 1) if joint else None,
        caption_projection_dim=width,
        pooled_projection_dim=shapes.axis("time_text_embed.text_embedder.linear_1.weight", 1),
        pos_embed_max_size=math.isqrt(shapes.axis(places, 1)) if places in shapes else None,
        dual_attention_layers=tuple(i for i in range(layers) if f"transformer_blocks.{i}.attn2.to_q.weight" in shapes),
        qk_norm="rms_norm" if norm in shapes else None,
        extra_conditioning_channels=shapes.axis(seen, 1) - channels,
        use_pos_embed=own,
        pos_embed_type=SINCOS if places in shapes else None,
        force_zeros_for_pooled_projection=joint,
    )


def read_t5(shapes: ShapesByName, start: str) -> T5Config:
    """The configuration of T5's encoder."""
    first = f"{start}encoder.block.0.layer."
    bias = f"{first}0.SelfAttention.relative_attention_bias.weight"
    heads = shapes.axis(bias, 1)
    return T5Config(
        vocab_size=shapes.axis(f"{start}shared.weight", 0),
        d_model=shapes.axis(f"{start}shared.weight", 1),
        d_kv=shapes.axis(f"{first}0.SelfAttention.q.weight", 0) // heads,
        d_ff=shapes.axis(f"{first}1.DenseReluDense.wi_0.weight", 0),
        num_layers=shapes.count(start + "encoder.block.{}.layer.0.layer_norm.weight"),
        num_heads=heads,
        relative_attention_num_buckets=shapes.axis(bias, 0),
    )
