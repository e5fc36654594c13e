"""Diffusion models that enlarge: the x4 upscaler and the latent upscaler, within 2/255 of diffusers."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DDPMScheduler,
    EulerDiscreteScheduler,
    StableDiffusionLatentUpscalePipeline,
    StableDiffusionUpscalePipeline,
    UNet2DConditionModel,
)
from diffusers.pipelines.stable_diffusion import pipeline_stable_diffusion_latent_upscale as latent
from PIL import Image

from sfumato import RequestError, Studio
from sfumato.checkpoints.parts import NETWORKS
from sfumato.cli import main
from sfumato.diffusion.conditioning import Conditioning
from sfumato.models.k_unet import KUNetConfig
from sfumato.models.unet import UNetConfig
from sfumato.published import LATENT_UPSCALER, X4_UPSCALER
from tests.parity.measure import assert_same_picture
from tests.restoration.photographs import crops

pytestmark = pytest.mark.parity

PROMPT = "a red cup"


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return Image.fromarray((crops(3, 32)[2] * 255).astype("uint8"))


def saved(kind: type[Any], folder: Path, **parts: Any) -> Any:
    pipeline = kind(**parts)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.save_pretrained(folder)
    return pipeline


def texts(pipeline: Any) -> dict[str, Any]:
    return {"text_encoder": pipeline.text_encoder, "tokenizer": pipeline.tokenizer}


@pytest.fixture(scope="module")
def x4(sd2: tuple[Any, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=32, in_channels=7, out_channels=4, block_out_channels=(32, 64), layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), attention_head_dim=4, cross_attention_dim=32,
        use_linear_projection=True, only_cross_attention=(True, False), num_class_embeds=100,
    ).eval()  # fmt: skip
    vae = AutoencoderKL(
        block_out_channels=(32, 32, 64), down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3, layers_per_block=1, scaling_factor=0.08333,
    ).eval()  # fmt: skip
    levels = {"beta_start": 0.0001, "beta_end": 0.02, "beta_schedule": "scaled_linear"}
    scheduler = DDIMScheduler(
        **levels, prediction_type="v_prediction", clip_sample=False, set_alpha_to_one=False, steps_offset=1
    )
    folder = tmp_path_factory.mktemp("x4") / "model"
    low = DDPMScheduler(**levels)
    made = saved(
        StableDiffusionUpscalePipeline, folder, **texts(sd2[0]), vae=vae, unet=unet, scheduler=scheduler,
        low_res_scheduler=low,
    )  # fmt: skip
    return made, folder


@pytest.fixture(scope="module")
def x2(sd1: tuple[Any, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        act_fn="gelu", attention_head_dim=8, norm_num_groups=None, block_out_channels=(32, 32, 64, 64),
        layers_per_block=(1, 2, 1, 1), time_cond_proj_dim=128 + 32, conv_in_kernel=1, conv_out_kernel=1,
        cross_attention_dim=32, down_block_types=("KDownBlock2D", *("KCrossAttnDownBlock2D",) * 3), in_channels=8,
        mid_block_type=None, only_cross_attention=False, out_channels=5, resnet_time_scale_shift="scale_shift",
        time_embedding_type="fourier", timestep_post_act="gelu",
        up_block_types=(*("KCrossAttnUpBlock2D",) * 3, "KUpBlock2D"),
    ).eval()  # fmt: skip
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type="sample"
    )
    folder = tmp_path_factory.mktemp("x2") / "model"
    made = saved(
        StableDiffusionLatentUpscalePipeline, folder, **texts(sd1[0]), vae=sd1[0].vae, unet=unet, scheduler=scheduler
    )
    return made, folder


def test_x4_upscaler(x4: tuple[Any, Path], photo: Image.Image) -> None:
    pipeline, folder = x4
    given = {"num_inference_steps": 3, "guidance_scale": 3.0, "generator": torch.manual_seed(7), "output_type": "np"}
    theirs = pipeline(PROMPT, photo, noise_level=30, **given).images[0]
    ours = Studio(folder, device="cpu", precision="fp32").upscale(
        photo, refine=PROMPT, steps=3, guidance=3.0, noise_level=30, seed=7
    )
    assert ours.request.method == "diffusion"  # type: ignore[attr-defined]
    assert ours[0].size == (128, 128)
    assert_same_picture(ours[0], theirs)


def test_latent_upscaler(x2: tuple[Any, Path], photo: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline, folder = x2
    monkeypatch.setattr(latent, "retrieve_latents", lambda found, **_: found.latent_dist.mode())
    given = {"num_inference_steps": 3, "guidance_scale": 3.0, "generator": torch.manual_seed(7), "output_type": "np"}
    large = photo.resize((64, 64))
    theirs = pipeline(PROMPT, large, **given).images[0]
    studio = Studio(folder, device="cpu", precision="fp32")
    ours = studio.upscale(large, refine=PROMPT, steps=3, guidance=3.0, seed=7)
    assert_same_picture(ours[0], theirs)
    assert studio.upscale(photo.crop((0, 0, 20, 12)), steps=1, scale=3)[0].size == (60, 36)


def test_upscalers_paint_nothing_else(
    x4: tuple[Any, Path], sd1: tuple[Any, Path], photo: Image.Image, tmp_path: Path
) -> None:
    studio = Studio(x4[1], device="cpu", precision="fp32")
    with pytest.raises(RequestError, match=r"made for enlarging; .* a task of its own, upscale"):
        studio.img2img(photo, PROMPT)
    photo.save(tmp_path / "small.png")
    small, out = str(tmp_path / "small.png"), str(tmp_path / "large.png")
    with pytest.raises(RequestError, match="model does not enlarge; give --model a x4 upscaler or a latent upscaler"):
        Studio(sd1[1], device="cpu", precision="fp32").upscale(small, method="diffusion")
    folder = str(x4[1])
    assert main(["upscale", small, "--model", folder, "--steps", "1", "--precision", "fp32", "-o", out]) == 0
    assert Image.open(out).size == (128, 128)
    copy = str(tmp_path / "copy")
    assert main(["convert", folder, "-o", copy]) == 0
    again = Studio(copy, device="cpu", precision="fp32").upscale(small, steps=1)
    assert again[0].tobytes() == Image.open(out).tobytes()


@pytest.mark.slow
@pytest.mark.parametrize("config", [X4_UPSCALER, LATENT_UPSCALER], ids=["x4", "latent"])
@torch.inference_mode()
def test_full_size_networks(config: UNetConfig | KUNetConfig) -> None:
    """The published forms with random weights; 2 GB each, twice."""
    torch.manual_seed(0)
    theirs = UNet2DConditionModel.from_config(config.to_json()).eval()
    ours = NETWORKS[type(config)](config).eval()
    ours.load_state_dict(theirs.state_dict())
    x, tokens = torch.randn(1, config.in_channels, 16, 16), torch.randn(1, 77, config.cross_attention_dim)
    label = torch.tensor([0.7])
    if isinstance(config, KUNetConfig):
        beside = torch.randn(1, config.time_cond_proj_dim)
        right = theirs(x, label, tokens, timestep_cond=beside).sample[:, :-1]
        found = ours(x, label, Conditioning(tokens, pooled=beside))
    else:
        kind = torch.tensor([20])
        right = theirs(x, label, tokens, class_labels=kind).sample
        found = ours(x, label, Conditioning(tokens, kind=kind))
    assert (found - right).abs().max() < 1e-3 * right.abs().max()
