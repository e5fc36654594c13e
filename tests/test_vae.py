"""Painting with an autoencoder of its own in place of the model's."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from sfumato import Studio
from sfumato.checkpoints.save import save_part
from sfumato.errors import CheckpointError, UnknownNameError
from sfumato.files import sha256
from sfumato.metadata.carriers import PARAMETERS, Carried, read
from sfumato.metadata.describe import describe
from sfumato.metadata.readers import restore
from sfumato.models.autoencoder_tiny import AutoencoderTiny, AutoencoderTinyConfig
from sfumato.output import read_request


@pytest.fixture
def studio(tiny: Path) -> Studio:
    return Studio(tiny, device="cpu", precision="fp32")


@pytest.fixture
def taesd(tmp_path: Path) -> Path:
    """A tiny autoencoder of the published size with random weights."""
    torch.manual_seed(0)
    config = AutoencoderTinyConfig()
    save_part(tmp_path, "taesd", AutoencoderTiny(config), config, torch.float32)
    return tmp_path / "taesd" / "diffusion_pytorch_model.safetensors"


def bytes_of(studio: Studio, **options: Any) -> bytes:
    return bytes(studio.txt2img("a red fox", steps=2, seed=1, **options)[0].tobytes())


def test_a_folder_of_diffusers(studio: Studio, tiny: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny / "vae", tmp_path / "bright")
    file = tmp_path / "bright" / "diffusion_pytorch_model.safetensors"
    state = load_file(file)
    save_file({k: v + 1 if k == "decoder.conv_out.bias" else v for k, v in state.items()}, file, {"format": "pt"})
    plain = bytes_of(studio)
    bright = bytes_of(studio, vae=str(tmp_path / "bright"))
    assert sum(bright) > sum(plain)
    assert bytes_of(studio) == plain, "it is the model's own again"


def test_the_tiny_autoencoder_by_name(
    studio: Studio, taesd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vaes").mkdir()
    taesd.rename(tmp_path / "vaes" / "taesd.safetensors")
    monkeypatch.setenv("SFUMATO_VAES", str(tmp_path / "vaes"))
    result = studio.txt2img("a red fox", steps=2, seed=1, vae="taesd")
    assert result[0].tobytes() != bytes_of(studio)
    assert result.provenance.vae_hash == sha256(tmp_path / "vaes" / "taesd.safetensors")
    [file] = result.save(tmp_path / "a.png")
    assert read_request(file).vae == "taesd"
    assert (
        read(file.read_bytes()).texts[PARAMETERS].count(f"VAE hash: {result.provenance.vae_hash[:10]}, VAE: taesd,")
        == 1
    )


def test_what_does_not_fit(studio: Studio, tmp_path: Path) -> None:
    config = AutoencoderTinyConfig(latent_channels=16)
    save_part(tmp_path, "taesd3", AutoencoderTiny(config), config, torch.float32)
    with pytest.raises(CheckpointError, match="latent channels 16; tiny needs 4"):
        bytes_of(studio, vae=str(tmp_path / "taesd3"))
    with pytest.raises(UnknownNameError, match="vae 'taesdd'"):
        bytes_of(studio, vae="taesdd")
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match="give an autoencoder"):
        bytes_of(studio, vae=str(tmp_path / "x.safetensors"))


@pytest.mark.parametrize(("said", "name"), [("vae-ft-mse.safetensors", "vae-ft-mse"), ("Automatic", None)])
def test_a1111_says_it(said: str, name: str | None) -> None:
    text = f"a fox\nSteps: 2, Seed: 1, CFG scale: 7, VAE hash: abc, VAE: {said}"
    restored = restore(Carried("png", {PARAMETERS: text}))
    assert restored.request.vae == name
    assert not any("VAE" in lost for lost in restored.unrestored)
    assert describe(restored.request).fields.get("VAE") == name


@pytest.mark.parametrize("kind", ["diffusers", "tiny"])
def test_one_that_is_not_finite_is_refused_unless_asked_for(kind: str, tiny: Path, taesd: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny / "vae", tmp_path / "diffusers")
    file = taesd if kind == "tiny" else tmp_path / "diffusers" / "diffusion_pytorch_model.safetensors"
    state = load_file(file)
    next(tensor for name, tensor in state.items() if name.startswith("encoder"))[:] = torch.inf
    save_file(state, file, {"format": "pt"})
    with pytest.raises(CheckpointError, match="hold NaN or infinity"):
        bytes_of(Studio(tiny, device="cpu", precision="fp32"), vae=str(file))
    assert bytes_of(Studio(tiny, device="cpu", precision="fp32", allow_nonfinite=True), vae=str(file))
