"""Reward fine-tuning: which moments of a painting are looked at, and what learns from them."""

import tomllib
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from sfumato.diffusion.conditioning import Conditioning
from sfumato.diffusion.denoiser import Denoiser
from sfumato.diffusion.grids import GRIDS
from sfumato.diffusion.guidance import classifier_free
from sfumato.diffusion.samplers import Descent, euler
from sfumato.diffusion.scalings import FLOW
from sfumato.diffusion.schedules import FlowSchedule
from sfumato.training.data import generator_for
from sfumato.training.denoiser import DenoiserRun, DenoiserTask
from sfumato.training.reward import FEWEST, MOST, guided, moments
from tests.training.conftest import denoiser_toml

SCALE = 3.0


class Pull(nn.Module):
    """A network whose velocity leads away from what it is told, as strongly as its one parameter says."""

    def __init__(self) -> None:
        super().__init__()
        self.strength = nn.Parameter(torch.tensor(0.7))

    def forward(self, x: Tensor, label: Tensor, cond: Conditioning) -> Tensor:
        told = cond.tokens.mean(1)[..., None, None]
        return self.strength * (x - told) * (1 + label[:, None, None, None] / 1000)


SCHEDULE = FlowSchedule(3.0)
DENOISER = Denoiser(Pull(), FLOW, SCHEDULE)
CONDS = Conditioning(torch.arange(12.0).reshape(4, 1, 3)), Conditioning(torch.zeros(1, 1, 3))
NOISE = torch.randn(4, 3, 2, 2, generator=generator_for(1))


def grid(steps: int) -> Tensor:
    return GRIDS["shifted"](SCHEDULE, steps)


def test_moments_are_those_of_a_guided_painting() -> None:
    """Each is what sampling by itself passes through, at different levels of each painting, never the finished one."""
    lengths = set()
    for seed in range(12):
        seen = moments(DENOISER, CONDS, SCALE, grid, NOISE, 3, generator_for(seed))
        assert seen.rows.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
        assert not seen.x.requires_grad
        steps = next(n for n in range(FEWEST, MOST + 1) if torch.isin(seen.sigma, grid(n)[:-1]).all())
        lengths.add(steps)
        way = Descent(classifier_free(DENOISER, *CONDS, SCALE), NOISE, grid(steps), path=FLOW.path)
        with torch.no_grad():
            passed = [NOISE, *(step.x for step in euler(way))]
        levels = grid(steps).tolist()
        for x, sigma, row in zip(seen.x, seen.sigma.tolist(), seen.rows.tolist(), strict=True):
            torch.testing.assert_close(x, passed[levels.index(sigma)][row])
        assert all(len(set(part.tolist())) == 3 for part in seen.sigma.split(3))
    assert len(lengths) > 2


def test_the_gradient_is_that_of_the_caption_alone() -> None:
    """The estimate is the guided one; what learns is the part that was told."""
    seen = moments(DENOISER, CONDS, SCALE, grid, NOISE, 2, generator_for(0))
    strength = DENOISER.network.strength  # type: ignore[attr-defined]
    estimates = guided(DENOISER, CONDS, SCALE, seen)
    told = DENOISER(seen.x, seen.sigma, CONDS[0].at(seen.rows))
    without = DENOISER(seen.x, seen.sigma, CONDS[1].expand(len(seen.x)))
    torch.testing.assert_close(estimates, without + SCALE * (told - without))
    slope, of_told = (torch.autograd.grad(each.sum(), strength)[0] for each in (estimates, told))
    torch.testing.assert_close(slope, SCALE * of_told)


@pytest.mark.slow
def test_a_denoiser_is_told_what_its_paintings_lack(
    squares: Path, unit_autoencoder: Path, latent_classifier: Path, tmp_path: Path
) -> None:
    """It joins the loss, is a function of the step alone, and when it is followed, paintings lack less and less."""
    told = denoiser_toml(squares, unit_autoencoder)
    told = told.replace(
        "[loop]",
        f'[auxiliary]\nclassifier = "{latent_classifier}"\n[reward]\nweight = 0.5\npictures = 4\nmoments = 2\n[loop]',
    )
    run = DenoiserRun.model_validate(tomllib.loads(told))
    task = DenoiserTask(run, tmp_path / "run")
    assert task.whole_caption is task.caption
    indices = task.pictures.train[:8]
    losses = task.loss(task.model, indices, generator_for(0))
    torch.testing.assert_close(losses["loss"], losses["denoising"] + 0.1 * losses["auxiliary"] + 0.5 * losses["reward"])
    assert torch.equal(task.loss(task.model, indices, generator_for(0))["loss"], losses["loss"])

    optimizer = torch.optim.Adam(task.model.parameters(), 1e-2)
    lacking = []
    for k in range(100):
        loss = task.loss(task.model, task.order(k), generator_for(k))["reward"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        lacking.append(float(loss.detach()))
    assert sum(lacking[-10:]) < 0.7 * sum(lacking[:10])


def test_without_a_classifier_there_is_nobody_to_tell(squares: Path, autoencoder: Path) -> None:
    told = denoiser_toml(squares, autoencoder).replace("[loop]", "[reward]\n[loop]")
    with pytest.raises(ValidationError, match=r"an \[auxiliary\] table; add one, or drop it"):
        DenoiserRun.model_validate(tomllib.loads(told))
