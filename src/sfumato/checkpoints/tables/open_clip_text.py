"""OpenCLIP's text encoder inside a Stable Diffusion 2.x or XL checkpoint.

Names: `transformer.py` of https://github.com/mlfoundations/open_clip; q, k and v are one fused tensor. Stable Diffusion
2 reads the last layer but one (`layer: penultimate` of its `v2-inference.yaml`), so of OpenCLIP-H's 24 layers the last
is without effect: the published diffusers folder has 23, and so does what we write. SDXL reads the pooled vector too,
which comes through the last layer and a projection; that one multiplies from the right.
"""

import re

from sfumato.checkpoints.rules import Ignore, Move, Rule, Split, Transpose
from sfumato.models.clip import CLIPTextConfig

DEPTH = 24
"""Layers of OpenCLIP-H, the last of which is not used. A file of fewer was written without it."""

LAYER = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
    "attn.out_proj": "self_attn.out_proj",
}


def table(config: CLIPTextConfig, file: str = "cond_stage_model.model.", model: str = "") -> tuple[Rule, ...]:
    """The rules for an encoder of that depth."""
    prefix, text = re.escape(file), f"{model}text_model"
    unprojected = (
        Ignore(rf"{prefix}transformer\.resblocks\.{DEPTH - 1}\.", "the last layer, which Stable Diffusion 2 skips"),
        Ignore(rf"{prefix}text_projection$", "of CLIP's comparison with pictures"),
    )
    projection = Transpose(f"{file}text_projection", f"{model}text_projection.weight")
    rules: list[Rule] = [
        *([projection] if config.projected else unprojected),
        Ignore(rf"{prefix}logit_scale$", "of CLIP's comparison with pictures"),
        Ignore(rf"{prefix}attn_mask$", "the causal mask, a constant"),
        Move(f"{file}token_embedding", f"{text}.embeddings.token_embedding"),
        Move(f"{file}positional_embedding", f"{text}.embeddings.position_embedding.weight"),
        Move(f"{file}ln_final", f"{text}.final_layer_norm"),
    ]
    for i in range(config.num_hidden_layers):
        theirs, ours = f"{file}transformer.resblocks.{i}", f"{text}.encoder.layers.{i}"
        rules += [Move(f"{theirs}.{a}", f"{ours}.{b}") for a, b in LAYER.items()]
        for kind in ("weight", "bias"):
            fused = tuple(f"{ours}.self_attn.{name}_proj.{kind}" for name in "qkv")
            rules.append(Split(f"{theirs}.attn.in_proj_{kind}", fused))
    return tuple(rules)
