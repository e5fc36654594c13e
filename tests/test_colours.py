"""Colours: OKLab and back, and the colours of one picture given to another."""

import numpy as np
import pytest
from PIL import Image

from sfumato.colours import covariance, matched, oklab, shown, srgb, transport


def picture(seed: int, size: tuple[int, int] = (24, 20)) -> Image.Image:
    rng = np.random.default_rng(seed)
    middle, spread = rng.uniform(90, 160, 3), rng.uniform(5, 18, 3)
    pixels = rng.normal(middle, spread, (size[1], size[0], 3)) @ np.array([[1, 0.1, 0], [0, 0.9, 0.1], [0.1, 0, 0.9]])
    return Image.fromarray(pixels.clip(0, 255).round().astype(np.uint8))


def lab(image: Image.Image) -> np.ndarray:
    return oklab(np.asarray(image.convert("RGB")) / 255).reshape(-1, 3)


def test_there_and_back() -> None:
    rgb = np.random.default_rng(0).random((50, 3))
    assert np.allclose(srgb(oklab(rgb)), rgb, atol=1e-5)
    assert np.allclose(shown(oklab(rgb)), rgb, atol=1e-3)


def test_what_no_screen_shows_keeps_its_lightness_and_hue() -> None:
    wild = np.array([[0.6, 0.35, 0.2], [0.8, -0.4, 0.1]])
    found = oklab(shown(wild))
    assert np.abs(found[:, 0] - wild[:, 0]).max() < 2e-3
    assert np.allclose(np.arctan2(found[:, 2], found[:, 1]), np.arctan2(wild[:, 2], wild[:, 1]), atol=0.02)


def test_the_transport_is_symmetric_and_gives_the_covariance() -> None:
    ours, theirs = (covariance(lab(picture(seed))) for seed in (1, 2))
    moved = transport(ours, theirs)
    assert np.allclose(moved, moved.T)
    assert np.allclose(moved @ ours @ moved, theirs, rtol=1e-6)


def test_a_matched_picture_has_the_mean_and_spread_of_the_other() -> None:
    one, other = picture(1), picture(2, (31, 9))
    found = lab(matched(one, other))
    assert np.abs(found.mean(0) - lab(other).mean(0)).max() < 2e-3
    assert np.abs(found.std(0) - lab(other).std(0)).max() < 2e-3
    assert matched(one, one).tobytes() == pytest.approx(one.tobytes(), abs=1)
    assert matched(one, other, 0.0).tobytes() == pytest.approx(one.tobytes(), abs=1)
    half = lab(matched(one, other, 0.5)).mean(0)
    assert np.abs(half - (lab(one).mean(0) + lab(other).mean(0)) / 2).max() < 3e-3


def test_lightness_may_stay() -> None:
    one, other = picture(1), picture(2)
    found = lab(matched(one, other, lightness=False))
    assert np.abs(found[:, 0] - lab(one)[:, 0]).max() < 4e-3
    assert np.abs(found.mean(0)[1:] - lab(other).mean(0)[1:]).max() < 2e-3


def test_pictures_of_one_colour_are_no_trouble() -> None:
    grey, red = Image.new("RGB", (8, 8), (99, 99, 99)), Image.new("RGB", (8, 8), (200, 20, 30))
    assert np.abs(np.asarray(matched(grey, red), int) - (200, 20, 30)).max() <= 1
    clear = grey.convert("RGBA")
    clear.putalpha(77)
    assert matched(clear, red).getpixel((3, 3))[3] == 77  # type: ignore[index]
