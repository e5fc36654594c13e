"""The auxiliary classifier: what it asks, whom it trusts, and that the denoiser is told by it."""

import json
import shutil
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sfumato.checkpoints.save import save_part
from sfumato.errors import CheckpointError, TrainingError
from sfumato.models.autoencoder_fold import AutoencoderFold, AutoencoderFoldConfig
from sfumato.training.auxiliary import Auxiliary, AuxiliaryConfig
from sfumato.training.classifier import load_classifier
from sfumato.training.data import Pictures, generator_for
from sfumato.training.denoiser import DenoiserRun, DenoiserTask
from sfumato.training.latents import load_autoencoder
from sfumato.training.run import train
from tests.training.conftest import denoiser_toml


@pytest.fixture
def autoencoder(squares: Path, tmp_path: Path) -> Path:
    """One of random weights whose latents have mean 0 and variance 1, as those of a trained one do."""
    torch.manual_seed(0)
    form = AutoencoderFoldConfig(latent_channels=4, fold=2, channels=(8, 16), blocks=1)
    model = AutoencoderFold(form)
    with torch.no_grad():
        latents = model.encode(Pictures(squares).pixels(torch.arange(40)))
    mean, std = (tuple(x.tolist()) for x in (latents.mean((0, 2, 3)), latents.std((0, 2, 3))))
    save_part(tmp_path, "vae", model, replace(form, latents_mean=mean, latents_std=std), torch.float32)
    return tmp_path / "vae"


@pytest.fixture
def export(squares: Path, autoencoder: Path, tmp_path: Path) -> Path:
    """Of a classifier of that autoencoder's latents."""
    toml = tmp_path / "export.toml"
    toml.write_text(
        f"""
task = "classifier"
data = {json.dumps(str(squares))}
autoencoder = {json.dumps(str(autoencoder))}
channels = [8, 16]
fold = 1
[loop]
steps = 100
batch = 8
learning_rate = 4e-3
muon = false
warmup = 2
decay = 2
ema = 0.9
log_every = 50
validate_every = 100
sheet_every = 100
save_every = 100
precision = "fp32"
"""
    )
    return train(toml, tmp_path / "export")


def test_it_counts_what_is_trusted(squares: Path, autoencoder: Path, export: Path) -> None:
    pictures = Pictures(squares)
    auxiliary = Auxiliary(pictures, AuxiliaryConfig(classifier=export), 4)
    some, others = torch.arange(8), torch.arange(8, 16)
    latents = load_autoencoder(autoencoder).encode(pictures.pixels(some))
    all_of_it = auxiliary.error(latents, some, torch.ones(8))
    assert float(auxiliary.error(latents, others, torch.ones(8))) > float(all_of_it) + 0.5
    halves = [auxiliary.error(latents, some, (torch.arange(8) % 2 == k).float()) for k in range(2)]
    torch.testing.assert_close(sum(halves), all_of_it)
    assert float(auxiliary.error(latents, some, torch.zeros(8))) == 0.0


def test_a_classifier_of_other_latents_or_words_is_refused(squares: Path, export: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="reads 4 channels and is to read 6"):
        Auxiliary(Pictures(squares), AuxiliaryConfig(classifier=export), 6)
    with pytest.raises(CheckpointError, match="reads 4 channels and is to read 3"):
        load_classifier(export)
    other = tmp_path / "other"
    shutil.copytree(squares, other)
    told = (other / "attributes.jsonl").read_text()
    (other / "attributes.jsonl").write_text(told.replace("red", "crimson"))
    with pytest.raises(TrainingError, match="has other words"):
        Auxiliary(Pictures(other), AuxiliaryConfig(classifier=export), 4)


def test_a_denoiser_is_told_by_it(squares: Path, autoencoder: Path, export: Path, tmp_path: Path) -> None:
    """A step down what it says makes estimates clearer; empty captions are not held against them; it is no part of
    what is trained."""
    told = denoiser_toml(squares, autoencoder)
    told = told.replace("[loop]", f'[auxiliary]\nclassifier = "{export}"\nweight = 0.5\n[loop]')
    run = DenoiserRun.model_validate(tomllib.loads(told))
    task = DenoiserTask(run, tmp_path / "run")
    assert task.content["auxiliary"] == task.auxiliary.digest  # type: ignore[union-attr]
    assert not any("classifier" in name for name in task.model.state_dict())
    indices = task.pictures.train[:16]
    losses = task.loss(task.model, indices, generator_for(0))
    torch.testing.assert_close(losses["loss"], losses["denoising"] + 0.5 * losses["unclear"])
    losses["unclear"].backward()
    before, step = float(losses["unclear"].detach()), 1e-4
    told_by = [(parameter, parameter.grad) for parameter in task.model.parameters() if parameter.grad is not None]
    slope = sum(float(gradient.square().sum()) for _, gradient in told_by)
    with torch.no_grad():
        for parameter, gradient in told_by:
            parameter.sub_(step * gradient)
    after = float(task.loss(task.model, indices, generator_for(0))["unclear"].detach())
    assert before - after == pytest.approx(step * slope, rel=0.2)
    mute = DenoiserTask(run.model_copy(update={"caption_dropout": 1.0}), tmp_path / "run")
    assert float(mute.loss(mute.model, indices, generator_for(0))["unclear"].detach()) == 0.0
