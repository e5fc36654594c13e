"""DPM-Solver (Lu et al. 2022, arXiv:2206.00927), single-step: on levels of its own between the ends of a grid.

It solves ``dy = e dratio`` in exploding coordinates: ``y = x / alpha``, at ratios of noise to signal which are
``e^-t``. Of ``sigmas`` it takes the ends and the count. Where the grid ends at 0, the solver goes to the last
level above, and one more step to 0 gives the D found there. A start in pure noise, which has no log SNR, takes
the first step of the grid by itself, with one evaluation.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..descent import Descent
from ..noise import NoiseSource
from ..step import Step, Stride, drawn, level_of


def dpm_fast(descent: Descent, *, eta: float = 0.0) -> Iterator[Step]:
    """DPM-Solver-fast (section 3.4; k-diffusion's ``dpm_fast``): one evaluation for each step of the grid.

    They are spent in steps of third order, and one of second and first at the end, all of equal length in log
    SNR; so there are about a third as many. An eta makes each go to below its end, and adds noise up to it.
    """
    head, inner, tail = _parts(descent)
    x = descent.x
    orders = _orders(len(inner))
    total = len(head) + len(orders) + len(tail)
    for stride in head:
        x, clean = descent.stepped(x, stride, eta)
        yield Step(0, total, stride.now.sigma, x, clean)
    if inner:
        solver = _Solver(descent, inner[0].now.tensor)
        start, end = inner[0].now.log_snr, inner[-1].then.log_snr
        times = torch.linspace(start, end, len(orders) + 1, dtype=torch.float64).tolist()
        for i, order in enumerate(orders):
            low = _below(times[i], times[i + 1], end, eta)
            clean, y, found = solver.look(x, times[i])
            if order == 1:
                y = solver.first(y, times[i], low, found)
            elif order == 2:
                y, _ = solver.second(y, times[i], low, found)
            else:
                _, ahead = solver.second(y, times[i], low, found, r=1 / 3)
                y = solver.third(y, times[i], low, found, ahead)
            x = solver.closed(_topped_up(y, low, times[i + 1], descent.noise), times[i + 1])
            yield Step(len(head) + i, total, solver.sigma(times[i]), x, clean)
    for stride in tail:
        x = descent.clean(x, stride.now)
        yield Step(total - 1, total, stride.now.sigma, x, x)


def _orders(evaluations: int) -> list[int]:
    whole, rest = divmod(evaluations, 3)
    if rest:
        return [3] * whole + [rest]
    return [3] * (whole - 1) + [2, 1] if whole else []


RELATIVE, ABSOLUTE, FIRST_STEP, ACCEPTED, ORDER = 0.05, 0.0078, 0.05, 0.81, 3
"""k-diffusion's, with a controller that is integral alone."""


def dpm_adaptive(descent: Descent, *, eta: float = 0.0) -> Iterator[Step]:
    """DPM-Solver of orders 2 and 3, with steps as long as their difference allows (appendix C).

    The count of ``sigmas`` plays no part; the total of a `Step` is an estimate until the last one. Each step
    and each that was given up takes three evaluations. The length of a step is that of the image which needs
    the shortest, so that **an image depends on its batch**: run each alone.
    """
    head, inner, tail = _parts(descent)
    x = descent.x
    index = 0
    for stride in head:
        x, clean = descent.stepped(x, stride, eta)
        yield Step(0, 1 + bool(inner) + len(tail), stride.now.sigma, x, clean)
        index = 1
    if inner:
        solver = _Solver(descent, inner[0].now.tensor)
        time, end = inner[0].now.log_snr, inner[-1].then.log_snr
        before, length = x / inner[0].now.alpha, FIRST_STEP
        while time < end - 1e-5:
            target = min(end, time + length)
            low = _below(time, target, end, eta)
            clean, y, found = solver.look(x, time)
            rough, ahead = solver.second(y, time, low, found, r=1 / 3)
            fine = solver.third(y, time, low, found, ahead)
            scale = (RELATIVE * torch.maximum(rough.abs(), before.abs())).clamp(min=ABSOLUTE)
            error = float(((rough - fine) / scale).reshape(len(x), -1).square().mean(1).sqrt().max())
            factor = 1 + math.atan((1 / (error + 1e-8)) ** (1 / (1.5 if eta else ORDER)) - 1)
            length *= factor
            if factor < ACCEPTED:
                continue
            before = rough
            x = solver.closed(_topped_up(fine, low, target, descent.noise), target)
            left = math.ceil(max(0.0, end - 1e-5 - target) / length)
            yield Step(index, index + 1 + left + len(tail), solver.sigma(time), x, clean)
            time, index = target, index + 1
    for stride in tail:
        x = descent.clean(x, stride.now)
        yield Step(index, index + 1, stride.now.sigma, x, x)


def _parts(descent: Descent) -> tuple[list[Stride], list[Stride], list[Stride]]:
    """The grid's steps from pure noise, between levels with a log SNR, and to 0."""
    plan = descent.strides()
    first = int(plan[0].now.alpha == 0)
    last = max(first, len(plan) - (plan[-1].then.sigma == 0))
    return plan[:first], plan[first:last], plan[last:]


def _below(time: float, target: float, end: float, eta: float) -> float:
    """The time to which an ancestral step goes before noise is added; not beyond the end."""
    kept = math.sqrt(max(0.0, 1 + eta**2 * math.expm1(-2 * (target - time))))
    return min(end, target - math.log(kept)) if kept > 0 else end


def _topped_up(y: Tensor, low: float, target: float, noise: NoiseSource | None) -> Tensor:
    missing = math.exp(-2 * target) - math.exp(-2 * low)
    return y + math.sqrt(missing) * drawn(noise) if missing > 0 else y


@dataclass(frozen=True, eq=False)
class _Solver:
    """Steps from one time to another, given the noise e found at the first (algorithms 1 and 2 of the paper)."""

    descent: Descent
    like: Tensor

    def look(self, x: Tensor, time: float) -> tuple[Tensor, Tensor, Tensor]:
        """D, y and e at a time."""
        at = level_of(self.descent.path, math.exp(-time), self.like)
        clean = self.descent.clean(x, at)
        return clean, x / at.alpha, at.noise(x, clean)

    def closed(self, y: Tensor, time: float) -> Tensor:
        return y * level_of(self.descent.path, math.exp(-time), self.like).alpha

    def sigma(self, time: float) -> float:
        return level_of(self.descent.path, math.exp(-time), self.like).sigma

    def first(self, y: Tensor, start: float, end: float, found: Tensor) -> Tensor:
        return y - math.exp(-end) * math.expm1(end - start) * found

    def second(self, y: Tensor, start: float, end: float, found: Tensor, *, r: float = 1 / 2) -> tuple[Tensor, Tensor]:
        """y at the end, and e at the share r of the step."""
        place = start + r * (end - start)
        _, _, ahead = self.look(self.closed(self.first(y, start, place, found), place), place)
        bend = math.exp(-end) * math.expm1(end - start) / (2 * r)
        return self.first(y, start, end, found) - bend * (ahead - found), ahead

    def third(self, y: Tensor, start: float, end: float, found: Tensor, ahead: Tensor) -> Tensor:
        """y at the end, of e at the start and at a third of the step."""
        length = end - start
        place = start + length * 2 / 3
        bend = math.exp(-place) * 2 * _phi(length * 2 / 3)
        _, _, further = self.look(
            self.closed(self.first(y, start, place, found) - bend * (ahead - found), place), place
        )
        return self.first(y, start, end, found) - math.exp(-end) * 3 / 2 * _phi(length) * (further - found)


def _phi(length: float) -> float:
    return math.expm1(length) / length - 1
