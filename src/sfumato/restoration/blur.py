"""Blur that is the same everywhere and round, as of a lens out of focus: how wide it is, and what takes it out.

Widths are standard deviations of a Gaussian, in pixels. A picture is taken to go on beyond its edges as its mirror
image, so that cosine transforms diagonalise the blur and no edge rings.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

Pixels = Float[np.ndarray, "h w *c"]
Prior = Callable[[Pixels, float], Pixels]
"""A denoiser: a picture, and the standard deviation of its noise in units of the pixels."""

WIDEST = 8.0
"""Above that little is left to be brought back."""
_STEPS = 8
_FIRST = 49 / 255
_BALANCE = 0.23
_AGAIN = 1.5
_STRONGEST = 0.1
_FEWEST = 10
_BORDER = 4
_SMALLEST = 16


def blurred(pixels: Pixels, width: float) -> Pixels:
    """The picture under such a blur."""
    return _filtered(pixels, _transfer(pixels.shape[:2], width))


def deblurred(pixels: Pixels, width: float, noise: float, prior: Prior) -> Pixels:
    """What was there before the blur, by half-quadratic splitting with a denoiser as the prior (plug and play; Zhang et
    al. 2021, "Plug-and-Play Image Restoration with Deep Denoiser Prior", eq. 6 to 9, with its levels and its balance):

        x = argmin |k * x - y|^2 / noise^2 + balance |x - z|^2 / level^2,  z = prior(x, level),  level falling to noise

    Args:
        noise: standard deviation of that in the picture, in units of the pixels; above 0.
    """
    transfer = _transfer(pixels.shape[:2], width)
    seen, found = _spectrum(pixels), pixels
    h = transfer if pixels.ndim == 2 else transfer[..., None]
    for level in np.geomspace(max(_FIRST, noise), noise, _STEPS):
        trust = _BALANCE * (noise / level) ** 2
        found = _picture((h * seen + trust * _spectrum(found)) / (h * h + trust))
        found = prior(found, float(level))
    return found


def _transfer(shape: tuple[int, ...], width: float) -> Float[np.ndarray, "h w"]:
    """How much of each cosine a Gaussian of that width lets through."""
    rows, columns = (np.exp(-2 * (np.pi * width * np.arange(n) / (2 * n)) ** 2) for n in shape[:2])
    return np.asarray(np.outer(rows, columns), np.float32)


def _filtered(pixels: Pixels, factor: Float[np.ndarray, "h w"]) -> Pixels:
    return _picture(_spectrum(pixels) * (factor if pixels.ndim == 2 else factor[..., None]))


def _spectrum(pixels: Pixels) -> Pixels:
    from scipy.fft import dctn

    return np.asarray(dctn(pixels, axes=(0, 1), norm="ortho"), np.float32)


def _picture(spectrum: Pixels) -> Pixels:
    from scipy.fft import idctn

    return np.asarray(idctn(spectrum, axes=(0, 1), norm="ortho"), np.float32)


def width(pixels: Pixels, noise: float) -> float:
    """How wide the blur of a picture's edges is, by blurring them once more (Zhuo and Sim 2011): the gradient of a step
    that is `width` wide, seen through a Gaussian of s, is as 1 / sqrt(width^2 + s^2), so that two s tell it. It is the
    median of the strongest tenth of the edges, rather too small than too large; 0 where there are too few.

    Args:
        noise: standard deviation of that in the picture, in units of the pixels; edges are well above it.
    """
    from scipy.ndimage import maximum_filter1d

    grey = (pixels.mean(2) if pixels.ndim == 3 else pixels).astype(np.float64)
    if min(grey.shape) < _SMALLEST:
        return 0.0
    scale = 1.0 if noise < 1 / 255 else 1.5
    (down, right), again = _rises(grey, scale), _rises(grey, _AGAIN * scale)
    fine, coarse = np.hypot(down, right), np.hypot(*again)
    # An edge is where the gradient is the largest of its neighbours across.
    largest = np.where(np.abs(right) > np.abs(down), maximum_filter1d(fine, 3, 1), maximum_filter1d(fine, 3, 0))
    edges = (fine == largest)[_BORDER:-_BORDER, _BORDER:-_BORDER]
    fine, coarse = (each[_BORDER:-_BORDER, _BORDER:-_BORDER][edges] for each in (fine, coarse))
    visible = 6 * noise / (scale**2 * np.sqrt(8 * np.pi))
    strong = fine > max(float(np.quantile(fine, 1 - _STRONGEST)), visible)
    ratio = (fine[strong] / np.maximum(coarse[strong], 1e-12)) ** 2
    ratio = ratio[ratio > 1]
    if len(ratio) < _FEWEST:
        return 0.0
    return float(np.sqrt(max(np.median(scale**2 * (_AGAIN**2 - ratio) / (ratio - 1)), 0.0)))


def _rises(grey: Float[np.ndarray, "h w"], scale: float) -> tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]]:
    """Gradients downwards and to the right, seen through a Gaussian."""
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(grey, scale, order=(1, 0)), gaussian_filter(grey, scale, order=(0, 1))
