"""Guidance beyond the straight line: projected, thresholded, CFG++, perturbed."""

import math

import pytest
import torch
from torch import Tensor

from sfumato.diffusion import (
    PATHS,
    VARIANCE_EXPLODING,
    Conditioning,
    Denoiser,
    DiscreteSchedule,
    Path,
    V,
    classifier_free,
    renoised,
)
from sfumato.diffusion.combining import Combine, across, linear, projected, tangential, thresholded, zero_star
from sfumato.diffusion.guidance import Perturbed
from sfumato.diffusion.samplers import Descent, euler, euler_a

SHAPE = (3, 4, 6, 6)


def estimates() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    return torch.randn(SHAPE, generator=generator), torch.randn(SHAPE, generator=generator)


EVERY = pytest.mark.parametrize(
    "combine",
    [
        *(linear, zero_star, tangential, projected(), projected(parallel=0.3, radius=2.0)),
        *(thresholded(0.9), thresholded(0.9, combine=projected())),
    ],
    ids=["linear", "zero_star", "tangential", "projected", "shortened", "thresholded", "both"],
)


@EVERY
def test_equal_estimates_are_themselves(combine: Combine) -> None:
    cond, _ = estimates()
    torch.testing.assert_close(combine(cond, cond, 7.5, 1.0), cond)


@EVERY
def test_each_image_by_itself(combine: Combine) -> None:
    cond, uncond = estimates()
    together = combine(cond, uncond, 7.5, 1.0)
    torch.testing.assert_close(together[1:2], combine(cond[1:2], uncond[1:2], 7.5, 1.0))


def test_projected_with_all_of_both_parts_is_linear() -> None:
    cond, uncond = estimates()
    torch.testing.assert_close(projected(parallel=1.0)(cond, uncond, 6.0, 1.0), linear(cond, uncond, 6.0, 1.0))


def test_projected_leaves_what_is_along_the_estimate() -> None:
    cond, uncond = estimates()
    moved = projected()(cond, uncond, 6.0, 1.0) - cond
    assert float((moved * cond).flatten(1).sum(1).abs().max()) < 1e-3
    across = cond - uncond
    across = (
        across
        - (across * cond).flatten(1).sum(1)[:, None, None, None]
        / cond.flatten(1).square().sum(1)[:, None, None, None]
        * cond
    )
    torch.testing.assert_close(moved, 5 * across, rtol=1e-4, atol=1e-4)


def test_projected_shortens_long_changes_alone() -> None:
    cond, uncond = estimates()
    near = cond + 0.01 * (uncond - cond)
    for other, length in ((uncond, 2.0), (near, None)):
        moved = projected(parallel=1.0, radius=2.0)(cond, other, 2.0, 1.0) - cond
        expected = (cond - other).flatten(1).norm(dim=1) if length is None else torch.full((3,), length)
        torch.testing.assert_close(moved.flatten(1).norm(dim=1), expected)


def test_momentum_is_of_one_run() -> None:
    cond, uncond = estimates()
    combine = projected(parallel=1.0, momentum=-0.5)
    first = combine(cond, uncond, 2.0, 10.0)
    second = combine(cond, uncond, 2.0, 5.0)
    torch.testing.assert_close(second, cond + 0.5 * (cond - uncond))
    assert torch.equal(combine(cond, uncond, 2.0, 10.0), first)


def test_projected_is_that_of_diffusers() -> None:
    guider = pytest.importorskip("diffusers.guiders.adaptive_projected_guidance")
    cond, uncond = estimates()
    expected = guider.normalized_guidance(cond, uncond, 5.0, None, 0.25, 3.0, True)
    torch.testing.assert_close(projected(parallel=0.25, radius=3.0)(cond, uncond, 6.0, 1.0), expected)


def test_thresholds() -> None:
    cond, uncond = estimates()
    guided = linear(cond, uncond, 8.0, 1.0)
    tamed = thresholded(0.95)(cond, uncond, 8.0, 1.0)
    top, limit = (x.flatten(1).abs().quantile(0.95, dim=1)[:, None, None, None] for x in (guided, cond))
    torch.testing.assert_close(tamed, guided.clamp(-top, top) * limit / top)
    assert torch.equal(thresholded(0.95)(cond, cond / 2, 1.0, 1.0), cond)
    pixels = thresholded(0.95, bound=1.0)(cond, uncond, 8.0, 1.0)
    torch.testing.assert_close(pixels, guided.clamp(-top, top) / top)
    with pytest.raises(ValueError, match=r"0\.995"):
        thresholded(1.0)


# -------------------------------------------------------------------------------------------------- in a run

COND, NEGATIVE = Conditioning(torch.full((1, 1, 1), 1.0)), Conditioning(torch.full((1, 1, 1), -1.0))


def network(x: Tensor, label: Tensor, cond: Conditioning) -> Tensor:
    return 0.3 * x + cond.tokens.reshape(-1, *(1 for _ in x.shape[1:])).to(x.dtype)


DENOISER = Denoiser(network, V, DiscreteSchedule.from_betas(), torch.float64)


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_cfg_plus_plus_takes_the_noise_of_the_negative(eta: float) -> None:
    """Algorithm 2 of Chung et al. 2024, and its ancestral form, on the exploding path."""
    share = 0.6
    sigmas = torch.tensor([9.0, 4.0, 1.5, 0.4, 0.0], dtype=torch.float64)
    x, fresh = (value.double() for value in estimates())
    x = x * 9
    guided = classifier_free(DENOISER, COND, NEGATIVE, renoised(share, sigmas, VARIANCE_EXPLODING, eta=eta))
    way = Descent(guided, x, sigmas, noise=lambda: fresh)
    run = euler_a(way, eta=eta) if eta else euler(way)
    for step, now, then in zip(run, sigmas[:-1], sigmas[1:], strict=True):
        cond, uncond = (DENOISER(x, now, cond.expand(3)) for cond in (COND, NEGATIVE))
        up = eta * float(then * (1 - (then / now) ** 2).sqrt())
        down = math.sqrt(float(then) ** 2 - up**2)
        x = uncond + share * (cond - uncond) + down * (x - uncond) / now + up * fresh
        torch.testing.assert_close(step.x, x)


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_the_scales_of_cfg_plus_plus_fall_to_the_share(path: Path) -> None:
    sigmas = torch.linspace(0.9, 0.0, 10, dtype=torch.float64)
    scale = renoised(0.5, sigmas, path)
    values = [scale(float(sigma)) for sigma in sigmas[:-1]]
    assert values[-1] == pytest.approx(0.5)
    assert min(values) == values[-1]
    assert scale(float(sigmas[3] + sigmas[4]) / 2) == values[3]


@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_perturbed_moves_away_from_the_worse(scale: float) -> None:
    worse = Denoiser(lambda x, label, cond: 0.5 * network(x, label, cond), V, DENOISER.schedule, torch.float64)
    x, sigma = estimates()[0].double(), torch.tensor(1.3, dtype=torch.float64)
    plain = classifier_free(DENOISER, COND, NEGATIVE, scale)(x, sigma)
    cond, bad = (denoiser(x, sigma, COND.expand(3)) for denoiser in (DENOISER, worse))
    found = classifier_free(DENOISER, COND, NEGATIVE, scale, perturbed=[Perturbed(worse, 3.0)])(x, sigma)
    torch.testing.assert_close(found, plain + 3 * (cond - bad))
    outside = classifier_free(DENOISER, COND, NEGATIVE, scale, perturbed=[Perturbed(worse, 3.0, (1.3, 9.0))])
    assert torch.equal(outside(x, sigma), plain)


def test_of_outputs_the_line_is_the_same() -> None:
    x, sigma = estimates()[0].double(), torch.tensor(1.3, dtype=torch.float64)
    of_clean, of_output = (classifier_free(DENOISER, COND, NEGATIVE, 4.0, of_output=which) for which in (False, True))
    torch.testing.assert_close(of_output(x, sigma), of_clean(x, sigma))


def test_zero_star_is_that_of_diffusers() -> None:
    guider = pytest.importorskip("diffusers.guiders.classifier_free_zero_star_guidance")
    cond, uncond = estimates()
    alpha = guider.cfg_zero_star_scale(cond.flatten(1), uncond.flatten(1)).view(-1, 1, 1, 1)
    torch.testing.assert_close(zero_star(cond, uncond, 5.0, 1.0), alpha * uncond + 5.0 * (cond - alpha * uncond))


def test_tangential_is_that_of_diffusers() -> None:
    guider = pytest.importorskip("diffusers.guiders.tangential_classifier_free_guidance")
    cond, uncond = estimates()
    expected = guider.normalized_guidance(cond, uncond, 5.0, False)
    torch.testing.assert_close(tangential(cond, uncond, 5.0, 1.0), expected, rtol=1e-4, atol=1e-4)


def test_what_both_prompts_name_stays() -> None:
    """Perp-Neg: along the prompt's direction the negative counts nothing, across it all."""
    cond, other = estimates()
    empty = torch.zeros_like(cond)
    share = (other * cond).flatten(1).sum(1) / cond.square().flatten(1).sum(1)
    perpendicular = other - share[:, None, None, None] * cond
    for negative, expected in ((2 * cond, 4 * cond), (other, 4 * (cond - perpendicular)), (empty, 4 * cond)):
        torch.testing.assert_close(linear(cond, across(cond, negative, empty, 4.0), 4.0, 1.0), expected)


def test_perp_neg_in_one_call() -> None:
    x, sigma = estimates()[0].double(), torch.tensor(1.3, dtype=torch.float64)
    nothing = Conditioning(torch.full((1, 1, 1), 0.2))
    found = classifier_free(DENOISER, COND, NEGATIVE, 4.0, empty=nothing)(x, sigma)
    cond, negative, empty = (DENOISER(x, sigma, each.expand(3)) for each in (COND, NEGATIVE, nothing))
    torch.testing.assert_close(found, linear(cond, across(cond, negative, empty, 4.0), 4.0, 1.3))
    with pytest.raises(ValueError, match="either beyond or empty"):
        classifier_free(DENOISER, COND, NEGATIVE, 4.0, empty=nothing, beyond=(nothing, 2.0))
