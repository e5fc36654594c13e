"""Lightness and colour of a picture: light, contrast and sharpness in OKLab, which leave hue alone, and white balance.

Of a grey picture its values are its lightness. What no screen shows is made paler, see `sfumato.colours.shown`.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from sfumato.colours import curved, linear, oklab, shown
from sfumato.restoration.blur import blurred

Pixels = Float[np.ndarray, "h w *c"]
Lightness = Float[np.ndarray, "h w"]
Seen = Bool[np.ndarray, "h w"]

_STRIP = 2**20  # pixels whose colours are in double precision at a time
_TAILS = (0.005, 0.995)
_STEEPEST = 4.0
_NORM = 6
_CLIPPED = 0.98
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])


def relit(pixels: Pixels, change: Callable[[Lightness], Lightness]) -> Pixels:
    """The picture with another lightness; colours keep their hue, and their chroma where a screen shows it."""
    if pixels.ndim == 2:
        return np.asarray(change(pixels).clip(0, 1), np.float32)
    light = change(lightness(pixels))
    made = np.empty(pixels.shape, np.float32)
    for rows in _strips(pixels):
        lab = oklab(pixels[rows])
        lab[..., 0] = light[rows]
        made[rows] = shown(lab)
    return made


def lightness(pixels: Pixels) -> Lightness:
    """0 to 1."""
    if pixels.ndim == 2:
        return pixels
    return np.concatenate([oklab(pixels[rows])[..., 0].astype(np.float32) for rows in _strips(pixels)])


def lit(pixels: Pixels, light: float) -> Pixels:
    """Lighter above 0 and darker below: L^(2^-light), which leaves black and white where they are."""
    return relit(pixels, lambda x: x.clip(0, None) ** np.float32(2.0**-light))


def contrasted(pixels: Pixels, contrast: float | Literal["auto"], seen: Seen) -> Pixels:
    """Lightness spread so many times around its mean; "auto" spreads it until half a percent is black and as much
    white, four times at most.

    Args:
        seen: the pixels that count for the mean and the shares.
    """

    def change(x: Lightness) -> Lightness:
        if contrast != "auto":
            middle = x[seen].mean()
            return np.asarray(middle + contrast * (x - middle), np.float32)
        low, high = np.quantile(x[seen], _TAILS)
        steep = min(1 / max(high - low, 1e-6), _STEEPEST)
        missing = 1 - steep * (high - low)  # of the range; what is left out lies in the same shares on both sides
        below = missing * low / max(low + 1 - high, 1e-6)
        return np.asarray(below + steep * (x - low), np.float32)

    return relit(pixels, change)


def sharpened(pixels: Pixels, amount: float) -> Pixels:
    """Unsharp mask of lightness: so much of what a Gaussian of one pixel takes out is added."""
    return relit(pixels, lambda x: x + np.float32(amount) * (x - blurred(x, 1.0)))


def balanced(pixels: Float[np.ndarray, "h w 3"], seen: Seen) -> Float[np.ndarray, "h w 3"]:
    """The picture as under white light, by Shades of Grey (Finlayson and Trezzi 2004): the light's colour is the
    Minkowski mean of order 6 of the amounts of light, in which pixels that are clipped do not count; its luminance
    stays.
    """
    counted = seen & (pixels.max(2) < _CLIPPED)
    if not counted.any():
        return pixels
    colour = (linear(pixels[counted].astype(np.float64)) ** _NORM).mean(0) ** (1 / _NORM)
    gain = (colour @ _LUMINANCE) / np.maximum(colour, 1e-6)
    made = np.empty(pixels.shape, np.float32)
    for rows in _strips(pixels):
        made[rows] = curved(linear(pixels[rows]) * gain).clip(0, 1)
    return made


def cast(pixels: Pixels) -> float:
    """How far the mean colour is from grey, in OKLab."""
    if pixels.ndim == 2:
        return 0.0
    means = [oklab(pixels[rows])[..., 1:].sum((0, 1)) for rows in _strips(pixels)]
    return float(np.linalg.norm(np.sum(means, 0)) / (pixels.shape[0] * pixels.shape[1]))


def _strips(pixels: Pixels) -> list[slice]:
    step = max(1, _STRIP // pixels.shape[1])
    return [slice(top, top + step) for top in range(0, pixels.shape[0], step)]
