"""Samplers: plain generators of `Step`, from noise at ``sigmas[0]`` down to ``sigmas[-1]``.

A sampler calls ``denoise(x, sigma)``, which gives the clean estimate D, and moves ``x`` to the next level by
the one step of `step`. It knows nothing of networks, prompts or guidance. Preview, progress, cancelling and
saving are a ``for`` loop around it.

Every sampler takes ``(denoise, x, sigmas, *, noise, path)``, which mean the same throughout:

    denoise  D(x, sigma); see `denoiser.Denoise`
    x        (b, c, h, w) at level sigmas[0]; to start from nothing, ``path.prior(noise(), sigmas[0])``
    sigmas   (steps + 1,), strictly descending, the last one 0 or above; see `schedules.GRIDS`
    noise    fresh unit noise at each call; called only by samplers which add noise, never for a step to 0
    path     that of the denoiser's parameterisation

The step to sigma 0 returns exactly the D of the step. ValueError is raised, at the first step, for sigmas
which do not descend and for a missing noise source. How exact each sampler is, measured: ``docs/samplers.md``.

Papers: Karras et al. 2022 (arXiv:2206.00364); Song et al. 2021 (DDIM, arXiv:2010.02502); Lu et al. 2022
(DPM-Solver++, arXiv:2211.01095); Zhao et al. 2023 (UniPC, arXiv:2302.04867); Liu et al. 2022 (PNDM,
arXiv:2202.09778); Luo et al. 2023 (LCM, arXiv:2310.04378).
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from jaxtyping import Float
from torch import Tensor

from .denoiser import Denoise
from .noise import NoiseSource
from .path import VARIANCE_EXPLODING, Path
from .step import Step as Step
from .step import Stride, strides

# -------------------------------------------------------------------------------------------- first order


def ddim(
    denoise: Denoise,
    x: Float[Tensor, "b *rest"],
    sigmas: Float[Tensor, " steps+1"],
    *,
    noise: NoiseSource | None = None,
    path: Path = VARIANCE_EXPLODING,
    eta: float = 0.0,
) -> Iterator[Step]:
    """DDIM (Song et al. 2021, eq. 12 and 16): eta 0 is deterministic, eta 1 is ancestral, as DDPM."""
    for stride in strides(sigmas, path):
        clean = denoise(x, stride.now.tensor)
        # Eq. 16 in our terms: of the next noise's variance, the part eta^2 (1 - e^{-2h}) is fresh.
        kept = math.sqrt(max(0.0, 1 + eta**2 * math.expm1(-2 * stride.gain)))
        x = stride.remix(x, clean, kept, stride.fresh(noise, kept))
        yield stride.done(x, clean)


def euler(
    denoise: Denoise,
    x: Float[Tensor, "b *rest"],
    sigmas: Float[Tensor, " steps+1"],
    *,
    noise: NoiseSource | None = None,
    path: Path = VARIANCE_EXPLODING,
) -> Iterator[Step]:
    """Euler's method on ``dx/dsigma = (x - D) / sigma`` (Karras et al. 2022), which is DDIM."""
    return ddim(denoise, x, sigmas, path=path)


def euler_a(
    denoise: Denoise,
    x: Float[Tensor, "b *rest"],
    sigmas: Float[Tensor, " steps+1"],
    *,
    noise: NoiseSource | None = None,
    path: Path = VARIANCE_EXPLODING,
    eta: float = 1.0,
) -> Iterator[Step]:
    """Euler ancestral (k-diffusion): Euler to below the next level, and noise up to it: DDIM with an eta."""
    return ddim(denoise, x, sigmas, noise=noise, path=path, eta=eta)


def lcm(
    denoise: Denoise,
    x: Float[Tensor, "b *rest"],
    sigmas: Float[Tensor, " steps+1"],
    *,
    noise: NoiseSource | None = None,
    path: Path = VARIANCE_EXPLODING,
) -> Iterator[Step]:
    """Multistep consistency sampling: D, then all the noise anew (Luo et al. 2023, algorithm 3).

    For networks distilled to give the end of the trajectory. A plain denoiser gives the mean of what may be
    there, and the samples come out too smooth, however many the steps.
    """
    for stride in strides(sigmas, path):
        clean = denoise(x, stride.now.tensor)
        x = stride.remix(x, clean, 0.0, stride.fresh(noise, 0.0))
        yield stride.done(x, clean)


# ------------------------------------------------------------------------------------------- higher order


def heun(
    denoise: Denoise,
    x: Float[Tensor, "b *rest"],
    sigmas: Float[Tensor, " steps+1"],
    *,
    noise: NoiseSource | None = None,
    path: Path = VARIANCE_EXPLODING,
) -> Iterator[Step]:
    """Heun's method (Karras et al. 2022, algorithm 1): Euler, and again with the mean of the step's ends.

    Along the trajectory ``dx = D dalpha + e dsigma``, which is the paper's ``(x - D) / sigma dsigma`` on the
    exploding and on the straight path. Two evaluations a step; one for the step to 0.
    """
    for stride in strides(sigmas, path):
        now, then = stride.now, stride.then
        clean = denoise(x, now.tensor)
        ahead = stride.remix(x, clean)
        if then.sigma > 0:
            clean_ahead = denoise(ahead, then.tensor)
            d_alpha = (then.alpha - now.alpha) * (clean + clean_ahead) / 2
            d_sigma = (then.sigma - now.sigma) * (now.noise(x, clean) + then.noise(ahead, clean_ahead)) / 2
            ahead = x + d_alpha + d_sigma
        x = ahead
        yield stride.done(x, clean)


def dpmpp_2m_sde(
    denoise: Denoise,
    x: Float[Tensor, "b *rest"],
    sigmas: Float[Tensor, " steps+1"],
    *,
    noise: NoiseSource | None = None,
    path: Path = VARIANCE_EXPLODING,
    eta: float = 1.0,
) -> Iterator[Step]:
    """SDE-DPM-Solver++(2M) (Lu et al. 2022), the midpoint form: `dpmpp_2m` with noise; eta 0 is that."""
    before: tuple[Tensor, float] | None = None
    for stride in strides(sigmas, path):
        clean = denoise(x, stride.now.tensor)
        kept = math.exp(-eta * stride.gain) if eta else 1.0
        x = stride.remix(x, _midway(clean, stride.gain, before), kept, stride.fresh(noise, kept))
        before = clean, stride.gain
        yield stride.done(x, clean)


def dpmpp_2m(
    denoise: Denoise,
    x: Float[Tensor, "b *rest"],
    sigmas: Float[Tensor, " steps+1"],
    *,
    noise: NoiseSource | None = None,
    path: Path = VARIANCE_EXPLODING,
) -> Iterator[Step]:
    """DPM-Solver++(2M) (Lu et al. 2022, algorithm 2): D of this step and the last, carried on to mid-step."""
    return dpmpp_2m_sde(denoise, x, sigmas, path=path, eta=0.0)


def _midway(clean: Tensor, gain: float, before: tuple[Tensor, float] | None) -> Tensor:
    """D in the middle of a step, on the line in log SNR through the last two; ``before`` is the last D and h.

    Where there is no line it is D itself: at the start, after a start in pure noise, and for the step to 0.
    """
    if before is None or math.isinf(before[1]) or math.isinf(gain):
        return clean
    clean_before, gain_before = before
    return clean + gain / (2 * gain_before) * (clean - clean_before)


def dpmpp_sde(
    denoise: Denoise,
    x: Float[Tensor, "b *rest"],
    sigmas: Float[Tensor, " steps+1"],
    *,
    noise: NoiseSource | None = None,
    path: Path = VARIANCE_EXPLODING,
    eta: float = 1.0,
) -> Iterator[Step]:
    """DPM-Solver++(2S) with noise (Lu et al. 2022, algorithm 1; k-diffusion's ``dpmpp_sde``).

    D is found again in the middle of the step, in log SNR. Two evaluations a step; one for the step to 0, and
    for a step from pure noise, which has no middle.
    """
    for stride in strides(sigmas, path):
        clean = denoise(x, stride.now.tensor)
        if math.isinf(stride.gain):
            kept = 0.0 if eta else 1.0
            x = stride.remix(x, clean, kept, stride.fresh(noise, kept))
        else:
            kept = math.exp(-eta * stride.gain / 2)  # of the noise, by each half of the step
            first, second = stride.fresh(noise, kept), stride.fresh(noise, kept)
            half = replace(stride, then=stride.middle(path))
            better = denoise(half.remix(x, clean, kept, first), half.then.tensor)
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


def unipc(
    denoise: Denoise,
    x: Float[Tensor, "b *rest"],
    sigmas: Float[Tensor, " steps+1"],
    *,
    noise: NoiseSource | None = None,
    path: Path = VARIANCE_EXPLODING,
) -> Iterator[Step]:
    """UniPC-2 with B(h) = e^h - 1 (Zhao et al. 2023; ``bh2`` in diffusers).

    The predictor is `dpmpp_2m`. Once D is known at the end of a step, the step is done again with that D as a
    third point: the corrector, which costs no evaluation. A step yields the prediction, not yet corrected.
    """
    earlier: tuple[Tensor, float] | None = None  # D and h of the step before the last
    last: tuple[Stride, Tensor, Tensor] | None = None  # the last step, x at its start, and D there
    for stride in strides(sigmas, path):
        clean = denoise(x, stride.now.tensor)
        if last is not None:
            before, x_before, clean_before = last
            x = before.remix(x_before, _throughout(clean_before, clean, before.gain, earlier))
            earlier = clean_before, before.gain
        last = stride, x, clean
        x = stride.remix(x, _midway(clean, stride.gain, earlier))
        yield stride.done(x, clean)


def _throughout(clean: Tensor, ahead: Tensor, gain: float, before: tuple[Tensor, float] | None) -> Tensor:
    """The mean of D over a step, on the parabola in log SNR through D before it, at its start and at its end.

    With ``u = (lambda - lambda_now) / h`` the three lie at -r, 0 and 1. The exact solution weights D by
    ``e^{hu}`` for u in [0, 1], so the mean is made exact for D = 1, u and u^2. Without a third point it is
    the plain mean.
    """
    if before is None or math.isinf(before[1]) or math.isinf(gain):
        return (clean + ahead) / 2
    clean_before, gain_before = before
    r = gain_before / gain
    mean_u = -1 / math.expm1(-gain) - 1 / gain
    mean_uu = -1 / math.expm1(-gain) - 2 / gain * mean_u
    slope_before = (mean_u - mean_uu) / (1 + r)
    slope_ahead = mean_u - slope_before
    return clean + slope_before * (clean - clean_before) / r + slope_ahead * (ahead - clean)


_ADAMS_BASHFORTH = (
    (1.0,),
    (3 / 2, -1 / 2),
    (23 / 12, -16 / 12, 5 / 12),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)


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
    slopes: list[tuple[Tensor, Tensor]] = []  # (D, e), the newest first
    for stride in strides(sigmas, path):
        now, then = stride.now, stride.then
        clean = denoise(x, now.tensor)
        slopes = [(clean, now.noise(x, clean)), *slopes[:3]]
        ahead = stride.remix(x, clean)
        if then.sigma > 0:
            terms, weights = slopes, _ADAMS_BASHFORTH[len(slopes) - 1]
            if stride.index == 0:
                clean_ahead = denoise(ahead, then.tensor)
                terms = [*slopes, (clean_ahead, then.noise(ahead, clean_ahead))]
                weights = (1 / 2, 1 / 2)
            ahead = x
            for weight, (d, e) in zip(weights, terms, strict=True):
                ahead = ahead + weight * ((then.alpha - now.alpha) * d + (then.sigma - now.sigma) * e)
        x = ahead
        yield stride.done(x, clean)


# ---------------------------------------------------------------------------------------------- the table

SamplerFunction = Callable[..., Iterator[Step]]
"""``(denoise, x, sigmas, *, noise=None, path=VARIANCE_EXPLODING)``, and ``eta`` where the row has one."""


@dataclass(frozen=True)
class Sampler:
    """A sampler which people can choose.

    Args:
        name: for requests and files.
        label: for menus.
        function: see `SamplerFunction`.
        order: at which it converges to the trajectory, with eta 0 where it has an eta; 0 where it does not.
        evaluations: calls of the denoiser a step; the function's docstring has the exceptions.
        stochastic: whether it adds noise by default.
        eta: the default share of fresh noise; None where there is no such choice.
    """

    name: str
    label: str
    function: SamplerFunction
    order: int
    evaluations: int = 1
    stochastic: bool = False
    eta: float | None = None

    def __call__(
        self,
        denoise: Denoise,
        x: Float[Tensor, "b *rest"],
        sigmas: Float[Tensor, " steps+1"],
        *,
        noise: NoiseSource | None = None,
        path: Path = VARIANCE_EXPLODING,
        eta: float | None = None,
    ) -> Iterator[Step]:
        """Run it. ``eta`` None takes the row's; ValueError is raised for an eta where there is none."""
        if self.eta is None:
            if eta is not None:
                raise ValueError(f"eta {eta}: {self.label} has none; leave it out, or take a sampler with eta")
            return self.function(denoise, x, sigmas, noise=noise, path=path)
        eta = self.eta if eta is None else eta
        return self.function(denoise, x, sigmas, noise=noise, path=path, eta=eta)


SAMPLERS: tuple[Sampler, ...] = (
    Sampler("euler", "Euler", euler, order=1),
    Sampler("euler_a", "Euler a", euler_a, order=1, stochastic=True, eta=1.0),
    Sampler("heun", "Heun", heun, order=2, evaluations=2),
    Sampler("dpmpp_2m", "DPM++ 2M", dpmpp_2m, order=2),
    Sampler("dpmpp_2m_sde", "DPM++ 2M SDE", dpmpp_2m_sde, order=2, stochastic=True, eta=1.0),
    Sampler("dpmpp_sde", "DPM++ SDE", dpmpp_sde, order=2, evaluations=2, stochastic=True, eta=1.0),
    Sampler("ddim", "DDIM", ddim, order=1, eta=0.0),
    Sampler("unipc", "UniPC", unipc, order=3),
    Sampler("lcm", "LCM", lcm, order=0, stochastic=True),
    Sampler("plms", "PLMS", plms, order=2),
)
