"""Options of sampling and guidance, from the request to the picture of the tiny model."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sfumato import Studio
from sfumato.errors import RequestError
from sfumato.metadata.carriers import Carried
from sfumato.metadata.describe import describe
from sfumato.metadata.readers import restore
from sfumato.requests import Txt2Img


@pytest.fixture(scope="module")
def studio(tiny: Path) -> Studio:
    """On the tiny model, in float32."""
    return Studio(tiny, device="cpu", precision="fp32")


def painted(studio: Studio, **options: object) -> list[bytes]:
    values: dict[str, Any] = {"steps": 3, "seed": 5, "sampler": "euler", "guidance": 5.0, **options}
    return [image.tobytes() for image in studio.txt2img("a red fox", **values)]


OPTIONS: tuple[dict[str, Any], ...] = (
    {"guidance_method": "apg"},
    {"guidance_method": "cfgpp", "guidance": 0.6},
    {"guidance_method": "perp_neg", "negative": "blue"},
    {"guidance_method": "cfg_zero"},
    {"guidance_method": "tcfg"},
    {"guidance_low": 2.0},
    {"guidance_high": 2.0},
    {"dynamic_threshold": 0.5, "guidance": 20.0},
    {"pag": 3.0},
    {"seg": 3.0},
    {"freeu": 1.0},
    {"sampler": "ddim", "eta": 0.5},
    {"sampler": "ddim", "eta": 0.5, "ensd": 31337},
    {"noise_multiplier": 1.2},
    {"numerics": "a1111"},
    {"numerics": "a1111", "sampler": "ddim"},
    {"numerics": "a1111", "sampler": "dpm_adaptive"},
    {"numerics": "a1111", "sampler": "dpmpp_2m_sde"},
)
EVERY = pytest.mark.parametrize("options", OPTIONS, ids=lambda row: " ".join(f"{k}={v}" for k, v in row.items()))


@EVERY
def test_an_option_changes_the_picture_and_no_other_after_it(studio: Studio, options: dict[str, Any]) -> None:
    plain = painted(studio)
    assert painted(studio, **options) != plain
    assert painted(studio, **options) == painted(studio, **options)
    assert painted(studio) == plain


@EVERY
def test_an_option_is_read_again_from_the_infotext(options: dict[str, Any]) -> None:
    request = Txt2Img.build(**{"prompt": "a", "steps": 3, "seed": 5, "sampler": "euler", **options})
    found = restore(Carried("png", {"parameters": str(describe(request))}))
    assert found.request == request
    assert not found.unrestored


def test_ensd_begins_after_the_first_noise(studio: Studio) -> None:
    assert painted(studio, ensd=31337) == painted(studio)


def test_an_adaptive_sampler_paints_an_image_alone_as_in_a_batch(studio: Studio) -> None:
    together = painted(studio, sampler="dpm_adaptive", count=2, batch=2)
    assert together[1:] == painted(studio, sampler="dpm_adaptive", seed=6)


@pytest.mark.parametrize(
    ("prompt", "options", "words"),
    [
        ("a", {"guidance_method": "cfgpp"}, "cfgpp takes 0 to 1"),
        ("a", {"eta": 0.5}, "euler has none"),
        ("a", {"guidance_method": "tcfg", "dynamic_threshold": 0.9}, "does not go with guidance_method tcfg"),
        ("a", {"slg": 2.8}, "slg skips layers 7, 8, 9 of a diffusion transformer"),
        ("a", {"guidance_method": "perp_neg", "like": Image.new("RGB", (8, 8))}, "perp_neg guides by words alone"),
        ("a AND b", {"pag": 1.0}, "a prompt with AND"),
        ("a", {"numerics": "a1111", "schedule": "shifted"}, "flow schedules"),
    ],
)
def test_refusals(studio: Studio, prompt: str, options: dict[str, Any], words: str) -> None:
    values: dict[str, Any] = {"steps": 2, "seed": 1, "sampler": "euler", "guidance": 5.0, **options}
    with pytest.raises(RequestError, match=words):
        studio.txt2img(prompt, **values)
