"""How near two pictures are, and whether what was taken out of one looks like noise."""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float

_WINDOW, _SPREAD = 11, 1.5  # of SSIM, as published


def psnr(a: Float[np.ndarray, "h w *c"], b: Float[np.ndarray, "h w *c"]) -> float:
    """Peak signal-to-noise ratio in dB; infinite for equal pictures."""
    error = float(np.square(a.astype(np.float64) - b).mean())
    return math.inf if error == 0 else -10 * math.log10(error)


def ssim(a: Float[np.ndarray, "h w *c"], b: Float[np.ndarray, "h w *c"]) -> float:
    """Structural similarity (Wang et al. 2004, eq. 13), the mean over pixels and channels, 1 for equal pictures.

    The window shrinks to the side of a picture that is smaller.
    """
    x, y = (_planes(each) for each in (a, b))
    side = min(_WINDOW, *x.shape[-2:])
    side -= 1 - side % 2
    place = torch.arange(side, dtype=torch.float64) - side // 2
    line = torch.exp(-(place**2) / (2 * _SPREAD**2))
    line /= line.sum()

    def blurred(value: torch.Tensor) -> torch.Tensor:
        return F.conv2d(F.conv2d(value, line.view(1, 1, 1, -1)), line.view(1, 1, -1, 1))

    mx, my = blurred(x), blurred(y)
    vx, vy, cov = blurred(x * x) - mx * mx, blurred(y * y) - my * my, blurred(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    return float((((2 * mx * my + c1) * (2 * cov + c2)) / ((mx * mx + my * my + c1) * (vx + vy + c2))).mean())


def gmsd(a: Float[np.ndarray, "h w *c"], b: Float[np.ndarray, "h w *c"]) -> float:
    """Perceptual distance by gradients (gradient magnitude similarity deviation, Xue et al. 2014, eq. 4 to 6): 0 for
    equal pictures, the lower the nearer they look; of the luma at half the size, c = 170 of 255 levels squared.
    """
    one, other = (_steepness(_halved(_luma(each.astype(np.float64)) * 255)) for each in (a, b))
    return float(((2 * one * other + 170) / (one**2 + other**2 + 170)).std())


def _luma(pixels: Float[np.ndarray, "h w *c"]) -> Float[np.ndarray, "h w"]:
    return pixels if pixels.ndim == 2 else pixels @ np.array([0.299, 0.587, 0.114])


def _halved(x: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "a b"]:
    """The mean of 2 x 2 pixels; an odd last row or column is left out, and a side of one stays."""
    h, w = (max(length // 2 * 2, 1) for length in x.shape)
    x = x[:h, :w]
    x = (x[::2] + x[1::2]) / 2 if h > 1 else x
    return np.asarray((x[:, ::2] + x[:, 1::2]) / 2 if w > 1 else x)


def _steepness(x: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Magnitude of Prewitt's gradient."""
    x = np.pad(x, 1, mode="edge")
    rows, columns = (x[:-2] + x[1:-1] + x[2:]) / 3, (x[:, :-2] + x[:, 1:-1] + x[:, 2:]) / 3
    return np.hypot(rows[:, 2:] - rows[:, :-2], columns[2:] - columns[:-2])


def compared(clean: Float[np.ndarray, "h w *c"], pixels: Float[np.ndarray, "h w *c"]) -> dict[str, float]:
    """How near a picture is to its reference, as tables have it: PSNR in dB, SSIM, and GMSD."""
    figures = round(psnr(clean, pixels), 2), round(ssim(clean, pixels), 4), round(gmsd(clean, pixels), 4)
    return dict(zip(("psnr", "ssim", "gmsd"), figures, strict=True))


def _planes(pixels: Float[np.ndarray, "h w *c"]) -> torch.Tensor:
    planes = torch.from_numpy(np.ascontiguousarray(pixels, np.float64))
    return planes[None, None] if planes.ndim == 2 else planes.permute(2, 0, 1)[:, None]


@dataclass(frozen=True)
class Residual:
    """What a denoiser took out, judged without a reference.

    Attributes:
        correlation: between neighbours, 0 for white noise; of the structure that went along it is positive.
        structure: correlation of its local strength with the edges of the picture, 0 for noise alone.
    """

    correlation: float
    structure: float

    @property
    def noise_like(self) -> bool:
        """Whether it may pass for noise."""
        return abs(self.correlation) < 0.15 and self.structure < 0.35


def residual(noisy: Float[np.ndarray, "h w *c"], restored: Float[np.ndarray, "h w *c"]) -> Residual:
    """Judge what was removed: white noise knows nothing of its neighbours nor of the picture's edges."""
    difference = noisy.astype(np.float64) - restored
    taken, kept = ((x.mean(2) if x.ndim == 3 else x) for x in (difference, restored.astype(np.float64)))
    if min(taken.shape) < 8 or taken.std() == 0:
        return Residual(0.0, 0.0)
    taken = taken - taken.mean()
    variance = float((taken**2).mean())
    across = float((taken[:, 1:] * taken[:, :-1]).mean() / variance)
    down = float((taken[1:] * taken[:-1]).mean() / variance)
    rises = np.hypot(*np.gradient(kept))
    strength, edges = _blocks(np.abs(taken)), _blocks(rises)
    related = 0.0
    if strength.std() > 0 and edges.std() > 0:
        related = float(np.corrcoef(strength.ravel(), edges.ravel())[0, 1])
    return Residual((across + down) / 2, related)


def _blocks(x: Float[np.ndarray, "h w"], side: int = 8) -> Float[np.ndarray, "a b"]:
    h, w = (length // side * side for length in x.shape)
    return np.asarray(x[:h, :w].reshape(h // side, side, w // side, side).mean((1, 3)))
