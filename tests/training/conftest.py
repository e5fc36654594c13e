"""A data set of 40 coloured squares at 32 px, and training files of seconds."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sfumato.checkpoints.save import save_part
from sfumato.models.autoencoder_fold import AutoencoderFold, AutoencoderFoldConfig
from sfumato.models.picture_classifier import PictureClassifier, PictureClassifierConfig
from sfumato.training import loop
from sfumato.training.data import Pictures
from sfumato.training.run import train

COLORS = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (50, 60, 220), "yellow": (230, 210, 50)}


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def plotted() -> None:
    """Runs draw their losses, which takes longer than all else of a tiny run."""


@pytest.fixture(autouse=True)
def _not_plotted(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "plotted" not in request.fixturenames:
        monkeypatch.setattr(loop, "plot", lambda run, target: None)


@pytest.fixture(scope="session")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two kinds: a square of one colour on another, 40 pictures, each fifth held out."""
    folder = tmp_path_factory.mktemp("squares")
    rng = np.random.default_rng(0)
    pictures, rows = [], []
    for i in range(40):
        back, front = rng.choice(list(COLORS), 2, replace=False)
        picture = np.full((32, 32, 3), COLORS[back], np.uint8)
        y, x = rng.integers(2, 12, 2)
        picture[y : y + 16, x : x + 16] = COLORS[front]
        pictures.append(picture)
        kind = "warm" if front in ("red", "yellow") else "cold"
        rows.append(
            {"kind": kind, "front": front, "background": back, "split": "validation" if i % 5 == 4 else "train"}
        )
    np.save(folder / "pictures.npy", np.stack(pictures))
    (folder / "attributes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture
def autoencoder(tmp_path: Path) -> Path:
    """A small one of random weights."""
    torch.manual_seed(0)
    model = AutoencoderFold(AutoencoderFoldConfig(latent_channels=4, fold=2, channels=(8, 16), blocks=1))
    save_part(tmp_path, "vae", model, model.config, torch.float16)
    return tmp_path / "vae"


def autoencoder_toml(data: Path, **loop: object) -> str:
    """A run of a few small steps."""
    values = {"steps": 6, "batch": 4, "learning_rate": 1e-3, "warmup": 2, "decay": 2, "ema": 0.9} | loop
    values |= {"log_every": 1, "validate_every": 3, "sheet_every": 6, "save_every": values.get("save_every", 2)}
    lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in values.items())
    return f"""
task = "autoencoder"
data = {json.dumps(str(data))}
latent_channels = 4
channels = [8, 16]
blocks = 1
fold = 2
crop = 16
validation = 8
[loop]
{lines}
"""


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The export of a classifier that was never trained."""
    torch.manual_seed(0)
    config = PictureClassifierConfig((("kind", ("cold", "warm")),), fold=2, channels=(8, 16))
    folder = tmp_path_factory.mktemp("classifier")
    save_part(folder, "classifier", PictureClassifier(config), config, torch.float32)
    return folder


def adversarial_toml(data: Path, classifier: Path, start: int = 0, **loop: object) -> str:
    """The same run with every loss there is, from step `start` on against a discriminator."""
    extra = f"""
squared = 1.0
perceptual = {json.dumps(str(classifier))}
perceptual_weight = 0.5
[adversarial]
weight = 0.5
r1 = 0.1
channels = [8, 16]
"""
    return autoencoder_toml(data, **loop).replace("[loop]", extra + "[loop]") + f"[loop.opponent]\nstart = {start}\n"


def denoiser_toml(data: Path, autoencoder: Path, **loop: object) -> str:
    """A run of a few small steps on that autoencoder's latents."""
    values = {"steps": 6, "batch": 4, "learning_rate": 1e-3, "warmup": 2, "decay": 2, "ema": 0.9} | loop
    values |= {"log_every": 1, "validate_every": 3, "sheet_every": 6, "save_every": values.get("save_every", 2)}
    lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in values.items())
    return f"""
task = "denoiser"
data = {json.dumps(str(data))}
autoencoder = {json.dumps(str(autoencoder))}
captions = "tests.training.captions:caption"
prompts = ["a red square on blue", "a green square"]
shares = {{ warm = 0.5, cold = 0.5 }}
validation = 8
[text]
vocabulary = 640
window = 16
width = 32
layers = 1
heads = 2
[network]
channels = [32, 32]
heads = [2, 2]
cross_attention = [false, true]
[loop]
{lines}
"""


@pytest.fixture
def unit_autoencoder(squares: Path, tmp_path: Path) -> Path:
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
def latent_classifier(squares: Path, unit_autoencoder: Path, tmp_path: Path) -> Path:
    """The export of a classifier of its latents."""
    toml = tmp_path / "export.toml"
    toml.write_text(
        f"""
task = "classifier"
data = {json.dumps(str(squares))}
autoencoder = {json.dumps(str(unit_autoencoder))}
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
