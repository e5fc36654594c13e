"""A ControlNet is trained from the U-Net's own way down, and steers as its file does."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import T2IAdapter as OracleAdapter
from PIL import Image
from safetensors import safe_open

from sfumato import Studio
from sfumato.checkpoints.controls import load_control
from sfumato.errors import SfumatoError
from sfumato.files import sha256
from sfumato.models.controlnet import ControlNet
from sfumato.models.t2i_adapter import T2IAdapter
from sfumato.training.control import ControlRun, ControlTask, edge_agreement
from sfumato.training.run import train
from tests.conftest import write_tiny
from tests.training.test_adapter import run_of
from tests.training.test_resume import kill_at


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for i in range(4):
        pixels = np.full((64, 64, 3), 40 * i, np.uint8)
        pixels[8 + 4 * i : 40, 8:40] = 255
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


def settings(model: Path, photos: Path, **changes: Any) -> dict[str, Any]:
    loop = {"steps": 4, "batch": 2, "learning_rate": 1e-3, "warmup": 1, "ema": 0.5, "precision": "fp32"}
    loop |= {"log_every": 1, "validate_every": 2, "sheet_every": 4, "save_every": 2}
    own = {"task": "control", "model": str(model), "name": "edges", "draws": 1, "sheets": 1}
    own |= {"sources": [{"folder": str(photos), "caption": "a red fox"}], "buckets": {"size": 64, "smallest": 32}}
    return {**own, **changes, "loop": loop}


def test_it_learns_resumes_exactly_and_steers(tiny_model: Path, photos: Path, tmp_path: Path) -> None:
    file = run_of(tmp_path, settings(tiny_model, photos))
    digests = [sha256(path) for path in sorted(tiny_model.rglob("*.safetensors"))]
    export = train(file, tmp_path / "straight")
    kill_at(3, file, tmp_path / "killed")
    train(file, tmp_path / "killed")
    weights = "export/diffusion_pytorch_model.safetensors"
    assert sha256(tmp_path / "killed" / weights) == sha256(tmp_path / "straight" / weights)
    assert digests == [sha256(path) for path in sorted(tiny_model.rglob("*.safetensors"))]
    studio = Studio(tiny_model, precision="fp32")
    control = load_control(export / "diffusion_pytorch_model.safetensors", studio.load())
    assert any(bool(p.abs().sum() > 0) for p in control.controlnet_mid_block.parameters())  # type: ignore[union-attr]
    options: dict[str, Any] = {"steps": 2, "seed": 1, "width": 64, "height": 64}
    held = studio.txt2img("a fox", controls=[f"{export}:{photos / '1.png'}"], preprocess="canny", **options)[0]
    assert held.tobytes() != studio.txt2img("a fox", **options)[0].tobytes()


def test_a_t2i_adapter_learns_and_steers(tiny_model: Path, photos: Path, tmp_path: Path) -> None:
    export = train(run_of(tmp_path, settings(tiny_model, photos, network="t2i-adapter")), tmp_path / "run")
    studio = Studio(tiny_model, precision="fp32")
    assert isinstance(load_control(export / "diffusion_pytorch_model.safetensors", studio.load()), T2IAdapter)
    theirs = OracleAdapter.from_pretrained(export)
    with safe_open(export / "diffusion_pytorch_model.safetensors", "pt") as file:
        assert {*file.keys()} == {*theirs.state_dict()}
        assert file.metadata()["modelspec.architecture"].endswith("/t2i-adapter")
    options: dict[str, Any] = {"steps": 2, "seed": 1, "width": 64, "height": 64}
    held = studio.txt2img("a fox", controls=[f"{export}:{photos / '1.png'}"], preprocess="canny", **options)[0]
    assert held.tobytes() != studio.txt2img("a fox", **options)[0].tobytes()


def test_it_begins_as_the_network_and_changes_nothing(tiny_model: Path, photos: Path, tmp_path: Path) -> None:
    task = ControlTask(ControlRun(**settings(tiny_model, photos)), tmp_path)
    unet = task.base.network.state_dict()
    assert torch.equal(task.model.state_dict()["conv_in.weight"], unet["conv_in.weight"])
    chosen = [task.examples.all[0]]
    x, label = torch.randn(1, 4, 8, 8), torch.tensor([400.0])
    cond = task.base.encode_text(["a fox"])
    with torch.no_grad():
        bare = task.base.network(x, label, cond)
        assert torch.equal(task.predict(task.model, x, label, cond, chosen), bare)


def test_its_layers_for_the_picture_may_be_narrow(tiny_model: Path, photos: Path, tmp_path: Path) -> None:
    widths = [8, 8, 16, 16]
    task = ControlTask(ControlRun(**settings(tiny_model, photos, embedding=widths)), tmp_path)
    assert isinstance(task.model, ControlNet)
    assert list(task.model.config.conditioning_embedding_out_channels) == widths
    with pytest.raises(SfumatoError, match="embedding has 2 widths; latents of 1/8 take 4"):
        ControlTask(ControlRun(**settings(tiny_model, photos, embedding=[8, 8])), tmp_path)


def test_what_is_shown_may_lie_in_a_folder(tiny_model: Path, photos: Path, tmp_path: Path) -> None:
    shown = tmp_path / "shown"
    shown.mkdir()
    for i in range(4):
        Image.new("RGB", (64, 64), (0, 0, 60 * i)).save(shown / f"{i}.jpg")
    values = settings(tiny_model, photos, shown=str(shown), preprocessor="none")
    task = ControlTask(ControlRun(**values), tmp_path / "run")
    blue = {e.name: np.asarray(task._shown[e.digest])[..., 2].mean() for e in task.examples.all}
    assert [round(blue[f"{i}.png"] / 60) for i in range(4)] == [0, 1, 2, 3]
    (shown / "2.jpg").unlink()
    with pytest.raises(SfumatoError, match=r"has nothing to show beside 2\.png; name it 2\.png"):
        ControlTask(ControlRun(**values), tmp_path / "run")


def test_edges_that_agree() -> None:
    pictures = []
    for left in (20, 21, 50):
        image = Image.new("RGB", (100, 100))
        image.paste((255, 255, 255), (left, 20, left + 30, 80))
        pictures.append(image)
    assert edge_agreement(pictures[0], pictures[0]) == 1
    assert edge_agreement(pictures[0], pictures[1]) > 0.95
    assert edge_agreement(pictures[0], pictures[2]) < 0.7
    assert edge_agreement(pictures[0], Image.new("RGB", (100, 100))) == 0
