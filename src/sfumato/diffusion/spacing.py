"""Which places of a table, and which shares of a way, a grid visits; no schedule is known here."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Spacing:
    """Which places of a table of T levels are visited: diffusers' ``timestep_spacing``, as data.

    The kinds are those of Lin et al. 2024 (arXiv:2305.08891, table 2). Two conventions are about. Euler,
    DDIM and PNDM put ``steps`` points on the table, the last of them at its clean end; DPM-Solver and UniPC
    put ``steps + 1`` points and drop the last, which is ``interior``. Most round to whole places, which is
    ``rounded``; Euler's linspace and k-diffusion do not. ``leading`` is made of whole places, plus
    ``offset``, 1 in every published SD config; ``trailing`` is always rounded, and the same in both
    conventions.
    """

    kind: Literal["linspace", "leading", "trailing"] = "linspace"
    offset: int = 0
    interior: bool = False
    rounded: bool = False

    def places(self, steps: int, total: int) -> Float[Tensor, " steps"]:
        """Descending places of a table with ``total`` entries, float64.

        A single step is taken from the noisiest place. (diffusers takes it from elsewhere, for some kinds
        from the cleanest place, and returns noise.)

        Raises:
            ValueError: ``steps`` is below 1, or more than the table can serve.
        """
        points = steps + 1 if self.interior else steps
        at_most(total - 1 if self.interior else total, steps)
        if steps == 1:
            return torch.tensor([total - 1], dtype=torch.float64)
        match self.kind:
            case "linspace":
                places = torch.linspace(total - 1, 0, points, dtype=torch.float64)[:steps]
                return places.round() if self.rounded else places
            case "leading":
                down = torch.arange(points - 1, -1, -1, dtype=torch.float64)[:steps]
                return down * (total // points) + self.offset
            case "trailing":
                return (total - torch.arange(steps, dtype=torch.float64) * (total / steps)).round() - 1
        raise ValueError(f"unknown spacing {self.kind!r}; use 'linspace', 'leading' or 'trailing'")


MOST_STEPS = 10_000
"""On grids which are computed, and not read from a table; float32 still tells such levels apart."""


def even(high: float, low: float, steps: int) -> Float[Tensor, " steps"]:
    """Numbers at even distances, float64."""
    at_most(MOST_STEPS, steps)
    return torch.linspace(high, low, steps, dtype=torch.float64)


def karras_between(high: float, low: float, steps: int, rho: float = 7.0) -> Float[Tensor, " steps"]:
    """Even in ``sigma^(1/rho)`` (Karras et al. 2022, arXiv:2206.00364, eq. 5)."""
    return even(high ** (1 / rho), low ** (1 / rho), steps) ** rho


def exponential_between(high: float, low: float, steps: int, rho: float = 1.0) -> Float[Tensor, " steps"]:
    """A power of an even ramp, in log sigma."""
    return (math.log(low) + even(1.0, 0.0, steps) ** rho * math.log(high / low)).exp()


def beta_between(high: float, low: float, steps: int, alpha: float = 0.6, beta: float = 0.6) -> Float[Tensor, " steps"]:
    """Even quantiles of a beta distribution (Lee et al. 2024, arXiv:2407.12173)."""
    return low + beta_quantiles(even(1.0, 0.0, steps), alpha, beta) * (high - low)


def at_most(most: int, steps: int) -> None:
    if not 1 <= steps <= most:
        raise ValueError(f"{steps} steps cannot be taken here; ask for 1 to {most}")


def beta_quantiles(shares: Float[Tensor, " n"], alpha: float, beta: float) -> Float[Tensor, " n"]:
    """Where a beta distribution has these shares in [0, 1] of its mass below it; float64, by bisection.

    The mass is that of its power series (Abramowitz and Stegun 26.5.4), which converges fast up to 1/2; above,
    the distribution is that of ``1 - x`` with alpha and beta exchanged.
    """
    both = math.exp(math.lgamma(alpha) + math.lgamma(beta) - math.lgamma(alpha + beta))
    n = torch.arange(80, dtype=torch.float64)

    def series(a: float, b: float) -> Tensor:
        ratios = torch.cat([torch.ones(1, dtype=torch.float64), (n[1:] - b) / n[1:]])
        return ratios.cumprod(0) / (a + n)

    terms = {(a, b): series(a, b) for a, b in ((alpha, beta), (beta, alpha))}

    def lower(x: Tensor, a: float, b: float) -> Tensor:
        return (x[:, None] ** n) @ terms[a, b] * x**a / both

    low, high = torch.zeros_like(shares, dtype=torch.float64), torch.ones_like(shares, dtype=torch.float64)
    for _ in range(60):
        middle = (low + high) / 2
        near = middle.minimum(1 - middle)
        below = torch.where(middle <= 0.5, lower(near, alpha, beta), 1 - lower(near, beta, alpha))
        low, high = torch.where(below < shares, middle, low), torch.where(below < shares, high, middle)
    return torch.where(shares <= 0, 0.0, torch.where(shares >= 1, 1.0, (low + high) / 2))
