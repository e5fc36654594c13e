"""The KL autoencoder as latent-diffusion code names it: in a checkpoint below `first_stage_model.`, or a file alone.

Names: `diffusionmodules/model.py` of https://github.com/CompVis/latent-diffusion. `decoder.up` counts from the finest
level, the model's `up_blocks` from the coarsest; attention is made of 1x1 convolutions there.
"""

from sfumato.checkpoints.rules import Ignore, Move, Pointwise, Rule
from sfumato.models.autoencoder_kl import AutoencoderKLConfig

ATTENTION = {"q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}


def table(
    config: AutoencoderKLConfig, file: str = "first_stage_model.", model: str = "", *, linear: bool = False
) -> tuple[Rule, ...]:
    """The rules for an autoencoder of that configuration.

    Args:
        linear: the file's attention is of linear layers, as some programs write it.
    """
    rules: list[Rule] = [
        Ignore(file.replace(".", r"\.") + r"loss\.", "the discriminator and losses that it was trained with"),
        Ignore(file.replace(".", r"\.") + r"model_ema\.", "a moving average of the weights"),
    ]
    pairs: dict[str, str] = {}

    def residual(theirs: str, ours: str) -> None:
        pairs.update({f"{theirs}.{name}": f"{ours}.{name}" for name in ("norm1", "conv1", "norm2", "conv2")})
        pairs[f"{theirs}.nin_shortcut"] = f"{ours}.conv_shortcut"

    for side in ("encoder", "decoder"):
        pairs |= {f"{side}.conv_in": f"{side}.conv_in", f"{side}.conv_out": f"{side}.conv_out"}
        pairs[f"{side}.norm_out"] = f"{side}.conv_norm_out"
        residual(f"{side}.mid.block_1", f"{side}.mid_block.resnets.0")
        residual(f"{side}.mid.block_2", f"{side}.mid_block.resnets.1")
        if config.mid_block_add_attention:
            theirs, ours = f"{side}.mid.attn_1", f"{side}.mid_block.attentions.0"
            pairs[f"{theirs}.norm"] = f"{ours}.group_norm"
            kind = Move if linear else Pointwise
            rules += [kind(f"{file}{theirs}.{a}", f"{model}{ours}.{b}") for a, b in ATTENTION.items()]
    levels = len(config.block_out_channels)
    for level in range(levels):
        for i in range(config.layers_per_block):
            residual(f"encoder.down.{level}.block.{i}", f"encoder.down_blocks.{level}.resnets.{i}")
        for i in range(config.layers_per_block + 1):
            residual(f"decoder.up.{levels - 1 - level}.block.{i}", f"decoder.up_blocks.{level}.resnets.{i}")
        if level < levels - 1:
            pairs[f"encoder.down.{level}.downsample.conv"] = f"encoder.down_blocks.{level}.downsamplers.0.conv"
            pairs[f"decoder.up.{levels - 1 - level}.upsample.conv"] = f"decoder.up_blocks.{level}.upsamplers.0.conv"
    if config.use_quant_conv:
        pairs["quant_conv"] = "quant_conv"
    if config.use_post_quant_conv:
        pairs["post_quant_conv"] = "post_quant_conv"
    return (*rules, *(Move(file + theirs, model + ours) for theirs, ours in pairs.items()))
