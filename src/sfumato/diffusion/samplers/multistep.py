"""One evaluation a step, and what was found in the steps before: the noise e, carried on as a polynomial.

The solvers of DPM-Solver++ carry on D instead; see `dpmpp`.
"""

import math
from collections.abc import Iterator

from torch import Tensor

from ..descent import Descent
from ..path import STRAIGHT
from ..step import Level, Step
from .averages import averaging, mean
from .orders import Orders


def lms(descent: Descent) -> Iterator[Step]:
    """Linear multistep (k-diffusion): Adams-Bashforth on the last four, with the weights for uneven steps.

    D and e are polynomials in sigma, which are followed in the step to 0 as well: unlike that of other samplers,
    it does not return the last D. The start has a single point, and so an error of the second order.

    On the straight path it takes the last two: with guidance four diverge there (docs/decisions/0024).
    """
    x = descent.x
    points = 2 if descent.path is STRAIGHT else 4
    found: list[tuple[Level, Tensor, Tensor]] = []  # level, D and e there, the newest first
    for stride in descent.strides():
        now, then = stride.now, stride.then
        clean = descent.clean(x, now)
        found = [(now, clean, now.noise(x, clean)), *found[: points - 1]]
        levels, cleans, noises = zip(*found, strict=True)
        weights = averaging([(at.sigma - now.sigma) / (then.sigma - now.sigma) for at in levels])
        x = stride.along(x, mean(weights, cleans), mean(weights, noises))
        yield stride.done(x, clean)


def plms(descent: Descent, *, points: int = 4, heun_first: bool = True) -> Iterator[Step]:
    """Pseudo linear multistep (Liu et al. 2022; diffusers' PNDM with ``skip_prk_steps``): SD 1's default.

    Adams-Bashforth on the last ``points`` D and e, with the weights for even steps although steps in sigma are not
    even, which is why it has order 2 and not 4. The first step is Heun's, one evaluation more, or else Euler's.
    """
    x = descent.x
    found: list[tuple[Tensor, Tensor]] = []  # D and e, the newest first
    for stride in descent.strides():
        now, then = stride.now, stride.then
        clean = descent.clean(x, now)
        found = [(clean, now.noise(x, clean)), *found[: points - 1]]
        ahead = stride.remix(x, clean)
        if then.sigma > 0:
            terms, weights = found, averaging([-float(j) for j in range(len(found))])
            if stride.index == 0 and heun_first:
                clean_ahead = descent.clean(ahead, then)
                terms, weights = [*found, (clean_ahead, then.noise(ahead, clean_ahead))], [1 / 2, 1 / 2]
            cleans, noises = zip(*terms, strict=True)
            ahead = stride.along(x, mean(weights, cleans), mean(weights, noises))
        x = ahead
        yield stride.done(x, clean)


def ipndm(descent: Descent) -> Iterator[Step]:
    """Improved PNDM (Zhang and Chen 2023, section H.3; diffusers' IPNDM): `plms` that begins as Euler does.

    On the straight path it takes the last two, as `lms`.
    """
    return plms(descent, points=2 if descent.path is STRAIGHT else 4, heun_first=False)


def gradient_estimation(descent: Descent, *, gamma: float = 2.0) -> Iterator[Step]:
    """Gradient estimation (Permenter and Yuan 2024, arXiv:2306.04848, algorithm 2): Euler's method, with D and e
    carried on beyond those of the last two steps.

    Args:
        gamma: how far: 1 is Euler, 1.5 what has order 2 for even steps, 2 the authors' choice.
    """
    x = descent.x
    before: tuple[Tensor, Tensor] | None = None
    for stride in descent.strides():
        clean = descent.clean(x, stride.now)
        here = clean, stride.now.noise(x, clean)
        beyond = (mean((gamma, 1 - gamma), pair) for pair in zip(here, before or here, strict=True))
        x = clean if stride.then.sigma == 0 else stride.along(x, *beyond)
        before = here
        yield stride.done(x, clean)


DEIS_3, DEIS_2 = Orders(3), Orders(2)


def deis(descent: Descent, *, orders: Orders = DEIS_3) -> Iterator[Step]:
    """DEIS (Zhang and Chen 2023, arXiv:2204.13902; ``logrho`` in diffusers), on as many points as its order.

    The noise e of the last three is a parabola in log SNR, and the step is exact for that. A start in pure
    noise, which has none, does not count. Of less than 15 steps, the last but one takes two points, and the last
    one: they are long, and a parabola goes far astray.
    """
    x = descent.x
    found: list[tuple[Level, Tensor]] = []  # level and e there, the newest first
    for stride in descent.strides():
        now = stride.now
        clean = better = descent.clean(x, now)
        if math.isfinite(now.log_snr):
            found = [(now, now.noise(x, clean)), *found[: orders.most - 1]]
        if math.isfinite(stride.gain):
            levels, noises = zip(*found[: orders.of(stride)], strict=True)
            places = [(at.log_snr - now.log_snr) / stride.gain for at in levels]
            # The D which, with this mean of e, mixes to the same x.
            better = (x - now.sigma * mean(averaging(places, -stride.gain), noises)) / now.alpha
        x = stride.remix(x, better)
        yield stride.done(x, clean)


def deis_2m(descent: Descent, *, orders: Orders = DEIS_2) -> Iterator[Step]:
    """DEIS of order 2: diffusers' default."""
    return deis(descent, orders=orders)
