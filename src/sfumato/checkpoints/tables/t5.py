"""T5's encoder inside a Stable Diffusion 3 checkpoint or a file alone: transformers' own names below a prefix."""

import re

from sfumato.checkpoints.rules import Ignore, Move, Rule


def table(file: str = "text_encoders.t5xxl.transformer.", model: str = "") -> tuple[Rule, ...]:
    """The rules for an encoder of any size."""
    prefix = re.escape(file)
    above = re.escape(file.removesuffix("transformer."))
    return (
        Ignore(rf"{prefix}encoder\.embed_tokens\.weight$", "a second copy of the words' vectors"),
        Ignore(rf"({above}|{prefix})(logit_scale|spiece_model|scaled_fp8)$", "notes of other programs"),
        Move(f"{file}shared", f"{model}shared"),
        Move(f"{file}encoder", f"{model}encoder"),
    )
