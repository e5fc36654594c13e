"""Levels of noise: added to a picture, estimated from one, and made the same at every brightness.

Photons are counted: the variance of a sensor's noise grows with the light (Poisson), beside a part that is always there
(Gaussian). A `Noise` is one or the other, by the standard deviation at white.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from jaxtyping import Float
from numpy.lib.stride_tricks import sliding_window_view

from sfumato.choices import NoiseKind

LEVELS = 255.0
_PATCH = 8
_MOST_PATCHES = 40_000
_BINS = 24


@dataclass(frozen=True)
class Noise:
    """How much noise a picture has.

    Attributes:
        sigma: its standard deviation, of 255 levels; of Poisson noise that at white.
        kind: whether it is the same everywhere, or its variance follows the light.
    """

    sigma: float
    kind: NoiseKind = "gaussian"

    @classmethod
    def parse(cls, text: str) -> Self:
        """``25`` or ``25:poisson``, as requests have it."""
        sigma, _, kind = text.partition(":")
        return cls(float(sigma), "poisson" if kind == "poisson" else "gaussian")

    def __str__(self) -> str:
        return f"{self.sigma:.4g}" if self.kind == "gaussian" else f"{self.sigma:.4g} (Poisson)"

    def deviation(self, clean: Float[np.ndarray, "*s"]) -> Float[np.ndarray, "*s"]:
        """The standard deviation at each pixel, by its clean value or a guess at it, in units of the pixels."""
        even = np.full_like(clean, self.sigma / LEVELS)
        return even if self.kind == "gaussian" else even * np.sqrt(np.clip(clean, 0, None))

    def added(self, clean: Float[np.ndarray, "*s"], seed: int) -> Float[np.ndarray, "*s"]:
        """The picture with such noise; neither clipped nor rounded, so that it is what its level says."""
        drawn = np.random.default_rng(seed)
        if self.kind == "gaussian":
            noise = drawn.standard_normal(clean.shape, np.float32) * np.float32(self.sigma / LEVELS)
            return np.asarray(clean + noise, np.float32)
        counts = (LEVELS / self.sigma) ** 2  # photons at white
        return np.asarray(drawn.poisson(np.clip(clean, 0, None) * counts) / counts, np.float32)

    def evened(self, noisy: Float[np.ndarray, "*s"]) -> Float[np.ndarray, "*s"]:
        """The picture with noise that is the same everywhere, of the level `even`: Anscombe's transform (1948)."""
        if self.kind == "gaussian":
            return noisy
        counts = (LEVELS / self.sigma) ** 2
        span = 2 * np.sqrt(counts + 0.375)
        return np.asarray(2 * np.sqrt(np.clip(noisy * counts, 0, None) + 0.375) / span, np.float32)

    @property
    def even(self) -> float:
        """The level that `evened` gives, of 255."""
        return self.sigma if self.kind == "gaussian" else LEVELS / (2 * ((LEVELS / self.sigma) ** 2 + 0.375) ** 0.5)

    def restored(self, even: Float[np.ndarray, "*s"]) -> Float[np.ndarray, "*s"]:
        """The inverse of `evened` for what has no noise, closed-form and unbiased (Mäkitalo and Foi 2011)."""
        if self.kind == "gaussian":
            return even
        counts = (LEVELS / self.sigma) ** 2
        d = np.clip(even * (2 * np.sqrt(counts + 0.375)), 2 * 0.375**0.5, None)
        exact = d**2 / 4 + 1.5**0.5 / (4 * d) - 11 / (8 * d**2) + 5 * 1.5**0.5 / (8 * d**3) - 1 / 8
        return np.asarray(exact / counts, np.float32)


def estimated(pixels: Float[np.ndarray, "h w *c"], kind: NoiseKind | None = None) -> Noise:
    """The noise of a picture, by itself.

    Args:
        kind: of the noise; found out when left open.
    """
    kind = kind_of(pixels) if kind is None else kind
    if kind == "gaussian":
        return Noise(LEVELS * patch_level(pixels))
    # The level that makes the evened picture's own estimate come true.
    first = LEVELS * patch_level(pixels) / max(float(np.sqrt(np.clip(pixels, 0, None).mean())), 0.05)
    guess = Noise(max(first, 1e-3), kind)
    for _ in range(4):
        found = LEVELS * patch_level(guess.evened(pixels))
        guess = Noise(float(np.clip(guess.sigma * found / guess.even, 1e-3, 10 * LEVELS)), kind)
    return guess


def patch_level(pixels: Float[np.ndarray, "h w *c"]) -> float:
    """The standard deviation of even noise, from the small eigenvalues of patches (Chen, Zhu and Heng 2015).

    Patches of a picture lie in few dimensions, and noise in all: the eigenvalues of their covariance that belong to
    noise alone spread evenly around its variance, so the largest are taken off until mean and median agree.
    A picture smaller than a patch has none to look at: 0.
    """
    h, w = pixels.shape[:2]
    side = min(_PATCH, h, w)
    if side < 3:
        return 0.0
    planes = pixels[..., None] if pixels.ndim == 2 else pixels
    windows = sliding_window_view(planes, (side, side), axis=(0, 1))
    stride = max(1, min(3, int((h * w / _MOST_PATCHES) ** 0.5)))
    some = windows[::stride, ::stride].reshape(-1, planes.shape[2] * side * side).astype(np.float64)
    if len(some) > 2 * _MOST_PATCHES:
        some = some[:: len(some) // _MOST_PATCHES]
    values = np.linalg.eigvalsh(np.cov(some, rowvar=False).reshape(some.shape[1], -1)).clip(0)
    for count in range(len(values) - 1, 0, -1):
        kept = values[:count]
        mean = kept.mean()
        if (kept > mean).sum() >= (kept < mean).sum():
            return float(np.sqrt(mean))
    return float(np.sqrt(values[0]))


def wavelet_level(pixels: Float[np.ndarray, "h w *c"]) -> float:
    """The standard deviation of even noise by the median of the finest diagonal wavelet (Donoho and Johnstone 1994).

    Quick; too high where a picture is full of texture.
    """
    planes = pixels[..., None] if pixels.ndim == 2 else pixels
    h, w = (side - side % 2 for side in planes.shape[:2])
    x = planes[:h, :w]
    diagonal = (x[::2, ::2] - x[::2, 1::2] - x[1::2, ::2] + x[1::2, 1::2]) / 2  # Haar
    return float(np.median(np.abs(diagonal)) / 0.6745) if diagonal.size else 0.0


def kind_of(pixels: Float[np.ndarray, "h w *c"]) -> NoiseKind:
    """Whether noise follows the light: its variance over bins of brightness is compared, where the picture is flat."""
    planes = pixels[..., None] if pixels.ndim == 2 else pixels
    x = planes.mean(2)
    if min(x.shape) < 16:
        return "gaussian"
    fine = _laplacian(x) / 6  # of unit gain for white noise (Immerkaer 1996)
    smooth = _box(_box(x))
    rise = np.abs(np.gradient(smooth)[0]) + np.abs(np.gradient(smooth)[1])
    inner = (slice(2, -2), slice(2, -2))
    fine, smooth, rise = fine[inner].ravel(), smooth[inner].ravel(), rise[inner].ravel()
    usable = (smooth > 0.02) & (smooth < 0.96)  # clipped pixels have less noise than they had
    if usable.sum() < 64 * _BINS:
        return "gaussian"
    fine, smooth, rise = fine[usable], smooth[usable], rise[usable]
    order = np.argsort(smooth)
    light, variance = [], []
    for part in np.array_split(order, _BINS):
        flat = part[rise[part] <= np.quantile(rise[part], 0.4)]
        light.append(smooth[flat].mean())
        variance.append((np.median(np.abs(fine[flat])) / 0.6745) ** 2)
    logs, lights = np.log(np.maximum(variance, 1e-12)), np.log(light)
    if lights.std() < 0.15:
        return "gaussian"  # one brightness says nothing
    slope = np.median([(logs[j] - logs[i]) / (lights[j] - lights[i])
                       for i in range(_BINS) for j in range(i) if abs(lights[j] - lights[i]) > 0.1])  # fmt: skip
    return "poisson" if slope > 0.5 else "gaussian"


def _laplacian(x: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    rows = 2 * x - np.roll(x, 1, 0) - np.roll(x, -1, 0)
    return 2 * rows - np.roll(rows, 1, 1) - np.roll(rows, -1, 1)


def _box(x: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    rows = (np.roll(x, 1, 0) + x + np.roll(x, -1, 0)) / 3
    return np.asarray((np.roll(rows, 1, 1) + rows + np.roll(rows, -1, 1)) / 3)
