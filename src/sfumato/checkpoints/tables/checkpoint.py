"""A whole Stable Diffusion checkpoint in one file: U-Net, autoencoder and text encoders below prefixes.

The model's names are prefixed `unet.`, `vae.`, `text_encoder.` and `text_encoder_2.`, after the folders of the
diffusers layout. Stable Diffusion 1 and 2 have one text encoder at `cond_stage_model`, SDXL a row of embedders
(`GeneralConditioner` of https://github.com/Stability-AI/generative-models) of which only the text encoders have
weights; its refiner has the second one alone.
"""

from collections.abc import Mapping

from sfumato.checkpoints.rules import Ignore, Rule
from sfumato.checkpoints.tables import clip_text, ldm_unet, ldm_vae, open_clip_text
from sfumato.errors import CheckpointError
from sfumato.models.autoencoder_kl import AutoencoderKLConfig
from sfumato.models.clip import CLIPTextConfig
from sfumato.models.unet import UNetConfig

UNET, VAE = "model.diffusion_model.", "first_stage_model."
OPEN_CLIP = ".model."
"""How the place of OpenCLIP's text encoder ends; that of CLIP's own ends otherwise."""
ENCODERS: tuple[Mapping[str, str], ...] = (
    {"text_encoder": "cond_stage_model.transformer."},
    {"text_encoder": "cond_stage_model.model."},
    {"text_encoder": "conditioner.embedders.0.transformer.", "text_encoder_2": "conditioner.embedders.1.model."},
    {"text_encoder_2": "conditioner.embedders.0.model."},
)
"""The places of text encoders, form by form."""

IGNORED = (
    Ignore(r"model_ema\.", "a second copy of the U-Net, its moving average in training"),
    Ignore(
        r"(betas|alphas_cumprod|alphas_cumprod_prev|sqrt_alphas_cumprod|sqrt_one_minus_alphas_cumprod"
        r"|log_one_minus_alphas_cumprod|sqrt_recip_alphas_cumprod|sqrt_recipm1_alphas_cumprod|posterior_variance"
        r"|posterior_log_variance_clipped|posterior_mean_coef1|posterior_mean_coef2|lvlb_weights|logvar"
        r"|denoiser\.sigmas)$",
        "the noise schedule, a constant",
    ),
    Ignore(r"(v_pred|ztsnr|edm_vpred\.sigma_(max|min)|edm_mean|edm_std)$", "a mark that says how the model is sampled"),
)


def table(
    unet: UNetConfig, vae: AutoencoderKLConfig, texts: Mapping[str, CLIPTextConfig], *, linear_vae: bool = False
) -> tuple[Rule, ...]:
    """The rules for a checkpoint of these parts.

    Raises:
        CheckpointError: the layout has no form with such text encoders.
    """
    kinds = {name: config.hidden_act != "quick_gelu" for name, config in texts.items()}
    forms = [form for form in ENCODERS if {k: place.endswith(OPEN_CLIP) for k, place in form.items()} == kinds]
    if not forms:
        raise CheckpointError("no single file has text encoders of these activations; keep the folder")
    return (
        *IGNORED,
        *ldm_unet.table(unet, UNET, model="unet."),
        *ldm_vae.table(vae, VAE, model="vae.", linear=linear_vae),
        *(rule for name, place in forms[0].items() for rule in _text(texts[name], place, f"{name}.")),
    )


def _text(config: CLIPTextConfig, place: str, model: str) -> tuple[Rule, ...]:
    if place.endswith(OPEN_CLIP):
        return open_clip_text.table(config, place, model)
    return clip_text.table(place, model)
