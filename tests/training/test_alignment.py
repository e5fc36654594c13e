"""Alignment: what the teacher's features are measured by, and that the denoiser learns to hold them."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from sfumato.checkpoints.classifiers import load_classifier
from sfumato.training.alignment import AlignmentConfig, Teacher, captured_output
from sfumato.training.data import Pictures, generator_for
from sfumato.training.denoiser import DenoiserRun, DenoiserTask
from sfumato.training.run import train
from tests.training.conftest import denoiser_toml


def aligned_toml(data: Path, autoencoder: Path, classifier: Path, **loop: object) -> str:
    """The denoiser's run of a few small steps, with a teacher."""
    table = f'[alignment]\nteacher = "{classifier}"\nweight = 0.5\n[loop]'
    return denoiser_toml(data, autoencoder, **loop).replace("[loop]", table)


def test_features_are_standardised_and_kept(squares: Path, classifier: Path) -> None:
    pictures = Pictures(squares)
    config = AlignmentConfig(teacher=classifier)
    teacher = Teacher(pictures, config, 4)
    everything = torch.arange(len(pictures))
    assert teacher.maps.shape == (len(pictures), 16, 4, 4)
    nothing = torch.zeros(teacher.maps.shape)
    assert float(teacher.error(nothing, everything)) == pytest.approx(1.0, abs=0.01)
    known = torch.from_numpy(np.asarray(teacher.maps, np.float32))
    known = (known - teacher.mean[:, None, None]) / teacher.scale[:, None, None]
    assert float(teacher.error(known, everything)) == 0.0
    assert float(teacher.error(known[:4], torch.arange(4, 8))) > 0.1, "of other pictures"
    plain = load_classifier(classifier).features(pictures.pixels(everything[:8]))[-1].reshape(8, 16, 4, 2, 4, 2)
    torch.testing.assert_close(
        torch.from_numpy(teacher.maps[:8].astype(np.float32)), plain.mean((3, 5)), atol=0.02, rtol=0.02
    )
    (kept,) = squares.glob("features-*-4.npy")
    written = kept.stat().st_mtime_ns
    Teacher(pictures, config, 4)
    assert kept.stat().st_mtime_ns == written


def test_only_what_is_returned_meanwhile_is_overheard() -> None:
    module = torch.nn.Identity()
    with captured_output(module) as heard:
        module(torch.ones(1))
    module(torch.zeros(1))
    assert [float(x) for x in heard] == [1.0]


@pytest.mark.slow
def test_a_denoiser_learns_what_its_teacher_sees(
    squares: Path, autoencoder: Path, classifier: Path, tmp_path: Path
) -> None:
    """The error on features falls, reaches the U-Net, and leaves no trace in the export's form."""
    toml = tmp_path / "run.toml"
    toml.write_text(
        aligned_toml(squares, autoencoder, classifier, steps=100, batch=16, learning_rate=1e-2, precision="fp32")
    )
    task = DenoiserTask(DenoiserRun.model_validate(tomllib.loads(toml.read_text())), tmp_path / "fresh")
    indices = task.pictures.train[:16]
    losses = task.loss(task.model, indices, generator_for(0))
    assert float(losses["loss"].detach()) == pytest.approx(
        float((losses["denoising"] + 0.5 * losses["alignment"]).detach())
    )
    losses["alignment"].backward()
    assert task.model.unet.conv_in.weight.grad is not None
    assert float(task.model.unet.conv_in.weight.grad.abs().sum()) > 0
    assert task.model.unet.conv_out.weight.grad is None
    before = float(losses["alignment"].detach())

    train(toml, tmp_path / "run")
    state = load_file(tmp_path / "run/checkpoints/00000100/state.safetensors")
    task.model.load_state_dict({k.removeprefix("model/"): v for k, v in state.items() if k.startswith("model/")})
    assert float(task.loss(task.model, indices, generator_for(0))["alignment"].detach()) < 0.9 * before
    exported = load_file(tmp_path / "run/export/unet/diffusion_pytorch_model.safetensors")
    assert set(exported) == set(task.model.unet.state_dict())
