"""The tables against the published names and shapes, at full size without memory, and against their own inverses."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from sfumato.checkpoints.detect import detect
from sfumato.checkpoints.parts import skeleton
from sfumato.checkpoints.rules import Ignore, Move, Pointwise, Rename, Split, Transpose, compare, convert, revert
from sfumato.checkpoints.scheduler import read_scheduler
from sfumato.checkpoints.tables import checkpoint
from sfumato.errors import CheckpointError
from sfumato.families import FAMILIES, Family
from sfumato.models.autoencoder_kl import AutoencoderKLConfig
from sfumato.models.config import ModelConfig
from sfumato.models.unet import UNetConfig

U, V, C, H = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer.", "cond_stage_model.model."

SD1_NAMES = {
    U + "time_embed.0.weight": (1280, 320),
    U + "input_blocks.0.0.weight": (320, 4, 3, 3),
    U + "input_blocks.1.0.in_layers.0.weight": (320,),
    U + "input_blocks.1.0.emb_layers.1.weight": (320, 1280),
    U + "input_blocks.1.1.proj_in.weight": (320, 320, 1, 1),
    U + "input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight": (320, 768),
    U + "input_blocks.3.0.op.weight": (320, 320, 3, 3),
    U + "input_blocks.4.0.skip_connection.weight": (640, 320, 1, 1),
    U + "input_blocks.9.0.op.bias": (1280,),
    U + "input_blocks.11.0.out_layers.3.weight": (1280, 1280, 3, 3),
    U + "middle_block.1.transformer_blocks.0.ff.net.0.proj.weight": (10240, 1280),
    U + "middle_block.2.in_layers.2.weight": (1280, 1280, 3, 3),
    U + "output_blocks.0.0.skip_connection.weight": (1280, 2560, 1, 1),
    U + "output_blocks.2.1.conv.weight": (1280, 1280, 3, 3),
    U + "output_blocks.5.2.conv.weight": (1280, 1280, 3, 3),
    U + "output_blocks.8.2.conv.weight": (640, 640, 3, 3),
    U + "output_blocks.11.1.transformer_blocks.0.attn1.to_out.0.bias": (320,),
    U + "out.0.weight": (320,),
    U + "out.2.weight": (4, 320, 3, 3),
    V + "encoder.conv_in.weight": (128, 3, 3, 3),
    V + "encoder.down.0.downsample.conv.weight": (128, 128, 3, 3),
    V + "encoder.down.1.block.0.nin_shortcut.weight": (256, 128, 1, 1),
    V + "encoder.mid.attn_1.q.weight": (512, 512, 1, 1),
    V + "encoder.norm_out.weight": (512,),
    V + "encoder.conv_out.weight": (8, 512, 3, 3),
    V + "decoder.mid.attn_1.proj_out.bias": (512,),
    V + "decoder.up.3.upsample.conv.weight": (512, 512, 3, 3),
    V + "decoder.up.0.block.0.nin_shortcut.weight": (128, 256, 1, 1),
    V + "decoder.up.0.block.2.conv2.weight": (128, 128, 3, 3),
    V + "decoder.conv_out.weight": (3, 128, 3, 3),
    V + "quant_conv.weight": (8, 8, 1, 1),
    V + "post_quant_conv.weight": (4, 4, 1, 1),
    C + "text_model.embeddings.token_embedding.weight": (49408, 768),
    C + "text_model.embeddings.position_embedding.weight": (77, 768),
    C + "text_model.encoder.layers.11.mlp.fc1.weight": (3072, 768),
    C + "text_model.final_layer_norm.weight": (768,),
}
SD2_NAMES = {
    U + "input_blocks.1.1.proj_in.weight": (320, 320),
    U + "output_blocks.11.1.transformer_blocks.0.attn2.to_v.weight": (320, 1024),
    H + "positional_embedding": (77, 1024),
    H + "token_embedding.weight": (49408, 1024),
    H + "ln_final.weight": (1024,),
    H + "transformer.resblocks.0.attn.in_proj_weight": (3072, 1024),
    H + "transformer.resblocks.0.attn.in_proj_bias": (3072,),
    H + "transformer.resblocks.22.attn.out_proj.weight": (1024, 1024),
    H + "transformer.resblocks.22.mlp.c_fc.weight": (4096, 1024),
    H + "transformer.resblocks.22.mlp.c_proj.bias": (1024,),
    H + "transformer.resblocks.22.ln_2.weight": (1024,),
}


PUBLISHED = {
    family.name: family
    for family in FAMILIES
    if isinstance(family.network, UNetConfig) and family.network.num_class_embeds is None  # the upscaler has no table
}


def configs_of(family: Family) -> dict[str, ModelConfig]:
    assert family.network is not None
    return {"unet": family.network, "vae": family.autoencoder, **family.texts}


def in_memory(configs: Mapping[str, ModelConfig]) -> dict[str, Tensor]:
    """All tensors of a model, without memory."""
    return {
        f"{part}.{name}": value
        for part, config in configs.items()
        for name, value in skeleton(config, "a test").state_dict().items()
    }


def full_size(family: Family) -> dict[str, Tensor]:
    """A whole checkpoint's tensors by the names of the file, without memory."""
    assert isinstance(family.network, UNetConfig)
    assert isinstance(family.autoencoder, AutoencoderKLConfig)
    table = checkpoint.table(family.network, family.autoencoder, family.texts)
    return revert(in_memory(configs_of(family)), table)


@pytest.fixture(scope="module")
def sd1() -> dict[str, Tensor]:
    return full_size(PUBLISHED["sd1"])


@pytest.fixture(scope="module")
def sd2() -> dict[str, Tensor]:
    return full_size(PUBLISHED["sd2"])


def test_stable_diffusion_1_names(sd1: dict[str, Tensor]) -> None:
    """686, 248 and, but for the constant `position_ids`, 197 tensors make the 1131 of the published file."""
    counts = [sum(name.startswith(prefix) for name in sd1) for prefix in (U, V, C)]
    assert counts == [686, 248, 196]
    assert {name: tuple(sd1[name].shape) for name in SD1_NAMES} == SD1_NAMES


def test_stable_diffusion_2_names(sd2: dict[str, Tensor]) -> None:
    assert [sum(name.startswith(prefix) for name in sd2) for prefix in (U, V, H)] == [686, 248, 23 * 12 + 4]
    assert {name: tuple(sd2[name].shape) for name in SD2_NAMES} == SD2_NAMES


def shapes(state: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def test_stable_diffusion_1_is_known_by_its_shapes(sd1: dict[str, Tensor]) -> None:
    found = detect(shapes(sd1), {}, "a file")
    assert (found.kind, found.family, found.warning) == ("checkpoint", "sd1", "")
    assert found.layout is not None
    assert found.layout.configs == configs_of(PUBLISHED["sd1"])
    assert found.layout.padding == {"text_encoder": "<|endoftext|>"}
    assert not found.layout.zero_empty
    assert found.layout.scheduler == {
        "_class_name": "PNDMScheduler",
        **{"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000},
        **{"set_alpha_to_one": False, "skip_prk_steps": True, "steps_offset": 1, "clip_sample": False},
        **{"timestep_spacing": "leading", "prediction_type": "epsilon"},
    }


@pytest.mark.parametrize("name", PUBLISHED)
def test_each_family_is_known_by_its_shapes(name: str) -> None:
    """All that the row says comes back out of names and shapes, but for the word turbo."""
    family = PUBLISHED[name]
    found = detect(shapes(full_size(family)), {}, f"/folder/sd_{'turbo' if family.turbo else 'model'}_fp16.safetensors")
    assert (found.kind, found.family) == ("checkpoint", name)
    assert found.layout is not None
    assert found.layout.configs == configs_of(family)
    assert found.layout.scheduler == family.scheduler
    assert found.layout.zero_empty == family.zero_empty
    assert {k: v == "!" for k, v in found.layout.padding.items()} == {
        k: config.hidden_act == "gelu" for k, config in family.texts.items()
    }


@pytest.mark.parametrize(
    ("extra", "metadata", "option", "expected"),
    [
        ((), {}, None, "epsilon"),
        ((), {}, "v", "v_prediction"),
        (("v_pred",), {}, None, "v_prediction"),
        (("v_pred",), {}, "epsilon", "epsilon"),
        ((), {"modelspec.prediction_type": "v"}, None, "v_prediction"),
        ((), {"modelspec.prediction_type": "epsilon"}, None, "epsilon"),
        ((), {"modelspec.architecture": "stable-diffusion-v2-768-v"}, None, "v_prediction"),
        ((), {"modelspec.architecture": "stable-diffusion-v2-512"}, None, "epsilon"),
    ],
)
def test_stable_diffusion_2_is_known_by_its_shapes(
    sd2: dict[str, Tensor], extra: tuple[str, ...], metadata: dict[str, str], option: str | None, expected: str
) -> None:
    found = detect(shapes(sd2) | dict.fromkeys(extra, ()), metadata, "a file", prediction=option)  # type: ignore[arg-type]
    assert (found.kind, found.family) == ("checkpoint", "sd2")
    assert bool(found.warning) == (not extra and not metadata and option is None)
    assert found.layout is not None
    assert found.layout.scheduler["prediction_type"] == expected
    assert found.layout.scheduler["_class_name"] == "DDIMScheduler"
    assert found.layout.configs["unet"] == UNetConfig(
        sample_size=96 if expected == "v_prediction" else 64,
        attention_head_dim=(5, 10, 20, 20),
        cross_attention_dim=1024,
        use_linear_projection=True,
    )
    assert found.layout.configs["text_encoder"] == PUBLISHED["sd2"].texts["text_encoder"]
    assert found.layout.padding == {"text_encoder": "!"}


def test_a_mark_of_zero_terminal_snr(sd1: dict[str, Tensor]) -> None:
    layout = detect(shapes(sd1) | {"v_pred": (), "ztsnr": ()}, {}, "a file").layout
    assert layout is not None
    sampling = read_scheduler(layout.scheduler)
    assert sampling.parameterisation.name == "v_prediction"
    assert sampling.schedule.sigma_max > 1000


def test_published_extras_are_ignored_by_name(sd1: dict[str, Tensor], sd2: dict[str, Tensor]) -> None:
    for state, extra in (
        (sd1, [C + "text_model.embeddings.position_ids", "alphas_cumprod", "model_ema.decay", V + "loss.logvar"]),
        (sd2, [H + "text_projection", H + "logit_scale", H + "transformer.resblocks.23.ln_1.weight", "betas"]),
    ):
        found = detect(shapes(state), {}, "a file")
        assert found.layout is not None
        wanted = in_memory(found.layout.configs)
        fit = compare(shapes(state) | dict.fromkeys(extra, (1,)), wanted, found.table)
        assert fit
        assert sum(fit.ignored.values()) == len(extra)
        assert fit.matched == len(state)
        assert compare(shapes(state) | {"surprise": (1,)}, wanted, found.table).unexpected == ("surprise",)


@pytest.mark.parametrize(
    ("names", "kind", "family"),
    [
        (["lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight"], "lora", ""),
        (["unet.down_blocks.0.attentions.0.to_q.lora_A.weight"], "lora", ""),
        (["emb_params"], "embedding", ""),
        (["clip_l", "clip_g"], "embedding", ""),
        (["string_to_token.*", "string_to_param.*"], "embedding", ""),
        (["control_model.input_blocks.0.0.weight"], "controlnet", ""),
        (["controlnet_cond_embedding.conv_in.weight"], "controlnet", ""),
        ([U + "input_blocks.0.0.weight", "conditioner.embedders.0.transformer.x"], "checkpoint", "SDXL"),
        (
            ["model.diffusion_model.joint_blocks.0.context_block.adaLN_modulation.1.bias"],
            "unknown",
            "a transformer of SD3 without its autoencoder or text encoders",
        ),
        (["double_blocks.0.img_attn.proj.weight"], "checkpoint", "FLUX"),
        (["encoder.down_blocks.0.x", "decoder.up_blocks.0.x"], "vae", ""),
        (["something.else"], "unknown", ""),
        ([], "unknown", ""),
    ],
)
def test_other_files_are_known(names: list[str], kind: str, family: str) -> None:
    found = detect(dict.fromkeys(names, (4, 4)), {}, "a file")
    assert (found.kind, found.family, found.layout) == (kind, family, None)


# ------------------------------------------------------------------------------------------------------------ rules

TABLE = (
    Rename(r"^old\.", "a."),
    Ignore(r"a\.extra$", "a test"),
    Move("a", "x"),
    Move("a.deep", "y.deeper"),
    Pointwise("p", "q"),
    Split("fused", ("one.weight", "two.weight")),
    Transpose("matrix", "turned.weight"),
)


def test_rules_convert_and_revert_exactly() -> None:
    state = {
        "a.weight": torch.randn(3),
        "a.deep.bias": torch.randn(2),
        "p.weight": torch.randn(2, 3, 1, 1),
        "p.bias": torch.randn(2),
        "fused": torch.randn(4, 2),
        "matrix": torch.randn(2, 3),
    }
    model = convert({**state, "a.extra": torch.zeros(1)}, TABLE)
    names = ["one.weight", "q.bias", "q.weight", "turned.weight", "two.weight", "x.weight", "y.deeper.bias"]
    assert sorted(model) == names
    assert torch.equal(model["turned.weight"], state["matrix"].T)
    assert model["q.weight"].shape == (2, 3)
    assert torch.equal(model["two.weight"], state["fused"][2:])
    back = revert(model, TABLE)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], tensor) for name, tensor in state.items())
    assert "x.weight" in convert({"old.weight": torch.zeros(1)}, TABLE)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"b.weight": torch.zeros(1)}, "'b.weight' is unexpected"),
        ({"fuse": torch.zeros(1)}, r"'fuse' is unexpected \(nearest: 'fused'\)"),
        ({"a.w": torch.zeros(1), "old.w": torch.zeros(1)}, "both 'x.w'"),
        ({"fused": torch.zeros(3, 2)}, "is not 2 tensors in one"),
        ({"p.weight": torch.zeros(2, 3, 3, 3)}, "no 1x1 convolution"),
        ({"matrix": torch.zeros(2)}, "no matrix"),
    ],
)
def test_rules_refuse(state: dict[str, Tensor], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        convert(state, TABLE)


def test_reverting_refuses_what_has_no_place() -> None:
    with pytest.raises(CheckpointError, match="no place"):
        revert({"z": torch.zeros(1), "one.weight": torch.zeros(1), "two.weight": torch.zeros(1)}, TABLE)
    with pytest.raises(CheckpointError, match=r"'two.weight' is missing"):
        revert({"one.weight": torch.zeros(1)}, TABLE)
