"""Against k-diffusion: the same numbers from the same denoiser, levels and noise, in double precision.

All of its samplers are on the exploding path, and so is this. Where we differ is in docs/decisions/0003.
"""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from sfumato.diffusion import SAMPLERS, VARIANCE_EXPLODING, DiscreteSchedule, NoiseSource, Sampler
from sfumato.diffusion.grids import exponential, karras, polyexponential
from tests.diffusion.closed_form import TWO_HILLS
from tests.diffusion.k_diffusion import sampling

pytestmark = pytest.mark.parity

ON_GIVEN_LEVELS = {
    "euler": "euler",
    "euler_a": "euler_ancestral",
    "heun": "heun",
    "dpm_2": "dpm_2",
    "dpm_2_a": "dpm_2_ancestral",
    "lms": "lms",
    "dpmpp_2s_a": "dpmpp_2s_ancestral",
    "dpmpp_2m": "dpmpp_2m",
    "dpmpp_2m_sde": "dpmpp_2m_sde",
    "dpmpp_3m_sde": "dpmpp_3m_sde",
}
"""Ours to k-diffusion's, but DPM++ SDE, of whose noise there is more to say, and those with levels of their own."""

SCHEDULE = DiscreteSchedule.from_betas()
SHAPE = (1, 4, 8, 8)
BY_NAME = {row.name: row for row in SAMPLERS}
DENOISE = TWO_HILLS.denoise(VARIANCE_EXPLODING)
ENDS = pytest.mark.parametrize("final", [0.0, 0.02], ids=["to 0", "to above"])

NoiseSampler = Callable[[Tensor, Tensor], Tensor]
"""k-diffusion's source of noise: of the levels between which a step goes."""


def model(x: Tensor, sigmas: Tensor) -> Tensor:
    """The denoiser as k-diffusion wants it, with a level for each image."""
    return DENOISE(x, sigmas[0])


def source() -> NoiseSource:
    """The same draws, in the same order, each time."""
    generator = torch.Generator().manual_seed(1)
    return lambda: torch.randn(SHAPE, generator=generator, dtype=torch.float64)


def plain(noise: NoiseSource) -> NoiseSampler:
    return lambda now, then: noise()


def halved(noise: NoiseSource) -> NoiseSampler:
    """For DPM++ SDE, which asks for the noise of the first half of a step, and then for that of all of it.

    As ours has it: the second draw is that of the second half, and the whole is made of both, so that they lie on one
    Brownian path; see `dpmpp._both_halves`.
    """
    first: list[Tensor] = []

    def between(now: Tensor, then: Tensor) -> Tensor:
        if not first:
            first.append(noise())
            return first[0]
        kept = math.sqrt(float(then / now))
        return (kept * first.pop() + noise()) / math.sqrt(1 + kept**2)

    return between


def levels(steps: int, final: float) -> Tensor:
    return karras(SCHEDULE, steps, final=final).double()


def start(sigmas: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return sigmas[0] * torch.randn(SHAPE, generator=generator, dtype=torch.float64)


def ours(sampler: Sampler, sigmas: Tensor, eta: float | None) -> Tensor:
    return list(sampler(DENOISE, start(sigmas), sigmas, noise=source(), eta=eta))[-1].x


def etas(name: str) -> list[float | None]:
    return [None] if BY_NAME[name].eta is None else [0.0, 0.5, 1.0]


def assert_same(actual: Tensor, expected: Tensor, tolerance: float = 1e-12) -> None:
    difference = float((actual - expected).norm() / expected.norm())
    assert difference < tolerance, f"relative difference {difference:.2e}"


def test_every_sampler_of_theirs_is_compared() -> None:
    theirs = {name.removeprefix("sample_") for name in vars(sampling) if name.startswith("sample_")}
    assert theirs == {*ON_GIVEN_LEVELS.values(), "dpm_fast", "dpm_adaptive", "dpmpp_sde"}


@ENDS
@pytest.mark.parametrize("steps", [3, 20])
@pytest.mark.parametrize(("name", "eta"), [(name, eta) for name in ON_GIVEN_LEVELS for eta in etas(name)])
def test_on_given_levels(name: str, eta: float | None, steps: int, final: float) -> None:
    sigmas = levels(steps, final)
    options = {} if eta is None else {"eta": eta, "noise_sampler": plain(source())}
    function = getattr(sampling, f"sample_{ON_GIVEN_LEVELS[name]}")
    expected = function(model, start(sigmas), sigmas, disable=True, **options)
    assert_same(ours(BY_NAME[name], sigmas, eta), expected)


@ENDS
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_dpmpp_2m_sde_heun(eta: float, final: float) -> None:
    sigmas = levels(20, final)
    options = {"eta": eta, "noise_sampler": plain(source()), "solver_type": "heun"}
    expected = sampling.sample_dpmpp_2m_sde(model, start(sigmas), sigmas, disable=True, **options)
    assert_same(ours(BY_NAME["dpmpp_2m_sde_heun"], sigmas, eta), expected)


@ENDS
@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_dpmpp_sde(eta: float, final: float) -> None:
    sigmas = levels(20, final)
    options = {"eta": eta, "noise_sampler": halved(source())}
    expected = sampling.sample_dpmpp_sde(model, start(sigmas), sigmas, disable=True, **options)
    assert_same(ours(BY_NAME["dpmpp_sde"], sigmas, eta), expected)


def test_eta_of_dpmpp_sde_is_that_of_2m_sde() -> None:
    """Between 0 and 1 ours keeps e^(-eta h) of the noise, as both have it in 2M and 3M SDE. k-diffusion's DPM++ SDE
    splits the step as its ancestral samplers do, which is the same at 0 and at 1 alone."""
    sigmas = torch.tensor([3.0, 1.2], dtype=torch.float64)
    still: Callable[[Tensor, Tensor], Tensor] = lambda x, sigma: torch.zeros_like(x)  # noqa: E731
    x = torch.ones(1, 1, dtype=torch.float64)

    def kept(name: str) -> float:
        return float(list(BY_NAME[name](still, x, sigmas, noise=lambda: 0 * x, eta=0.5))[-1].x)

    theirs = sampling.sample_dpmpp_sde(still, x, sigmas, disable=True, eta=0.5, noise_sampler=plain(lambda: 0 * x))
    assert kept("dpmpp_sde") == pytest.approx(kept("dpmpp_2m_sde"), rel=1e-12)
    assert kept("dpmpp_sde") == pytest.approx(1.2 / 3.0 * (1.2 / 3.0) ** 0.5, rel=1e-12)
    assert float(theirs) == pytest.approx(1.2 / 3.0 * (1 - 0.25 * (1 - (1.2 / 3.0) ** 2)) ** 0.5, rel=1e-12)


@ENDS
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("evaluations", [4, 5, 6, 20])
def test_dpm_fast(evaluations: int, eta: float, final: float) -> None:
    """Its levels are in single precision. It cannot go to 0; there we take a step more."""
    sigmas = levels(evaluations + (final == 0), final)
    low = sigmas[-1] if final else sigmas[-2]
    ends, options = (np.float64(low), np.float64(sigmas[0])), {"eta": eta, "noise_sampler": plain(source())}
    expected = sampling.sample_dpm_fast(model, start(sigmas), *ends, evaluations, disable=True, **options)
    assert_same(ours(BY_NAME["dpm_fast"], sigmas, eta), expected if final else DENOISE(expected, low), 1e-4)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_dpm_adaptive(eta: float) -> None:
    """Of one image. Its tolerances are in single precision."""
    sigmas = levels(20, 0.02)
    ends, options = (np.float64(sigmas[-1]), np.float64(sigmas[0])), {"eta": eta, "noise_sampler": plain(source())}
    x, info = sampling.sample_dpm_adaptive(model, start(sigmas), *ends, disable=True, return_info=True, **options)
    steps = list(BY_NAME["dpm_adaptive"](DENOISE, start(sigmas), sigmas, noise=source(), eta=eta))
    assert len(steps) == info["n_accept"]
    assert_same(steps[-1].x, x, 1e-6)


def test_dpm_adaptive_goes_by_the_hardest_image() -> None:
    """k-diffusion goes by the mean error, so that an easy image at its side makes a hard one worse."""
    sigmas = levels(20, 0.02)
    ends = (np.float64(sigmas[-1]), np.float64(sigmas[0]))

    def beside(x: Tensor, sigma: Tensor) -> Tensor:
        return torch.cat([DENOISE(x[:1], sigma), torch.zeros_like(x[1:])])

    both = start(sigmas).expand(2, *SHAPE[1:])
    _, alone = sampling.sample_dpm_adaptive(model, both[:1], *ends, disable=True, return_info=True)
    _, together = sampling.sample_dpm_adaptive(
        lambda x, levels: beside(x, levels[0]), both, *ends, disable=True, return_info=True
    )
    steps = list(BY_NAME["dpm_adaptive"](beside, both, sigmas))
    assert together["n_accept"] < alone["n_accept"] == len(steps)
    assert_same(steps[-1].x[:1], list(BY_NAME["dpm_adaptive"](DENOISE, both[:1], sigmas))[-1].x)


# ---------------------------------------------------------------------------------------------------- grids


@pytest.mark.parametrize("steps", [2, 3, 20])
def test_grids(steps: int) -> None:
    low, high = SCHEDULE.sigma_min, SCHEDULE.sigma_max
    for grid, expected in (
        (karras(SCHEDULE, steps), sampling.get_sigmas_karras(steps, low, high)),
        (karras(SCHEDULE, steps, rho=5), sampling.get_sigmas_karras(steps, low, high, rho=5)),
        (exponential(SCHEDULE, steps), sampling.get_sigmas_exponential(steps, low, high)),
        (polyexponential(SCHEDULE, steps), sampling.get_sigmas_polyexponential(steps, low, high)),
        (polyexponential(SCHEDULE, steps, rho=2), sampling.get_sigmas_polyexponential(steps, low, high, rho=2)),
    ):
        torch.testing.assert_close(grid, expected, rtol=2e-6, atol=0)


def test_vp_is_a_schedule_here() -> None:
    """k-diffusion's ``vp`` knows no table: it is the limit of ever more linear betas, at even times."""
    total = 100_000
    linear = DiscreteSchedule.from_betas("linear", 0.1 / total, 20 / total, total)
    times = torch.linspace(1, 1e-3, 20, dtype=torch.float64)
    expected = sampling.get_sigmas_vp(20)[:-1].double()
    torch.testing.assert_close(linear.level(times * total - 1).double(), expected, rtol=2e-3, atol=0)
