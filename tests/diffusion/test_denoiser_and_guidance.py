"""Denoisers, conditions and guidance: what the network is called with, and what is made of its answer."""

import pytest
import torch
from torch import Tensor

from sfumato.diffusion import (
    FLOW,
    PARAMETERISATIONS,
    Conditioning,
    Denoiser,
    DiscreteSchedule,
    FlowSchedule,
    Parameterisation,
    V,
    batch,
    classifier_free,
)

SCHEDULE = DiscreteSchedule.from_betas()
YES = Conditioning(torch.full((1, 3, 2), 1.0))
NO = Conditioning(torch.full((1, 3, 2), -0.5))


class Spy:
    """A network which adds the mean token to a fixed function of x, and remembers its calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[Tensor, Tensor, Conditioning]] = []

    def __call__(self, x: Tensor, label: Tensor, cond: Conditioning) -> Tensor:
        self.calls.append((x, label, cond))
        token = cond.tokens.mean((1, 2)).reshape(-1, *(1 for _ in x.shape[1:]))
        return 0.9 * x + token.to(x.dtype) * (1 + x**2)


def some_x(count: int = 2) -> Tensor:
    return torch.randn((count, 4, 6, 6), generator=torch.Generator().manual_seed(1)) * 3


def denoiser_of(row: Parameterisation, spy: Spy, dtype: torch.dtype = torch.float32) -> Denoiser:
    return Denoiser(spy, row, FlowSchedule() if row is FLOW else SCHEDULE, dtype)


# ------------------------------------------------------------------------------------------------- denoiser


@pytest.mark.parametrize("row", PARAMETERISATIONS.values(), ids=PARAMETERISATIONS)
def test_the_network_gets_scaled_x_and_a_label_for_each_image(row: Parameterisation) -> None:
    spy, x, sigma = Spy(), some_x(), torch.tensor(0.8)
    denoiser = denoiser_of(row, spy)
    clean = denoiser(x, sigma, YES.expand(2))
    seen, label, _ = spy.calls[0]
    scaling = row.scaling(sigma)
    torch.testing.assert_close(seen, scaling.input * x)
    assert label.shape == (2,)
    torch.testing.assert_close(label, denoiser.schedule.label(sigma).expand(2))
    torch.testing.assert_close(clean, scaling.skip * x + scaling.out * Spy()(seen, label, YES.expand(2)))


def test_a_level_for_each_image() -> None:
    x, sigma = some_x(3), torch.tensor([0.3, 2.0, 9.0])
    denoiser = denoiser_of(V, Spy())
    together = denoiser(x, sigma, YES.expand(3))
    for i in range(3):
        torch.testing.assert_close(together[i : i + 1], denoiser(x[i : i + 1], sigma[i], YES))


def test_only_the_network_is_in_half_precision() -> None:
    spy = Spy()
    clean = denoiser_of(V, spy, torch.bfloat16)(some_x(), torch.tensor(1.0), YES.expand(2))
    seen, label, _ = spy.calls[0]
    assert (seen.dtype, label.dtype, clean.dtype) == (torch.bfloat16, torch.float32, torch.float32)


# --------------------------------------------------------------------------------------------- conditioning


def test_batch_keeps_the_order_and_every_field() -> None:
    def rows(value: float, count: int) -> Conditioning:
        return Conditioning(
            torch.full((count, 3, 2), value),
            mask=torch.ones(count, 3, dtype=torch.bool),
            pooled=torch.full((count, 5), value),
            channels=torch.full((count, 1, 4, 4), value),
        )

    both = batch(rows(1, 2), rows(2, 1))
    assert len(both) == 3
    for field in (both.tokens, both.pooled, both.channels):
        assert field is not None
        assert field.flatten(1)[:, 0].tolist() == [1, 1, 2]


def test_unequal_lengths_are_padded_out_of_sight() -> None:
    short = Conditioning(torch.ones(1, 2, 4), mask=torch.tensor([[True, False]]))
    long = Conditioning(torch.ones(1, 3, 4), mask=torch.ones(1, 3, dtype=torch.bool))
    both = batch(short, long)
    assert both.mask is not None
    assert both.mask.tolist() == [[True, False, False], [True, True, True]]
    assert both.tokens[0, 2].tolist() == [0, 0, 0, 0]


def test_what_cannot_be_batched_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\[3, 2\] tokens .* masks"):
        batch(YES, Conditioning(torch.ones(1, 2, 2)))
    with pytest.raises(ValueError, match="pooled is set in 1 of 2"):
        batch(YES, Conditioning(torch.ones(1, 3, 2), pooled=torch.ones(1, 2)))
    with pytest.raises(ValueError, match="2 rows cannot serve 3"):
        batch(YES, NO).expand(3)


# ------------------------------------------------------------------------------------------------- guidance


@pytest.mark.parametrize("row", PARAMETERISATIONS.values(), ids=PARAMETERISATIONS)
@pytest.mark.parametrize("scale", [0.0, 0.5, 7.5, -1.0])
def test_guiding_d_is_guiding_the_output(row: Parameterisation, scale: float) -> None:
    x, sigma = some_x(), torch.tensor(0.9)
    guided = classifier_free(denoiser_of(row, Spy()), YES, NO, scale)(x, sigma)
    scaling, spy = row.scaling(sigma), Spy()
    with_it, uncond = (spy(scaling.input * x, sigma, c.expand(2)) for c in (YES, NO))
    expected = scaling.clean(x, uncond + scale * (with_it - uncond))
    torch.testing.assert_close(guided, expected, rtol=1e-4, atol=1e-4)


def test_one_call_negative_first() -> None:
    spy, x = Spy(), some_x()
    classifier_free(denoiser_of(V, spy), YES, NO, 5.0)(x, torch.tensor(1.0))
    assert len(spy.calls) == 1
    seen, label, cond = spy.calls[0]
    assert len(seen) == len(label) == len(cond) == 4
    assert cond.tokens[:, 0, 0].tolist() == [-0.5, -0.5, 1, 1]


@pytest.mark.parametrize("negative", [NO, None])
def test_scale_1_is_off(negative: Conditioning | None) -> None:
    spy, x = Spy(), some_x()
    denoiser = denoiser_of(V, spy)
    found = classifier_free(denoiser, YES, negative, 1.0, rescale=0.7)(x, torch.tensor(1.0))
    assert [len(seen) for seen, _, _ in spy.calls] == [2]
    assert torch.equal(found, denoiser(x, torch.tensor(1.0), YES.expand(2)))


@pytest.mark.parametrize(("sigma", "rows"), [(0.5, 2), (1.0, 2), (1.1, 4), (5.0, 4), (5.1, 2)])
def test_outside_of_the_interval_only_the_condition_is_evaluated(sigma: float, rows: int) -> None:
    spy = Spy()
    guided = classifier_free(denoiser_of(V, spy), YES, NO, 5.0, sigma_range=(1.0, 5.0))
    guided(some_x(), torch.tensor(sigma))
    assert [len(seen) for seen, _, _ in spy.calls] == [rows]


@pytest.mark.parametrize("row", PARAMETERISATIONS.values(), ids=PARAMETERISATIONS)
@pytest.mark.parametrize("rescale", [0.3, 1.0])
def test_rescale_is_that_of_lin_et_al_on_the_output(row: Parameterisation, rescale: float) -> None:
    """Their equations 15 and 16, on epsilon, v or velocity, as in diffusers' ``rescale_noise_cfg``."""
    x, sigma = some_x(), torch.tensor(0.9)
    guided = classifier_free(denoiser_of(row, Spy()), YES, NO, 7.5, rescale=rescale)(x, sigma)
    scaling, spy = row.scaling(sigma), Spy()
    positive, negative = (spy(scaling.input * x, sigma, c.expand(2)) for c in (YES, NO))
    output = negative + 7.5 * (positive - negative)
    dims = (1, 2, 3)
    matched = output * positive.std(dims, keepdim=True) / output.std(dims, keepdim=True)
    expected = scaling.clean(x, rescale * matched + (1 - rescale) * output)
    torch.testing.assert_close(guided, expected, rtol=1e-3, atol=1e-3)


def test_a_row_for_each_image() -> None:
    conds = batch(YES, Conditioning(torch.full((1, 3, 2), 2.0)))
    x, sigma = some_x(), torch.tensor(1.0)
    denoiser = denoiser_of(V, Spy())
    together = classifier_free(denoiser, conds, NO, 4.0)(x, sigma)
    second = Conditioning(conds.tokens[1:])
    torch.testing.assert_close(together[1:], classifier_free(denoiser, second, NO, 4.0)(x[1:], sigma))


def test_refusals() -> None:
    denoiser = denoiser_of(V, Spy())
    with pytest.raises(ValueError, match="negative"):
        classifier_free(denoiser, YES, None, 7.5)
    with pytest.raises(ValueError, match="rescale"):
        classifier_free(denoiser, YES, NO, 7.5, rescale=1.5)
