"""Editing without inversion, against the closed form."""

import pytest
import torch
from torch import Tensor

from sfumato.diffusion.constraints import keep_outside
from sfumato.diffusion.denoiser import Denoise
from sfumato.diffusion.editing import carried
from sfumato.diffusion.noise import ImageNoise
from sfumato.diffusion.path import PATHS
from sfumato.diffusion.samplers import SAMPLERS

SHAPE = (2, 4, 4)
LEVELS = {"straight": 0.9, "variance_exploding": 10.0}


def edited(name: str, sampler: str, source: float, target: float, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """A picture, and what becomes of it, where one condition means data of mean `source`, the other of `target`.

    Of data of unit variance around a mean m, D is ``m + alpha (x - alpha m) / (alpha^2 + sigma^2)``.
    """
    path = PATHS[name]

    def denoiser(mean: float) -> Denoise:
        def denoise(x: Tensor, sigma: Tensor) -> Tensor:
            alpha = path.alpha(sigma)
            return mean + alpha * (x - alpha * mean) / (alpha**2 + sigma**2)

        return denoise

    clean = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(1))
    noise = ImageNoise([3], SHAPE)
    d = carried(denoiser(source), denoiser(target), clean, noise, path)
    if mask is not None:
        d = keep_outside(d, clean=clean, mask=mask)
    sigmas = torch.cat([torch.linspace(LEVELS[name], LEVELS[name] / 200, 200), torch.zeros(1)])
    row = next(each for each in SAMPLERS if each.name == sampler)
    *_, last = row(d, clean, sigmas, noise=noise, path=path)
    return clean, last.x


@pytest.mark.parametrize("sampler", ["euler", "heun", "dpmpp_2m"])
@pytest.mark.parametrize("name", list(LEVELS))
def test_a_picture_moves_as_the_data_do(name: str, sampler: str) -> None:
    """By the difference of the means, but for what of it is seen in the noise at which it begins."""
    clean, moved = edited(name, sampler, 0.0, 2.0)
    path, begin = PATHS[name], torch.tensor(LEVELS[name])
    ratio = begin / path.alpha(begin)
    expected = 2 * (1 - 1 / (1 + ratio**2).sqrt())
    torch.testing.assert_close((moved - clean).mean(), expected, atol=0.04, rtol=0.0)
    assert (moved - clean).std() < 1e-3, "the noise cancels where D is linear"


@pytest.mark.parametrize("name", list(LEVELS))
def test_nothing_changes_between_equal_conditions_nor_outside_of_a_mask(name: str) -> None:
    clean, same = edited(name, "euler", 1.0, 1.0)
    torch.testing.assert_close(same, clean)
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., :2] = 1
    clean, moved = edited(name, "euler", 1.0, -1.0, mask)
    torch.testing.assert_close(moved[..., 2:], clean[..., 2:])
    assert (moved - clean)[..., :2].abs().min() > 0.5
