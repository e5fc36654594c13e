"""The rows of families against what was published: the folders' `config.json` and the original code's YAML."""

from dataclasses import replace
from typing import Any

import pytest

from sfumato.checkpoints.scheduler import read_scheduler
from sfumato.families import FAMILIES, Family, extra_channels, family_of
from sfumato.models.autoencoder_kl import AutoencoderKLConfig
from sfumato.models.clip import CLIPTextConfig, ProjectedCLIPTextConfig
from sfumato.models.unet import UNetConfig
from sfumato.published import CLIP_L, EULER, KL, KL_XL, LCM, OPEN_CLIP_G, OPEN_CLIP_H, SD2, TURBO, TURBO_XL

ROWS = {family.name: family for family in FAMILIES}
DOWN, CROSS = "DownBlock2D", "CrossAttnDownBlock2D"
UP, UP_CROSS = "UpBlock2D", "CrossAttnUpBlock2D"

SD15_UNET: dict[str, Any] = {
    "_class_name": "UNet2DConditionModel",
    "act_fn": "silu",
    "attention_head_dim": 8,
    "block_out_channels": [320, 640, 1280, 1280],
    "center_input_sample": False,
    "cross_attention_dim": 768,
    "down_block_types": [CROSS, CROSS, CROSS, DOWN],
    "downsample_padding": 1,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "in_channels": 4,
    "layers_per_block": 2,
    "mid_block_scale_factor": 1,
    "norm_eps": 1e-05,
    "norm_num_groups": 32,
    "out_channels": 4,
    "sample_size": 64,
    "up_block_types": [UP, UP_CROSS, UP_CROSS, UP_CROSS],
}
SD2_UNET = {
    **SD15_UNET,
    "attention_head_dim": [5, 10, 20, 20],
    "cross_attention_dim": 1024,
    "dual_cross_attention": False,
    "num_class_embeds": None,
    "only_cross_attention": False,
    "use_linear_projection": True,
}
SDXL_UNET = {
    **SD2_UNET,
    "addition_embed_type": "text_time",
    "addition_embed_type_num_heads": 64,
    "addition_time_embed_dim": 256,
    "attention_head_dim": [5, 10, 20],
    "block_out_channels": [320, 640, 1280],
    "class_embed_type": None,
    "class_embeddings_concat": False,
    "conv_in_kernel": 3,
    "conv_out_kernel": 3,
    "cross_attention_dim": 2048,
    "cross_attention_norm": None,
    "down_block_types": [DOWN, CROSS, CROSS],
    "encoder_hid_dim": None,
    "encoder_hid_dim_type": None,
    "mid_block_only_cross_attention": None,
    "mid_block_type": "UNetMidBlock2DCrossAttn",
    "num_attention_heads": None,
    "projection_class_embeddings_input_dim": 2816,
    "resnet_out_scale_factor": 1.0,
    "resnet_skip_time_act": False,
    "resnet_time_scale_shift": "default",
    "sample_size": 128,
    "time_cond_proj_dim": None,
    "time_embedding_act_fn": None,
    "time_embedding_dim": None,
    "time_embedding_type": "positional",
    "timestep_post_act": None,
    "transformer_layers_per_block": [1, 2, 10],
    "up_block_types": [UP_CROSS, UP_CROSS, UP],
    "upcast_attention": None,
}
REFINER_UNET = {
    **SDXL_UNET,
    "attention_head_dim": [6, 12, 24, 24],
    "block_out_channels": [384, 768, 1536, 1536],
    "cross_attention_dim": 1280,
    "down_block_types": [DOWN, CROSS, CROSS, DOWN],
    "projection_class_embeddings_input_dim": 2560,
    "transformer_layers_per_block": 4,
    "up_block_types": [UP, UP_CROSS, UP_CROSS, UP],
}
UNETS = {
    "sd1": SD15_UNET,
    "sd1-inpainting": {**SD15_UNET, "in_channels": 9},
    "sd1-edit": {**SD15_UNET, "in_channels": 8},
    "lcm": {**SD15_UNET, "time_cond_proj_dim": 256},
    "sd2": SD2_UNET,
    "sd-turbo": SD2_UNET,
    "sd2-inpainting": {**SD2_UNET, "in_channels": 9},
    "sd2-depth": {**SD2_UNET, "in_channels": 5},
    "x4-upscaler": {  # x4-upscaling.yaml
        **SD2_UNET,
        "attention_head_dim": 8,
        "block_out_channels": [256, 512, 512, 1024],
        "down_block_types": [DOWN, CROSS, CROSS, CROSS],
        "in_channels": 7,
        "num_class_embeds": 1000,
        "only_cross_attention": [True, True, True, False],
        "sample_size": 128,
        "up_block_types": [UP_CROSS, UP_CROSS, UP_CROSS, UP],
    },
    "sdxl": SDXL_UNET,
    "sdxl-turbo": {**SDXL_UNET, "sample_size": 64},
    "sdxl-lcm": {**SDXL_UNET, "time_cond_proj_dim": 256},
    "sdxl-inpainting": {**SDXL_UNET, "in_channels": 9},
    "sdxl-edit": {**SDXL_UNET, "in_channels": 8},
    "sdxl-refiner": REFINER_UNET,
}


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if isinstance(row.network, UNetConfig)])
def test_networks_are_as_published(name: str) -> None:
    assert UNetConfig.from_json(UNETS[name]) == ROWS[name].network


TEXT: dict[str, Any] = {
    **{"attention_dropout": 0.0, "dropout": 0.0, "initializer_factor": 1.0, "initializer_range": 0.02},
    **{"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1, "layer_norm_eps": 1e-05, "vocab_size": 49408},
    **{"max_position_embeddings": 77, "model_type": "clip_text_model"},
}
TEXTS: list[tuple[type[CLIPTextConfig], CLIPTextConfig, tuple[str, str, int, int, int, int, int]]] = [
    (CLIPTextConfig, CLIP_L, ("CLIPTextModel", "quick_gelu", 768, 3072, 12, 12, 768)),
    (CLIPTextConfig, OPEN_CLIP_H, ("CLIPTextModel", "gelu", 1024, 4096, 23, 16, 512)),
    (ProjectedCLIPTextConfig, OPEN_CLIP_G, ("CLIPTextModelWithProjection", "gelu", 1280, 5120, 32, 20, 1280)),
]
KEYS = ("hidden_act", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "projection_dim")


@pytest.mark.parametrize(("kind", "ours", "told"), TEXTS)
def test_text_encoders_are_as_published(
    kind: type[CLIPTextConfig], ours: CLIPTextConfig, told: tuple[Any, ...]
) -> None:
    """All but the ids of special tokens, which published files have wrong: 2 stands for the last of the vocabulary."""
    published = kind.from_json({**TEXT, "architectures": [told[0]], **dict(zip(KEYS, told[1:], strict=True))})
    assert replace(ours, bos_token_id=0, eos_token_id=2, pad_token_id=1) == published
    assert published.end == ours.end == 49407


def test_autoencoders_are_as_published() -> None:
    shared = {
        **{"act_fn": "silu", "block_out_channels": [128, 256, 512, 512], "in_channels": 3, "latent_channels": 4},
        **{"down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4},
        **{"layers_per_block": 2, "norm_num_groups": 32, "out_channels": 3},
    }
    assert AutoencoderKLConfig.from_json({**shared, "sample_size": 512, "scaling_factor": 0.18215}) == KL
    xl = {"sample_size": 1024, "scaling_factor": 0.13025, "force_upcast": True}
    assert AutoencoderKLConfig.from_json({**shared, **xl}) == KL_XL


YAML = {
    "sd2": (320, [4, 2, 1], [1, 2, 4, 4], 1, 1024, None, 0.18215),  # v2-inference.yaml
    "sdxl": (320, [4, 2], [1, 2, 4], [1, 2, 10], 2048, 2816, 0.13025),  # sd_xl_base.yaml
    "sdxl-refiner": (384, [4, 2], [1, 2, 4, 4], 4, 1280, 2560, 0.13025),  # sd_xl_refiner.yaml
}
"""model_channels, attention_resolutions, channel_mult, transformer_depth, context_dim, adm_in_channels, scale."""


@pytest.mark.parametrize("name", YAML)
def test_networks_are_as_in_the_original_code(name: str) -> None:
    channels, attended, multipliers, depth, context, adm, scale = YAML[name]
    widths = tuple(channels * n for n in multipliers)
    cross = [2**level in attended for level in range(len(widths))]
    unet, vae = ROWS[name].network, ROWS[name].autoencoder
    assert isinstance(unet, UNetConfig)
    assert unet.block_out_channels == widths
    assert unet.down_block_types == tuple(CROSS if there else DOWN for there in cross)
    assert unet.up_block_types == tuple(UP_CROSS if there else UP for there in reversed(cross))
    assert unet.attention_head_dim == tuple(width // 64 for width in widths)  # num_head_channels: 64
    assert unet.transformer_layers_per_block == (tuple(depth) if isinstance(depth, list) else depth)
    assert (unet.cross_attention_dim, unet.projection_class_embeddings_input_dim) == (context, adm)
    assert isinstance(vae, AutoencoderKLConfig)
    assert vae.scaling_factor == scale
    if adm is not None:  # each number is embedded 256 wide, beside the pooled vector
        numbers = 5 if name == "sdxl-refiner" else 6
        assert adm == OPEN_CLIP_G.projection_dim + numbers * 256


WITH_UNET = [
    row
    for row in FAMILIES
    if row.network is None or (isinstance(row.network, UNetConfig) and row.name != "x4-upscaler")  # of other betas
]


@pytest.mark.parametrize("family", WITH_UNET, ids=lambda family: family.name)
def test_rows_make_sense(family: Family) -> None:
    sampling = read_scheduler(family.scheduler, offset=None)
    assert sampling.sigmas(family.steps, None)[-1] < 0.1
    assert sampling.schedule.sigma_max == pytest.approx(14.6146, abs=1e-3)
    if family.turbo:
        assert (family.guidance, family.steps <= 4) == (1.0, True)
        assert sampling.schedule.label(sampling.sigmas(1, None)[0]) == pytest.approx(999)
    if isinstance(family.network, UNetConfig):
        assert family.network.cross_attention_dim == sum(config.hidden_size for config in family.texts.values())
        assert family_of(family.network, family.texts, family.scheduler) is family
        assert ("Inpaint" in family.pipeline) == (extra_channels(family.network) == 5)


@pytest.mark.parametrize(
    ("scheduler", "name"),
    [
        (EULER, "sd2"),
        (TURBO, "sd-turbo"),
        (TURBO_XL, "sd-turbo"),
        ({**TURBO, "prediction_type": "v_prediction"}, "sd2"),
        ({**TURBO, "use_karras_sigmas": True}, "sd2"),
        ({**TURBO, "_class_name": "DDIMScheduler"}, "sd2"),
        (LCM, "sd2"),
    ],
)
def test_turbo_is_known_by_its_scheduler(scheduler: dict[str, Any], name: str) -> None:
    assert family_of(SD2, ["text_encoder"], scheduler).name == name
    assert family_of(replace(SD2, cross_attention_dim=32), ["text_encoder"], scheduler).name == "custom"
