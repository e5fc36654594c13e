"""Folders as other programs write them: each is painted as diffusers paints it, within 2/255."""

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.training_utils import EMAModel
from transformers import CLIPTokenizer

from sfumato import Studio
from tests.parity import measure
from tests.parity.conftest import with_parts

pytestmark = pytest.mark.parity

Pair = tuple[StableDiffusionPipeline, Path]

PROMPT, NEGATIVE, SEED = "a <cat-toy> riding a horse", "blurry, low quality", 7


def painted(pipeline: Any) -> np.ndarray:
    with torch.no_grad():
        picture: np.ndarray = pipeline(
            PROMPT,
            negative_prompt=NEGATIVE,
            num_inference_steps=4,
            guidance_scale=7.5,
            generator=torch.Generator().manual_seed(SEED),
            output_type="np",
        ).images[0]
    return picture


def ours(model: Path) -> Any:
    studio = Studio(model, precision="fp32", device="cpu")
    return studio.txt2img(PROMPT, negative=NEGATIVE, steps=4, guidance=7.5, seed=SEED).images[0]


@pytest.mark.parametrize("layout", ["transformers 5", "transformers 4"])
def test_a_taught_word(layout: str, sd1: Pair, tmp_path: Path) -> None:
    pipeline, folder = sd1
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    assert tokenizer.add_tokens(["<cat-toy>"]) == 1
    encoder = copy.deepcopy(pipeline.text_encoder)
    torch.manual_seed(1)
    encoder.resize_token_embeddings(49409)
    with torch.no_grad():
        encoder.get_input_embeddings().weight[49408] = 3 * torch.randn(32)
    taught = with_parts(pipeline, tmp_path, tokenizer=tokenizer, text_encoder=encoder)
    if layout == "transformers 4":
        old = tmp_path / "tokenizer" / "tokenizer.json"
        model = json.loads(old.read_text())["model"]
        old.unlink()
        (tmp_path / "tokenizer" / "vocab.json").write_text(json.dumps(model["vocab"]))
        (tmp_path / "tokenizer" / "merges.txt").write_text("\n".join(map(" ".join, model["merges"])))
        (tmp_path / "tokenizer" / "added_tokens.json").write_text(json.dumps({"<cat-toy>": 49408}))
    measure.assert_same_picture(ours(tmp_path), painted(taught))


def test_values_in_other_forms_and_keys_of_other_programs(
    sd1: Pair, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As `EMAModel.save_pretrained` and older releases write them; what nobody reads is named."""
    pipeline, folder = sd1
    shutil.copytree(folder, tmp_path / "model")
    ema = EMAModel(pipeline.unet.parameters(), model_cls=UNet2DConditionModel, model_config=pipeline.unet.config)
    ema.save_pretrained(tmp_path / "model" / "unet")
    path = tmp_path / "model" / "unet" / "config.json"
    config = json.loads(path.read_text())
    assert "decay" in config
    lists = {"only_cross_attention": [False] * 3, "cross_attention_dim": [32] * 3, "layers_per_block": [1] * 3}
    path.write_text(json.dumps(config | lists | {"torch_dtype": "float32", "magic": 1}))
    measure.assert_same_picture(ours(tmp_path / "model"), painted(pipeline))
    assert [r.getMessage() for r in caplog.records] == [f"{path}: UNet2DConditionModel has no setting 'magic'; ignored"]


@pytest.mark.parametrize("form", ["small", "tiny"])
def test_a_distilled_unet_without_a_middle(form: str, sd1: Pair, tmp_path: Path) -> None:
    pipeline, _ = sd1
    torch.manual_seed(2)
    config = {**pipeline.unet.config, "mid_block_type": None if form == "tiny" else "UNetMidBlock2D"}
    model = with_parts(pipeline, tmp_path, unet=UNet2DConditionModel(**config).eval())
    measure.assert_same_picture(ours(tmp_path), painted(model))


def test_a_tiny_autoencoder_as_the_folders_own(sd1: Pair, tmp_path: Path) -> None:
    """The layout of SDXS-512."""
    pipeline, _ = sd1
    torch.manual_seed(3)
    vae = AutoencoderTiny(
        encoder_block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        num_encoder_blocks=(1, 1, 1, 1),
        num_decoder_blocks=(1, 1, 1, 1),
    ).eval()
    model = with_parts(pipeline, tmp_path, vae=vae)
    measure.assert_same_picture(ours(tmp_path), painted(model))
