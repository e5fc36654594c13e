"""How well a denoiser did, without a reference: Stein's unbiased risk estimate (1981)."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

Pixels = Float[np.ndarray, "h w *c"]


def risk(denoise: Callable[[Pixels], Pixels], noisy: Pixels, restored: Pixels, sigma: float) -> float:
    """The mean squared error that a denoiser has, of even Gaussian noise, by one probe (Ramani, Blu and Unser 2008):
    ``|f(y) - y|^2 / n - sigma^2 + 2 sigma^2 div f / n``, with the divergence by a small step in a random direction.

    Args:
        sigma: of the noise, in the units of the pixels.
    """
    probe = np.random.default_rng(0).choice(np.array([-1.0, 1.0], np.float32), noisy.shape)
    step = np.float32(max(sigma / 10, 1e-3))
    divergence = float((probe * (denoise(noisy + step * probe) - restored)).mean(dtype=np.float64) / step)
    taken = float(np.square(restored.astype(np.float64) - noisy).mean())
    return max(taken - sigma**2 + 2 * sigma**2 * divergence, 1e-10)


def typical(pixels: Pixels, side: int = 192) -> tuple[slice, slice]:
    """A square of the picture, as typical as can be: that whose variation is the median of those on a grid."""
    h, w = pixels.shape[:2]
    if h <= side and w <= side:
        return slice(0, h), slice(0, w)
    a, b = min(side, h), min(side, w)
    places = [(y, x) for y in range(0, h - a + 1, max(1, a // 2)) for x in range(0, w - b + 1, max(1, b // 2))]
    order = sorted(places, key=lambda place: float(pixels[place[0] : place[0] + a, place[1] : place[1] + b].std()))
    y, x = order[len(order) // 2]
    return slice(y, y + a), slice(x, x + b)
