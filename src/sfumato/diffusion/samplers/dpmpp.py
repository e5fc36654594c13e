"""DPM-Solver++ (Lu et al. 2022, arXiv:2211.01095), UniPC (Zhao et al. 2023, arXiv:2302.04867) and their kin.

Each finds a better D, and puts it into the one step of `step`, with as much fresh noise as eta asks for.
"""

import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from ..descent import Descent
from ..path import STRAIGHT
from ..schedules import ContinuousSchedule, Schedule
from ..step import Level, Step, Stride
from .averages import averaging, mean, moments
from .orders import Orders

# ---------------------------------------------------------------------------------------------- multistep

Points = list[tuple[float, Tensor]]
"""Log SNR and what was found there, D or the noise e, the newest first."""
On = Literal["clean", "noise"]
Curve = Literal["midpoint", "exact"]


def dpm_multistep(
    descent: Descent,
    *,
    orders: Orders,
    on: On = "clean",
    curve: Curve = "midpoint",
    eta: float = 0.0,
) -> Iterator[Step]:
    """DPM-Solver++ (``on`` D) and DPM-Solver (on the noise e, without an eta), multistep, of order 1 to 3.

    Args:
        orders: of the steps.
        on: what is carried on as a polynomial in log SNR.
        curve: with two points, the value in the middle of the step, or the exact mean (``heun`` in diffusers).
        eta: the share of fresh noise; 1 is SDE-DPM-Solver++.
    """
    x = descent.x
    found: Points = []
    for stride in descent.strides():
        now = stride.now
        clean = better = descent.clean(x, now)
        if math.isfinite(now.log_snr):
            found = [(now.log_snr, _value(on, now, x, clean)), *found[: orders.most - 1]]
        if math.isfinite(stride.gain):
            growth = (1 + eta) * stride.gain if on == "clean" else -stride.gain
            better = _as_clean(on, now, x, _carried(found[: orders.of(stride)], stride.gain, growth, curve))
        kept = _kept(eta, stride.gain)
        x = stride.remix(x, better, kept, stride.fresh(descent.noise, kept))
        yield stride.done(x, clean)


def _kept(eta: float, gain: float) -> float:
    return math.exp(-eta * gain) if eta else 1.0


def _value(on: On, now: Level, x: Tensor, clean: Tensor) -> Tensor:
    return clean if on == "clean" else now.noise(x, clean)


def _as_clean(on: On, now: Level, x: Tensor, value: Tensor) -> Tensor:
    """D itself, or the D that with this mean of e mixes to the same x."""
    return value if on == "clean" else (x - now.sigma * value) / now.alpha


def _carried(points: Points, gain: float, growth: float, curve: Curve) -> Tensor:
    """The mean over a step, weighted by ``e^(growth u)``, of what was found before it, carried on.

    With the parabola ``D + d1 u + d2 u^2`` of the last three, u the share of the step, the published solver takes half
    of d2, as if it were a second derivative. So do we; it costs the third order.
    """
    (place, value), *earlier = points
    if not earlier:
        return value
    places = [place, *(at for at, _ in earlier)]
    r0 = (places[0] - places[1]) / gain
    if len(earlier) == 1 and curve == "midpoint":
        return value + 0.5 / r0 * (value - earlier[0][1])
    _, mean_u, mean_uu = moments(growth, 3)
    slope = (value - earlier[0][1]) / r0
    if len(earlier) == 1:
        return value + mean_u * slope
    r1 = (places[1] - places[2]) / gain
    bend = (slope - (earlier[0][1] - earlier[1][1]) / r1) / (r0 + r1)
    return value + mean_u * (slope + r0 * bend) + mean_uu / 2 * bend


TWO, THREE = Orders(2, lowered=False), Orders(3, lowered=False)
TWO_AND_ONE = Orders(2)


def dpmpp_2m_sde(
    descent: Descent, *, eta: float = 1.0, orders: Orders = TWO, curve: Curve = "midpoint"
) -> Iterator[Step]:
    """SDE-DPM-Solver++(2M) (Lu et al. 2022), the midpoint form: `dpmpp_2m` with noise; eta 0 is that."""
    return dpm_multistep(descent, orders=orders, curve=curve, eta=eta)


def dpmpp_2m(descent: Descent, *, orders: Orders = TWO, on: On = "clean", curve: Curve = "midpoint") -> Iterator[Step]:
    """DPM-Solver++(2M) (Lu et al. 2022, algorithm 2): D of this step and the last, carried on to mid-step."""
    return dpm_multistep(descent, orders=orders, on=on, curve=curve)


def dpmpp_2m_sde_heun(descent: Descent, *, eta: float = 1.0) -> Iterator[Step]:
    """`dpmpp_2m_sde` with the exact mean (k-diffusion's ``heun``; AUTOMATIC1111's DPM++ 2M SDE Heun)."""
    return dpmpp_2m_sde(descent, eta=eta, curve="exact")


def res_multistep_a(descent: Descent, *, eta: float = 1.0) -> Iterator[Step]:
    """RES of two steps (Zhang et al. 2023, arXiv:2308.02157, algorithm 2) to below the next level, and noise up to it.

    The line in log SNR through D of this step and the last, averaged exactly: without noise this is `dpmpp_2m` with
    its exact curve. What has changed since the last step is set against the way that it went down, before its noise, as
    ComfyUI does, which gives order 2 in the variance; against log SNR it would be order 1.
    """
    x = descent.x
    found: Points = []
    for stride in descent.strides():
        clean = better = descent.clean(x, stride.now)
        kept = stride.kept(eta)
        if math.isfinite(stride.gain):
            gain = stride.down(descent.path, kept).gain
            found = [(0.0, clean), *found]
            better = _carried(found, gain, gain, "exact")
            found = [(-gain, clean)]
        x = stride.remix(x, better, kept, stride.fresh(descent.noise, kept))
        yield stride.done(x, clean)


def res_multistep(descent: Descent) -> Iterator[Step]:
    """`res_multistep_a` without noise."""
    return res_multistep_a(descent, eta=0.0)


def dpmpp_3m_sde(descent: Descent, *, eta: float = 1.0) -> Iterator[Step]:
    """DPM-Solver++(3M) with noise (k-diffusion's ``dpmpp_3m_sde``)."""
    return dpm_multistep(descent, orders=THREE, curve="exact", eta=eta)


def unipc(
    descent: Descent,
    *,
    orders: Orders = TWO,
    on: On = "clean",
    growing: bool = True,
    uncorrected: Collection[int] = (),
    noisy: Callable[[Level], float] = lambda now: 0.0,
) -> Iterator[Step]:
    """UniPC (Zhao et al. 2023), of order 2 with B(h) = e^h - 1 as a default (``bh2`` in diffusers).

    Once D is known at the end of a step, the step is done again with that D as one more point: the corrector, which
    costs no evaluation. A step yields the prediction, not yet corrected.

    Args:
        orders: of the predictor's steps; the corrector's are by one higher.
        on: what is a polynomial in log SNR, D or the noise e.
        growing: B(h) is e^h - 1; False: h (``bh1``). It matters to order 2 of the predictor and 1 of the corrector.
        uncorrected: places of the steps that are not done again.
        noisy: the share of fresh noise of a step that begins there, which is corrected with the same noise; ``on`` D.
    """
    x = descent.x
    found: Points = []
    last: _Prediction | None = None
    for stride in descent.strides():
        now = stride.now
        clean = better = descent.clean(x, now)
        value = _value(on, now, x, clean)
        if last is not None and last.stride.index not in uncorrected:
            corrected = _throughout(last.points, value, last.stride.gain, last.growth, growing=growing)
            corrected = _as_clean(on, last.stride.now, last.x, corrected)
            x = last.stride.remix(last.x, corrected, last.kept, last.fresh)
        found = [(now.log_snr, value), *(point for point in found[: orders.most - 1] if math.isfinite(point[0]))]
        points, eta = found[: orders.of(stride)], noisy(now)
        growth = (1 + eta) * stride.gain if on == "clean" else -stride.gain
        kept = _kept(eta, stride.gain)
        last = _Prediction(stride, x, points, growth, kept, stride.fresh(descent.noise, kept))
        if math.isfinite(stride.gain):
            better = _as_clean(on, now, x, _predicted(points, stride.gain, growth, growing=growing))
        x = stride.remix(x, better, kept, last.fresh)
        yield stride.done(x, clean)


@dataclass(frozen=True, eq=False)
class _Prediction:
    """A step, x at its start, and what it was predicted with: all that is needed to do it again."""

    stride: Stride
    x: Tensor
    points: Points
    growth: float
    kept: float
    fresh: Tensor | None


ONE, SA_ORDERS = Orders(1), Orders(3, few=None)
MIDDLE = (0.2, 0.8)
"""Of a schedule's labels, where SA-Solver adds noise."""


def sa_solver(descent: Descent, *, eta: float = 1.0, schedule: Schedule | None = None) -> Iterator[Step]:
    """SA-Solver (Xue et al. 2023, arXiv:2309.05019, algorithm 1, on D): three points predict, four correct.

    Adams' methods for the reverse diffusion, which are `unipc` with noise. On the straight path one point predicts and
    two correct: with guidance more diverge there (docs/decisions/0024).

    Args:
        eta: the paper's tau squared, where labels of ``schedule`` are in the middle three fifths, as its authors have
            it for latent diffusion; without a schedule of such labels, everywhere.
    """

    def noisy(now: Level) -> float:
        if schedule is None or isinstance(schedule, ContinuousSchedule):
            return eta
        label, last = (float(schedule.label(sigma)) for sigma in (now.tensor, torch.tensor(schedule.sigma_max)))
        return eta if MIDDLE[0] <= label / last <= MIDDLE[1] else 0.0

    orders = ONE if descent.path is STRAIGHT else SA_ORDERS
    return unipc(descent, orders=orders, growing=False, noisy=noisy)


def _predicted(points: Points, gain: float, growth: float, *, growing: bool) -> Tensor:
    """The mean over a step, on the polynomial in log SNR through what was found before it."""
    places, values = _shares(points, gain)
    if len(places) == 2:
        return values[0] + _half(growth, growing=growing) / places[1] * (values[1] - values[0])
    return mean(averaging(places, growth), values)


def _throughout(points: Points, ahead: Tensor, gain: float, growth: float, *, growing: bool) -> Tensor:
    """The mean over a step, on the polynomial in log SNR through what was found before it and at its end.

    With two points it is the middle of both.
    """
    if len(points) == 1 or math.isinf(gain):
        return points[0][1] + _half(growth, growing=growing) * (ahead - points[0][1])
    places, values = _shares(points, gain)
    return mean(averaging([places[0], 1.0, *places[1:]], growth), [values[0], ahead, *values[1:]])


def _half(growth: float, *, growing: bool) -> float:
    """Half of B(h) by e^h - 1."""
    return 0.5 if growing or math.isinf(growth) else -growth / math.expm1(-growth) / 2


def _shares(points: Points, gain: float) -> tuple[list[float], list[Tensor]]:
    """The points' places as shares of the step, from 0 down, and their values."""
    return [(at - points[0][0]) / gain for at, _ in points], [value for _, value in points]


# --------------------------------------------------------------------------------------------- single step


def dpmpp_2s_a(descent: Descent, *, eta: float = 1.0) -> Iterator[Step]:
    """DPM-Solver++(2S) to below the next level, and noise up to it (k-diffusion's ``dpmpp_2s_ancestral``).

    D is found again half way to there, in log SNR. Two evaluations a step; one for the step to 0, and for a
    step from pure noise, which has no middle.
    """
    x = descent.x
    for stride in descent.strides():
        clean = better = descent.clean(x, stride.now)
        kept = stride.kept(eta)
        down = stride.down(descent.path, kept)
        if math.isfinite(down.gain):
            half = replace(stride, then=down.middle(descent.path))
            better = descent.clean(half.remix(x, clean), half.then)
        x = stride.remix(x, better, kept, stride.fresh(descent.noise, kept))
        yield stride.done(x, clean)


def dpmpp_sde(descent: Descent, *, eta: float = 1.0) -> Iterator[Step]:
    """DPM-Solver++(2S) with noise (Lu et al. 2022, algorithm 1; k-diffusion's ``dpmpp_sde``).

    D is found again in the middle of the step, in log SNR. Two evaluations a step; one for the step to 0, and
    for a step from pure noise, which has no middle.
    """
    x = descent.x
    for stride in descent.strides():
        clean = descent.clean(x, stride.now)
        if math.isinf(stride.gain):
            kept = 0.0 if eta else 1.0
            x = stride.remix(x, clean, kept, stride.fresh(descent.noise, kept))
        else:
            kept = math.exp(-eta * stride.gain / 2)  # of the noise, by each half of the step
            half = replace(stride, then=stride.middle(descent.path))
            first, second = half.fresh(descent.noise, kept), replace(stride, now=half.then).fresh(descent.noise, kept)
            better = descent.clean(half.remix(x, clean, kept, first), half.then)
            x = stride.remix(x, better, kept**2, _both_halves(first, second, kept))
        yield stride.done(x, clean)


def _both_halves(first: Tensor | None, second: Tensor | None, kept: float) -> Tensor | None:
    """The fresh noise of a whole step, on the same Brownian path as that of its first half.

    Over the second half, what was fresh decays by ``kept`` like all noise, and as much again is added:
    ``sqrt(1 - kept^4) * whole = sqrt(1 - kept^2) * (kept * first + second)``. Were the two drawn apart, the
    sampler would be of first order only.
    """
    if first is None or second is None:
        return None
    return (kept * first + second) / math.sqrt(1 + kept**2)


def dpmpp_2s(
    descent: Descent,
    *,
    orders: Orders = TWO_AND_ONE,
    on: On = "clean",
    curve: Curve = "midpoint",
    eta: float = 0.0,
) -> Iterator[Step]:
    """DPM-Solver++(2S) on the grid's own levels (diffusers' ``DPMSolverSinglestepScheduler``).

    Steps of orders 1, 2 (and 3) take turns: each starts anew where that of order 1 began, with the D of all levels from
    there on. So there is one evaluation for each step of the grid, and half (a third) as many steps of full order.

    Args:
        orders: how many steps are a turn, and with ``lowered`` the last step is one of its own.
        on: what is carried on, D or the noise e.
        curve: the value in the middle, or the exact mean (``heun`` in diffusers).
        eta: 1 tops up the noise of each turn anew, from where it began.
    """
    x = descent.x
    turn: list[tuple[Level, Tensor, Tensor]] = []  # level, x and D or e there, the oldest first
    plan = descent.strides()
    for stride, order in zip(plan, turns(len(plan), orders), strict=True):
        now = stride.now
        clean = better = descent.clean(x, now)
        if order == 1 or math.isinf(turn[0][0].log_snr):
            turn = []
        turn = [*turn, (now, x, _value(on, now, x, clean))][-order:]
        start, x_start, _ = turn[0]
        whole = replace(stride, now=start)
        if math.isfinite(whole.gain):
            growth = (1 + eta) * whole.gain if on == "clean" else -whole.gain
            shares = [(at.log_snr - start.log_snr) / whole.gain for at, _, _ in turn]
            found = _turned(shares, [value for _, _, value in turn], growth, curve)
            better = _as_clean(on, start, x_start, found)
        kept = _kept(eta, whole.gain)
        x = whole.remix(x_start, better, kept, whole.fresh(descent.noise, kept))
        yield stride.done(x, clean)


def turns(steps: int, orders: Orders) -> list[int]:
    """The order of each step; the last turn is cut short where it has to be, and with `Orders.lowered`."""
    turn = list(range(1, orders.most + 1))
    whole, rest = divmod(steps, orders.most)
    if rest or not orders.lowered:
        return turn * whole + turn[:rest]
    return turn * (whole - 1) + [*turn[:-1], 1]


def _turned(shares: list[float], values: list[Tensor], growth: float, curve: Curve) -> Tensor:
    """The mean over a turn of what was found at its shares, the first of which is 0."""
    first, *others = values
    if not others:
        return first
    slopes = [(value - first) / share for value, share in zip(others, shares[1:], strict=True)]
    _, mean_u, mean_uu = moments(growth, 3)
    if len(slopes) == 1:
        return first + (0.5 if curve == "midpoint" else mean_u) * slopes[0]
    if curve == "midpoint":
        return first + mean_u * slopes[1]
    _, r1, r0 = shares
    slope = (r0 * slopes[0] - r1 * slopes[1]) / (r0 - r1)
    return first + mean_u * slope + mean_uu / 2 * (2 * (slopes[1] - slopes[0]) / (r0 - r1))
