"""A picture as a prompt: IP-Adapters, plain and plus, and their picture encoder, as in diffusers and transformers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPImageProcessorPil, CLIPVisionConfig, CLIPVisionModelWithProjection

from sfumato import Studio
from sfumato.checkpoints.ip_adapters import load_picture_encoder
from sfumato.errors import CheckpointError
from sfumato.tasks.like import prepared
from tests.parity.measure import assert_close, assert_same_picture

pytestmark = pytest.mark.parity

PROMPT, NEGATIVE, SEED = "a photograph of an astronaut riding a horse", "blurry", 7
WIDTH = 48


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    rows, columns = np.indices((90, 61))
    return Image.fromarray(np.stack([rows * 2, 255 - columns * 3, (rows + columns) * 7 % 256], -1).astype(np.uint8))


def encoder(folder: Path) -> Any:
    torch.manual_seed(3)
    made = CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=WIDTH,
            intermediate_size=64,
            num_hidden_layers=3,
            num_attention_heads=4,
            image_size=28,
            patch_size=7,
            projection_dim=20,
            hidden_act="gelu",
        )
    ).eval()
    made.save_pretrained(folder)
    return made


def random(*shape: int, scale: float = 1.0) -> torch.Tensor:
    return torch.randn(*shape) * scale


def adapter(unet: Any, kind: str) -> dict[str, torch.Tensor]:
    """Of the authors' layout, so loud that it cannot be missed."""
    torch.manual_seed(4)
    context = unet.config.cross_attention_dim
    state: dict[str, torch.Tensor] = {}
    if kind == "plain":
        state["image_proj.proj.weight"] = random(4 * context, 20)
        state["image_proj.proj.bias"] = random(4 * context)
        state["image_proj.norm.weight"], state["image_proj.norm.bias"] = random(context), random(context)
    else:
        width, inner = 32, 2 * 64
        state["image_proj.latents"] = random(1, 5, width)
        state["image_proj.proj_in.weight"], state["image_proj.proj_in.bias"] = random(width, WIDTH), random(width)
        state["image_proj.proj_out.weight"] = random(context, width)
        for name, size in (("proj_out.bias", context), ("norm_out.weight", context), ("norm_out.bias", context)):
            state[f"image_proj.{name}"] = random(size)
        for i in range(4):
            here = f"image_proj.layers.{i}."
            for name in ("0.norm1", "0.norm2", "1.0"):
                state[f"{here}{name}.weight"], state[f"{here}{name}.bias"] = random(width), random(width)
            shapes = {"0.to_q": (inner, width), "0.to_kv": (2 * inner, width), "0.to_out": (width, inner)}
            shapes |= {"1.1": (4 * width, width), "1.3": (width, 4 * width)}
            state |= {f"{here}{name}.weight": random(*shape, scale=0.3) for name, shape in shapes.items()}
    for place, name in enumerate(unet.attn_processors):
        if "attn2" in name:
            width = unet.get_submodule(name.removesuffix(".processor")).to_q.out_features
            for key in ("to_k_ip", "to_v_ip"):
                state[f"ip_adapter.{place}.{key}.weight"] = random(width, context)
    return state


def nested(state: dict[str, torch.Tensor]) -> Any:
    return {
        part: {name.removeprefix(f"{part}."): value for name, value in state.items() if name.startswith(f"{part}.")}
        for part in ("image_proj", "ip_adapter")
    }


@torch.no_grad()
def test_picture_encoder(tiny_file: Path, photo: Image.Image, tmp_path: Path) -> None:
    theirs = encoder(tmp_path / "image_encoder")
    pixels = CLIPImageProcessorPil(size=28, crop_size=28)(photo, return_tensors="pt").pixel_values
    assert_close(prepared(photo, 28), pixels)
    ours = load_picture_encoder(tmp_path / "image_encoder", Studio(tiny_file, device="cpu", precision="fp32").load())
    expected, seen = theirs(pixels, output_hidden_states=True), ours(pixels)
    assert_close(seen.pooled, expected.image_embeds)
    assert_close(seen.tokens, expected.hidden_states[-2])


@pytest.fixture
def tiny_file(sd1: tuple[Any, Path]) -> Path:
    return sd1[1]


@pytest.mark.parametrize(("form", "kind"), [("sd1", "plain"), ("sd1", "plus"), ("sdxl", "plain")])
def test_same_picture(form: str, kind: str, photo: Image.Image, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    pair: tuple[Any, Path] = request.getfixturevalue(form)
    state = adapter(pair[0].unet, kind)
    save_file(state, tmp_path / "ip.safetensors")
    image_encoder = encoder(tmp_path / "image_encoder")
    studio = Studio(pair[1], precision="fp32", device="cpu")
    options: dict[str, Any] = {"negative": NEGATIVE, "steps": 4, "guidance": 5.0, "seed": SEED}
    plain = studio.txt2img(PROMPT, **options)[0]
    ours = studio.txt2img(PROMPT, like=photo, like_model=str(tmp_path / "ip.safetensors"), like_strength=0.7, **options)
    again = studio.txt2img(PROMPT, **options)[0]
    assert plain.tobytes() == again.tobytes(), "the model itself stays as it is"
    assert np.abs(np.asarray(plain, int) - np.asarray(ours[0], int)).max() > 4

    kinds = {"sd1": StableDiffusionPipeline, "sdxl": StableDiffusionXLPipeline}
    theirs: Any = kinds[form].from_pretrained(pair[1], local_files_only=True)
    theirs.register_modules(image_encoder=image_encoder, feature_extractor=CLIPImageProcessorPil(size=28, crop_size=28))
    theirs.load_ip_adapter(nested(state), subfolder="", weight_name="")
    theirs.set_ip_adapter_scale(0.7)
    theirs.set_progress_bar_config(disable=True)
    expected = theirs(
        PROMPT,
        negative_prompt=NEGATIVE,
        num_inference_steps=4,
        guidance_scale=5.0,
        generator=torch.Generator().manual_seed(SEED),
        ip_adapter_image=photo,
        output_type="np",
    ).images[0]
    assert_same_picture(ours[0], expected)


def test_what_does_not_fit_is_said(photo: Image.Image, sd1: tuple[Any, Path], tmp_path: Path) -> None:
    state = adapter(sd1[0].unet, "plain")
    save_file(state, tmp_path / "ip.safetensors")
    studio = Studio(sd1[1], precision="fp32", device="cpu")
    with pytest.raises(CheckpointError, match="give its folder as --image-encoder, or put it beside as image_encoder"):
        studio.txt2img(PROMPT, like=photo, like_model=str(tmp_path / "ip.safetensors"), steps=1)
    del state["ip_adapter.1.to_k_ip.weight"]
    save_file(state, tmp_path / "part.safetensors")
    with pytest.raises(CheckpointError, match="is no IP-Adapter"):
        studio.txt2img(PROMPT, like=photo, like_model=str(tmp_path / "part.safetensors"), steps=1)
    save_file(
        {"image_proj.proj.3.weight": random(4), "ip_adapter.1.to_k_ip.weight": random(4, 4)}, tmp_path / "f.safetensors"
    )
    with pytest.raises(CheckpointError, match="is a full-face IP-Adapter"):
        studio.txt2img(PROMPT, like=photo, like_model=str(tmp_path / "f.safetensors"), steps=1)
