"""A size that a model has not learned, and much work, are said before painting; nothing is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch

from sfumato.families import FAMILIES
from sfumato.studio import Studio
from sfumato.tasks import forecast
from sfumato.tasks.forecast import nearest

OWN = {"nano": 256, "sd1": 512, "sd2": 768, "sdxl": 1024, "sdxl-turbo": 512, "sd3": 1024, "custom": 64}
LEARNED = [
    ("nano", (256, 256)),
    ("nano", (288, 256)),
    ("nano", (240, 256)),
    ("sd1", (512, 768)),
    ("sd1", (384, 512)),
    ("sd2", (768, 768)),
    ("sdxl", (512, 2048)),
    ("sdxl", (1536, 640)),
    ("sdxl", (1152, 896)),
    ("sd3", (1344, 768)),
    ("sdxl-turbo", (512, 512)),
]
NOT_LEARNED = [
    ("nano", (512, 512), (288, 288)),
    ("nano", (256, 384), (256, 288)),
    ("nano", (128, 128), (240, 240)),
    ("sd1", (1024, 1024), (768, 768)),
    ("sd1", (512, 1024), (512, 768)),
    ("sd1", (256, 256), (352, 352)),
    ("sdxl", (512, 512), (688, 688)),
    ("sdxl", (4096, 1024), (2048, 768)),
    ("sdxl-turbo", (1024, 1024), (768, 768)),
]


def best(name: str, size: tuple[int, int]) -> tuple[int, int]:
    family = next(family for family in FAMILIES if family.name == name)
    return nearest(family, (OWN[name], OWN[name]), size, 16)


@pytest.mark.parametrize(("name", "size"), LEARNED)
def test_sizes_that_a_family_paints_are_their_own_nearest(name: str, size: tuple[int, int]) -> None:
    assert best(name, size) == size


@pytest.mark.parametrize(("name", "size", "wanted"), NOT_LEARNED)
def test_the_nearest_size_is_one_that_the_family_paints(
    name: str, size: tuple[int, int], wanted: tuple[int, int]
) -> None:
    assert best(name, size) == wanted
    assert best(name, wanted) == wanted


def said(studio: Studio, caplog: pytest.LogCaptureFixture, **options: object) -> list[str]:
    caplog.clear()
    studio.txt2img("a red fox", seed=1, steps=1, **options)  # type: ignore[arg-type]
    return [record.getMessage() for record in caplog.records if record.name == forecast.__name__]


def test_a_size_far_from_the_trained_one_is_remarked(tiny: Path, caplog: pytest.LogCaptureFixture) -> None:
    studio = Studio(tiny, device="cpu", precision="fp32")
    assert said(studio, caplog) == said(studio, caplog, width=64, height=96) == []
    assert said(studio, caplog, width=64, height=128) == [
        "tiny was trained at 64x64, and 64x128 is far from it: things come twice, torn or as noise; the nearest that "
        "works is --size 64x96"
    ]


def test_nano_keeps_no_picture_in_a_second_pass(tiny: Path, caplog: pytest.LogCaptureFixture) -> None:
    how: dict[str, Any] = {"hires": 2.0, "hires_steps": 1, "width": 64, "height": 64}
    (line,) = (each for each in said(Studio("nano", device="cpu", precision="fp32"), caplog, **how) if "128x" in each)
    assert line.endswith("--upscale in the place of --hires enlarges without painting anew")
    assert said(Studio(tiny, device="cpu", precision="fp32"), caplog, hires=2.0) == []


def test_much_work_is_said_and_paints_the_same(
    tiny: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio = Studio(tiny, device="cpu", precision="fp32")
    plain = studio.txt2img("a red fox", seed=1, steps=1).images[0].tobytes()
    monkeypatch.setattr(forecast, "MANY", 1)
    (line,) = said(studio, caplog)
    assert line.startswith("64x64 is 1 times the pixels of 64x64: expect over 0 seconds and about 0.0 GB of memory, of")
    assert studio.txt2img("a red fox", seed=1, steps=1).images[0].tobytes() == plain


def test_the_largest_tensor_is_seen() -> None:
    with torch.inference_mode(), forecast._Largest() as seen:
        (torch.ones(10, 10).bfloat16() @ torch.ones(10, 300).bfloat16()).float().split(5)
    assert seen.bytes == 10 * 300 * 4


@pytest.mark.parametrize(
    ("seconds", "words"), [(5, "5 seconds"), (119, "119 seconds"), (300, "5 minutes"), (7300, "2 hours")]
)
def test_lengths_of_time(seconds: float, words: str) -> None:
    assert forecast.spoken(seconds) == words
