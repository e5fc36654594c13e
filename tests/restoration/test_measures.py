"""Figures of merit against formulas written otherwise."""

import numpy as np
import pytest
from scipy.ndimage import convolve, gaussian_filter

from sfumato.restoration.measures import compared, gmsd
from tests.restoration.photographs import crops


def test_gmsd_is_as_published() -> None:
    x = crops(3, 64)[2].astype(np.float64)
    y = gaussian_filter(x, (1, 1, 0))
    kernel = np.array([[1, 0, -1]] * 3) / 3

    def steepness(pixels: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        luma = 255 * (pixels * [0.299, 0.587, 0.114]).sum(2)
        half = luma.reshape(32, 2, 32, 2).mean((1, 3))
        return np.sqrt(convolve(half, kernel, mode="nearest") ** 2 + convolve(half, kernel.T, mode="nearest") ** 2)

    a, b = steepness(x), steepness(y)
    assert gmsd(x, y) == pytest.approx(((2 * a * b + 170) / (a**2 + b**2 + 170)).std())


def test_what_looks_worse_is_further_away() -> None:
    x = crops(3, 64)[2]
    shifted, soft = np.clip(x + 0.03, 0, 1), gaussian_filter(x, (1, 1, 0))
    assert gmsd(x, x) == 0
    assert gmsd(x, shifted) < 0.02 < gmsd(x, soft)  # light is no structure
    assert compared(x, soft)["psnr"] < 40
    assert compared(x[:1, :1], soft[:1, :1])["gmsd"] == 0
    assert compared(x[..., 0], soft[..., 0]).keys() == {"psnr", "ssim", "gmsd"}
