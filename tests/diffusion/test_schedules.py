"""Schedules and grids; what diffusers gives for the same is in the parity tests."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sfumato.diffusion import GRIDS, ContinuousSchedule, DiscreteSchedule, FlowSchedule, Grid, Schedule, Spacing
from sfumato.diffusion.schedules import (
    ALIGNED,
    align_your_steps,
    beta,
    ddim_uniform,
    exponential,
    karras,
    kl_optimal,
    lcm,
    polyexponential,
    shifted,
    spaced,
)
from sfumato.diffusion.spacing import beta_quantiles

SD = DiscreteSchedule.from_betas()
LOG = DiscreteSchedule(SD.sigmas, log_interpolation=True)
ZERO = DiscreteSchedule.from_betas(zero_terminal_snr=True)
COSINE = DiscreteSchedule.from_betas("squaredcos_cap_v2")
DISCRETE = pytest.mark.parametrize("schedule", [SD, LOG, ZERO, COSINE], ids=["sd", "log", "zero", "cosine"])


def test_the_ends_of_stable_diffusions_table() -> None:
    assert SD.sigma_min == pytest.approx(0.029168, rel=1e-4)
    assert SD.sigma_max == pytest.approx(14.614642, rel=1e-6)
    assert SD.num_timesteps == 1000


def test_zero_terminal_snr_ends_in_noise_and_keeps_the_start() -> None:
    assert ZERO.sigma_max == pytest.approx(4096, rel=1e-5)
    assert ZERO.sigma_min == pytest.approx(SD.sigma_min)
    for kind in ("linear", "squaredcos_cap_v2"):
        table = DiscreteSchedule.from_betas(kind, 1e-4, 0.02, zero_terminal_snr=True)
        assert 4095 < table.sigma_max < float("inf")


@DISCRETE
def test_labels_of_the_table_are_whole(schedule: DiscreteSchedule) -> None:
    labels = torch.arange(schedule.num_timesteps, dtype=torch.float32)
    torch.testing.assert_close(schedule.label(schedule.sigmas), labels, atol=1e-3, rtol=0)
    torch.testing.assert_close(schedule.sigma(labels), schedule.sigmas)


@DISCRETE
@given(t=st.floats(0, 999))
def test_label_is_the_inverse_of_sigma(schedule: DiscreteSchedule, t: float) -> None:
    label = torch.tensor(t, dtype=torch.float32)
    torch.testing.assert_close(schedule.label(schedule.sigma(label)), label, atol=2e-3, rtol=0)


@DISCRETE
@given(share=st.floats(0, 1))
def test_sigma_is_the_inverse_of_label(schedule: DiscreteSchedule, share: float) -> None:
    """As close as float32 labels tell levels apart: near 999 by 6e-5, of steps which the cosine makes 20000 wide."""
    sigma = torch.tensor(schedule.sigma_min * (schedule.sigma_max / schedule.sigma_min) ** share)
    torch.testing.assert_close(schedule.sigma(schedule.label(sigma)), sigma, rtol=2e-3, atol=0)


def test_levels_outside_of_the_table_are_clamped() -> None:
    labels = SD.label(torch.tensor([0.0, 1e-3, 100.0]))
    assert labels.tolist() == [0, 0, 999]
    assert SD.sigma(torch.tensor([-5.0, 2000.0])).tolist() == pytest.approx([SD.sigma_min, SD.sigma_max])


def test_labels_take_any_shape() -> None:
    assert SD.label(torch.tensor(1.0)).shape == ()
    assert SD.label(torch.ones(2, 3)).shape == (2, 3)
    assert FlowSchedule().label(torch.ones(4)).shape == (4,)


@given(sigma=st.floats(0.001, 1), shift=st.floats(0.2, 10))
def test_flow_labels(sigma: float, shift: float) -> None:
    schedule = FlowSchedule(shift)
    level = torch.tensor(sigma, dtype=torch.float64)
    torch.testing.assert_close(schedule.label(level), level * 1000)
    torch.testing.assert_close(schedule.sigma(schedule.label(level)), level)


def test_the_shift_keeps_the_ends() -> None:
    schedule = FlowSchedule(3.0)
    assert schedule.shifted(torch.tensor([0.0, 0.5, 1.0])).tolist() == pytest.approx([0, 0.75, 1])
    assert schedule.level(torch.tensor(999.0)) == 1
    assert float(schedule.level(torch.tensor(0.0))) == pytest.approx(schedule.sigma_min)


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


def test_edm_labels_are_a_quarter_of_the_logarithm() -> None:
    """Karras et al. 2022, table 1."""
    schedule = ContinuousSchedule(0.002, 80.0)
    sigma = torch.tensor([0.002, 1.0, 80.0])
    torch.testing.assert_close(schedule.label(sigma), sigma.log() / 4)
    torch.testing.assert_close(schedule.sigma(schedule.label(sigma)), sigma)
    ends = schedule.level(torch.tensor([0.0, 999.0]))
    assert ends.tolist() == pytest.approx([0.002, 80.0], rel=1e-4)


def test_a_table_of_betas() -> None:
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    torch.testing.assert_close(DiscreteSchedule.of_betas(betas).sigmas, SD.sigmas)
    for bad in (torch.tensor([0.1, 1.0]), torch.tensor([0.0, 0.1]), torch.tensor([[0.1]])):
        with pytest.raises(ValueError, match="between 0 and 1"):
            DiscreteSchedule.of_betas(bad)


def test_pure_noise_may_be_another_number() -> None:
    assert ZERO.ending_at(1e-8).sigma_max == pytest.approx(1e4, rel=1e-3)
    linear = DiscreteSchedule.from_betas("linear", 0.00085, 0.012, zero_terminal_snr=True)
    assert linear.sigma_max == pytest.approx(4096)  # the last but one is 3991
    assert ZERO.ending_at(0.5).sigma_max == pytest.approx(2**0.5 * float(ZERO.sigmas[-2]), rel=1e-3)
    assert SD.ending_at(1e-6) is SD


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
    with pytest.raises(ValueError, match="ascend"):
        DiscreteSchedule(SD.sigmas.flip(0))
    with pytest.raises(ValueError, match="at least 2"):
        DiscreteSchedule(torch.tensor([1.0]))
    with pytest.raises(ValueError, match="beta schedule"):
        DiscreteSchedule.from_betas("quadratic")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="spacing"):
        Spacing("sideways").places(10, 1000)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="shift"):
        FlowSchedule(0.0)
