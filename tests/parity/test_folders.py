"""Folders as other programs write them: each is painted as diffusers paints it, within 2/255."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
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
