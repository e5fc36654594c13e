"""The U-Net as latent-diffusion code and SDXL's name it, in one numbered row of blocks down and one up.

Names: `openaimodel.py` of https://github.com/CompVis/stable-diffusion, where `input_blocks.0.0` is the first
convolution and each further block is a residual block (0) with its attention (1), or a downsampling (0) alone; in
`output_blocks` the upsampling is the last part of a level's last block. `label_emb` is of
https://github.com/Stability-AI/generative-models. No latent consistency model is published in this layout; its
`cond_proj` is put where the module that holds it has its place.
"""

from sfumato.checkpoints.rules import Move, Rule
from sfumato.models.unet import UNetConfig

RESIDUAL = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
FIXED = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}


def table(config: UNetConfig, file: str = "model.diffusion_model.", model: str = "") -> tuple[Rule, ...]:
    """The rules for a U-Net of that configuration."""
    pairs = dict(FIXED)

    def residual(theirs: str, ours: str) -> None:
        pairs.update({f"{theirs}.{a}": f"{ours}.{b}" for a, b in RESIDUAL.items()})

    if config.addition_embed_type is not None:
        pairs |= {"label_emb.0.0": "add_embedding.linear_1", "label_emb.0.2": "add_embedding.linear_2"}
    if config.time_cond_proj_dim is not None:
        pairs["time_embed.cond_proj"] = "time_embedding.cond_proj"
    if config.mid_block_type is not None:
        residual("middle_block.0", "mid_block.resnets.0")
    if config.mid_cross:
        pairs["middle_block.1"] = "mid_block.attentions.0"
        residual("middle_block.2", "mid_block.resnets.1")
    last = len(config.block_out_channels) - 1
    block = 1
    for level, kind in enumerate(config.down_block_types):
        for i in range(config.layers(level)):
            residual(f"input_blocks.{block}.0", f"down_blocks.{level}.resnets.{i}")
            if kind.startswith("CrossAttn"):
                pairs[f"input_blocks.{block}.1"] = f"down_blocks.{level}.attentions.{i}"
            block += 1
        if level < last:
            pairs[f"input_blocks.{block}.0.op"] = f"down_blocks.{level}.downsamplers.0.conv"
            block += 1
    block = 0
    for level, kind in enumerate(config.up_block_types):
        cross = kind.startswith("CrossAttn")
        for i in range(config.layers(last - level) + 1):
            residual(f"output_blocks.{block}.0", f"up_blocks.{level}.resnets.{i}")
            if cross:
                pairs[f"output_blocks.{block}.1"] = f"up_blocks.{level}.attentions.{i}"
            block += 1
        if level < last:
            pairs[f"output_blocks.{block - 1}.{2 if cross else 1}.conv"] = f"up_blocks.{level}.upsamplers.0.conv"
    return tuple(Move(file + theirs, model + ours) for theirs, ours in pairs.items())
