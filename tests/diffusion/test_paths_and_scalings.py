"""Paths and parameterisations: identities which hold for every picture, noise and level."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from sfumato.diffusion import (
    CLEAN,
    EDM,
    EPSILON,
    FLOW,
    PARAMETERISATIONS,
    PATHS,
    STRAIGHT,
    VARIANCE_EXPLODING,
    VARIANCE_PRESERVING,
    Parameterisation,
    Path,
    V,
    edm,
)

LEVELS = st.floats(0.01, 0.99)
ROWS = pytest.mark.parametrize("row", PARAMETERISATIONS.values(), ids=PARAMETERISATIONS)
EVERY_PATH = pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)


def picture_and_noise(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    clean, noise = torch.randn((2, 3, 4, 5, 5), generator=generator, dtype=torch.float64)
    return clean, noise


def test_alpha_of_each_path() -> None:
    sigma = torch.tensor([0.0, 0.6, 1.0])
    torch.testing.assert_close(VARIANCE_EXPLODING.alpha(sigma), torch.tensor([1.0, 1.0, 1.0]))
    torch.testing.assert_close(VARIANCE_PRESERVING.alpha(sigma), torch.tensor([1.0, 0.8, 0.0]))
    torch.testing.assert_close(STRAIGHT.alpha(sigma), torch.tensor([1.0, 0.4, 0.0]))


@EVERY_PATH
@given(sigma=LEVELS)
def test_level_is_the_inverse_of_the_noise_to_signal_ratio(path: Path, sigma: float) -> None:
    level = torch.tensor(sigma, dtype=torch.float64)
    torch.testing.assert_close(path.level(level / path.alpha(level)), level)


@EVERY_PATH
def test_a_level_for_each_image_mixes_as_each_would_alone(path: Path) -> None:
    clean, noise = picture_and_noise()
    sigma = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    mixed = path.mix(clean, noise, sigma)
    for i in range(3):
        torch.testing.assert_close(mixed[i], path.mix(clean, noise, sigma[i])[i])
        torch.testing.assert_close(mixed[i], path.alpha(sigma[i]) * clean[i] + sigma[i] * noise[i])


@EVERY_PATH
def test_the_ends_of_a_path(path: Path) -> None:
    clean, noise = picture_and_noise()
    assert torch.equal(path.mix(clean, noise, torch.tensor(0.0)), clean)
    if path is not VARIANCE_EXPLODING:
        assert torch.equal(path.mix(clean, noise, torch.tensor(1.0)), noise)


def test_the_prior_has_the_deviation_of_noisy_unit_data() -> None:
    _, noise = picture_and_noise()
    sigma = torch.tensor(14.6)
    torch.testing.assert_close(VARIANCE_EXPLODING.prior(noise, sigma), noise * (1 + sigma**2).sqrt())
    assert torch.equal(STRAIGHT.prior(noise, torch.tensor(1.0)), noise)
    torch.testing.assert_close(VARIANCE_PRESERVING.prior(noise, torch.tensor(0.7)), noise)


@ROWS
@given(sigma=LEVELS, seed=st.integers(0, 99))
def test_d_of_a_perfect_f_is_the_clean_picture(row: Parameterisation, sigma: float, seed: int) -> None:
    clean, noise = picture_and_noise(seed)
    levels = torch.tensor([sigma, 0.3, 0.8], dtype=torch.float64)
    x = row.path.mix(clean, noise, levels)
    found = row.scaling(levels).clean(x, row.target(clean, x, levels))
    torch.testing.assert_close(found, clean)


@given(sigma=st.floats(0.02, 100), seed=st.integers(0, 99))
def test_targets_are_what_the_names_say(sigma: float, seed: int) -> None:
    clean, noise = picture_and_noise(seed)
    level = torch.tensor(sigma, dtype=torch.float64)
    x = VARIANCE_EXPLODING.mix(clean, noise, level)
    torch.testing.assert_close(EPSILON.target(clean, x, level), noise)
    torch.testing.assert_close(CLEAN.target(clean, x, level), clean)
    # The same level in variance-preserving terms, where v is defined.
    preserving = VARIANCE_PRESERVING.level(level)
    alpha = VARIANCE_PRESERVING.alpha(preserving)
    torch.testing.assert_close(V.target(clean, x, level), alpha * noise - preserving * clean)


@given(sigma=st.floats(0.002, 100))
def test_edm_of_unit_data_is_v_and_the_network_sees_unit_variance(sigma: float) -> None:
    level = torch.tensor(sigma, dtype=torch.float64)
    ours, v = edm(1.0, -1.0).scaling(level), V.scaling(level)
    torch.testing.assert_close(torch.stack([ours.skip, ours.out, ours.input]), torch.stack([v.skip, v.out, v.input]))
    half = EDM.scaling(level)
    assert float(half.input) == pytest.approx((sigma**2 + 0.25) ** -0.5)
    assert float(half.skip) == pytest.approx(0.25 / (sigma**2 + 0.25))
    assert float(half.out) == pytest.approx(0.5 * sigma * (sigma**2 + 0.25) ** -0.5)


@given(sigma=LEVELS, seed=st.integers(0, 99))
def test_the_flow_target_is_the_velocity(sigma: float, seed: int) -> None:
    clean, noise = picture_and_noise(seed)
    level = torch.tensor(sigma, dtype=torch.float64)
    x = STRAIGHT.mix(clean, noise, level)
    torch.testing.assert_close(FLOW.target(clean, x, level), noise - clean)


@pytest.mark.parametrize("row", [EPSILON, V, CLEAN], ids=lambda row: row.name)
@given(sigma=st.floats(0.02, 100))
def test_the_network_sees_variance_preserving_coordinates(row: Parameterisation, sigma: float) -> None:
    clean, noise = picture_and_noise()
    level = torch.tensor(sigma, dtype=torch.float64)
    seen = row.scaling(level).input * row.path.mix(clean, noise, level)
    expected = VARIANCE_PRESERVING.mix(clean, noise, VARIANCE_PRESERVING.level(level))
    torch.testing.assert_close(seen, expected)


def test_a_flow_network_sees_x_itself() -> None:
    assert float(FLOW.scaling(torch.tensor(0.3)).input) == 1
    assert FLOW.path is STRAIGHT


def test_v_survives_zero_terminal_snr_in_float32() -> None:
    """At sigma 4096 the input is all noise; D is the output, and not a difference of large numbers."""
    sigma = torch.tensor(4096.0)
    scaling = V.scaling(sigma)
    clean, noise = (tensor.float() for tensor in picture_and_noise())
    x = VARIANCE_EXPLODING.mix(clean, noise, sigma)
    preserving = VARIANCE_PRESERVING.level(sigma.double())
    output = VARIANCE_PRESERVING.alpha(preserving) * noise - preserving * clean
    torch.testing.assert_close(scaling.clean(x, output.float()), clean, atol=1e-3, rtol=0)
