"""The bundle: whole, described, listed; refused when the model would not be the one that was trained."""

import hashlib
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from recipes.nano.bundle import bundle, main, rounded
from safetensors.torch import load_file, save_file

from sfumato.checkpoints.save import save_index, save_part
from sfumato.errors import CheckpointError
from sfumato.models.autoencoder_fold import AutoencoderFold, AutoencoderFoldConfig
from sfumato.models.clip import CLIPTextConfig
from sfumato.models.unet import UNetConfig
from sfumato.prompts.world import World
from sfumato.training.denoiser import FLOW_SCHEDULER

WEIGHTS = "diffusion_pytorch_model.safetensors"
CONFIG = AutoencoderFoldConfig(
    latent_channels=4, fold=4, channels=(8, 8), blocks=1, latents_mean=(0.0,) * 4, latents_std=(1.0,) * 4
)


@pytest.fixture
def export(tiny: Path, tmp_path: Path) -> Path:
    """What training a denoiser leaves, with random weights."""
    folder = tmp_path / "export"
    shutil.copytree(tiny, folder)
    shutil.rmtree(folder / "vae")
    torch.manual_seed(0)
    save_part(folder, "vae", AutoencoderFold(CONFIG), CONFIG, torch.float16)
    save_index(
        folder,
        {"unet": UNetConfig, "vae": AutoencoderFoldConfig, "text_encoder": CLIPTextConfig},
        FLOW_SCHEDULER,
    )
    rows = [{"kind": "animal", "style": "bottts", "hair_color": colour} for colour in ("red", "red", "blue", "blue")]
    World.learn(["a red fox", "a blue fox"], rows).write(folder)
    return folder


def change(folder: Path, name: str, new: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Give the tensors of an autoencoder whose names begin with `name` other values."""
    tensors = load_file(folder / WEIGHTS)
    save_file({key: new(value) if key.startswith(name) else value for key, value in tensors.items()}, folder / WEIGHTS)


def test_whole_described_and_listed(export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finished, target = tmp_path / "finished", tmp_path / "models" / "nano"
    shutil.copytree(export / "vae", finished)
    change(finished, "decoder", lambda value: value * 2)
    target.mkdir(parents=True)
    (target / "old").touch()
    main([str(export), str(target), "--vae", str(finished)])
    assert capsys.readouterr().out.splitlines()[-1] == str(target)

    assert not (target / "old").exists()
    assert (target / "vae" / WEIGHTS).read_bytes() == (finished / WEIGHTS).read_bytes()
    taken = {path.relative_to(export) for path in export.rglob("*")}
    added = {path.relative_to(target) for path in target.rglob("*")} - taken
    assert {str(path) for path in added} == {"README.md", "SHA256SUMS", "SOURCES.md"}
    listed = dict(line.split("  ./")[::-1] for line in (target / "SHA256SUMS").read_text().splitlines())
    assert set(listed) == {"text_encoder/model.safetensors", f"unet/{WEIGHTS}", f"vae/{WEIGHTS}"}
    for name, digest in listed.items():
        assert hashlib.sha256((target / name).read_bytes()).hexdigest() == digest
    for part in ("unet/" + WEIGHTS, "text_encoder/model.safetensors"):
        trained, kept = load_file(export / part), load_file(target / part)
        assert {name: (x.shape, x.dtype) for name, x in trained.items()} == {
            name: (x.shape, x.dtype) for name, x in kept.items()
        }
        assert all(torch.equal(kept[name], rounded(x)) for name, x in trained.items())
    page = (target / "README.md").read_text()
    assert "- animal (robot): hair color 2\n" in page
    unet = sum(tensor.numel() for tensor in load_file(target / "unet" / WEIGHTS).values())
    assert f": 64 px, a U-Net of {unet / 1e6:.1f} M parameters" in page
    assert not re.search("[{}]", page)


def test_halves_are_rounded_to_six_bits() -> None:
    every = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(torch.float16)
    finite = every[every.isfinite() & (every.abs() < 60000)]
    near = rounded(finite)
    step = torch.exp2(torch.frexp(finite.float().abs().clamp_min(2**-14)).exponent - 7.0)
    assert bool(((near.float() - finite.float()).abs() <= step / 2).all()), "to the nearest"
    assert bool((near.float() / step == (near.float() / step).round()).all()), "of those with six bits"
    assert torch.equal(rounded(near), near)
    whole = torch.tensor([3, 5])
    assert torch.equal(rounded(whole), whole)
    assert rounded(whole).data_ptr() != whole.data_ptr()


def refused_model(export: Path, vae: Path) -> None:
    (export / "model_index.json").unlink()


def refused_world(export: Path, vae: Path) -> None:
    (export / "world.json").write_text("{")


def refused_part(export: Path, vae: Path) -> None:
    (export / "unet" / WEIGHTS).write_bytes(b"")


def refused_encoder(export: Path, vae: Path) -> None:
    change(vae, "encoder", lambda value: value + 1)


def refused_statistics(export: Path, vae: Path) -> None:
    text = (vae / "config.json").read_text()
    (vae / "config.json").write_text(re.sub(r'("latents_mean": \[\s*)[-.0-9]+', r"\g<1>0.5", text))


def refused_colour(export: Path, vae: Path) -> None:
    change(vae, "decoder", torch.zeros_like)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (refused_model, "model_index.json is missing"),
        (refused_world, "world.json is missing or damaged"),
        (refused_part, WEIGHTS),
        (refused_encoder, "has other latents than"),
        (refused_statistics, "has other latents than"),
        (refused_colour, "paints a single colour"),
    ],
)
def test_what_is_not_the_trained_model_is_refused_and_the_old_one_stays(
    export: Path, tmp_path: Path, damage: Callable[[Path, Path], None], message: str
) -> None:
    vae, target = tmp_path / "finished", tmp_path / "nano"
    shutil.copytree(export / "vae", vae)
    target.mkdir()
    (target / "old").touch()
    damage(export, vae)
    with pytest.raises(CheckpointError, match=message):
        bundle(export, target, vae)
    assert [path.name for path in tmp_path.glob("*nano*")] == ["nano"]
    assert [path.name for path in target.iterdir()] == ["old"]
