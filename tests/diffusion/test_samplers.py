"""Samplers, on data for which the clean estimate, the trajectory and every marginal are known exactly."""

import itertools
import math
from functools import partial

import pytest
import torch
from torch import Tensor

from sfumato.diffusion import (
    GRIDS,
    PATHS,
    SAMPLERS,
    STRAIGHT,
    VARIANCE_EXPLODING,
    VARIANCE_PRESERVING,
    Denoise,
    DiscreteSchedule,
    FlowSchedule,
    ImageNoise,
    Path,
    Sampler,
    Step,
)
from tests.diffusion.closed_form import GAUSSIAN, TWO_HILLS
from tests.diffusion.sampler_page import converging, order, smooth_grid, variance_error, variance_order

SHAPE = (4, 8, 8)
BY_NAME = {sampler.name: sampler for sampler in SAMPLERS}
GIVEN_LEVELS = pytest.mark.parametrize(
    "sampler", [row for row in SAMPLERS if not row.own_levels], ids=lambda row: row.name
)
OWN_LEVELS = pytest.mark.parametrize("sampler", [row for row in SAMPLERS if row.own_levels], ids=lambda row: row.name)
EVERY = pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda row: row.name)
STOCHASTIC = pytest.mark.parametrize(
    "sampler", [row for row in SAMPLERS if row.stochastic or row.eta is not None], ids=lambda row: row.name
)
BOTH = pytest.mark.parametrize("path", [VARIANCE_EXPLODING, STRAIGHT], ids=lambda path: path.name)


def grid(path: Path, steps: int, final: float = 0.0) -> Tensor:
    if path is STRAIGHT:
        return GRIDS["shifted"](FlowSchedule(), steps, final=final)
    return GRIDS["karras"](DiscreteSchedule.from_betas(), steps, final=final)


def constant(clean: float, x: Tensor, sigma: Tensor) -> Tensor:
    """The D of data which are all the same."""
    return torch.full_like(x, clean)


def counted(denoise: Denoise) -> tuple[Denoise, list[Tensor]]:
    """The denoiser, and a list which grows by what it returns."""
    found: list[Tensor] = []

    def watched(x: Tensor, sigma: Tensor) -> Tensor:
        found.append(denoise(x, sigma))
        return found[-1]

    return watched, found


def run(sampler: Sampler, path: Path, sigmas: Tensor, *, seeds: tuple[int, ...] = (1, 2)) -> list[Step]:
    noise = ImageNoise(seeds, SHAPE)
    x = path.prior(noise(), sigmas[0])
    return list(sampler(TWO_HILLS.denoise(path), x, sigmas, noise=noise, path=path))


# ---------------------------------------------------------------------------------------------- convergence


@BOTH
@pytest.mark.parametrize("sampler", converging(), ids=lambda row: row.name)
def test_order_of_convergence(sampler: Sampler, path: Path) -> None:
    """PLMS is built for even steps, which are those of the straight path, and better there. LMS and DPM fast are better
    where only their first or last step is of low order, and that is short, as on the exploding path. DEIS 2M nears its
    order slowly on the straight one, where two points are not to be had before the third step."""
    measured = order(sampler, path)
    assert measured > sampler.order - (0.2 if sampler.name == "deis_2m" else 0.15)
    if (sampler.name, path) not in {("plms", STRAIGHT), ("lms", VARIANCE_EXPLODING), ("dpm_fast", VARIANCE_EXPLODING)}:
        assert measured < sampler.order + 0.25


@BOTH
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("euler_a", 1),
        ("ddpm", 1),
        ("dpm_2_a", 2),
        ("dpmpp_2s_a", 2),
        ("dpmpp_sde", 2),
        ("dpmpp_2m_sde", 2),
        ("dpmpp_2m_sde_heun", 2),
        ("dpmpp_3m_sde", 2),
        ("res_multistep_a", 2),
        ("er_sde", 2),
        ("sa_solver", 2),
        ("restart", 2),
    ],
)
def test_order_of_the_variance_with_fresh_noise(name: str, expected: int, path: Path) -> None:
    assert variance_order(BY_NAME[name], path) == pytest.approx(expected, abs=0.3)
    # An order says nothing of a wrong limit, so: by the order, 160 steps are to be this close.
    assert variance_error(BY_NAME[name], path, 160) < {1: 0.1, 2: 2e-3}[expected]


# ------------------------------------------------------------------------------------------------ marginals


@STOCHASTIC
@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_signal_and_noise_are_right_at_every_level(sampler: Sampler, path: Path) -> None:
    """When D is known for sure, each step is exact: x is alpha * D plus noise of deviation sigma, at every eta.

    The start and each draw have a column of their own, so that the sum of squares is the variance of the noise.
    """
    clean, steps = 3.0, 6
    sigmas = torch.linspace(0.95, 0.1, steps + 1, dtype=torch.float64)
    columns = 2 * steps + 2
    if sampler.own_levels and steps < 20:
        steps = 20  # as Restart begins to restart
        sigmas = torch.linspace(0.95, 0.05, steps + 1, dtype=torch.float64)
        columns = 2 * steps + 200
    for eta in (0.0, 0.3, 1.0) if sampler.eta is not None else (None,):
        x = torch.full((columns,), clean * float(path.alpha(sigmas[0])), dtype=torch.float64)
        x[0] += sigmas[0]
        noise = partial(next, iter(torch.eye(columns, dtype=torch.float64)[1:-1]))
        done = list(sampler(partial(constant, clean), x, sigmas, path=path, noise=noise, eta=eta))
        levels = [*(torch.tensor(step.sigma, dtype=torch.float64) for step in done[1:]), sigmas[-1]]
        for step, then in zip(done, levels, strict=True):
            if sampler.name == "restart" and then > step.sigma:
                continue  # the noise of a restart is added after the step
            signal = float(path.alpha(then)) * clean
            assert float(step.x[-1]) == pytest.approx(signal)
            assert float(((step.x - signal) ** 2).sum().sqrt()) == pytest.approx(float(then))


@BOTH
@pytest.mark.parametrize("steps", [1, 2, 4])
def test_lcm_is_exact_for_a_perfect_consistency_model(path: Path, steps: int) -> None:
    """It gives the end of the trajectory for D. Samples then have the variance of the data, at any steps."""
    mean, variance = GAUSSIAN.moments()

    def jump(x: Tensor, sigma: Tensor) -> Tensor:
        alpha = path.alpha(sigma.double())
        return mean + (x - alpha * mean) * (variance / (alpha**2 * variance + sigma.double() ** 2)).sqrt()

    sigmas = grid(path, steps).double()
    columns = steps + 2
    alpha = path.alpha(sigmas[0])
    x = torch.full((columns,), float(alpha * mean), dtype=torch.float64)
    x[0] += (alpha**2 * variance + sigmas[0] ** 2).sqrt()
    draws = iter(torch.eye(columns, dtype=torch.float64)[1:-1])
    for step in BY_NAME["lcm"](jump, x, sigmas, noise=lambda: next(draws), path=path):
        x = step.x
    assert float(x[-1]) == pytest.approx(mean)
    assert float(((x - mean) ** 2).sum()) == pytest.approx(variance)


# ------------------------------------------------------------------------------------------- what steps are


def assert_sound(done: list[Step]) -> None:
    """Pictures of the right form and numbers in all steps."""
    for step in done:
        assert step.x.shape == step.clean.shape == (2, *SHAPE)
        assert step.x.dtype == torch.float32
        assert bool(step.x.isfinite().all())
        assert bool(step.clean.isfinite().all())


@BOTH
@GIVEN_LEVELS
@pytest.mark.parametrize("steps", [1, 2, 3, 5, 20])
def test_steps_tell_what_happened(sampler: Sampler, path: Path, steps: int) -> None:
    sigmas = grid(path, steps)
    done = run(sampler, path, sigmas)
    assert [step.index for step in done] == list(range(steps))
    assert {step.total for step in done} == {steps}
    assert [step.sigma for step in done] == sigmas[:-1].tolist()
    assert_sound(done)


@BOTH
@OWN_LEVELS
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 6, 7, 20, 40])
def test_steps_on_own_levels(sampler: Sampler, path: Path, steps: int) -> None:
    sigmas = grid(path, steps)
    done = run(sampler, path, sigmas)
    assert [step.index for step in done] == list(range(len(done)))
    assert done[0].sigma == float(sigmas[0])
    assert done[-1].total == len(done)
    assert all(step.total > step.index for step in done)
    if not sampler.adaptive:
        assert {step.total for step in done} == {len(done)}
    if sampler.name == "restart":
        assert len(done) == steps
    assert_sound(done)


@BOTH
@pytest.mark.parametrize("sampler", [row for row in SAMPLERS if row.name != "lms"], ids=lambda row: row.name)
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_the_step_to_0_is_exactly_the_last_estimate(sampler: Sampler, path: Path, steps: int) -> None:
    denoise, found = counted(TWO_HILLS.denoise(path))
    sigmas = grid(path, steps)
    noise = ImageNoise([1], SHAPE)
    done = list(sampler(denoise, path.prior(noise(), sigmas[0]), sigmas, noise=noise, path=path))
    assert torch.equal(done[-1].x, found[-1])
    assert torch.equal(done[-1].clean, found[-1])


@BOTH
@EVERY
def test_evaluations(sampler: Sampler, path: Path) -> None:
    denoise, found = counted(TWO_HILLS.denoise(path))
    sigmas = grid(path, 10)
    noise = ImageNoise([1], SHAPE)
    done = list(sampler(denoise, path.prior(noise(), sigmas[0]), sigmas, noise=noise, path=path))
    from_pure_noise = path is STRAIGHT
    halfway = -1 - from_pure_noise
    exceptions = {"heun": -1, "restart": -1, "plms": 1, "dpm_2": halfway, "dpm_2_a": halfway}
    exceptions |= {"dpmpp_sde": halfway, "dpmpp_2s_a": halfway}
    if sampler.adaptive:  # each step of its own, and each that it gave up; one for pure noise and one for the step to 0
        single = 1 + from_pure_noise
        tried, rest = divmod(len(found) - single, sampler.evaluations)
        assert rest == 0
        assert tried >= len(done) - single > 0
        return
    assert len(found) == 10 * sampler.evaluations + exceptions.get(sampler.name, 0)


@BOTH
@EVERY
def test_a_final_level_above_0_leaves_its_noise(sampler: Sampler, path: Path) -> None:
    """How much is left is tested with the marginals; here, that no sampler takes the last step for one to 0."""
    final = 5e-4 if path is STRAIGHT else 0.02
    end = run(sampler, path, grid(path, 10, final))[-1]
    assert bool(end.x.isfinite().all())
    assert not torch.equal(end.x, end.clean)


@pytest.mark.parametrize("sampler", [row for row in SAMPLERS if not row.adaptive], ids=lambda row: row.name)
def test_an_image_is_the_same_alone_or_in_a_batch(sampler: Sampler) -> None:
    sigmas = grid(VARIANCE_EXPLODING, 20)
    together = run(sampler, VARIANCE_EXPLODING, sigmas, seeds=(3, 4, 5))[-1].x
    alone = run(sampler, VARIANCE_EXPLODING, sigmas, seeds=(4,))[-1].x
    torch.testing.assert_close(together[1:2], alone, rtol=0, atol=1e-6)


@EVERY
def test_nothing_is_evaluated_before_it_is_asked_for(sampler: Sampler) -> None:
    denoise, found = counted(TWO_HILLS.denoise(VARIANCE_EXPLODING))
    sigmas = grid(VARIANCE_EXPLODING, 10)
    noise = ImageNoise([1], SHAPE)
    steps = sampler(denoise, VARIANCE_EXPLODING.prior(noise(), sigmas[0]), sigmas, noise=noise)
    assert not found
    next(steps)
    assert len(found) <= (12 if sampler.adaptive else 3)


@EVERY
def test_the_table(sampler: Sampler) -> None:
    assert sampler.name.isidentifier()
    assert len({row.name for row in SAMPLERS}) == len({row.label for row in SAMPLERS}) == len(SAMPLERS)
    assert sampler.stochastic == (sampler.eta not in (None, 0.0) or sampler.name in ("lcm", "ddpm", "restart"))
    assert sampler.adaptive <= sampler.own_levels


# ------------------------------------------------------------------------------------------------ identities


@BOTH
def test_without_noise_these_are_the_same(path: Path) -> None:
    sigmas = grid(path, 8)
    x = path.prior(ImageNoise([1], SHAPE)(), sigmas[0])

    def end(name: str, eta: float | None = None) -> Tensor:
        return list(BY_NAME[name](TWO_HILLS.denoise(path), x, sigmas, path=path, eta=eta))[-1].x

    assert torch.equal(end("euler"), end("euler_a", eta=0.0))
    assert torch.equal(end("dpmpp_2m"), end("dpmpp_2m_sde", eta=0.0))
    assert torch.equal(end("dpmpp_2m_sde_heun", eta=0.0), end("res_multistep"))
    assert torch.equal(end("res_multistep"), end("res_multistep_a", eta=0.0))
    assert torch.equal(end("dpm_2"), end("dpm_2_a", eta=0.0))
    assert torch.equal(end("euler"), end("tcd", eta=0.0))
    torch.testing.assert_close(end("dpmpp_sde", eta=0.0), end("dpmpp_2s_a", eta=0.0), rtol=1e-4, atol=1e-5)


@BOTH
def test_euler_and_heun_as_in_the_textbook(path: Path) -> None:
    """Algorithm 1 of Karras et al. 2022, which is the same on both paths."""
    sigmas = smooth_grid(path, 10)
    denoise = TWO_HILLS.denoise(path)
    x = path.prior(torch.linspace(-2, 2, 9, dtype=torch.float64), sigmas[0])
    first, second = x, x
    for now, then, one, two in zip(
        sigmas[:-1],
        sigmas[1:],
        BY_NAME["euler"](denoise, x, sigmas, path=path),
        BY_NAME["heun"](denoise, x, sigmas, path=path),
        strict=True,
    ):
        first = first + (then - now) * (first - denoise(first, now)) / now
        slope = (second - denoise(second, now)) / now
        ahead = second + (then - now) * slope
        second = second + (then - now) * (slope + (ahead - denoise(ahead, then)) / then) / 2
        torch.testing.assert_close(one.x, first)
        torch.testing.assert_close(two.x, second)


@BOTH
@pytest.mark.parametrize("eta", [0.4, 1.0])
def test_dpmpp_sde_step_by_hand(path: Path, eta: float) -> None:
    """The reverse diffusion for a constant D, solved over each half and over the whole step, with the same noise.

    Over h in log SNR the noise decays by exp(-eta * h), and is topped up; the whole step does so twice over h / 2.
    """
    sigmas = torch.tensor([0.8, 0.3], dtype=torch.float64)
    noise = ImageNoise([1], SHAPE)
    x, first, second = (noise().double() for _ in range(3))
    draws = iter((first, second))
    seen: list[tuple[Tensor, Tensor]] = []

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        seen.append((x, sigma))
        return torch.full_like(x, 0.5)

    step = next(BY_NAME["dpmpp_sde"](denoise, x, sigmas, noise=lambda: next(draws), path=path, eta=eta))
    halfway, middle = seen[1]
    ratio = [float(sigma / path.alpha(sigma)) for sigma in (sigmas[0], middle, sigmas[1])]
    assert ratio[1] == pytest.approx(math.sqrt(ratio[0] * ratio[2]))
    kept = (ratio[1] / ratio[0]) ** eta
    e = (x - path.alpha(sigmas[0]) * 0.5) / sigmas[0]
    e = kept * e + math.sqrt(1 - kept**2) * first
    torch.testing.assert_close(halfway, path.mix(torch.full_like(x, 0.5), e, middle))
    e = kept * e + math.sqrt(1 - kept**2) * second
    torch.testing.assert_close(step.x, path.mix(torch.full_like(x, 0.5), e, sigmas[1]))


def test_er_sde_by_its_paper() -> None:
    """Algorithm 3 of Cui et al. 2023 with SDE 5, on the exploding path, its integrals by a rule of a million points."""
    sigmas = torch.tensor([9.0, 4.0, 2.0, 0.9, 0.3], dtype=torch.float64)
    denoise = TWO_HILLS.denoise(VARIANCE_EXPLODING)

    def phi(at: Tensor) -> Tensor:
        return at * ((at**0.3).exp() + 10)

    noise = ImageNoise([1], SHAPE)
    draws = [noise().double() for _ in range(5)]
    x = theirs = draws[4] * 9
    cleans: list[Tensor] = []
    slopes: list[Tensor] = []
    ours = BY_NAME["er_sde"](denoise, x, sigmas, noise=lambda: draws.pop(0))
    for i, (now, then, fresh, step) in enumerate(zip(sigmas[:-1], sigmas[1:], draws[:4].copy(), ours, strict=True)):
        cleans.append(denoise(theirs, now))
        kept = phi(then) / phi(now)
        ahead = kept * theirs + (1 - kept) * cleans[-1]
        places = torch.linspace(float(then), float(now), 1_000_001, dtype=torch.float64)
        if i > 0:
            slopes.append((cleans[-1] - cleans[-2]) / (now - sigmas[i - 1]))
            ahead = ahead + (then - now + phi(then) * torch.trapezoid(1 / phi(places), places)) * slopes[-1]
        if i > 1:
            bend = (slopes[-1] - slopes[-2]) / ((now - sigmas[i - 2]) / 2)
            twice = phi(then) * torch.trapezoid((places - now) / phi(places), places)
            ahead = ahead + ((then - now) ** 2 / 2 + twice) * bend
        theirs = ahead + (then**2 - (kept * now) ** 2).sqrt() * fresh
        torch.testing.assert_close(step.x, theirs, rtol=1e-4, atol=1e-5)


@BOTH
def test_gradient_estimation_by_its_paper(path: Path) -> None:
    """Algorithm 2 of Permenter and Yuan 2024 with gamma 2, whose e is dx/dsigma on both paths here."""
    sigmas = smooth_grid(path, 6)
    denoise = TWO_HILLS.denoise(path)
    x = theirs = path.prior(torch.linspace(-2, 2, 9, dtype=torch.float64), sigmas[0])
    before = None
    for now, then, step in zip(
        sigmas[:-1], sigmas[1:], BY_NAME["gradient_estimation"](denoise, x, sigmas, path=path), strict=True
    ):
        slope = (theirs - denoise(theirs, now)) / now
        theirs = theirs + (then - now) * (slope if before is None else 2 * slope - before)
        before = slope
        torch.testing.assert_close(step.x, theirs)


def test_res_multistep_by_its_paper() -> None:
    """Zhang et al. 2023, with phi1 and phi2 of -h, on the exploding path; fresh noise as ancestral samplers have it."""
    sigmas = torch.tensor([9.0, 4.0, 2.0, 0.9, 0.3], dtype=torch.float64)
    denoise = TWO_HILLS.denoise(VARIANCE_EXPLODING)
    noise = ImageNoise([1], SHAPE)
    draws = [noise().double() for _ in range(5)]
    x = theirs = draws[4] * 9
    old: tuple[Tensor, Tensor] | None = None
    ours = BY_NAME["res_multistep_a"](denoise, x, sigmas, noise=lambda: draws.pop(0))
    for now, then, fresh, step in zip(sigmas[:-1], sigmas[1:], draws[:4].copy(), ours, strict=True):
        up = then * (1 - (then / now) ** 2).sqrt()
        down = (then**2 - up**2).sqrt()
        h = (now / down).log()
        phi1 = torch.expm1(-h) / -h
        clean = denoise(theirs, now)
        weights = phi1, torch.zeros(())
        if old is not None:
            share = old[1] / h
            phi2 = (phi1 - 1) / -h
            weights = phi1 - phi2 / share, phi2 / share
        mixed = weights[0] * clean + weights[1] * (clean if old is None else old[0])
        theirs = (-h).exp() * theirs + h * mixed + up * fresh
        old = clean, -h
        torch.testing.assert_close(step.x, theirs)


def test_sa_solver_adds_noise_in_the_middle_of_the_labels() -> None:
    schedule = DiscreteSchedule.from_betas()
    sigmas = GRIDS["trailing"](schedule, 20).double()
    drawn: list[int] = []

    def noise() -> Tensor:
        drawn.append(at)
        return torch.zeros(3, dtype=torch.float64)

    at = 0
    x = sigmas[0] * torch.ones(3, dtype=torch.float64)
    for step in BY_NAME["sa_solver"](TWO_HILLS.denoise(VARIANCE_EXPLODING), x, sigmas, noise=noise, schedule=schedule):
        at = step.index + 1
    labels = [float(schedule.label(sigma)) for sigma in sigmas[:-1]]
    assert drawn == [k for k, label in enumerate(labels) if 199.8 <= label <= 799.2]


@pytest.mark.parametrize("steps", [8, 12, 20])
@pytest.mark.parametrize(("name", "most"), [("lms", 0.2), ("ipndm", 0.2), ("sa_solver", 5)])
def test_stable_under_guidance_on_the_straight_path(name: str, most: float, steps: int) -> None:
    """D = -3x has the slope of a guidance of 4; x goes to 0 as sigma^4. With all their points the first two ended above
    6, SA-Solver above 300. DPM++ 2M SDE, which has its share of noise, ends at 10 with 8 steps."""
    sigmas = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    x, silence = torch.ones(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    for step in BY_NAME[name](lambda x, sigma: -3 * x, x, sigmas, path=STRAIGHT, noise=lambda: silence):
        x = step.x
    assert abs(float(x)) < most


def test_paths_of_one_process_agree() -> None:
    """The exploding and the preserving path differ by a scale of x, and so do samples in the exponential form."""
    exploding = torch.tensor([20.0, 5.0, 2.0, 0.7, 0.1], dtype=torch.float64)
    preserving = VARIANCE_PRESERVING.level(exploding)
    start = torch.linspace(-20, 20, 9, dtype=torch.float64)
    for name in ("euler", "dpmpp_2m", "dpmpp_2s_a", "dpmpp_3m_sde", "dpmpp_sde", "unipc", "deis", "dpm_fast"):
        row = BY_NAME[name]
        eta = None if row.eta is None else 0.0
        x = list(row(TWO_HILLS.denoise(VARIANCE_EXPLODING), start, exploding, eta=eta))[-1].x
        y = start * VARIANCE_PRESERVING.alpha(preserving[0])
        denoise = TWO_HILLS.denoise(VARIANCE_PRESERVING)
        y = list(row(denoise, y, preserving, eta=eta, path=VARIANCE_PRESERVING))[-1].x
        torch.testing.assert_close(y, x * VARIANCE_PRESERVING.alpha(preserving[-1]))


def test_eta_scales_the_fresh_noise_of_ddim() -> None:
    """Equation 16 of Song et al. 2021, in the variance-preserving terms in which it is written."""
    sigmas = torch.tensor([0.9, 0.5], dtype=torch.float64)
    alpha = VARIANCE_PRESERVING.alpha(sigmas)
    for eta in (0.2, 1.0):
        steps = BY_NAME["ddim"](
            lambda x, sigma: torch.zeros_like(x),
            torch.zeros(1, dtype=torch.float64),
            sigmas,
            noise=lambda: torch.ones(1, dtype=torch.float64),
            path=VARIANCE_PRESERVING,
            eta=eta,
        )
        expected = eta * float(sigmas[1] / sigmas[0]) * math.sqrt(1 - float(alpha[0] / alpha[1]) ** 2)
        assert float(next(steps).x) == pytest.approx(expected)


# -------------------------------------------------------------------------------------- by their definitions


def test_tcd_goes_to_a_share_of_the_time() -> None:
    """Algorithm 4 of Zheng et al. 2024, in the variance-preserving terms in which it is written."""
    schedule = DiscreteSchedule.from_betas()
    then, earlier = schedule.sigma(torch.tensor([499.0, 249.0], dtype=torch.float64))
    sigmas = torch.stack([torch.tensor(14.0, dtype=torch.float64), then])
    x, clean = torch.tensor([3.0], dtype=torch.float64), torch.tensor([0.5], dtype=torch.float64)
    fresh = torch.tensor([-0.7], dtype=torch.float64)
    options = {"noise": lambda: fresh, "schedule": schedule}
    step = next(BY_NAME["tcd"](lambda x, sigma: clean, x, sigmas, eta=0.5, **options))  # type: ignore[arg-type]
    signal = {name: 1 / (1 + float(sigma) ** 2) for name, sigma in {"then": then, "earlier": earlier}.items()}
    noise = (x - clean) / sigmas[0]
    at = math.sqrt(signal["earlier"]) * clean + math.sqrt(1 - signal["earlier"]) * noise
    ratio = signal["then"] / signal["earlier"]
    expected = math.sqrt(ratio) * at + math.sqrt(1 - ratio) * fresh
    torch.testing.assert_close(step.x * math.sqrt(signal["then"]), expected)


@BOTH
def test_restarts_go_back_up_and_down_again(path: Path) -> None:
    for steps, times in ((19, 0), (20, 1), (35, 1), (36, 2), (60, 2)):
        sigmas = grid(path, steps)
        levels = [step.sigma for step in run(BY_NAME["restart"], path, sigmas)]
        rises = [(a, b) for a, b in itertools.pairwise(levels) if b > a]
        assert len(levels) == steps
        assert len(rises) == times
        for _, high in rises:
            assert high / float(path.alpha(torch.tensor(high))) == pytest.approx(2.0, rel=0.35)


@BOTH
def test_the_adaptive_sampler_is_as_exact_as_it_promises(path: Path) -> None:
    """To a twentieth of what a number is, a step; and it spends more steps on harder data."""
    sigmas = smooth_grid(path, 20)
    x = path.prior(torch.linspace(-2, 2, 41, dtype=torch.float64), sigmas[0])
    hills = list(BY_NAME["dpm_adaptive"](TWO_HILLS.denoise(path), x, sigmas, path=path))
    exact = TWO_HILLS.trajectory(path, sigmas[0], sigmas[-1], x)
    assert float((hills[-1].x - exact).abs().max()) < 0.1
    still = list(BY_NAME["dpm_adaptive"](partial(constant, 0.0), x, sigmas, path=path))
    assert len(still) < len(hills)


# ---------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize("sigmas", [[1.0], [1.0, 1.0, 0.0], [0.0, 1.0], [1.0, -0.1], [[1.0, 0.0]]])
@EVERY
def test_sigmas_must_descend(sampler: Sampler, sigmas: list[float]) -> None:
    steps = sampler(TWO_HILLS.denoise(VARIANCE_EXPLODING), torch.zeros(1, *SHAPE), torch.tensor(sigmas))
    with pytest.raises(ValueError, match="descending"):
        next(steps)


@pytest.mark.parametrize("name", [row.name for row in SAMPLERS if row.stochastic and not row.own_levels])
def test_noise_must_be_given_where_it_is_used(name: str) -> None:
    steps = BY_NAME[name](TWO_HILLS.denoise(VARIANCE_EXPLODING), torch.zeros(1, *SHAPE), torch.tensor([1.0, 0.5]))
    with pytest.raises(ValueError, match="ImageNoise"):
        next(steps)


def test_eta_where_there_is_none() -> None:
    with pytest.raises(ValueError, match="Heun has none"):
        BY_NAME["heun"](TWO_HILLS.denoise(VARIANCE_EXPLODING), torch.zeros(1), torch.tensor([1.0, 0.0]), eta=0.5)
