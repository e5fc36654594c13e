"""Data for which the clean estimate and the trajectory are known exactly: the oracle of the sampler tests.

The data are numbers, all drawn alike, from a mixture of Gaussians (one Gaussian being a mixture of one); tensors of
any shape are treated number by number. On a path, ``x = alpha * clean + sigma * noise`` is a mixture again, so that

- D(x, sigma) = E[clean | x] is a weighted mean of the Gaussians' own, and
- the deterministic trajectory keeps a number's quantile, since in one dimension it cannot overtake another.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sfumato.diffusion import Denoise, Path


@dataclass(frozen=True)
class Mixture:
    """Gaussians with these means, deviations and weights."""

    means: tuple[float, ...]
    deviations: tuple[float, ...]
    weights: tuple[float, ...]

    def _on(self, path: Path, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        means, deviations, weights = (
            torch.tensor(row, dtype=torch.float64) for row in (self.means, self.deviations, self.weights)
        )
        alpha = path.alpha(sigma.double())
        variance = alpha**2 * deviations**2 + sigma.double() ** 2
        return means, deviations, weights, alpha, variance

    def denoise(self, path: Path) -> Denoise:
        """D(x, sigma) = E[clean | x]."""

        def denoise(x: Tensor, sigma: Tensor) -> Tensor:
            means, deviations, weights, alpha, variance = self._on(path, sigma)
            offset = x.double()[..., None] - alpha * means
            score = weights.log() - variance.log() / 2 - offset**2 / (2 * variance)
            clean = means + alpha * deviations**2 / variance * offset
            return (score.softmax(-1) * clean).sum(-1).to(x.dtype)

        return denoise

    def quantile(self, path: Path, sigma: Tensor, x: Tensor) -> Tensor:
        """P(X <= x) for X at level sigma."""
        means, _, weights, alpha, variance = self._on(path, sigma)
        below: Tensor = torch.special.ndtr((x[..., None] - alpha * means) / variance.sqrt())
        return (weights * below).sum(-1)

    def trajectory(self, path: Path, start: Tensor, end: Tensor, x: Tensor) -> Tensor:
        """Where the probability flow takes ``x``, float64, from level start to level end; found by bisection."""
        wanted = self.quantile(path, start, x)
        low, high = torch.full_like(x, -1e3), torch.full_like(x, 1e3)
        for _ in range(100):
            middle = (low + high) / 2
            above = self.quantile(path, end, middle) > wanted
            low, high = torch.where(above, low, middle), torch.where(above, middle, high)
        return (low + high) / 2

    def moments(self) -> tuple[float, float]:
        """Mean and variance of the data."""
        mean = sum(w * m for w, m in zip(self.weights, self.means, strict=True))
        rows = zip(self.weights, self.means, self.deviations, strict=True)
        return mean, sum(w * (s**2 + (m - mean) ** 2) for w, m, s in rows)


GAUSSIAN = Mixture((0.4,), (0.7,), (1.0,))
TWO_HILLS = Mixture((-1.0, 0.8), (0.5, 0.35), (0.4, 0.6))
