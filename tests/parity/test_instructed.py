"""Networks that see a picture beside the latents: editing by instruction, and by depth, within 2/255 of diffusers."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    EDMEulerScheduler,
    EulerDiscreteScheduler,
    StableDiffusionDepth2ImgPipeline,
    StableDiffusionInstructPix2PixPipeline,
    StableDiffusionXLInstructPix2PixPipeline,
)
from diffusers.pipelines.stable_diffusion import pipeline_stable_diffusion_depth2img as depth2img
from PIL import Image

from sfumato import RequestError
from tests.parity.measure import assert_same_picture
from tests.parity.test_edits import OURS, PROMPT, SIZE, painted, photo, scheduled, small, studio, widened  # noqa: F401
from tests.parity.test_sdxl import EULER, parts, saved, unet

pytestmark = pytest.mark.parity


@pytest.mark.parametrize("name", ["euler", pytest.param("ddim", marks=pytest.mark.slow)])
def test_instruct_pix2pix(name: str, photo: Image.Image, sd1: tuple[Any, Path], tmp_path: Path) -> None:  # noqa: F811
    made, folder = scheduled(widened(sd1, 8, tmp_path / "wide"), name, tmp_path / "model")
    pipeline = StableDiffusionInstructPix2PixPipeline(**made, requires_safety_checker=False)
    theirs = painted(pipeline, image=photo, image_guidance_scale=1.6)
    assert_same_picture(studio(folder).edit(photo, PROMPT, image_guidance=1.6, **OURS)[0], theirs)


@pytest.mark.parametrize("rescale", [pytest.param(0.0, marks=pytest.mark.slow), 0.7])
def test_instruct_pix2pix_xl(rescale: float, small: Image.Image, tmp_path: Path) -> None:  # noqa: F811
    torch.manual_seed(1)
    made = parts(unet(in_channels=8), EulerDiscreteScheduler(**EULER, timestep_spacing="leading"))
    pipeline, folder = saved(StableDiffusionXLInstructPix2PixPipeline(**made, add_watermarker=False), tmp_path)
    sides = dict(zip(("width", "height"), small.size, strict=True))
    theirs = painted(pipeline, image=small, image_guidance_scale=1.6, guidance_rescale=rescale, **sides)
    ours = studio(folder).edit(small, PROMPT, image_guidance=1.6, guidance_rescale=rescale, **OURS)[0]
    assert_same_picture(ours, theirs)


def test_cosxl_edit(small: Image.Image, tmp_path: Path) -> None:  # noqa: F811
    """It sees the picture's latents as the denoiser has them."""
    torch.manual_seed(1)
    levels = {"sigma_min": 0.002, "sigma_max": 120.0, "sigma_data": 1.0, "sigma_schedule": "exponential"}
    scheduler = EDMEulerScheduler(**levels, prediction_type="v_prediction")
    made = parts(unet(in_channels=8), scheduler)
    pipeline = StableDiffusionXLInstructPix2PixPipeline(**made, add_watermarker=False, is_cosxl_edit=True)
    pipeline, folder = saved(pipeline, tmp_path)
    sides = dict(zip(("width", "height"), small.size, strict=True))
    theirs = painted(pipeline, image=small, image_guidance_scale=1.6, **sides)
    assert_same_picture(studio(folder).edit(small, PROMPT, image_guidance=1.6, **OURS)[0], theirs)


def test_depth2img(
    photo: Image.Image,  # noqa: F811
    sd2: tuple[Any, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, folder = scheduled(widened(sd2, 5, tmp_path / "wide"), "ddim", tmp_path / "model")
    made["scheduler"].register_to_config(prediction_type="v_prediction")
    made["scheduler"].save_config(folder / "scheduler")
    monkeypatch.setattr(depth2img, "retrieve_latents", lambda found, **_: found.latent_dist.mode())
    near = Image.linear_gradient("L").rotate(30).resize(photo.size)
    near.putpixel((3, 3), 255)
    depth = torch.tensor(list(near.tobytes()), dtype=torch.float32).reshape(1, SIZE, SIZE)
    pipeline = StableDiffusionDepth2ImgPipeline(**networks(made), depth_estimator=None, feature_extractor=None)
    theirs = painted(pipeline, image=photo, depth_map=depth, strength=0.7)
    ours = studio(folder).depth2img(photo, PROMPT, depth=near, strength=0.7, **OURS)[0]
    assert_same_picture(ours, theirs)
    with pytest.raises(RequestError, match=r"made for painting by depth; img2img .* a task of its own, depth2img"):
        studio(folder).img2img(photo, PROMPT, **OURS)


def networks(made: dict[str, Any]) -> dict[str, Any]:
    """Without what is beside the networks."""
    return {
        name: part for name, part in made.items() if name in ("vae", "text_encoder", "tokenizer", "unet", "scheduler")
    }
