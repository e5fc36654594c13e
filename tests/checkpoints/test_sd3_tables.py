"""The tables of Stable Diffusion 3: published names and shapes at full size without memory, and their own inverses."""

import pytest
import torch
from torch import Tensor, nn

from sfumato.checkpoints.rules import Identity, Move, Swap, compare, convert, revert
from sfumato.checkpoints.skeleton import on_meta
from sfumato.checkpoints.tables import sd3
from sfumato.errors import CheckpointError
from sfumato.models.autoencoder_kl import AutoencoderKL, AutoencoderKLConfig
from sfumato.models.clip import CLIPTextConfig, CLIPTextEncoder, ProjectedCLIPTextConfig
from sfumato.models.mmdit import SD35_LARGE, SD35_MEDIUM, MMDiT, MMDiTConfig
from sfumato.models.t5 import T5Config, T5Encoder

TEXTS: dict[str, CLIPTextConfig] = {
    "text_encoder": ProjectedCLIPTextConfig(),
    "text_encoder_2": ProjectedCLIPTextConfig(
        hidden_size=1280, intermediate_size=5120, num_hidden_layers=32, num_attention_heads=20, projection_dim=1280
    ),
}
VAE = AutoencoderKLConfig(latent_channels=16, use_quant_conv=False, use_post_quant_conv=False)

U, V, L, G, T = "model.diffusion_model.", "first_stage_model.", *sd3.FILES.values()
NAMES = {
    U + "pos_embed": (1, 36864, 1536),
    U + "x_embedder.proj.weight": (1536, 16, 2, 2),
    U + "t_embedder.mlp.0.weight": (1536, 256),
    U + "y_embedder.mlp.0.weight": (1536, 2048),
    U + "context_embedder.weight": (1536, 4096),
    U + "joint_blocks.0.context_block.adaLN_modulation.1.bias": (9216,),
    U + "joint_blocks.0.x_block.attn.qkv.weight": (4608, 1536),
    U + "joint_blocks.22.context_block.mlp.fc2.weight": (1536, 6144),
    U + "joint_blocks.23.context_block.adaLN_modulation.1.weight": (3072, 1536),
    U + "joint_blocks.23.x_block.attn.proj.bias": (1536,),
    U + "final_layer.adaLN_modulation.1.weight": (3072, 1536),
    U + "final_layer.linear.weight": (64, 1536),
    V + "decoder.conv_in.weight": (512, 16, 3, 3),
    V + "encoder.conv_out.bias": (32,),
    L + "text_model.encoder.layers.11.mlp.fc1.weight": (3072, 768),
    G + "text_model.encoder.layers.31.self_attn.q_proj.weight": (1280, 1280),
    G + "text_projection.weight": (1280, 1280),
    T + "shared.weight": (32128, 4096),
    T + "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight": (32, 64),
    T + "encoder.block.23.layer.1.DenseReluDense.wi_1.weight": (10240, 4096),
    T + "encoder.final_layer_norm.weight": (4096,),
}
MEDIUM = {
    U + "pos_embed": (1, 147456, 1536),
    U + "joint_blocks.12.x_block.attn2.qkv.weight": (4608, 1536),
    U + "joint_blocks.12.x_block.adaLN_modulation.1.bias": (13824,),
    U + "joint_blocks.13.x_block.adaLN_modulation.1.bias": (9216,),
    U + "joint_blocks.0.context_block.attn.ln_k.weight": (64,),
}
LARGE = {
    U + "pos_embed": (1, 36864, 2432),
    U + "joint_blocks.37.x_block.mlp.fc1.weight": (9728, 2432),
    U + "joint_blocks.37.context_block.attn.ln_q.weight": (64,),
}


@pytest.mark.parametrize(
    ("config", "names", "blocks"),
    [(MMDiTConfig(), NAMES, 24), (SD35_MEDIUM, MEDIUM, 24), (SD35_LARGE, LARGE, 38)],
    ids=["3", "3.5-medium", "3.5-large"],
)
def test_published_names(config: MMDiTConfig, names: dict[str, tuple[int, ...]], blocks: int) -> None:
    with on_meta():
        modules: dict[str, nn.Module] = {"transformer": MMDiT(config), "vae": AutoencoderKL(VAE)}
        modules |= {part: CLIPTextEncoder(text) for part, text in TEXTS.items()}
        modules["text_encoder_3"] = T5Encoder(T5Config())
    model = {
        f"{part}.{name}": tensor for part, module in modules.items() for name, tensor in module.state_dict().items()
    }
    table = sd3.table(config, VAE, TEXTS, projected=("text_encoder_2",), with_t5=True)
    file = {name: tuple(tensor.shape) for name, tensor in revert(model, table).items()}
    assert {name: file.get(name) for name in names} == names
    last = f"{U}joint_blocks.{blocks - 1}.context_block."
    assert {name.removeprefix(last).split(".")[0] for name in file if name.startswith(last)} == {
        "attn",
        "adaLN_modulation",
    }
    assert not [name for name in file if "quant_conv" in name or name.startswith(L + "text_projection")]
    extra = {T + "encoder.embed_tokens.weight": (1,), L.removesuffix("transformer.") + "logit_scale": ()}
    fit = compare({**file, **extra}, model, table)
    assert (bool(fit), fit.matched, sum(fit.ignored.values())) == (True, len(file), 2)


TABLE = (Move("a", "x"), Swap("b", "y"), Identity("z.weight", 3))


def test_swap_and_identity_convert_and_revert_exactly() -> None:
    state = {"a.w": torch.randn(2), "b.weight": torch.randn(4, 2), "b.bias": torch.randn(4)}
    model = convert(state, TABLE)
    assert torch.equal(model["y.weight"], state["b.weight"][[2, 3, 0, 1]])
    assert torch.equal(model["y.bias"], state["b.bias"][[2, 3, 0, 1]])
    assert torch.equal(model["z.weight"], torch.eye(3))
    back = revert(model, TABLE)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], tensor) for name, tensor in state.items())


@pytest.mark.parametrize("tensor", [torch.zeros(3, 2), torch.zeros(())])
def test_what_has_no_halves_is_refused(tensor: Tensor) -> None:
    with pytest.raises(CheckpointError, match="no two halves"):
        convert({"b.weight": tensor}, TABLE)
