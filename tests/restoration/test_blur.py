"""Blur: estimates of it against blur that is known, and what takes it out against Wiener's filter."""

import numpy as np
import pytest
from jaxtyping import Float
from scipy.ndimage import gaussian_filter
from skimage.restoration import unsupervised_wiener

from sfumato.restoration.blur import blurred, deblurred, width
from sfumato.restoration.classical import nlm
from sfumato.restoration.measures import psnr
from tests.restoration.photographs import crops

PICTURES = [x.mean(2) if x.ndim == 3 else x for x in crops(9, 128)]


def _blurred(pixels: Float[np.ndarray, "h w"], wide: float, noise: float = 0.0) -> Float[np.ndarray, "h w"]:
    """By other means than ours."""
    drawn = np.random.default_rng(0).standard_normal(pixels.shape)
    return np.asarray(gaussian_filter(pixels, wide, mode="reflect") + noise / 255 * drawn, np.float32)


def test_blur_is_that_of_others() -> None:
    for x in PICTURES[:2]:
        assert np.abs(blurred(x, 2.0) - _blurred(x, 2.0)).max() < 2 / 255


@pytest.mark.parametrize("noise", [0.0, 2.55])
@pytest.mark.parametrize(("wide", "error"), [(1.5, 0.35), (3.0, 0.2)])
def test_its_width_is_found(wide: float, noise: float, error: float) -> None:
    errors = [abs(width(_blurred(x, wide, noise), noise / 255) / wide - 1) for x in PICTURES]
    assert float(np.median(errors)) < error


def test_a_picture_without_edges_has_no_width() -> None:
    assert [width(np.zeros(shape, np.float32), 0.0) for shape in ((1, 1), (40, 3), (64, 64))] == [0, 0, 0]


def test_deblurring_is_nearer_than_the_picture_and_than_wiener() -> None:
    gains = []
    side = np.arange(-8, 9)
    kernel = np.exp(-(side[:, None] ** 2 + side**2) / (2 * 1.6**2))
    for x in PICTURES[:3]:
        seen = _blurred(x, 1.6, 2.55)
        found = deblurred(seen, 1.6, 2.55 / 255, lambda y, level: nlm(y, level / 2)).clip(0, 1)
        wiener = unsupervised_wiener(seen, kernel / kernel.sum(), clip=False, rng=0)[0].clip(0, 1)
        gains.append((psnr(x, found) - psnr(x, seen), psnr(x, found) - psnr(x, wiener)))
    assert np.mean(gains, 0).min() > 2
