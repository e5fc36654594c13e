"""The families of models as data.

A family is a row: adding one is adding a row (and, if it is new in kind, an architecture in `models`). A row holds the
configurations of `published`, so that a file without any can be read by the shapes of its tensors.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sfumato.errors import CheckpointError
from sfumato.models.autoencoder_fold import AutoencoderFoldConfig
from sfumato.models.autoencoder_kl import AutoencoderKLConfig
from sfumato.models.clip import CLIPTextConfig
from sfumato.models.k_unet import KUNet, KUNetConfig
from sfumato.models.mmdit import SD35_LARGE, SD35_MEDIUM, MMDiT, MMDiTConfig
from sfumato.models.unet import UNet, UNetConfig
from sfumato.published import (
    CLIP_AND_T5,
    CLIP_G_ONLY,
    CLIP_H_ONLY,
    CLIP_L_AND_G,
    CLIP_L_ONLY,
    DDIM,
    DDIM_V,
    EULER,
    EULER_CLEAN,
    FLOW,
    FOLD,
    KL,
    KL_3,
    KL_X4,
    KL_XL,
    LATENT_UPSCALER,
    LCM,
    PNDM,
    SD1,
    SD2,
    SDXL,
    SDXL_512,
    SDXL_REFINER,
    TURBO,
    TURBO_XL,
    X4_UPSCALER,
    with_channels,
    with_guidance_embedding,
)

Network = UNet | KUNet | MMDiT
NetworkConfig = UNetConfig | KUNetConfig | MMDiTConfig


@dataclass(frozen=True, eq=False)
class Family:
    """What a kind of model is called, how it was published, and how it likes to be run."""

    name: str
    title: str
    network: NetworkConfig | None
    """The denoising network; None: a U-Net of any size."""
    texts: Mapping[str, CLIPTextConfig]
    """CLIP's text encoders by component; beside those of Stable Diffusion 3 stands T5, which may be left out."""
    autoencoder: AutoencoderKLConfig | AutoencoderFoldConfig
    scheduler: Mapping[str, Any]
    pipeline: str
    """diffusers' class for it, without `Pipeline`."""
    architecture: str
    """`modelspec.architecture`, after `stable-diffusion-` and but for what it predicts."""
    steps: int
    guidance: float
    reach: float = 1.5
    """How many times longer or shorter than in training a picture's side may be."""
    upscaler: str = "auto"
    """The method that enlarges what it paints, unless another is asked for."""
    two_passes: bool = True
    """Whether it keeps to what was painted when that is painted anew, larger than in training: `hires`."""

    @property
    def many_shapes(self) -> bool:
        """Trained on pictures of one area and of many shapes (Podell et al. 2023, arXiv:2307.01952, section 2.3)."""
        return "text_encoder_2" in self.texts and not self.turbo

    @property
    def zero_empty(self) -> bool:
        """An empty prompt is a condition of zeros, not the encoding of no words."""
        return len(self.texts) > 1 and not isinstance(self.network, MMDiTConfig)

    @property
    def aligned(self) -> str:
        """Whose levels of `ALIGNED` it takes."""
        return "sdxl" if "text_encoder_2" in self.texts else "sd1"

    @property
    def turbo(self) -> bool:
        """Distilled adversarially into a few steps without guidance (Sauer et al. 2023, arXiv:2311.17042)."""
        return "turbo" in self.name

    def fits(self, network: NetworkConfig, encoders: Collection[str], autoencoder: str, *, turbo: bool) -> bool:
        """Whether a model of such parts may be called so. SDXL is known by its text encoders, at any width."""
        if set(encoders) != set(self.texts) or autoencoder != self.autoencoder.class_name or (self.turbo and not turbo):
            return False
        known = self.network
        if isinstance(network, MMDiTConfig) or isinstance(known, MMDiTConfig):
            return isinstance(network, MMDiTConfig) and isinstance(known, MMDiTConfig) and _like(network, known)
        if isinstance(network, KUNetConfig) or isinstance(known, KUNetConfig):
            return isinstance(network, KUNetConfig) and isinstance(known, KUNetConfig)
        if known is None:
            return True
        widths = {network.cross_attention_dim, known.cross_attention_dim}
        return (
            extra_channels(network) == extra_channels(known)
            and (network.time_cond_proj_dim is None) == (known.time_cond_proj_dim is None)
            and (len(widths) == 1 or "text_encoder_2" in encoders)
        )


def _like(network: MMDiTConfig, published: MMDiTConfig) -> bool:
    """Whether both are of one release, whatever the size: 3.5 has norms on its queries, and Medium attends twice."""
    return (network.qk_norm, bool(network.dual_attention_layers)) == (
        published.qk_norm,
        bool(published.dual_attention_layers),
    )


def latent_channels(network: NetworkConfig) -> int:
    """Channels of the latents that the network paints; that of k-diffusion's kind gives their variance as well."""
    return network.out_channels - isinstance(network, KUNetConfig)


def extra_channels(network: NetworkConfig) -> int:
    """Channels that the network takes beside the latents."""
    return network.in_channels - latent_channels(network)


DEPTH, EDITING, INPAINTING, ENLARGING = "painting by depth", "editing by instruction", "inpainting", "enlarging"
TASKS: Mapping[int, str] = {1: DEPTH, 3: ENLARGING, 4: EDITING, 5: INPAINTING}
"""What a U-Net with so many extra channels is for: a depth map, pixels of a small picture, a picture's latents, or a
mask and these.
"""


FAMILIES: tuple[Family, ...] = (
    Family(
        name="nano",
        title="sfumato nano",
        network=None,
        texts=CLIP_L_ONLY,
        autoencoder=FOLD,
        scheduler=PNDM,
        pipeline="StableDiffusion",
        architecture="nano",
        steps=24,
        guidance=4.0,
        reach=1.125,
        upscaler="painted",
        two_passes=False,
    ),
    Family(
        name="sd1",
        title="Stable Diffusion 1.x",
        network=SD1,
        texts=CLIP_L_ONLY,
        autoencoder=KL,
        scheduler=PNDM,
        pipeline="StableDiffusion",
        architecture="v1",
        steps=25,
        guidance=7.5,
    ),
    Family(
        name="sd1-inpainting",
        title="SD 1.x inpainting",
        network=with_channels(9, SD1),
        texts=CLIP_L_ONLY,
        autoencoder=KL,
        scheduler=PNDM,
        pipeline="StableDiffusionInpaint",
        architecture="v1-inpainting",
        steps=25,
        guidance=7.5,
    ),
    Family(
        name="sd1-edit",
        title="InstructPix2Pix",
        network=with_channels(8, SD1),
        texts=CLIP_L_ONLY,
        autoencoder=KL,
        scheduler=PNDM,
        pipeline="StableDiffusionInstructPix2Pix",
        architecture="v1-edit",
        steps=25,
        guidance=7.5,
    ),
    Family(
        name="lcm",
        title="LCM",
        network=with_guidance_embedding(SD1),
        texts=CLIP_L_ONLY,
        autoencoder=KL,
        scheduler=LCM,
        pipeline="LatentConsistencyModel",
        architecture="v1-lcm",
        steps=4,
        guidance=8.0,
    ),
    Family(
        name="sd-turbo",
        title="SD-Turbo",
        network=SD2,
        texts=CLIP_H_ONLY,
        autoencoder=KL,
        scheduler=TURBO,
        pipeline="StableDiffusion",
        architecture="v2-turbo",
        steps=1,
        guidance=1.0,
    ),
    Family(
        name="sd2",
        title="Stable Diffusion 2.x",
        network=SD2,
        texts=CLIP_H_ONLY,
        autoencoder=KL,
        scheduler=DDIM,
        pipeline="StableDiffusion",
        architecture="v2-512",
        steps=25,
        guidance=7.5,
    ),
    Family(
        name="sd2-inpainting",
        title="SD 2.x inpainting",
        network=with_channels(9, SD2),
        texts=CLIP_H_ONLY,
        autoencoder=KL,
        scheduler=PNDM,
        pipeline="StableDiffusionInpaint",
        architecture="v2-inpainting",
        steps=25,
        guidance=7.5,
    ),
    Family(
        name="sd2-depth",
        title="SD 2.x depth",
        network=with_channels(5, SD2),
        texts=CLIP_H_ONLY,
        autoencoder=KL,
        scheduler=PNDM,
        pipeline="StableDiffusionDepth2Img",
        architecture="v2-depth",
        steps=25,
        guidance=7.5,
    ),
    Family(
        name="x4-upscaler",
        title="SD x4 upscaler",
        network=X4_UPSCALER,
        texts=CLIP_H_ONLY,
        autoencoder=KL_X4,
        scheduler=DDIM_V,
        pipeline="StableDiffusionUpscale",
        architecture="v2-x4-upscaler",
        steps=50,
        guidance=9.0,
    ),
    Family(
        name="latent-upscaler",
        title="SD x2 latent upscaler",
        network=LATENT_UPSCALER,
        texts=CLIP_L_ONLY,
        autoencoder=KL,
        scheduler=EULER_CLEAN,
        pipeline="StableDiffusionLatentUpscale",
        architecture="x2-latent-upscaler",
        steps=20,
        guidance=9.0,
    ),
    Family(
        name="sdxl-turbo",
        title="SDXL-Turbo",
        network=SDXL_512,
        texts=CLIP_L_AND_G,
        autoencoder=KL_XL,
        scheduler=TURBO_XL,
        pipeline="StableDiffusionXL",
        architecture="xl-v1-turbo",
        steps=1,
        guidance=1.0,
    ),
    Family(
        name="sdxl",
        title="SDXL",
        network=SDXL,
        texts=CLIP_L_AND_G,
        autoencoder=KL_XL,
        scheduler=EULER,
        pipeline="StableDiffusionXL",
        architecture="xl-v1-base",
        steps=25,
        guidance=5.0,
    ),
    Family(
        name="sdxl-inpainting",
        title="SDXL inpainting",
        network=with_channels(9, SDXL),
        texts=CLIP_L_AND_G,
        autoencoder=KL_XL,
        scheduler=EULER,
        pipeline="StableDiffusionXLInpaint",
        architecture="xl-v1-inpainting",
        steps=25,
        guidance=7.5,
    ),
    Family(
        name="sdxl-edit",
        title="SDXL InstructPix2Pix",
        network=with_channels(8, SDXL),
        texts=CLIP_L_AND_G,
        autoencoder=KL_XL,
        scheduler=EULER,
        pipeline="StableDiffusionXLInstructPix2Pix",
        architecture="xl-v1-edit",
        steps=25,
        guidance=3.0,
    ),
    Family(
        name="sdxl-lcm",
        title="SDXL LCM",
        network=with_guidance_embedding(SDXL),
        texts=CLIP_L_AND_G,
        autoencoder=KL_XL,
        scheduler=LCM,
        pipeline="StableDiffusionXL",
        architecture="xl-v1-lcm",
        steps=4,
        guidance=8.0,
    ),
    Family(
        name="sdxl-refiner",
        title="SDXL refiner",
        network=SDXL_REFINER,
        texts=CLIP_G_ONLY,
        autoencoder=KL_XL,
        scheduler=EULER,
        pipeline="StableDiffusionXLImg2Img",
        architecture="xl-v1-refiner",
        steps=25,
        guidance=5.0,
    ),
    Family(
        name="sd3",
        title="Stable Diffusion 3",
        network=MMDiTConfig(),
        texts=CLIP_AND_T5,
        autoencoder=KL_3,
        scheduler=FLOW,
        pipeline="StableDiffusion3",
        architecture="v3-medium",
        steps=28,
        guidance=7.0,
    ),
    Family(
        name="sd3.5-medium",
        title="SD 3.5 Medium",
        network=SD35_MEDIUM,
        texts=CLIP_AND_T5,
        autoencoder=KL_3,
        scheduler=FLOW,
        pipeline="StableDiffusion3",
        architecture="v3.5-medium",
        steps=40,
        guidance=4.5,
    ),
    Family(
        name="sd3.5-large-turbo",
        title="SD 3.5 Large Turbo",
        network=SD35_LARGE,
        texts=CLIP_AND_T5,
        autoencoder=KL_3,
        scheduler=FLOW,
        pipeline="StableDiffusion3",
        architecture="v3.5-large-turbo",
        steps=4,
        guidance=1.0,
    ),
    Family(
        name="sd3.5-large",
        title="SD 3.5 Large",
        network=SD35_LARGE,
        texts=CLIP_AND_T5,
        autoencoder=KL_3,
        scheduler=FLOW,
        pipeline="StableDiffusion3",
        architecture="v3.5-large",
        steps=28,
        guidance=3.5,
    ),
    Family(
        name="custom",
        title="U-Net latent diffusion of another size",
        network=None,
        texts=CLIP_L_ONLY,
        autoencoder=KL,
        scheduler=PNDM,
        pipeline="StableDiffusion",
        architecture="v1",
        steps=25,
        guidance=7.5,
    ),
)
"""The first row that fits a model names its family."""


def family_of(
    network: NetworkConfig,
    encoders: Collection[str],
    scheduler: Mapping[str, Any],
    autoencoder: str = AutoencoderKLConfig.class_name,
    *,
    named: str = "",
) -> Family:
    """The family of a model of these parts. The turbo ones differ from what they were distilled from by their published
    scheduler alone: Euler, ancestral or not, from the noisiest step; that of Stable Diffusion 3.5 by its name alone.

    Args:
        named: what the model is called.

    Raises:
        CheckpointError: there is none.
    """
    plain = scheduler.get("prediction_type", "epsilon") == "epsilon" and not scheduler.get("use_karras_sigmas")
    euler = scheduler.get("_class_name") in (TURBO["_class_name"], TURBO_XL["_class_name"])
    turbo = euler and plain and scheduler.get("timestep_spacing") == "trailing"
    if isinstance(network, MMDiTConfig):
        turbo = "turbo" in named.lower()
    for family in FAMILIES:
        if family.fits(network, encoders, autoencoder, turbo=turbo):
            return family
    raise CheckpointError(
        f"no family has the text encoders {', '.join(sorted(encoders))}, {network.in_channels} input channels and an "
        f"{autoencoder}"
    )
