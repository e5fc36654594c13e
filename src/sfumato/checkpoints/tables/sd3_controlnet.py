"""ControlNets of Stable Diffusion 3.5 Large as Stability names them: diffusers' names but for the blocks, whose q, k
and v are one fused tensor. `control_type` says what it was trained on, see `models.sd3_controlnet`.

Names: `dit_embedder.py` of https://github.com/Stability-AI/sd3.5 with `DismantledBlock` of its `mmditx.py`.
"""

from sfumato.checkpoints.rules import Ignore, Move, Rule, Split
from sfumato.checkpoints.tables.mmdit import PICTURE
from sfumato.models.sd3_controlnet import SD3ControlNetConfig

TYPE = "control_type"


def table(config: SD3ControlNetConfig) -> tuple[Rule, ...]:
    """The rules for a ControlNet of that configuration."""
    rules: list[Rule] = [Ignore(f"{TYPE}$", "a number that says what it was trained on")]
    rules += [Move(name, name) for name in ("controlnet_blocks", "pos_embed_input", "time_text_embed")]
    for i in range(config.num_layers):
        block = f"transformer_blocks.{i}."
        rules += [Move(block + theirs, block + ours) for theirs, ours in PICTURE.items()]
        rules += [
            Split(f"{block}attn.qkv.{kind}", tuple(f"{block}attn.to_{c}.{kind}" for c in "qkv"))
            for kind in ("weight", "bias")
        ]
    return tuple(rules)
