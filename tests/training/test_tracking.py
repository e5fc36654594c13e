"""Boards: what reaches TensorBoard and Weights & Biases."""

import sys
import types
from pathlib import Path

import pytest
from PIL import Image

from sfumato.errors import TrainingError
from sfumato.training.tracking import Tracker, read_log


class FakeRun:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[dict[str, object], int]] = []
        self.finished = False

    def log(self, values: dict[str, object], step: int) -> None:
        self.told.append((values, step))

    def finish(self) -> None:
        self.finished = True


def test_weights_and_biases_hears_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, begun = FakeRun(), {}
    wandb = types.ModuleType("wandb")
    wandb.init = lambda **options: begun.update(options) or run  # type: ignore[attr-defined]
    wandb.Image = lambda image: ("picture", image.size)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    tracker = Tracker(tmp_path / "nano", "my-project")
    tracker.scalars(1, {"train/loss": 0.5})
    tracker.warning(2, "the discriminator has won")
    tracker.sheet(3, Image.new("RGB", (4, 2)))
    tracker.close()
    assert begun["project"] == "my-project"
    assert begun["id"] == f"{tmp_path.name}-nano", "the same folder goes on with the same run"
    assert begun["resume"] == "allow"
    assert run.told == [
        ({"train/loss": 0.5}, 1),
        ({"warning": "the discriminator has won"}, 2),
        ({"sheet": ("picture", (4, 2))}, 3),
    ]
    assert run.finished
    assert [record["step"] for record in read_log(tmp_path / "nano")] == [1, 2]
    assert any((tmp_path / "nano" / "tensorboard").iterdir())


def test_a_missing_package_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(TrainingError, match="pip install wandb"):
        Tracker(tmp_path, "my-project")
