"""Noise belongs to the image: its seed, and nothing about its batch, decides it."""

import pytest
import torch

from sfumato.diffusion import ImageNoise

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
