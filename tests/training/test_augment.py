"""Augmentation does what its options say, by the generator alone, and its views reach the denoiser's cache."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from sfumato.errors import TrainingError
from sfumato.training.augment import LUMINANCE, Augment, augment, view
from sfumato.training.data import Pictures, generator_for
from sfumato.training.latents import autoencoder_digest, cached_latents, load_autoencoder
from sfumato.training.run import train
from tests.training.conftest import denoiser_toml


def pixels(count: int = 4, size: int = 16) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=generator_for(5)) * 2 - 1


def test_off_draws_nothing_and_changes_nothing() -> None:
    generator = generator_for(0)
    before = generator.get_state()
    x = pixels()
    assert augment(x, Augment(), generator) is x
    assert torch.equal(generator.get_state(), before)


def test_flip() -> None:
    x = pixels(400, 4)
    assert torch.equal(augment(x, Augment(flip=1), generator_for(0)), x.flip(-1))
    some = augment(x, Augment(flip=0.25), generator_for(0))
    mirrored = (some == x.flip(-1)).flatten(1).all(1)
    assert (mirrored | (some == x).flatten(1).all(1)).all()
    assert float(mirrored.float().mean()) == pytest.approx(0.25, abs=0.07)


def test_crop_shows_a_part() -> None:
    """On a ramp the range of values is the side of the part; each picture has its own."""
    ramp = torch.linspace(-1, 1, 64).expand(20, 3, 64, 64)
    shown = augment(ramp, Augment(crop=(0.25, 0.36)), generator_for(0))
    assert shown.shape == ramp.shape
    sides = (shown.amax((1, 2, 3)) - shown.amin((1, 2, 3))) / 2
    assert float(sides.min()) > 0.5 - 0.05
    assert float(sides.max()) < 0.6 + 0.05
    assert len(set(sides.tolist())) > 5
    assert len(set(shown[:, 0, 0, 0].tolist())) > 10


def test_colour() -> None:
    strength = 0.3
    x = pixels(50) * 0.5
    shown = augment(x, Augment(colour=strength), generator_for(0))
    assert not torch.equal(shown, x)
    assert float(shown.min()) >= -1
    assert float(shown.max()) <= 1
    weights = torch.tensor(LUMINANCE).view(1, 3, 1, 1)
    mean, before = (((y * weights).sum(1) + 1).mean((1, 2)) for y in (shown, x))
    brightness = mean / before
    assert float(brightness.min()) > 1 - strength - 0.05
    assert float(brightness.max()) < 1 + strength + 0.05
    grey = torch.full((3, 3, 4, 4), 0.2)
    flat = augment(grey, Augment(colour=strength), generator_for(1))
    assert torch.allclose(flat, flat.mean((1, 2, 3), keepdim=True), atol=1e-6), "grey stays grey"


def test_sizes_are_drawn_for_each_batch() -> None:
    options = Augment(sizes=(8, 16, 24))
    sizes = {augment(pixels(), options, generator_for(0, k)).shape[-2:] for k in range(30)}
    assert sizes == {(8, 8), (16, 16), (24, 24)}


def test_the_generator_is_all_that_counts() -> None:
    options = Augment(flip=0.5, crop=(0.5, 1), colour=0.2, sizes=(8, 16))
    first, again, other = (augment(pixels(), options, generator_for(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert first.shape != other.shape or not torch.equal(first, other)


def test_views() -> None:
    options = Augment(crop=(0.3, 0.9))
    x = pixels(1)[0]
    assert view(x, options, seed=0, picture=3, number=0) is x
    made = {(s, p, n): view(x, options, s, p, n) for s in (0, 1) for p in (0, 1) for n in (1, 2)}
    assert torch.equal(view(x, options, 1, 0, 2), made[1, 0, 2])
    assert len({tuple(v.flatten().tolist()) for v in made.values()}) == len(made)


@pytest.mark.parametrize(
    "options",
    [
        {"flip": 1.1},
        {"flip": -0.1},
        {"crop": (0, 1)},
        {"crop": (0.9, 0.5)},
        {"crop": (0.5, 1.5)},
        {"colour": 1},
        {"sizes": (4,)},
        {"zoom": 1},
        {"flip": float("nan")},
    ],
)
def test_impossible_options(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Augment.model_validate(options)


@pytest.fixture
def captioned(squares: Path, tmp_path: Path) -> Path:
    """The squares with captions of their own."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "pictures.npy").write_bytes((squares / "pictures.npy").read_bytes())
    rows = [json.loads(line) for line in (squares / "attributes.jsonl").read_text().splitlines()]
    captioned = [row | {"captions": [f"{row['front']} square", f"on {row['background']}"]} for row in rows]
    (folder / "attributes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in captioned))
    return folder


def without_captions(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.startswith("captions"))


def test_views_and_own_captions_train_a_denoiser(captioned: Path, autoencoder: Path, tmp_path: Path) -> None:
    plain = cached_latents(Pictures(captioned), load_autoencoder(autoencoder), autoencoder, 0, Augment(), 0)
    (name,) = [path.name for path in captioned.glob("latents-*.npy")]
    assert name == f"latents-{autoencoder_digest(autoencoder)[:12]}.npy"
    text = without_captions(denoiser_toml(captioned, autoencoder, steps=2))
    table = "views = 3\n[augment]\nflip = 0.5\ncrop = [0.5, 0.8]\n"
    (tmp_path / "run.toml").write_text(text.replace("\n[text]", f"\n{table}[text]", 1))
    train(tmp_path / "run.toml", tmp_path / "run")
    caches = sorted(captioned.glob("latents-*.npy"), key=lambda path: len(path.name))
    assert caches[0].name == name
    first, *others = [np.load(path).astype(float) for path in caches]
    assert len(others) == 2
    assert np.array_equal(first, plain), "the picture itself is the first view"
    for other in others:
        assert other.shape == first.shape
        assert not np.array_equal(other, first)
    assert not np.array_equal(*others)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("views = 2\n", "need each other"),
        ("[augment]\nflip = 0.5\n", "need each other"),
        ("views = 2\n[augment]\nsizes = [16]\n", "one size"),
        ("views = 0\n", "views"),
        ("views = 2\n[augment]\nflip = 2\n", "augment.flip"),
    ],
)
def test_settings_that_do_not_go_together(extra: str, message: str, captioned: Path, tmp_path: Path) -> None:
    text = denoiser_toml(captioned, tmp_path).replace("\n[text]", f"\n{extra}[text]", 1)
    (tmp_path / "run.toml").write_text(text)
    with pytest.raises(TrainingError, match=message):
        train(tmp_path / "run.toml", tmp_path / "run")
