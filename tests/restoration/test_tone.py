"""Lightness without hue, white balance, and the blocks of JPEG."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from jaxtyping import Float
from PIL import Image

from sfumato.colours import curved, linear, oklab
from sfumato.errors import RequestError
from sfumato.restoration import tone
from sfumato.restoration.jpeg import unblocked
from sfumato.restoration.measures import psnr
from tests.restoration.photographs import crops

Pixels = Float[np.ndarray, "h w *c"]
PICTURE = crops(3, 96)[2]
SEEN = np.ones(PICTURE.shape[:2], bool)

STEPS: list[Callable[[Pixels], Pixels]] = [
    lambda x: tone.lit(x, 0.5),
    lambda x: tone.lit(x, -0.7),
    lambda x: tone.contrasted(x, 1.6, SEEN),
    lambda x: tone.contrasted(x, "auto", SEEN),
    lambda x: tone.sharpened(x, 1.5),
]


@pytest.mark.parametrize("step", STEPS)
def test_hue_stays(step: Callable[[Pixels], Pixels]) -> None:
    before, after = oklab(PICTURE.astype(np.float64)), oklab(step(PICTURE).astype(np.float64))
    assert np.abs(after[..., 0] - before[..., 0]).mean() > 0.01
    coloured = np.minimum(*(np.hypot(x[..., 1], x[..., 2]) for x in (before, after))) > 0.02
    turned = np.angle(np.exp(1j * (np.arctan2(*after.T[:0:-1]) - np.arctan2(*before.T[:0:-1])))).T[coloured]
    assert coloured.mean() > 0.5
    assert np.rad2deg(np.abs(turned)).max() < 1


def test_auto_fills_black_to_white() -> None:
    flat = (0.3 + 0.4 * PICTURE).astype(np.float32)
    light = tone.lightness(tone.contrasted(flat, "auto", SEEN))
    assert np.quantile(light, 0.01) < 0.1
    assert np.quantile(light, 0.99) > 0.9
    nearly = np.full((16, 16), 0.5, np.float32)
    nearly[0] += 1e-3  # is not made noise of
    assert tone.contrasted(nearly, "auto", SEEN[:16, :16]).std() <= 4.01 * nearly.std()


def test_what_is_not_seen_does_not_count() -> None:
    half = PICTURE.copy()
    half[:48] = 0
    seen = SEEN.copy()
    seen[:48] = False
    alone, whole = tone.contrasted(PICTURE[48:], "auto", SEEN[48:]), tone.contrasted(half, "auto", seen)
    assert np.allclose(alone, whole[48:], atol=1e-4)
    assert np.allclose(tone.balanced(PICTURE[48:], SEEN[48:]), tone.balanced(half, seen)[48:], atol=1e-4)


def test_the_colour_of_the_light_is_taken_out() -> None:
    for x in crops(3, 96):
        white = linear(tone.balanced(x, SEEN).astype(np.float64))
        for light in ((1.0, 0.8, 0.55), (0.6, 0.8, 1.0)):
            seen = curved(0.7 * white * np.array(light)).astype(np.float32)
            parts = linear(tone.balanced(seen, SEEN).astype(np.float64)).mean((0, 1)) / white.mean((0, 1))
            assert parts.max() / parts.min() < 1.1  # of 1.8 and 1.7


def test_grey_stays_grey_and_black_and_white_stay() -> None:
    ramp = np.tile(np.linspace(0, 1, 32, dtype=np.float32), (32, 1))
    for made in (tone.lit(ramp, 1.0), tone.lit(ramp, -1.0)):
        assert made.shape == ramp.shape
        assert (made[0, 0], made[0, -1]) == (0, 1)
        assert (np.diff(made[0]) > 0).all()


def test_strips_are_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tone.sharpened(tone.balanced(PICTURE, SEEN), 1.0), tone.cast(PICTURE)
    monkeypatch.setattr(tone, "_STRIP", 7 * 96)
    again = tone.sharpened(tone.balanced(PICTURE, SEEN), 1.0), tone.cast(PICTURE)
    assert np.array_equal(whole[0], again[0])
    assert whole[1] == pytest.approx(again[1])


@pytest.mark.parametrize("options", [{"subsampling": 2}, {"subsampling": 0, "progressive": True}])
def test_blocks_of_jpeg_go(options: dict[str, int]) -> None:
    gains = []
    for x in crops(3, 96):
        buffer = io.BytesIO()
        Image.fromarray((x * 255 + 0.5).astype(np.uint8)).save(buffer, "JPEG", quality=12, **options)
        seen = np.asarray(Image.open(buffer), np.float32) / 255
        gains.append(psnr(x, unblocked(seen, buffer.getvalue(), "x.jpg")) - psnr(x, seen))
    assert min(gains) > 0
    assert np.mean(gains) > 0.3
    with pytest.raises(RequestError, match=r"x.png is no JPEG"):
        unblocked(PICTURE, b"\x89PNG", "x.png")
