"""The bundle: whole, described, listed; refused when the model would not be the one that was trained."""

import hashlib
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from recipes.nano import bundle as bundling
from recipes.nano.bundle import bundle, bundle_expert, bundle_text, main
from recipes.nano.lighten import steps_of
from safetensors.torch import load_file, save_file

from sfumato import Studio
from sfumato.checkpoints.experts import load_expert
from sfumato.checkpoints.save import save_index, save_part
from sfumato.checkpoints.tensors import read_tensors
from sfumato.errors import CheckpointError
from sfumato.models.autoencoder_fold import AutoencoderFold, AutoencoderFoldConfig
from sfumato.models.clip import CLIPTextConfig
from sfumato.models.unet import UNetConfig
from sfumato.prompts.vocabulary import Vocabulary
from sfumato.training.denoiser import FLOW_SCHEDULER

WEIGHTS = "diffusion_pytorch_model.safetensors"
CONFIG = AutoencoderFoldConfig(
    latent_channels=4, fold=4, channels=(8, 8), blocks=1, latents_mean=(0.0,) * 4, latents_std=(1.0,) * 4
)


@pytest.fixture(autouse=True)
def _few_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    """By which weights are rounded; each is a picture and a step."""
    monkeypatch.setattr(bundling, "_prompts", lambda stage="": ["a red fox", "a blue fox", "red", ""])


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
    Vocabulary.learn(["a red fox", "a blue fox"], rows).write(folder)
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
        trained, stored, kept = load_file(export / part), load_file(target / part), read_tensors(target / part)
        assert {name: x.shape for name, x in trained.items()} == {name: x.shape for name, x in kept.items()}
        for name, weight in trained.items():
            if stored[name].dtype == torch.int8:
                step = stored[name.removesuffix("weight") + "weight_scale"]
                assert float((kept[name].float() - weight.float()).abs().max()) <= step * 0.5 + weight.abs().max() / 256
            else:
                assert torch.equal(kept[name], weight)
        assert sum(x.numel() for x in stored.values() if x.dtype == torch.int8) > 0.8 * sum(
            x.numel() for x in stored.values() if x.ndim > 1
        )
    page = (target / "README.md").read_text()
    assert "- animal (robot): hair color 2\n" in page
    unet = sum(tensor.numel() for tensor in load_file(export / "unet" / WEIGHTS).values())
    assert f": 64 px, a U-Net of {unet / 1e6:.1f} M parameters" in page
    assert not re.search("[{}]", page)


@pytest.mark.slow
def test_half_way_to_what_it_began_with(export: Path, tmp_path: Path) -> None:
    """Vectors, which are not rounded any more, are the means of both; another form is refused and leaves nothing."""
    begun, target, part = tmp_path / "begun", tmp_path / "nano", f"unet/{WEIGHTS}"
    shutil.copytree(export, begun)
    change(begun / "unet", "", lambda value: value + 1)
    bundle(export, target, mean=begun)
    ours, stored = load_file(export / part), load_file(target / part)
    vectors = [name for name, value in ours.items() if value.ndim == 1]
    assert vectors
    for name in vectors:
        torch.testing.assert_close(stored[name].float(), ours[name].float() + 0.5, atol=2e-3, rtol=1e-3)
    change(begun / "unet", "conv_in.bias", lambda value: value[1:])
    with pytest.raises(CheckpointError, match="is of another form than the export's; give the one it began with"):
        bundle(export, tmp_path / "other", mean=begun)
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
def test_another_text_encoder_and_nothing_else(export: Path, tmp_path: Path) -> None:
    target, taught = tmp_path / "nano", tmp_path / "taught"
    bundle(export, target)
    shutil.copytree(target, taught)
    file = taught / "text_encoder" / "model.safetensors"
    save_file({name: x * 1.25 for name, x in read_tensors(file).items()}, file)
    vocabulary = Vocabulary.read(target)
    assert vocabulary is not None
    Vocabulary((*vocabulary.known, "reddish"), vocabulary.about).write(taught)
    before = {path: path.read_bytes() for path in target.rglob("*") if path.is_file()}

    main([str(taught), str(target), "--text"])
    changed = {path.relative_to(target).as_posix() for path, old in before.items() if path.read_bytes() != old}
    assert changed == {"text_encoder/model.safetensors", "world.json", "SHA256SUMS"}
    listed = dict(line.split("  ./")[::-1] for line in (target / "SHA256SUMS").read_text().splitlines())
    name = "text_encoder/model.safetensors"
    assert listed[name] == hashlib.sha256((target / name).read_bytes()).hexdigest()
    assert any(x.dtype is torch.int8 for x in load_file(target / name).values())
    after, wanted = read_tensors(target / name), read_tensors(file)
    spread = torch.cat([x.float().flatten() for x in wanted.values()]).std()
    assert all((after[key].float() - x.float()).abs().max() < spread for key, x in wanted.items())

    main([str(taught), str(target), "--text", "--mean", str(target)])  # of the taught and what is now there: the same
    again = read_tensors(target / name)
    assert all((again[key].float() - x.float()).abs().max() < spread for key, x in wanted.items())

    save_file({name: x * 2 for name, x in read_tensors(taught / "unet" / WEIGHTS).items()}, taught / "unet" / WEIGHTS)
    with pytest.raises(CheckpointError, match="another U-Net"):
        bundle_text(taught, target)


def test_an_expert_beside_the_model(export: Path, tmp_path: Path) -> None:
    """With its kinds of pictures and its words, in bytes; of other latents or without those kinds it is refused."""
    target, taught = tmp_path / "nano", tmp_path / "taught"
    bundle(export, target)
    before = {path: path.read_bytes() for path in target.rglob("*") if path.is_file()}
    shutil.copytree(export, taught)
    change(taught / "unet", "", lambda value: value * 1.25)
    with pytest.raises(CheckpointError, match="never learned pictures of the kind scene"):
        bundle_expert(taught, target, "scenes")
    rows = [{"kind": "scene", "style": "flat-view", "place": place} for place in ("beach", "beach", "sea", "sea")]
    rows += [{"kind": "animal", "style": "bottts", "hair_color": "green"}] * 2
    Vocabulary.learn(["a beach", "a red fox"], rows).write(taught)

    main([str(taught), str(target), "--expert", "scenes"])
    changed = {path.relative_to(target).as_posix() for path, old in before.items() if path.read_bytes() != old}
    assert changed == {"world.json", "SHA256SUMS", "README.md"}
    expert = target / "experts" / "scenes"
    assert {path.name for path in expert.iterdir()} == {"unet", "text_encoder"}
    assert any(x.dtype is torch.int8 for x in load_file(expert / "unet" / WEIGHTS).values())
    known = Vocabulary.read(target)
    assert known is not None
    assert set(known.about) == {"animal", "scene"}
    assert known.about["animal"]["hair_color"] == ("red", "blue"), "of what it does not paint it says nothing"
    assert {"beach", "blue"} <= set(known.known)
    assert "expert" in (target / "README.md").read_text()
    painted = Studio(target, device="cpu", precision="fp32").load()
    assert load_expert(painted, "scenes").hash != painted.hash

    later, again = tmp_path / "later", tmp_path / "again"
    shutil.copytree(export, later)
    Vocabulary.learn(["a lamp"], [{"kind": "thing", "style": "bottts", "name": "lamp"}] * 2).write(later)
    main([str(later), str(again), "--begun", str(target)])
    for file in ("unet", "text_encoder"):
        assert (again / f"experts/scenes/{file}/{WEIGHTS if file == 'unet' else 'model.safetensors'}").is_file()
    joined = Vocabulary.read(again)
    assert joined is not None
    assert set(joined.about) == {"animal", "scene", "thing"}
    assert {"lamp", "beach"} <= set(joined.known)

    change(taught / "vae", "encoder", lambda value: value * 2)
    with pytest.raises(CheckpointError, match="other latents"):
        bundle_expert(taught, target, "scenes")


def test_steps_share_the_noise_and_are_longer_where_a_weight_matters_less() -> None:
    rng = torch.Generator().manual_seed(1)
    weights = {"loud": torch.randn(40, 50, generator=rng), "quiet": torch.randn(80, 50, generator=rng)}
    weights["idle"] = torch.randn(9, 9, generator=rng)
    before = {name: weight.clone() for name, weight in weights.items()}
    inputs = torch.randn(50, 30, generator=rng)

    def answer() -> torch.Tensor:
        return torch.cat([10 * weights["loud"] @ inputs, weights["quiet"] @ inputs])

    right, steps = answer(), steps_of(weights, answer, 1e-4)
    assert all(torch.equal(weights[name], value) for name, value in before.items()), "all are put back"
    assert steps["idle"] == pytest.approx(float(weights["idle"].std())), "never longer than the deviation"
    assert steps["quiet"] == pytest.approx(10 * steps["loud"], rel=0.1), "of weights as many, by what they add"
    for name in ("loud", "quiet"):
        weights[name].copy_((weights[name] / steps[name]).round() * steps[name])
    noise = (answer() - right).square().mean() / right.square().mean()
    idle = 81 / sum(weight.numel() for weight in weights.values())
    assert float(noise) == pytest.approx(1e-4 * (1 - idle), rel=0.1)


def refused_model(export: Path, vae: Path) -> None:
    (export / "model_index.json").unlink()


def refused_vocabulary(export: Path, vae: Path) -> None:
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
        (refused_vocabulary, "world.json is missing or damaged"),
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
