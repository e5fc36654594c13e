"""DPM-Solver++ (Lu et al. 2022, arXiv:2211.01095) and UniPC (Zhao et al. 2023, arXiv:2302.04867).

Each finds a better D, and puts it into the one step of `step`, with as much fresh noise as eta asks for.
"""

import math
from collections.abc import Iterator
from dataclasses import replace

from torch import Tensor

from ..descent import Descent
from ..step import Step, Stride
from .averages import averaging, mean, moments

# ---------------------------------------------------------------------------------------------- multistep


def dpmpp_2m_sde(way: Descent, *, eta: float = 1.0) -> Iterator[Step]:
    """SDE-DPM-Solver++(2M) (Lu et al. 2022), the midpoint form: `dpmpp_2m` with noise; eta 0 is that."""
    x = way.x
    before: tuple[Tensor, float] | None = None
    for stride in way.strides():
        clean = way.clean(x, stride.now)
        kept = _kept(eta, stride.gain)
        x = stride.remix(x, _midway(clean, stride.gain, before), kept, stride.fresh(way.noise, kept))
        before = clean, stride.gain
        yield stride.done(x, clean)


def _kept(eta: float, gain: float) -> float:
    return math.exp(-eta * gain) if eta else 1.0


def dpmpp_2m(way: Descent) -> Iterator[Step]:
    """DPM-Solver++(2M) (Lu et al. 2022, algorithm 2): D of this step and the last, carried on to mid-step."""
    return dpmpp_2m_sde(way, eta=0.0)


def _midway(clean: Tensor, gain: float, before: tuple[Tensor, float] | None) -> Tensor:
    """D in the middle of a step, on the line in log SNR through the last two; ``before`` is the last D and h.

    Where there is no line it is D itself: at the start, after a start in pure noise, and for the step to 0.
    """
    if before is None or math.isinf(before[1]) or math.isinf(gain):
        return clean
    clean_before, gain_before = before
    return clean + gain / (2 * gain_before) * (clean - clean_before)


def dpmpp_3m_sde(way: Descent, *, eta: float = 1.0) -> Iterator[Step]:
    """DPM-Solver++(3M) with noise (k-diffusion's ``dpmpp_3m_sde``; diffusers' ``solver_order=3``).

    With D on the parabola ``D + d1 u + d2 u^2`` of the last three, u the share of the step, the published
    solver takes half of d2, as if it were a second derivative. So do we; it costs the third order.
    """
    x = way.x
    earlier: list[tuple[Tensor, float]] = []  # D and h of the steps before, the newest first
    for stride in way.strides():
        clean = way.clean(x, stride.now)
        better = clean
        if earlier and math.isfinite(stride.gain):
            _, mean_u, mean_uu = moments((1 + eta) * stride.gain, 3)
            last, r0 = earlier[0][0], earlier[0][1] / stride.gain
            slope = (clean - last) / r0
            if len(earlier) == 1:
                better = clean + mean_u * slope
            else:
                r1 = earlier[1][1] / stride.gain
                bend = (slope - (last - earlier[1][0]) / r1) / (r0 + r1)
                better = clean + mean_u * (slope + r0 * bend) + mean_uu / 2 * bend
        kept = _kept(eta, stride.gain)
        x = stride.remix(x, better, kept, stride.fresh(way.noise, kept))
        earlier = [(clean, stride.gain), *earlier[:1]] if math.isfinite(stride.gain) else []
        yield stride.done(x, clean)


def unipc(way: Descent) -> Iterator[Step]:
    """UniPC-2 with B(h) = e^h - 1 (Zhao et al. 2023; ``bh2`` in diffusers).

    The predictor is `dpmpp_2m`. Once D is known at the end of a step, the step is done again with that D as a
    third point: the corrector, which costs no evaluation. A step yields the prediction, not yet corrected.
    """
    x = way.x
    earlier: tuple[Tensor, float] | None = None  # D and h of the step before the last
    last: tuple[Stride, Tensor, Tensor] | None = None  # the last step, x at its start, and D there
    for stride in way.strides():
        clean = way.clean(x, stride.now)
        if last is not None:
            before, x_before, clean_before = last
            x = before.remix(x_before, _throughout(clean_before, clean, before.gain, earlier))
            earlier = clean_before, before.gain
        last = stride, x, clean
        x = stride.remix(x, _midway(clean, stride.gain, earlier))
        yield stride.done(x, clean)


def _throughout(clean: Tensor, ahead: Tensor, gain: float, before: tuple[Tensor, float] | None) -> Tensor:
    """The mean of D over a step, on the parabola in log SNR through D before it, at its start and at its end.

    Without a third point it is the plain mean.
    """
    if before is None or math.isinf(before[1]) or math.isinf(gain):
        return (clean + ahead) / 2
    clean_before, gain_before = before
    return mean(averaging([0.0, 1.0, -gain_before / gain], gain), [clean, ahead, clean_before])


# --------------------------------------------------------------------------------------------- single step


def dpmpp_2s_a(way: Descent, *, eta: float = 1.0) -> Iterator[Step]:
    """DPM-Solver++(2S) to below the next level, and noise up to it (k-diffusion's ``dpmpp_2s_ancestral``).

    D is found again half way to there, in log SNR. Two evaluations a step; one for the step to 0, and for a
    step from pure noise, which has no middle.
    """
    x = way.x
    for stride in way.strides():
        clean = better = way.clean(x, stride.now)
        kept = stride.kept(eta)
        down = stride.down(way.path, kept)
        if math.isfinite(down.gain):
            half = replace(stride, then=down.middle(way.path))
            better = way.clean(half.remix(x, clean), half.then)
        x = stride.remix(x, better, kept, stride.fresh(way.noise, kept))
        yield stride.done(x, clean)


def dpmpp_sde(way: Descent, *, eta: float = 1.0) -> Iterator[Step]:
    """DPM-Solver++(2S) with noise (Lu et al. 2022, algorithm 1; k-diffusion's ``dpmpp_sde``).

    D is found again in the middle of the step, in log SNR. Two evaluations a step; one for the step to 0, and
    for a step from pure noise, which has no middle.
    """
    x = way.x
    for stride in way.strides():
        clean = way.clean(x, stride.now)
        if math.isinf(stride.gain):
            kept = 0.0 if eta else 1.0
            x = stride.remix(x, clean, kept, stride.fresh(way.noise, kept))
        else:
            kept = math.exp(-eta * stride.gain / 2)  # of the noise, by each half of the step
            half = replace(stride, then=stride.middle(way.path))
            first, second = half.fresh(way.noise, kept), replace(stride, now=half.then).fresh(way.noise, kept)
            better = way.clean(half.remix(x, clean, kept, first), half.then)
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
