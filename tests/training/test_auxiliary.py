"""The auxiliary classifier: what it asks, whom it trusts, and that the denoiser is told by it."""

import shutil
import tomllib
from pathlib import Path

import pytest
import torch

from sfumato.checkpoints.classifiers import load_classifier
from sfumato.errors import CheckpointError, TrainingError
from sfumato.training.auxiliary import Auxiliary, AuxiliaryConfig
from sfumato.training.data import Pictures, generator_for
from sfumato.training.denoiser import DenoiserRun, DenoiserTask
from sfumato.training.latents import load_autoencoder
from tests.training.conftest import denoiser_toml


def test_it_counts_what_is_trusted(squares: Path, unit_autoencoder: Path, latent_classifier: Path) -> None:
    pictures = Pictures(squares)
    auxiliary = Auxiliary(pictures, AuxiliaryConfig(classifier=latent_classifier), 4)
    some, others = torch.arange(8), torch.arange(8, 16)
    latents = load_autoencoder(unit_autoencoder).encode(pictures.pixels(some))
    all_of_it = auxiliary.error(latents, some, torch.ones(8))
    assert float(auxiliary.error(latents, others, torch.ones(8))) > float(all_of_it) + 0.5
    halves = [auxiliary.error(latents, some, (torch.arange(8) % 2 == k).float()) for k in range(2)]
    torch.testing.assert_close(sum(halves), all_of_it)
    assert float(auxiliary.error(latents, some, torch.zeros(8))) == 0.0


def test_a_classifier_of_other_latents_or_words_is_refused(
    squares: Path, latent_classifier: Path, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match="reads 4 channels and is to read 6"):
        Auxiliary(Pictures(squares), AuxiliaryConfig(classifier=latent_classifier), 6)
    with pytest.raises(CheckpointError, match="reads 4 channels and is to read 3"):
        load_classifier(latent_classifier)
    other = tmp_path / "other"
    shutil.copytree(squares, other)
    told = (other / "attributes.jsonl").read_text()
    (other / "attributes.jsonl").write_text(told.replace("red", "crimson"))
    with pytest.raises(TrainingError, match="has other words"):
        Auxiliary(Pictures(other), AuxiliaryConfig(classifier=latent_classifier), 4)


def test_a_denoiser_is_told_by_it(
    squares: Path, unit_autoencoder: Path, latent_classifier: Path, tmp_path: Path
) -> None:
    """A step down what it says makes estimates clearer; empty captions are not held against them; it is no part of
    what is trained."""
    told = denoiser_toml(squares, unit_autoencoder)
    told = told.replace("[loop]", f'[auxiliary]\nclassifier = "{latent_classifier}"\nweight = 0.5\n[loop]')
    run = DenoiserRun.model_validate(tomllib.loads(told))
    task = DenoiserTask(run, tmp_path / "run")
    assert task.content["auxiliary"] == task.auxiliary.digest  # type: ignore[union-attr]
    assert not any("classifier" in name for name in task.model.state_dict())
    indices = task.pictures.train[:16]
    losses = task.loss(task.model, indices, generator_for(0))
    torch.testing.assert_close(losses["loss"], losses["denoising"] + 0.5 * losses["auxiliary"])
    losses["auxiliary"].backward()
    before, step = float(losses["auxiliary"].detach()), 1e-4
    told_by = [(parameter, parameter.grad) for parameter in task.model.parameters() if parameter.grad is not None]
    slope = sum(float(gradient.square().sum()) for _, gradient in told_by)
    with torch.no_grad():
        for parameter, gradient in told_by:
            parameter.sub_(step * gradient)
    after = float(task.loss(task.model, indices, generator_for(0))["auxiliary"].detach())
    assert before - after == pytest.approx(step * slope, rel=0.2)
    mute = DenoiserTask(run.model_copy(update={"caption_dropout": 1.0}), tmp_path / "run")
    assert float(mute.loss(mute.model, indices, generator_for(0))["auxiliary"].detach()) == 0.0
