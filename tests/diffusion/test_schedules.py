"""Schedules; what diffusers gives for the same is in the parity tests."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sfumato.diffusion import ContinuousSchedule, DiscreteSchedule, FlowSchedule

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


def test_refusals_say_what_to_do() -> None:
    with pytest.raises(ValueError, match="ascend"):
        DiscreteSchedule(SD.sigmas.flip(0))
    with pytest.raises(ValueError, match="at least 2"):
        DiscreteSchedule(torch.tensor([1.0]))
    with pytest.raises(ValueError, match="beta schedule"):
        DiscreteSchedule.from_betas("quadratic")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="shift"):
        FlowSchedule(0.0)
