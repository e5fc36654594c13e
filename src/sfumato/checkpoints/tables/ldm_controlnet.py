"""ControlNet as its authors name it: the U-Net's way down, and convolutions without effect at first.

Names: `cldm.py` of https://github.com/lllyasviel/ControlNet, where `zero_convs` stand one for a block on the way down,
and `input_hint_block` is a row of convolutions with an activation after each, so that their numbers are even.
"""

from sfumato.checkpoints.rules import Ignore, Move, Rule
from sfumato.checkpoints.tables import ldm_unet
from sfumato.models.controlnet import ControlNetConfig

PREFIX = "control_model."
BESIDE = r"(?!control_model\.)(model|first_stage_model|cond_stage_model|logvar|betas|alphas|sqrt|log_|posterior)"


def table(config: ControlNetConfig, file: str = "") -> tuple[Rule, ...]:
    """The rules for a ControlNet of that configuration.

    Args:
        file: where its names begin, `PREFIX` or nothing; with it the model that it was trained on is left aside.
    """
    hints = 2 * (len(config.conditioning_embedding_out_channels) - 1)
    pairs = {
        "input_hint_block.0": "controlnet_cond_embedding.conv_in",
        f"input_hint_block.{2 * (hints + 1)}": "controlnet_cond_embedding.conv_out",
        "middle_block_out.0": "controlnet_mid_block",
    }
    pairs |= {f"input_hint_block.{2 * (i + 1)}": f"controlnet_cond_embedding.blocks.{i}" for i in range(hints)}
    blocks = sum(config.layers(level) + 1 for level in range(len(config.block_out_channels)))
    pairs |= {f"zero_convs.{i}.0": f"controlnet_down_blocks.{i}" for i in range(blocks)}
    beside = (Ignore(BESIDE, "the model that it was trained on"),) if file else ()
    down = ldm_unet.table(config, file=file)
    return (*beside, *down, *(Move(file + theirs, ours) for theirs, ours in pairs.items()))
