"""CLIP's text encoder inside a Stable Diffusion 1.x checkpoint: transformers' own names below a prefix.

Names: `FrozenCLIPEmbedder` of https://github.com/CompVis/stable-diffusion, `ldm/modules/encoders/modules.py`.
"""

import re

from sfumato.checkpoints.rules import Ignore, Move, Rename, Rule


def table(file: str = "cond_stage_model.transformer.", model: str = "") -> tuple[Rule, ...]:
    """The rules for an encoder of any size."""
    prefix = re.escape(file)
    above = re.escape(file.removesuffix("transformer."))
    return (
        Rename(rf"^{prefix}(?=embeddings\.|encoder\.|final_layer_norm\.)", f"{file}text_model."),  # some merges drop it
        Ignore(rf"{prefix}text_model\.embeddings\.position_ids$", "0, 1, 2 ...: a constant that old files carry"),
        Ignore(rf"({above}|{prefix})(logit_scale|text_projection)(\.weight)?$", "of CLIP's comparison with pictures"),
        Move(f"{file}text_model", f"{model}text_model"),
    )
