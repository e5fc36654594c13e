"""Pictures that begin from one: diffusers' pipelines of img2img and inpainting against ours, within 2/255.

Both encode the mean of the autoencoder's distribution here; diffusers by itself draws a sample of it.
"""

import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    EulerDiscreteScheduler,
    StableDiffusion3Img2ImgPipeline,
    StableDiffusion3InpaintPipeline,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
    UNet2DConditionModel,
)
from diffusers.pipelines.stable_diffusion import pipeline_stable_diffusion_img2img as img2img
from diffusers.pipelines.stable_diffusion import pipeline_stable_diffusion_inpaint as inpaint
from diffusers.pipelines.stable_diffusion_3 import pipeline_stable_diffusion_3_img2img as img2img_3
from diffusers.pipelines.stable_diffusion_3 import pipeline_stable_diffusion_3_inpaint as inpaint_3
from diffusers.pipelines.stable_diffusion_xl import pipeline_stable_diffusion_xl_img2img as img2img_xl
from diffusers.pipelines.stable_diffusion_xl import pipeline_stable_diffusion_xl_inpaint as inpaint_xl
from PIL import Image

from sfumato import Studio
from tests.parity.conftest import with_parts
from tests.parity.measure import assert_same_picture
from tests.parity.test_sdxl import EULER, make_refiner, parts, saved, unet

pytestmark = pytest.mark.parity

PROMPT, NEGATIVE, SEED, SIZE, STEPS = "a photograph of an astronaut riding a horse", "blurry", 7, 64, 6
SCHEDULERS: dict[str, Any] = {"euler": EulerDiscreteScheduler, "ddim": DDIMScheduler}
BETAS = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "steps_offset": 1}


@pytest.fixture(autouse=True)
def _the_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    def mean(found: Any, generator: object = None, sample_mode: str = "sample") -> torch.Tensor:
        latents: torch.Tensor = found.latent_dist.mode()
        return latents

    modules: list[ModuleType] = [img2img, inpaint, img2img_3, inpaint_3, img2img_xl, inpaint_xl]
    for module in modules:
        monkeypatch.setattr(module, "retrieve_latents", mean)


def drawing(size: int) -> Image.Image:
    rows, columns = np.indices((size, size))
    return Image.fromarray(np.stack([rows * 3, 255 - columns * 3, (rows + columns) * 7 % 256], -1).astype(np.uint8))


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return drawing(SIZE)


@pytest.fixture(scope="module")
def small() -> Image.Image:
    """For networks of the form of SDXL, whose latents are larger here: their autoencoder halves the sides but once."""
    return drawing(SIZE // 2)


def scheduled(pair: tuple[Any, Path], name: str, folder: Path) -> tuple[dict[str, Any], Path]:
    """The parts of a pipeline and its folder, with a scheduler of that name."""
    extra = {"set_alpha_to_one": False, "clip_sample": False} if name == "ddim" else {}
    scheduler = SCHEDULERS[name](**BETAS, **extra)
    shutil.copytree(pair[1], folder)
    (folder / "scheduler" / "scheduler_config.json").unlink()
    scheduler.save_config(folder / "scheduler")
    return {**pair[0].components, "scheduler": scheduler}, folder


def painted(pipeline: Any, **options: Any) -> np.ndarray:
    """diffusers' picture, (h, w, 3) in [0, 1]."""
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        images = pipeline(
            prompt=PROMPT,
            negative_prompt=NEGATIVE,
            num_inference_steps=STEPS,
            guidance_scale=5.0,
            generator=generator,
            **options,
        ).images
    return np.asarray(images[0], dtype=np.float32) / 255


OURS: dict[str, Any] = {"negative": NEGATIVE, "steps": STEPS, "guidance": 5.0, "seed": SEED}


def studio(folder: Path) -> Studio:
    return Studio(folder, precision="fp32", device="cpu")


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("euler", "sd1"),
        pytest.param("ddim", "sd1", marks=pytest.mark.slow),
        pytest.param("euler", "sd2", marks=pytest.mark.slow),
        ("ddim", "sd2"),
    ],
)
def test_img2img(name: str, form: str, photo: Image.Image, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    pair = request.getfixturevalue(form)
    scheduled_as = {"prediction_type": "v_prediction"} if form == "sd2" else {}
    made, folder = scheduled(pair, name, tmp_path / "model")
    if scheduled_as:
        made["scheduler"].register_to_config(**scheduled_as)
        made["scheduler"].save_config(folder / "scheduler")
    pipeline = StableDiffusionImg2ImgPipeline(**made, requires_safety_checker=False)
    theirs = painted(pipeline, image=photo, strength=0.5)
    assert_same_picture(studio(folder).img2img(photo, PROMPT, strength=0.5, **OURS)[0], theirs)


def test_img2img_xl(small: Image.Image, sdxl: tuple[Any, Path]) -> None:
    pipeline, folder = sdxl
    theirs = painted(
        StableDiffusionXLImg2ImgPipeline(**pipeline.components, add_watermarker=False), image=small, strength=0.5
    )
    assert_same_picture(studio(folder).img2img(small, PROMPT, strength=0.5, **OURS)[0], theirs)


def test_img2img_3(photo: Image.Image, sd3: tuple[Any, Path]) -> None:
    pipeline, folder = sd3
    theirs = painted(
        StableDiffusion3Img2ImgPipeline(**pipeline.components), image=photo, strength=0.5, width=SIZE, height=SIZE
    )
    assert_same_picture(studio(folder).img2img(photo, PROMPT, strength=0.5, **OURS)[0], theirs)


def widened(pair: tuple[Any, Path], channels: int, folder: Path) -> tuple[Any, Path]:
    """The model, with a network that takes so many channels."""
    torch.manual_seed(1)
    given = {name: value for name, value in pair[0].unet.config.items() if not name.startswith("_")}
    make: Any = UNet2DConditionModel
    network = make(**{**given, "in_channels": channels}).eval()
    assert network.conv_in.in_channels == channels
    return with_parts(pair[0], folder, unet=network), folder


@pytest.fixture(scope="module")
def nine(sd1: tuple[Any, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """A network that takes the mask and the masked picture."""
    return widened(sd1, 9, tmp_path_factory.mktemp("nine") / "model")


@pytest.mark.parametrize("channels", ["sd1", "nine"])
@pytest.mark.parametrize(
    ("name", "strength"),
    [
        ("euler", 0.5),
        pytest.param("euler", 1.0, marks=pytest.mark.slow),
        pytest.param("ddim", 0.5, marks=pytest.mark.slow),
        ("ddim", 1.0),
    ],
)
def test_inpaint(
    channels: str, name: str, strength: float, photo: Image.Image, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    made, folder = scheduled(request.getfixturevalue(channels), name, tmp_path / "model")
    assert_same_inpainting(
        StableDiffusionInpaintPipeline(**made, requires_safety_checker=False), folder, photo, strength
    )


def assert_same_inpainting(pipeline: Any, folder: Path, photo: Image.Image, strength: float) -> None:
    """Inside of a box; outside of it diffusers' picture is replaced by the original, which ours keeps."""
    width, height = photo.size
    unit = width // 8
    box = (2 * unit, unit, 3 * unit, 5 * unit)
    mask = Image.new("L", photo.size)
    mask.paste(255, (2 * unit, unit, 5 * unit, 6 * unit))
    theirs = painted(pipeline, image=photo, mask_image=mask, strength=strength, width=width, height=height)
    inside = np.asarray(mask)[..., None] / 255
    theirs = theirs * inside + np.asarray(photo, dtype=np.float32) / 255 * (1 - inside)
    ours = studio(folder).inpaint(photo, PROMPT, box=box, blur=0, strength=strength, **OURS)[0]
    assert_same_picture(ours, theirs.astype(np.float32))


@pytest.mark.parametrize("channels", [pytest.param(4, marks=pytest.mark.slow), 9])
def test_inpaint_xl(channels: int, small: Image.Image, tmp_path: Path) -> None:
    torch.manual_seed(0)
    made = parts(unet(in_channels=channels), EulerDiscreteScheduler(**EULER, timestep_spacing="leading"))
    pipeline, folder = saved(StableDiffusionXLInpaintPipeline(**made, add_watermarker=False), tmp_path)
    for strength in (0.6, 1.0):
        assert_same_inpainting(pipeline, folder, small, strength)


def test_inpaint_3(photo: Image.Image, sd3: tuple[Any, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """diffusers' pipeline forgets to add the shift before it decodes, and rounds the steps of a strength up."""
    pipeline = StableDiffusion3InpaintPipeline(**sd3[0].components)
    vae = pipeline.vae
    decode = vae.decode
    shifted = lambda latents, **options: decode(latents + vae.config.shift_factor, **options)  # noqa: E731
    monkeypatch.setattr(vae, "decode", shifted)
    for strength in (0.5, 1.0):
        assert_same_inpainting(pipeline, sd3[1], photo, strength)


def test_inpaint_of_the_masked_part_alone(photo: Image.Image, sd1: tuple[Any, Path], tmp_path: Path) -> None:
    made, folder = scheduled(sd1, "euler", tmp_path / "model")
    mask = Image.new("L", photo.size)
    mask.paste(255, (20, 24, 36, 40))
    pipeline = StableDiffusionInpaintPipeline(**made, requires_safety_checker=False)
    theirs = painted(pipeline, image=photo, mask_image=mask, strength=0.5, width=SIZE, height=SIZE, padding_mask_crop=8)
    ours = studio(folder).inpaint(
        photo, PROMPT, mask=mask, blur=0, strength=0.5, only_masked=True, padding=8, size=(SIZE, SIZE), **OURS
    )[0]
    assert_same_picture(ours, theirs)


@pytest.mark.parametrize(("switch", "kept"), [(0.75, 6), pytest.param(0.4, 3, marks=pytest.mark.slow)])
def test_refiner(switch: float, kept: int, sdxl: tuple[Any, Path], tmp_path: Path) -> None:
    """SDXL's ensemble of experts, as diffusers chains two pipelines."""
    torch.manual_seed(0)
    base, folder = sdxl
    refiner, other = make_refiner(tmp_path / "refiner")
    refiner.vae = base.vae  # those of the published two are the same
    told = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "num_inference_steps": 8, "guidance_scale": 5.0}
    generator, size = torch.Generator().manual_seed(SEED), SIZE // 2
    with torch.no_grad():
        begun = base(**told, generator=generator, denoising_end=switch, output_type="latent", height=size, width=size)
        ended = refiner(**told, image=begun.images, denoising_start=switch, aesthetic_score=7.0, output_type="np")
    assert base.num_timesteps == kept
    options = {**OURS, "steps": 8, "refiner": str(other), "switch": switch, "aesthetic": 7.0, "size": (size, size)}
    ours = studio(folder).txt2img(PROMPT, **options)[0]
    assert_same_picture(ours, ended.images[0])
