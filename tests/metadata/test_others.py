"""A foreign reader finds what we write: sd-parsers, which is independent of us."""

import io
from typing import Any

import pytest
from PIL import Image

from sfumato.metadata.carriers import put
from sfumato.metadata.provenance import Provenance
from sfumato.output import texts_of
from sfumato.requests import Txt2Img
from tests.metadata.pictures import encoded

sd_parsers: Any = pytest.importorskip("sd_parsers")


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])  # it reads no AVIF
def test_sd_parsers_finds_the_settings(format: str) -> None:
    request = Txt2Img.build(
        prompt="a cat,\non a 垫子",
        negative="fog: thick",
        seed=7,
        steps=20,
        sampler="dpmpp_2m",
        schedule="karras",
        guidance=6.5,
        width=512,
        height=768,
    )
    data = put(encoded(format), texts_of(request, Provenance("0123456789abcdef", "bf16", "cpu", "2.9.0")))
    with Image.open(io.BytesIO(data)) as image:
        found = sd_parsers.ParserManager().parse(image)
    (sampler,) = found.samplers
    assert sampler.name == "DPM++ 2M"
    assert sampler.parameters == {"scheduler": "Karras", "cfg_scale": "6.5", "seed": "7", "steps": "20"}
    assert (sampler.model.name, sampler.model.hash) == ("nano", "0123456789")
    assert [prompt.value for prompt in sampler.prompts] == ["a cat,\non a 垫子"]
    assert [prompt.value for prompt in sampler.negative_prompts] == ["fog: thick"]
    assert found.metadata["Size"] == "512x768"
