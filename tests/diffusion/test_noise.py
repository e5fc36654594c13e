"""Noise belongs to the image: its seed, and nothing about its batch, decides it."""

import itertools
import math

import pytest
import torch

from sfumato.diffusion import SAMPLERS, BrownianNoise, ImageNoise

SHAPE = (4, 8, 8)


def test_an_image_is_the_same_alone_or_in_a_batch() -> None:
    together = ImageNoise([5, 6, 7], SHAPE)
    alone = ImageNoise([6], SHAPE)
    for _ in range(4):
        assert torch.equal(together()[1:2], alone())


@pytest.mark.parametrize("shape", [SHAPE, (1, 3, 3), (16, 16, 24)])
def test_the_first_draws_are_those_of_torch(shape: tuple[int, ...]) -> None:
    noise, generator = ImageNoise([42], shape), torch.Generator().manual_seed(42)
    for _ in range(3):
        assert torch.equal(noise(), torch.randn((1, *shape), generator=generator))


@pytest.mark.parametrize("seed", [2**32 + 5, 2**63 - 1, 2**63, 13533457394364481536, 2**64 - 1])
def test_any_seed_of_torch_is_one(seed: int) -> None:
    expected = torch.randn(1, 4, 3, 3, generator=torch.manual_seed(seed))
    assert torch.equal(ImageNoise([seed], (4, 3, 3))(), expected)
    later = ImageNoise([seed], (2,), later=2**31)
    assert bool(torch.stack([later(), later()]).isfinite().all())


def test_draws_are_fresh_and_seeds_count() -> None:
    noise = ImageNoise([0, 0, 1], SHAPE)
    first, second = noise(), noise()
    assert torch.equal(first[0], first[1])
    assert not torch.equal(first[0], first[2])
    assert not torch.equal(first, second)
    assert first.dtype == torch.float32


def test_no_seeds() -> None:
    with pytest.raises(ValueError, match="seed"):
        ImageNoise([], SHAPE)


def test_later_draws_may_have_seeds_of_their_own() -> None:
    noise = ImageNoise([7, 8], SHAPE, later=31337)
    assert torch.equal(noise(), ImageNoise([7, 8], SHAPE)())
    anew = ImageNoise([7 + 31337, 8 + 31337], SHAPE)
    for _ in range(2):
        assert torch.equal(noise(), anew())


# ------------------------------------------------------------------------------------------------- Brownian

RATIOS = [4096.0, 14.6, 3.0, 1.0, 0.999, 0.4, 0.03]


def test_increments_add_up() -> None:
    """However a way is cut: the increments have the variance of their clock, 1 / ratio^2."""
    noise = BrownianNoise([1, 2], SHAPE)

    def clock(high: float, low: float) -> float:
        return low**-2 - high**-2

    parts = [
        noise.between(high, low).double() * math.sqrt(clock(high, low)) for high, low in itertools.pairwise(RATIOS)
    ]
    whole = noise.between(RATIOS[0], RATIOS[-1]).double() * math.sqrt(clock(RATIOS[0], RATIOS[-1]))
    torch.testing.assert_close(sum(parts), whole, rtol=0, atol=1e-4)


def test_increments_are_unit_noise_and_independent() -> None:
    noise = BrownianNoise([3], (4, 64, 64))
    draws = torch.cat([noise.between(a, b).flatten()[None] for a, b in itertools.pairwise(RATIOS)])
    torch.testing.assert_close(draws.corrcoef(), torch.eye(len(draws)), rtol=0, atol=0.04)
    torch.testing.assert_close(draws.std(1), torch.ones(len(draws)), rtol=0, atol=0.03)
    assert float(draws.mean(1).abs().max()) < 0.04
    assert torch.equal(noise.between(math.inf, 2.0), noise.between(math.inf, 2.0))


def test_increments_belong_to_the_image() -> None:
    together, alone = BrownianNoise([5, 6], SHAPE), BrownianNoise([6], SHAPE)
    for high, low in itertools.pairwise(RATIOS):
        assert torch.equal(together.between(high, low)[1:], alone.between(high, low))
    assert torch.equal(together()[1:], alone())
    assert not torch.equal(together.between(2.0, 1.0)[0], together.between(2.0, 1.0)[1])


@pytest.mark.parametrize("name", ["euler_a", "dpmpp_sde", "dpmpp_2m_sde", "dpmpp_3m_sde"])
def test_a_seed_is_one_path_at_any_number_of_steps(name: str) -> None:
    """With a D that is the same everywhere, the noise is all that differs; and it is the same at the end."""
    (sampler,) = (row for row in SAMPLERS if row.name == name)
    ends = []
    for steps in (3, 40):
        sigmas = torch.linspace(3, 0.3, steps + 1, dtype=torch.float64)
        noise = BrownianNoise([1, 2], SHAPE)
        x = noise().double() * 3
        for step in sampler(lambda x, sigma: torch.zeros_like(x), x, sigmas, noise=noise):
            x = step.x
        ends.append(x)
    torch.testing.assert_close(ends[0], ends[1], rtol=0, atol=1e-5)


@pytest.mark.parametrize(("high", "low"), [(1.0, 1.0), (1.0, 2.0), (1.0, 0.0)])
def test_increments_go_down(high: float, low: float) -> None:
    with pytest.raises(ValueError, match="lower one above 0"):
        BrownianNoise([1], SHAPE).between(high, low)
