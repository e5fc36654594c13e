"""Weights with NaN or infinity: named and refused, or named and loaded when that is asked for."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from sfumato import Studio
from sfumato.cli import main
from sfumato.errors import CheckpointError, SfumatoError

PLACES = ("vae/diffusion_pytorch_model.safetensors", "unet/diffusion_pytorch_model.safetensors")


@pytest.fixture(params=["folder", "file"])
def unsound(request: pytest.FixtureRequest, tmp_path: Path, folder: Path, single: Path) -> Path:
    """A model whose autoencoder has an infinite weight that painting does not read."""
    path = tmp_path / "unsound" if request.param == "folder" else tmp_path / "unsound.safetensors"
    if request.param == "folder":
        shutil.copytree(folder, path)
        file, name = path / "vae/diffusion_pytorch_model.safetensors", "encoder.conv_in.weight"
    else:
        shutil.copy(single, path)
        file, name = path, "first_stage_model.encoder.conv_in.weight"
    with safe_open(file, framework="pt") as opened:
        metadata = opened.metadata()
    state = load_file(file)
    state[name][0, 0, 0, 0] = torch.inf
    save_file(state, file, metadata=metadata)
    return path


def test_they_are_named_and_refused_unless_asked_for(unsound: Path, caplog: pytest.LogCaptureFixture) -> None:
    words = r"1 tensors hold NaN or infinity, first '[\w.]*encoder.conv_in.weight'"
    with pytest.raises(CheckpointError, match=f"{words}; get a sound copy, or load it with --allow-nonfinite"):
        Studio(unsound, device="cpu", precision="fp32").load()
    studio = Studio(unsound, device="cpu", precision="fp32", allow_nonfinite=True)
    assert len(studio.txt2img("a fox", steps=1, seed=1, width=32, height=32)) == 1
    assert "loaded as asked" in caplog.text


def test_on_the_command_line(unsound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "a.png"
    command = ["txt2img", "a", "--model", str(unsound), "--steps", "1", "--size", "32x32", "-o", str(out), "--quiet"]
    assert main(command) == 2
    assert "--allow-nonfinite" in capsys.readouterr().err
    assert main([*command, "--allow-nonfinite"]) == 0
    assert out.exists()


def test_what_then_paints_nothing_is_said(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "broken"
    shutil.copytree(folder, path)
    for place in PLACES:
        state = load_file(path / place)
        next(iter(state.values())).fill_(torch.nan)
        save_file(state, path / place, metadata={"format": "pt"})
    with pytest.raises(SfumatoError, match="painted NaN or infinity"):
        Studio(path, device="cpu", precision="fp32", allow_nonfinite=True).txt2img("a", steps=1, width=32, height=32)
