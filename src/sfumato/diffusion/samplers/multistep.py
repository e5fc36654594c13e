"""One evaluation a step, and what was found in the steps before: the noise e, carried on as a polynomial.

The solvers of DPM-Solver++ carry on D instead; see `dpmpp`.
"""

import math
from collections.abc import Iterator

from jaxtyping import Float
from torch import Tensor

from ..denoiser import Denoise
from ..noise import NoiseSource
from ..path import VARIANCE_EXPLODING, Path
from ..step import Level, Step, strides
from .averages import averaging, mean


def lms(
    denoise: Denoise,
    x: Float[Tensor, "b *rest"],
    sigmas: Float[Tensor, " steps+1"],
    *,
    noise: NoiseSource | None = None,
    path: Path = VARIANCE_EXPLODING,
) -> Iterator[Step]:
    """Linear multistep (k-diffusion): Adams-Bashforth on the last four, with the weights for uneven steps.

    D and e are polynomials in sigma. The start has a single point, and so an error of the second order.
    """
    found: list[tuple[Level, Tensor, Tensor]] = []  # level, D and e there, the newest first
    for stride in strides(sigmas, path):
        now, then = stride.now, stride.then
        clean = denoise(x, now.tensor)
        found = [(now, clean, now.noise(x, clean)), *found[:3]]
        if then.sigma == 0:
            x = clean
        else:
            levels, cleans, noises = zip(*found, strict=True)
            weights = averaging([(at.sigma - now.sigma) / (then.sigma - now.sigma) for at in levels])
            x = stride.along(x, mean(weights, cleans), mean(weights, noises))
        yield stride.done(x, clean)


def plms(
    denoise: Denoise,
    x: Float[Tensor, "b *rest"],
    sigmas: Float[Tensor, " steps+1"],
    *,
    noise: NoiseSource | None = None,
    path: Path = VARIANCE_EXPLODING,
) -> Iterator[Step]:
    """Pseudo linear multistep (Liu et al. 2022; diffusers' PNDM with ``skip_prk_steps``): SD 1's default.

    Adams-Bashforth on the last four D and e, with the weights for even steps although steps in sigma are not
    even, which is why it has order 2 and not 4. The first step is Heun's: one evaluation more.
    """
    found: list[tuple[Tensor, Tensor]] = []  # D and e, the newest first
    for stride in strides(sigmas, path):
        now, then = stride.now, stride.then
        clean = denoise(x, now.tensor)
        found = [(clean, now.noise(x, clean)), *found[:3]]
        ahead = stride.remix(x, clean)
        if then.sigma > 0:
            terms, weights = found, averaging([-float(j) for j in range(len(found))])
            if stride.index == 0:
                clean_ahead = denoise(ahead, then.tensor)
                terms, weights = [*found, (clean_ahead, then.noise(ahead, clean_ahead))], [1 / 2, 1 / 2]
            cleans, noises = zip(*terms, strict=True)
            ahead = stride.along(x, mean(weights, cleans), mean(weights, noises))
        x = ahead
        yield stride.done(x, clean)


def deis(
    denoise: Denoise,
    x: Float[Tensor, "b *rest"],
    sigmas: Float[Tensor, " steps+1"],
    *,
    noise: NoiseSource | None = None,
    path: Path = VARIANCE_EXPLODING,
) -> Iterator[Step]:
    """DEIS of order 3 (Zhang and Chen 2023, arXiv:2204.13902; ``logrho`` in diffusers).

    The noise e of the last three is a parabola in log SNR, and the step is exact for that. A start in pure
    noise, which has none, does not count.
    """
    found: list[tuple[Level, Tensor]] = []  # level and e there, the newest first
    for stride in strides(sigmas, path):
        now = stride.now
        clean = better = denoise(x, now.tensor)
        if math.isfinite(now.log_snr):
            found = [(now, now.noise(x, clean)), *found[:2]]
        if math.isfinite(stride.gain):
            levels, noises = zip(*found, strict=True)
            places = [(at.log_snr - now.log_snr) / stride.gain for at in levels]
            # The D which, with this mean of e, mixes to the same x.
            better = (x - now.sigma * mean(averaging(places, -stride.gain), noises)) / now.alpha
        x = stride.remix(x, better)
        yield stride.done(x, clean)
