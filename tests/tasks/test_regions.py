"""Regions of a picture, from the request to the picture of the tiny model."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sfumato import Studio
from sfumato.errors import RequestError
from sfumato.requests import Txt2Img
from sfumato.service.company import company


@pytest.fixture(scope="module")
def studio(tiny: Path) -> Studio:
    return Studio(tiny, device="cpu", precision="fp32")


def painted(studio: Studio, prompt: str = "a fox", **options: Any) -> np.ndarray:
    values: dict[str, Any] = {"steps": 3, "seed": 5, "guidance": 5.0, "width": 64, "height": 32, **options}
    return np.asarray(studio.txt2img(prompt, **values).images[0], dtype=np.int64)


def test_one_region_everywhere_is_its_prompt(studio: Studio) -> None:
    alone = painted(studio, "a bus", width=32)
    assert np.array_equal(painted(studio, "a fox", width=32, regions=["0,0,32,32:a bus"]), alone)


def test_a_region_leaves_the_other_end_alone(studio: Studio) -> None:
    """The blend is of D: at the far end nothing but what the network passes along changes."""
    plain, parted = painted(studio), painted(studio, regions=["48,0,16,32: a (bus:1.3)"])
    change = np.abs(parted - plain).mean((0, 2))
    assert change[52:].mean() > 3 * change[:12].mean()
    assert not np.array_equal(parted, plain)


@pytest.mark.parametrize(
    "options", [{"pag": 2.0}, {"guidance_method": "apg"}, {"hires": 2.0}, {"tile": 32, "tile_overlap": 8}, {"count": 2}]
)
def test_with_what_else_there_is(studio: Studio, options: dict[str, Any]) -> None:
    plain = painted(studio, **options)
    parted = painted(studio, regions=["32,0,32,32:a bus"], **options)
    assert parted.shape == plain.shape
    assert not np.array_equal(parted, plain)


@pytest.mark.parametrize(
    ("regions", "options", "words"),
    [
        (["48,0,32,32:a bus"], {}, "reaches outside of 64x32"),
        (["a bus"], {}, "give LEFT,TOP,WIDTH,HEIGHT:PROMPT"),
        (["0,0,0,32:a bus"], {}, "width and height 1 or more"),
        (["0,0,32,32:"], {}, "give LEFT,TOP,WIDTH,HEIGHT:PROMPT"),
        ("0,0,32,32:a bus", {}, "must be a list"),
        (["0,0,32,32:a bus"], {"like": Image.new("RGB", (8, 8))}, "regions do not go with control and like"),
        (["0,0,32,32:a bus"], {"deep_cache": 2}, "refiner or regions"),
    ],
)
def test_refusals(studio: Studio, regions: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(RequestError, match=words):
        painted(studio, regions=regions, **options)


def test_a_request_keeps_its_regions() -> None:
    request = Txt2Img.build(prompt="a", regions=["0,0,32,32:a bus"])
    assert Txt2Img.from_json(request.to_json()) == request
    assert company(request) is None


def test_a_size_is_remarked_where_the_prompt_paints_it(studio: Studio, caplog: pytest.LogCaptureFixture) -> None:
    painted(studio, width=256, regions=["0,0,128,32:a bus", "128,0,128,32:a cat"])
    assert "is far from it" not in caplog.text
    painted(studio, width=256, regions=["0,0,128,32:a bus"])
    assert "is far from it" in caplog.text
