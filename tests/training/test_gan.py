"""The adversarial baseline: what its two sides learn from, and that what it exports paints like any other model."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

from sfumato import Studio
from sfumato.errors import TrainingError
from sfumato.models.discriminator import PatchDiscriminator, PatchDiscriminatorConfig
from sfumato.training.data import generator_for
from sfumato.training.gan import GANRun, GANTask, sliced_wasserstein
from sfumato.training.run import read_config, train
from sfumato.training.tracking import read_log
from tests.training.conftest import denoiser_toml


def gan_toml(data: Path, autoencoder: Path, **loop: object) -> str:
    told = denoiser_toml(data, autoencoder, **loop).replace('task = "denoiser"', 'task = "gan"')
    return told.replace("[loop]", "[adversarial]\nweight = 1.0\nr1 = 0.1\nchannels = [16, 16]\n[loop]\nmuon = false")


def test_what_is_exported_paints_what_the_generator_does(squares: Path, autoencoder: Path, tmp_path: Path) -> None:
    file = tmp_path / "gan.toml"
    file.write_text(gan_toml(squares, autoencoder))
    export = train(file, tmp_path / "run")
    losses = [line for line in read_log(tmp_path / "run") if "train/opponent" in line]
    assert len(losses) == 6, "the discriminator took part in each step"
    run = read_config(file)
    assert isinstance(run, GANRun)
    task = GANTask(run.model_copy(update={"start": export}), tmp_path / "again")
    texts = ["a red square on blue"]
    with torch.no_grad():
        ours = task.autoencoder.decode(task._painted(task.model, texts, task._noise(1)))[0]
    studio = Studio(export, precision="fp32")
    theirs = studio.txt2img(texts[0], steps=1, guidance=1.0, seed=0, sampler="euler", schedule="trailing")[0]
    ours = ((ours.clamp(-1, 1) + 1) * 127.5).round().permute(1, 2, 0).numpy()
    assert np.abs(np.asarray(theirs, float) - ours).max() <= 1


def test_each_side_learns_from_the_other_alone(squares: Path, autoencoder: Path, tmp_path: Path) -> None:
    run = GANRun.model_validate(tomllib.loads(gan_toml(squares, autoencoder)))
    task = GANTask(run, tmp_path / "run")
    torch.nn.init.normal_(task.model.unet.conv_out.weight, std=0.1)
    losses = task.contest(task.model, torch.tensor([0, 1, 2, 3]), generator_for(0), 0)
    losses["loss"].backward(retain_graph=True)
    assert all(p.grad is None for p in task.opponent.parameters())
    moved = [name for name, p in task.model.named_parameters() if p.grad is not None]
    assert moved
    assert all(name.startswith("unet.") for name in moved), "the text encoder stays as it is"
    task.model.zero_grad(set_to_none=True)
    losses["opponent"].backward()
    assert all(p.grad is None for p in task.model.parameters())
    assert task.opponent.project is not None
    assert task.opponent.project.weight.grad is not None
    without = GANTask(run.model_copy(update={"mismatched": 0.0}), tmp_path / "run")
    without.opponent.load_state_dict(task.opponent.state_dict())
    fewer = without.contest(task.model, torch.tensor([0, 1, 2, 3]), generator_for(0), 0)
    assert fewer["opponent"].detach() < losses["opponent"].detach()


@pytest.mark.parametrize("change", [{"weight = 1.0": "weight = 0.0"}, {"[loop]": "[loop.opponent]\nstart = 3\n[loop]"}])
def test_nothing_to_learn_from_is_refused(
    squares: Path, autoencoder: Path, tmp_path: Path, change: dict[str, str]
) -> None:
    told = gan_toml(squares, autoencoder)
    for old, new in change.items():
        told = told.replace(old, new)
    (tmp_path / "gan.toml").write_text(told)
    with pytest.raises(TrainingError, match="leaves the generator nothing to learn from"):
        read_config(tmp_path / "gan.toml")


def test_a_condition_moves_the_logits() -> None:
    torch.manual_seed(0)
    network = PatchDiscriminator(PatchDiscriminatorConfig(in_channels=4, fold=1, channels=(8, 16), condition=6))
    latents, said = torch.randn(2, 4, 16, 16), torch.randn(2, 6)
    plain, moved = network(latents), network(latents, said)
    assert moved.shape == plain.shape
    assert torch.allclose(network(latents, 2 * said) - plain, 2 * (moved - plain), atol=1e-5)
    assert not torch.allclose(moved, plain)


def test_sliced_wasserstein() -> None:
    """Of points shifted by a vector d it is |d|^2 over the number of dimensions, in expectation."""
    points, shift = torch.randn(64, 3, 4), torch.ones(3, 4)
    assert float(sliced_wasserstein(points, points.flip(0), generator_for(0))) == pytest.approx(0, abs=1e-9)
    assert float(sliced_wasserstein(points, points + shift, generator_for(0))) == pytest.approx(1.0, rel=0.25)
