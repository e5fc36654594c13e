"""T5's encoder in a GGUF file of llama.cpp: its tensors by transformers' names, and the tokenizer that is inside."""

import re
from collections.abc import Mapping
from typing import Any

from sfumato.errors import CheckpointError
from sfumato.models.t5_tokenizer import T5Tokenizer

NAMES = (
    (r"^token_embd\.", "shared."),
    (r"^enc\.output_norm\.", "encoder.final_layer_norm."),
    (r"^enc\.blk\.(\d+)\.attn_([qkvo])\.", r"encoder.block.\1.layer.0.SelfAttention.\2."),
    (r"^enc\.blk\.(\d+)\.attn_rel_b\.", r"encoder.block.\1.layer.0.SelfAttention.relative_attention_bias."),
    (r"^enc\.blk\.(\d+)\.attn_norm\.", r"encoder.block.\1.layer.0.layer_norm."),
    (r"^enc\.blk\.(\d+)\.ffn_gate\.", r"encoder.block.\1.layer.1.DenseReluDense.wi_0."),
    (r"^enc\.blk\.(\d+)\.ffn_up\.", r"encoder.block.\1.layer.1.DenseReluDense.wi_1."),
    (r"^enc\.blk\.(\d+)\.ffn_down\.", r"encoder.block.\1.layer.1.DenseReluDense.wo."),
    (r"^enc\.blk\.(\d+)\.ffn_norm\.", r"encoder.block.\1.layer.1.layer_norm."),
)
"""llama.cpp's names of T5 (`constants.py` of its `gguf` package) in those of transformers."""


def tokenizer(facts: Mapping[str, Any], source: str) -> str | None:
    """The `tokenizer.json` of T5 that a file brings with it; None where it brings none.

    Raises:
        CheckpointError: what it brings is none.
    """
    if facts.get("tokenizer.ggml.model") != "t5":
        return None
    tokens, scores, charsmap = (
        facts.get(f"tokenizer.ggml.{name}", []) for name in ("tokens", "scores", "precompiled_charsmap")
    )
    try:
        pieces = list(zip(map(str, tokens), map(float, scores), strict=True))
        return T5Tokenizer.of_pieces(pieces, bytes(value & 255 for value in charsmap), source).serialised
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{source} does not hold a T5 tokenizer: {error}") from error


def own_name(name: str) -> str:
    """A tensor's name as the field has it elsewhere."""
    for pattern, replacement in NAMES:
        name, changed = re.subn(pattern, replacement, name)
        if changed:
            break
    return name
