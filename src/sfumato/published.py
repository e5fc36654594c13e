"""Configurations as they were published, part by part: what the rows of `families` are put together from.

Tests compare them with the folders' `config.json` and the original code's YAML (`sd_xl_base.yaml`, `sd_xl_refiner.yaml`
of https://github.com/Stability-AI/generative-models).
"""

from collections.abc import Mapping
from dataclasses import replace

from sfumato.models.autoencoder_fold import AutoencoderFoldConfig
from sfumato.models.autoencoder_kl import AutoencoderKLConfig
from sfumato.models.clip import CLIPTextConfig, ProjectedCLIPTextConfig
from sfumato.models.k_unet import KUNetConfig
from sfumato.models.unet import UNetConfig

CLIP_L = CLIPTextConfig()
OPEN_CLIP_H = CLIPTextConfig(
    hidden_size=1024,
    intermediate_size=4096,
    num_hidden_layers=23,
    num_attention_heads=16,
    hidden_act="gelu",
    projection_dim=512,
    pad_token_id=0,
)
OPEN_CLIP_G = ProjectedCLIPTextConfig(
    hidden_size=1280,
    intermediate_size=5120,
    num_hidden_layers=32,
    num_attention_heads=20,
    hidden_act="gelu",
    projection_dim=1280,
    pad_token_id=0,
)

CLIP_L_ONLY: Mapping[str, CLIPTextConfig] = {"text_encoder": CLIP_L}
CLIP_H_ONLY: Mapping[str, CLIPTextConfig] = {"text_encoder": OPEN_CLIP_H}
CLIP_L_AND_G: Mapping[str, CLIPTextConfig] = {"text_encoder": CLIP_L, "text_encoder_2": OPEN_CLIP_G}
CLIP_G_ONLY: Mapping[str, CLIPTextConfig] = {"text_encoder_2": OPEN_CLIP_G}
CLIP_AND_T5: Mapping[str, CLIPTextConfig] = {"text_encoder": ProjectedCLIPTextConfig(), "text_encoder_2": OPEN_CLIP_G}

SD1 = UNetConfig()
SD2 = replace(SD1, attention_head_dim=(5, 10, 20, 20), cross_attention_dim=1024, use_linear_projection=True)
SDXL = UNetConfig(
    sample_size=128,
    block_out_channels=(320, 640, 1280),
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    transformer_layers_per_block=(1, 2, 10),
    attention_head_dim=(5, 10, 20),
    cross_attention_dim=2048,
    use_linear_projection=True,
    addition_embed_type="text_time",
    addition_time_embed_dim=256,
    projection_class_embeddings_input_dim=2816,
)
SDXL_REFINER = replace(
    SDXL,
    block_out_channels=(384, 768, 1536, 1536),
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    transformer_layers_per_block=4,
    attention_head_dim=(6, 12, 24, 24),
    cross_attention_dim=1280,
    projection_class_embeddings_input_dim=2560,
)
SDXL_512 = replace(SDXL, sample_size=64)


X4_UPSCALER = replace(
    SD2,
    sample_size=128,
    in_channels=7,
    block_out_channels=(256, 512, 512, 1024),
    down_block_types=("DownBlock2D",) + ("CrossAttnDownBlock2D",) * 3,
    up_block_types=("CrossAttnUpBlock2D",) * 3 + ("UpBlock2D",),
    attention_head_dim=8,
    only_cross_attention=(True, True, True, False),
    num_class_embeds=1000,
)
LATENT_UPSCALER = KUNetConfig()


def with_channels(channels: int, unet: UNetConfig) -> UNetConfig:
    """The network with so many input channels."""
    return replace(unet, in_channels=channels)


def with_guidance_embedding(unet: UNetConfig) -> UNetConfig:
    """The network that takes the guidance scale in."""
    return replace(unet, time_cond_proj_dim=256)


FOLD = AutoencoderFoldConfig()
KL = AutoencoderKLConfig()
KL_XL = replace(KL, scaling_factor=0.13025, sample_size=1024, force_upcast=True)
KL_X4 = replace(
    KL,
    block_out_channels=(128, 256, 512),
    down_block_types=("DownEncoderBlock2D",) * 3,
    up_block_types=("UpDecoderBlock2D",) * 3,
    scaling_factor=0.08333,
    sample_size=256,
)
KL_3 = replace(
    KL_XL,
    latent_channels=16,
    scaling_factor=1.5305,
    shift_factor=0.0609,
    use_quant_conv=False,
    use_post_quant_conv=False,
)

BETAS = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "num_train_timesteps": 1000}
COMMON = {**BETAS, "prediction_type": "epsilon", "set_alpha_to_one": False, "steps_offset": 1, "clip_sample": False}
LEADING = {**COMMON, "timestep_spacing": "leading"}
PNDM = {"_class_name": "PNDMScheduler", **LEADING, "skip_prk_steps": True}
DDIM = {"_class_name": "DDIMScheduler", **LEADING}
EULER = {"_class_name": "EulerDiscreteScheduler", **LEADING, "interpolation_type": "linear", "use_karras_sigmas": False}
DDIM_V = {**DDIM, "prediction_type": "v_prediction", "beta_start": 0.0001, "beta_end": 0.02}
EULER_CLEAN = {**EULER, "prediction_type": "sample", "timestep_spacing": "linspace"}
TURBO = {**EULER, "timestep_spacing": "trailing"}
TURBO_XL = {**TURBO, "_class_name": "EulerAncestralDiscreteScheduler"}
LCM = {
    **LEADING,
    "_class_name": "LCMScheduler",
    "original_inference_steps": 50,
    "set_alpha_to_one": True,
    "steps_offset": 0,
}
FLOW = {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000, "shift": 3.0}
