"""The TOML that begins with people's own pictures runs as it is written, and what cannot run is said before."""

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

from sfumato.cli import main
from sfumato.training.run import read_config
from tests.training.conftest import autoencoder_toml, denoiser_toml

Capture = pytest.CaptureFixture[str]
CAPTION = 'a "red" \\ square\x7f, 红色'


def prepared(folder: Path, size: int = 64, **attributes: object) -> Path:
    """Training data of four pictures."""
    folder.mkdir()
    np.save(folder / "pictures.npy", np.random.default_rng(0).integers(0, 256, (4, size, size, 3), np.uint8))
    rows = [{"caption": CAPTION, "split": "validation" if k == 3 else "train", **attributes} for k in range(4)]
    rows = [{name: value for name, value in row.items() if value is not None} for row in rows]
    (folder / "attributes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.chdir(tmp_path)
    prepared(tmp_path / "photos")
    assert main(["train", "--init", "photos"]) == 0
    assert capsys.readouterr().out == "photos.toml\n"
    text = (tmp_path / "photos.toml").read_text()
    assert tomllib.loads(text)["prompts"] == [CAPTION]
    read_config(tmp_path / "photos.toml")
    for line in ("views = 4", "[augment]", "flip = 0.5", "crop = [0.8, 1.0]", "colour = 0.1"):
        assert f"# {line}" in text
        text = text.replace(f"# {line}", line)
    (tmp_path / "augmented.toml").write_text(text.replace("# processes = 2", "accumulate = 2\nprocesses = 2"))
    read_config(tmp_path / "augmented.toml")
    short = (tmp_path / "photos.toml").read_text()
    for setting, value in (("steps = 300", "steps = 1"), ("batch = 32", "batch = 1")):
        assert f"\n{setting} " in short
        short = short.replace(setting, value)
    (tmp_path / "photos.toml").write_text(short)
    assert main(["train", "photos.toml"]) == 0
    assert capsys.readouterr().out == "runs/photos/export\n"
    assert main(["txt2img", "a red square", "--model", "runs/photos/export", "--steps", "1", "-o", "a.png"]) == 0
    assert main(["train", "--init", "photos"]) == 2
    assert "photos.toml is there already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("size", "attributes", "said"),
    [
        (
            80,
            {},
            "pictures of 80 px do not fit this autoencoder and U-Net, which need a multiple of 64; prepare them again",
        ),
        (64, {"split": "train"}, "holds out no picture (split 'validation')"),
        (64, {"caption": None}, "picture 0 of photos has no caption"),
    ],
)
def test_pictures_that_cannot_be_learned(
    size: int,
    attributes: dict[str, object],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    monkeypatch.chdir(tmp_path)
    prepared(tmp_path / "photos", size, **attributes)
    assert main(["train", "--init", "photos", "mine.toml"]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "mine.toml").exists()


def test_pictures_that_were_never_prepared(tmp_path: Path, capsys: Capture) -> None:
    assert main(["train", "--init", str(tmp_path)]) == 2
    assert "make it of your pictures with: sfumato data prepare" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("channels = [32, 32]", "channels = [32, 32, 32]", "have 3, 2 and 2 entries"),
        ("channels = [32, 32]", "channels = [32, 48]", "channels 48 with 2 heads must be a multiple of 32"),
        ("heads = 2\n[network]", "heads = 3\n[network]", "width=32 must be a multiple of heads=3"),
        ("captions = ", "# ", "has no caption, only"),
        ("validation = 8", "validation = 0", "validation 0 must be at least 1"),
    ],
)
def test_what_cannot_work_is_said_before_the_first_step(
    old: str, new: str, said: str, squares: Path, autoencoder: Path, tmp_path: Path, capsys: Capture
) -> None:
    toml = denoiser_toml(squares, autoencoder)
    assert old in toml
    (tmp_path / "run.toml").write_text(toml.replace(old, new))
    assert main(["train", str(tmp_path / "run.toml"), "--run", str(tmp_path / "run")]) == 2
    assert said in capsys.readouterr().err


def test_training_needs_pictures_to_judge_by(tmp_path: Path, capsys: Capture) -> None:
    data = prepared(tmp_path / "photos", 32, split="train")
    (tmp_path / "run.toml").write_text(autoencoder_toml(data))
    assert main(["train", str(tmp_path / "run.toml"), "--run", str(tmp_path / "run")]) == 2
    shown = capsys.readouterr().err
    assert "photos holds out no picture" in shown
    assert shown.count("\n") == 1
