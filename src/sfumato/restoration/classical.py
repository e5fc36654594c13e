"""Denoisers without a network, scikit-image's: each is told the level of even noise in a picture."""

import importlib.util
import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal

import numpy as np
from jaxtyping import Float

from sfumato.errors import RequestError, installed_by

Classical = Literal["nlm", "tv", "wavelet"]
Pixels = Float[np.ndarray, "h w *c"]


def nlm(noisy: Pixels, sigma: float) -> Pixels:
    """Non-local means (Buades, Coll and Morel 2005): like patches of the surroundings are averaged.

    Parameters as scikit-image's gallery has them for a known sigma: h = 0.8 sigma, patches of 5, a window of 13.
    """
    from skimage.restoration import denoise_nl_means

    axis = -1 if noisy.ndim == 3 else None
    found = denoise_nl_means(noisy, 5, 6, h=0.8 * sigma, sigma=sigma, fast_mode=True, channel_axis=axis)
    return np.asarray(found, np.float32).reshape(noisy.shape)  # which it makes a number of a single pixel


def tv(noisy: Pixels, sigma: float) -> Pixels:
    """Total variation (Rudin, Osher and Fatemi 1992), by Chambolle's projection (2004); flat parts become flatter."""
    from skimage.restoration import denoise_tv_chambolle

    axis = -1 if noisy.ndim == 3 else None
    return np.asarray(denoise_tv_chambolle(noisy, weight=max(sigma, 1e-6), channel_axis=axis), np.float32)


def wavelet(noisy: Pixels, sigma: float) -> Pixels:
    """Wavelet shrinkage with BayesShrink's thresholds (Chang, Yu and Vetterli 2000), over cycles of two shifts."""
    from skimage.restoration import cycle_spin, denoise_wavelet

    colour = noisy.ndim == 3
    options = {"sigma": sigma, "method": "BayesShrink", "mode": "soft", "convert2ycbcr": colour}
    options |= {"channel_axis": -1 if colour else None, "rescale_sigma": True}
    axis = -1 if colour else None
    with warnings.catch_warnings(action="ignore"):  # one level is all edge where a side is shorter than the filter
        found = cycle_spin(noisy, func=denoise_wavelet, max_shifts=2, func_kw=options, channel_axis=axis, workers=1)
    return np.asarray(found, np.float32)


CLASSICAL: Mapping[Classical, Callable[[Pixels, float], Pixels]] = MappingProxyType(
    {"nlm": nlm, "tv": tv, "wavelet": wavelet}
)
"""Denoisers by name; levels of noise are in units of the pixels."""


def available() -> bool:
    """Whether scikit-image is there."""
    return all(importlib.util.find_spec(name) is not None for name in ("skimage", "pywt", "scipy"))


def require() -> None:
    """Raises RequestError where scikit-image is not installed."""
    if not available():
        raise RequestError(f"this needs more: {installed_by('restore')}, or take --method ours of denoise")
