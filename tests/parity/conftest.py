"""Tiny Stable Diffusion folders with random weights, made by diffusers and transformers: the oracles."""

from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("diffusers")

from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from tests.parity.clip_words import clip_tokenizer


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def make_pipeline(folder: Path, prediction: str = "epsilon", *, linear: bool = False) -> StableDiffusionPipeline:
    """A whole pipeline of SD's form at a hundredth of its size; written to `folder` in the diffusers layout."""
    torch.manual_seed(0)
    tokenizer = clip_tokenizer()
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=49408,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=3,
            num_attention_heads=4,
            bos_token_id=49406,
            eos_token_id=49407,
            hidden_act="gelu" if linear else "quick_gelu",
        )
    ).eval()
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(32, 64, 64),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=(2, 4, 4) if linear else 4,
        use_linear_projection=linear,
    ).eval()
    vae = AutoencoderKL(
        block_out_channels=(32, 64, 64, 64),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
    ).eval()
    scheduler = DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type=prediction,
    )
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    pipeline.save_pretrained(folder / "model")
    return pipeline


def with_parts(pipeline: StableDiffusionPipeline, folder: Path, **parts: Any) -> StableDiffusionPipeline:
    """The pipeline with some of its parts exchanged, and saved."""
    other = StableDiffusionPipeline(**{**pipeline.components, **parts}, requires_safety_checker=False)
    other.set_progress_bar_config(disable=True)
    other.save_pretrained(folder)
    return other


@pytest.fixture(scope="session")
def sd1(tmp_path_factory: pytest.TempPathFactory) -> tuple[StableDiffusionPipeline, Path]:
    """Of the form of SD 1.x (epsilon), and its folder."""
    folder = tmp_path_factory.mktemp("sd1")
    return make_pipeline(folder), folder / "model"


@pytest.fixture(scope="session")
def sd2(tmp_path_factory: pytest.TempPathFactory) -> tuple[StableDiffusionPipeline, Path]:
    """Of the form of SD 2.x (v-prediction, linear projections, heads by level), and its folder."""
    folder = tmp_path_factory.mktemp("sd2")
    return make_pipeline(folder, "v_prediction", linear=True), folder / "model"


@pytest.fixture(scope="session")
def sdxl(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """A pipeline of SDXL's form, and its folder."""
    from tests.parity.test_sdxl import make_base

    torch.manual_seed(0)
    return make_base(tmp_path_factory.mktemp("sdxl"))


@pytest.fixture(scope="session")
def sd3(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """A pipeline of the form of Stable Diffusion 3, and its folder."""
    from tests.parity.sd3 import make_sd3

    folder = tmp_path_factory.mktemp("sd3")
    return make_sd3(folder), folder / "model"
