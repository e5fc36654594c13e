"""The transformer of Stable Diffusion 3 and 3.5 as its authors name it.

Names: `mmditx.py` of https://github.com/Stability-AI/sd3.5; q, k and v are one fused tensor. Where a layer is shifted
and scaled alone (the last text norm, the final norm), the file has the shift first and the model the scale.
"""

from sfumato.checkpoints.rules import Move, Rule, Split, Swap
from sfumato.models.mmdit import MMDiTConfig

FIXED = {
    "x_embedder.proj": "pos_embed.proj",
    "pos_embed": "pos_embed.pos_embed",
    "t_embedder.mlp.0": "time_text_embed.timestep_embedder.linear_1",
    "t_embedder.mlp.2": "time_text_embed.timestep_embedder.linear_2",
    "y_embedder.mlp.0": "time_text_embed.text_embedder.linear_1",
    "y_embedder.mlp.2": "time_text_embed.text_embedder.linear_2",
    "context_embedder": "context_embedder",
    "final_layer.linear": "proj_out",
}
PICTURE = {
    "adaLN_modulation.1": "norm1.linear",
    "attn.ln_q": "attn.norm_q",
    "attn.ln_k": "attn.norm_k",
    "attn.proj": "attn.to_out.0",
    "attn2.ln_q": "attn2.norm_q",
    "attn2.ln_k": "attn2.norm_k",
    "attn2.proj": "attn2.to_out.0",
    "mlp.fc1": "ff.net.0.proj",
    "mlp.fc2": "ff.net.2",
}
TEXT = {
    "adaLN_modulation.1": "norm1_context.linear",
    "attn.ln_q": "attn.norm_added_q",
    "attn.ln_k": "attn.norm_added_k",
    "attn.proj": "attn.to_add_out",
    "mlp.fc1": "ff_context.net.0.proj",
    "mlp.fc2": "ff_context.net.2",
}


def table(config: MMDiTConfig, file: str = "model.diffusion_model.", model: str = "") -> tuple[Rule, ...]:
    """The rules for a transformer of that configuration."""
    rules: list[Rule] = [Swap(f"{file}final_layer.adaLN_modulation.1", f"{model}norm_out.linear")]
    pairs = dict(FIXED)
    for i in range(config.num_layers):
        theirs, ours = f"joint_blocks.{i}", f"transformer_blocks.{i}"
        pairs |= {f"{theirs}.x_block.{a}": f"{ours}.{b}" for a, b in PICTURE.items()}
        of_text = {f"{theirs}.context_block.{a}": f"{ours}.{b}" for a, b in TEXT.items()}
        if i == config.num_layers - 1:
            name = f"{theirs}.context_block.adaLN_modulation.1"
            rules.append(Swap(file + name, model + of_text.pop(name)))
        pairs |= of_text
        fused = {
            "x_block.attn": [f"attn.to_{c}" for c in "qkv"],
            "context_block.attn": [f"attn.add_{c}_proj" for c in "qkv"],
        }
        if i in config.dual_attention_layers:
            fused["x_block.attn2"] = [f"attn2.to_{c}" for c in "qkv"]
        for kind in ("weight", "bias"):
            for a, parts in fused.items():
                rules.append(Split(f"{file}{theirs}.{a}.qkv.{kind}", tuple(f"{model}{ours}.{b}.{kind}" for b in parts)))
    return (*rules, *(Move(file + theirs, model + ours) for theirs, ours in pairs.items()))
