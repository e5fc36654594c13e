"""A whole Stable Diffusion 1.x or 2.x checkpoint in one file: U-Net, autoencoder and text encoder below prefixes.

The model's names are prefixed `unet.`, `vae.` and `text_encoder.`, after the folders of the diffusers layout.
"""

from sfumato.checkpoints.rules import Ignore, Rule
from sfumato.checkpoints.tables import clip_text, ldm_unet, ldm_vae, open_clip_text
from sfumato.models.autoencoder_kl import AutoencoderKLConfig
from sfumato.models.clip import CLIPTextConfig
from sfumato.models.unet import UNetConfig

IGNORED = (
    Ignore(r"model_ema\.", "a second copy of the U-Net, its moving average in training"),
    Ignore(
        r"(betas|alphas_cumprod|alphas_cumprod_prev|sqrt_alphas_cumprod|sqrt_one_minus_alphas_cumprod"
        r"|log_one_minus_alphas_cumprod|sqrt_recip_alphas_cumprod|sqrt_recipm1_alphas_cumprod|posterior_variance"
        r"|posterior_log_variance_clipped|posterior_mean_coef1|posterior_mean_coef2|lvlb_weights|logvar)$",
        "the noise schedule, a constant",
    ),
    Ignore(r"(v_pred|ztsnr)$", "a mark that says how the model is sampled"),
)


def table(
    unet: UNetConfig, vae: AutoencoderKLConfig, text: CLIPTextConfig, *, open_clip: bool, linear_vae: bool = False
) -> tuple[Rule, ...]:
    """The rules for a checkpoint of these parts."""
    return (
        *IGNORED,
        *ldm_unet.table(unet, model="unet."),
        *ldm_vae.table(vae, model="vae.", linear=linear_vae),
        *(open_clip_text.table(text, model="text_encoder.") if open_clip else clip_text.table(model="text_encoder.")),
    )
