"""Grids, and the places of a table that they visit; what diffusers gives for the same is in the parity tests."""

import pytest
import torch

from sfumato.diffusion import GRIDS, ContinuousSchedule, DiscreteSchedule, FlowSchedule, Grid, Schedule, Spacing
from sfumato.diffusion.grids import (
    ALIGNED,
    align_your_steps,
    beta,
    ddim_uniform,
    exponential,
    karras,
    kl_optimal,
    lcm,
    linear_quadratic,
    polyexponential,
    shifted,
    spaced,
)
from sfumato.diffusion.spacing import beta_quantiles

SD = DiscreteSchedule.from_betas()
LOG = DiscreteSchedule(SD.sigmas, log_interpolation=True)
ZERO = DiscreteSchedule.from_betas(zero_terminal_snr=True)


@pytest.mark.parametrize(
    "schedule", [SD, LOG, ZERO, FlowSchedule(), FlowSchedule(3.0)], ids=["sd", "log", "zero", "flow", "shifted"]
)
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_grids_descend_to_the_final_level(grid: Grid, schedule: Schedule) -> None:
    if grid.flow_only != isinstance(schedule, FlowSchedule) and (grid.flow_only or grid.discrete_only):
        with pytest.raises(ValueError, match="flow"):
            grid(schedule, 10)
        return
    for steps in (1, 2, 3, 4, 5, 8, 13, 21, 34, 50):
        sigmas = grid(schedule, steps)
        assert sigmas.shape == (steps + 1,) or (grid.name == "ddim" and len(sigmas) > steps + 1)
        assert sigmas.dtype == torch.float32
        assert bool((sigmas.diff() < 0).all())
        assert float(sigmas[-1]) == 0
        assert float(sigmas[0]) <= schedule.sigma_max * (1 + 3e-5)
    if grid.name != "align_your_steps":
        assert float(grid(schedule, 1)[0]) == pytest.approx(schedule.sigma_max)
    final = schedule.sigma_min / 2
    assert float(grid(schedule, 5, final=final)[-1]) == pytest.approx(final)


@pytest.mark.parametrize("kind", ["linspace", "leading", "trailing"])
@pytest.mark.parametrize("interior", [False, True])
def test_a_single_step_starts_at_the_noisiest_place(kind: str, interior: bool) -> None:
    spacing = Spacing(kind, offset=1, interior=interior)  # type: ignore[arg-type]
    assert spacing.places(1, 1000).tolist() == [999]


def test_places_of_lin_et_al_table_2() -> None:
    """The paper counts from 1, and gives its places for 10 steps of 1000."""
    assert (Spacing("leading").places(10, 1000) + 1).tolist() == [901, 801, 701, 601, 501, 401, 301, 201, 101, 1]
    assert (Spacing("trailing").places(10, 1000) + 1).tolist() == [1000, 900, 800, 700, 600, 500, 400, 300, 200, 100]
    assert (Spacing("linspace", rounded=True).places(10, 1000) + 1).tolist() == [
        1000, 889, 778, 667, 556, 445, 334, 223, 112, 1,
    ]  # fmt: skip


def test_karras_is_even_in_the_seventh_root() -> None:
    roots = karras(SD, 10)[:-1].double() ** (1 / 7)
    torch.testing.assert_close(roots.diff(), roots.diff().mean().expand(9), rtol=1e-4, atol=0)


def test_quantiles_of_the_beta_distributions_with_a_formula() -> None:
    shares = torch.linspace(0, 1, 101, dtype=torch.float64)
    for alpha, bet, expected in (
        (1.0, 1.0, shares),
        (0.5, 0.5, (shares * torch.pi / 2).sin() ** 2),  # the arcsine distribution
        (3.0, 1.0, shares ** (1 / 3)),
        (1.0, 0.6, 1 - (1 - shares) ** (1 / 0.6)),
    ):
        torch.testing.assert_close(beta_quantiles(shares, alpha, bet), expected, rtol=1e-9, atol=1e-9)
    symmetric = beta_quantiles(shares, 0.6, 0.6)
    torch.testing.assert_close(symmetric, 1 - symmetric.flip(0), rtol=0, atol=1e-9)


def test_beta_is_densest_at_both_ends() -> None:
    places = SD.label(beta(SD, 20)[:-1])
    gaps = -places.diff()
    assert float(places[0]) == pytest.approx(999)
    assert float(gaps[0]) < float(gaps[9]) > float(gaps[-1])
    torch.testing.assert_close(beta(SD, 10, alpha=1.0, beta=1.0)[:-1], SD.level(999 * (1 - torch.arange(10) / 10)))


def test_kl_optimal_is_even_in_the_angle() -> None:
    angles = kl_optimal(SD, 10)[:-1].double().atan()
    torch.testing.assert_close(angles.diff(), angles.diff().mean().expand(9), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("steps", [1, 2, 7, 20])
def test_linear_quadratic_bends_in_the_middle(steps: int) -> None:
    """Even down to the threshold; from there differences grow evenly, with no kink between; to nothing in the end."""
    levels = linear_quadratic(SD, steps, final=0.0).double() / SD.sigma_max
    half = steps // 2
    assert float(levels[0]) == pytest.approx(1)
    if not half:
        return
    assert float(levels[half]) == pytest.approx(1 - 0.025, abs=1e-6)
    gaps = -levels.diff()
    torch.testing.assert_close(gaps[:half], gaps[:half].mean().expand(half), rtol=1e-3, atol=1e-7)
    slopes = gaps[half:].diff()
    if len(slopes) > 1:
        torch.testing.assert_close(slopes, slopes.mean().expand(len(slopes)), rtol=1e-3, atol=1e-6)
        assert float(gaps[half] - slopes[0] / 2) == pytest.approx(float(gaps[0]), abs=1e-6)


def test_polyexponential_is_a_power_in_the_logarithm() -> None:
    assert torch.equal(polyexponential(SD, 9), exponential(SD, 9))
    logs = polyexponential(SD, 9, rho=2.0)[:-1].double().log()
    ramp = ((logs - logs[-1]) / (logs[0] - logs[-1])).clamp(min=0).sqrt()
    torch.testing.assert_close(ramp, torch.linspace(1, 0, 9, dtype=torch.float64), rtol=0, atol=2e-3)


@pytest.mark.parametrize("model", ALIGNED)
def test_aligned_steps_are_the_table_and_between(model: str) -> None:
    table = ALIGNED[model]
    assert align_your_steps(SD, 11, model=model).tolist() == pytest.approx([*table, 0.0])
    twice = align_your_steps(SD, 21, model=model)
    assert twice[:-1:2].tolist() == pytest.approx(list(table))
    assert float(twice[1]) == pytest.approx((table[0] * table[1]) ** 0.5)


def test_a_schedule_up_to_the_levels_of_video_takes_its_aligned_steps() -> None:
    assert align_your_steps(ContinuousSchedule(0.002, 700.0), 11).tolist() == pytest.approx([*ALIGNED["svd"], 0.0])


def test_lcm_counts_from_the_clean_end() -> None:
    """diffusers' labels of 30 levels that were distilled: every 33rd of 1000, the noisiest 989."""
    assert SD.label(lcm(SD, 3, trained=30)[:-1]).round().tolist() == [989, 659, 329]


@pytest.mark.parametrize(("steps", "expected"), [(10, 10), (20, 20), (30, 31), (7, 8), (50, 50)])
def test_ddims_own_places(steps: int, expected: int) -> None:
    places = SD.label(ddim_uniform(SD, steps)[:-1]).round()
    assert len(places) == expected
    assert places[-3:].tolist() == [2 * (1000 // steps) + 1, 1000 // steps + 1, 1]
    torch.testing.assert_close(places[-steps:], Spacing("leading", offset=1).places(steps, 1000).float())


@pytest.mark.parametrize("steps", [0, -1, 1001])
def test_steps_which_cannot_be_taken(steps: int) -> None:
    with pytest.raises(ValueError, match="1 to 1000"):
        spaced(SD, steps)


def test_refusals_say_what_to_do() -> None:
    with pytest.raises(ValueError, match="descend"):
        karras(SD, 10, final=1.0)
    with pytest.raises(ValueError, match="1 to 50"):
        lcm(SD, 51)
    with pytest.raises(ValueError, match="flow schedules"):
        shifted(SD, 10)
    with pytest.raises(ValueError, match="flow schedules"):
        align_your_steps(FlowSchedule(), 10)
    with pytest.raises(ValueError, match="spacing"):
        Spacing("sideways").places(10, 1000)  # type: ignore[arg-type]
