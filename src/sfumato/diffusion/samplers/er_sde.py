"""The solver of extended reverse-time SDEs (Cui et al. 2023, arXiv:2309.06169).

D of the steps before is carried on in the ratio of noise to signal, and the share of fresh noise falls with it.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from ..descent import Descent
from ..step import Level, Step

Points = list[tuple[Level, Tensor]]
"""Levels and the D found there, the newest first."""


def er_sde(descent: Descent, *, eta: float = 1.0) -> Iterator[Step]:
    """ER-SDE-Solver-3 (algorithm 3 of the paper, with the noise scale that it calls SDE 5).

    D is a parabola in the ratio of noise to signal r, and what is kept of the noise falls as ``e^(r^0.3) + 10`` does.
    Like the published solver, the slope is that through the last two points, and the bend that of three.

    Args:
        eta: the power of that: 1 as published; 0 keeps all, and follows the trajectory.
    """
    x = descent.x
    found: Points = []
    for stride in descent.strides():
        now, then = stride.now, stride.then
        clean = better = descent.clean(x, now)
        kept = 1.0
        if then.sigma > 0:
            shares = _retained(torch.tensor([then.ratio, now.ratio], dtype=torch.float64)) ** eta
            kept = float(shares[0] / shares[1])
        if math.isfinite(now.ratio):
            found = [(now, clean), *found[:2]]
            if then.sigma > 0:
                better = _extended(found, now.ratio, then.ratio, eta)
        x = stride.remix(x, better, kept, stride.fresh(descent.noise, kept))
        yield stride.done(x, clean)


def _retained(ratio: Tensor) -> Tensor:
    return (ratio**0.3).exp() + 10


POINTS = 200
"""At which 1 / phi is summed up over a step, as the published solver has it."""


def _extended(points: Points, high: float, low: float, eta: float) -> Tensor:
    """The mean of D over a step from ratio ``high`` to ``low``, weighted by the slope of -1 / phi, where phi is the
    ratio times what is retained there.
    """
    (_, value), *earlier = points
    if not earlier:
        return value
    places = torch.linspace(low, high, POINTS, dtype=torch.float64)
    phi = places * _retained(places) ** eta
    slope = (value - earlier[0][1]) / (high - earlier[0][0].ratio)
    once = low - high + float(phi[0] * torch.trapezoid(1 / phi, places))
    change = once * slope
    if len(earlier) == 2:
        before = (earlier[0][1] - earlier[1][1]) / (earlier[0][0].ratio - earlier[1][0].ratio)
        bend = (slope - before) / ((high - earlier[1][0].ratio) / 2)
        twice = (low - high) ** 2 / 2 + float(phi[0] * torch.trapezoid((places - high) / phi, places))
        change = change + twice * bend
    return value + change / (1 - float(phi[0] / phi[-1]))
