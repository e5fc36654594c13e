"""`similar`, `embed` and `caption` over a folder; the space in which pictures and texts meet."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image
from recipes.nano.data import emoji
from recipes.nano.data.captions import full_caption
from recipes.nano.data.render import Job, drawings

from sfumato.choices import Language
from sfumato.cli import main
from sfumato.errors import CheckpointError
from sfumato.recognition import embedding

STYLES = ("landscape", "planets", "bottts", "sprouts")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for style in STYLES:
        (drawing,) = drawings(Job(style, 0), 0, seed=1)
        Image.fromarray(np.ascontiguousarray(emoji.rasterise_rgba(drawing.svg, 256)[..., :3])).save(
            tmp_path / f"{style}.png"
        )
    (tmp_path / "broken.png").write_bytes(b"no picture")
    return tmp_path


@pytest.mark.parametrize("language", get_args(Language))
def test_a_caption_finds_its_picture(language: Language, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Three of four at least; short words are placed worse than whole captions."""
    found = []
    for style in STYLES:
        (drawing,) = drawings(Job(style, 0), 0, seed=1)
        assert main(["similar", full_caption(drawing.attributes, language), str(folder), "--first", "2"]) == 0
        out, err = capsys.readouterr()
        assert len(out.splitlines()) == 2
        assert "broken.png is left out" in err
        found.append(out.splitlines()[0].endswith(f"{style}.png"))
    assert sum(found) >= 3


def test_a_picture_finds_itself_first(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["similar", str(folder / "planets.png"), str(folder)]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first.endswith("planets.png")
    assert first.startswith("1.000")


def test_embeddings_are_unit_vectors_by_name(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(folder / f"{style}.png") for style in STYLES]
    assert main(["embed", *files, "-o", str(tmp_path / "e.npz")]) == 0
    with np.load(tmp_path / "e.npz") as found:
        assert found["names"].tolist() == files
        assert np.allclose(np.linalg.norm(found["vectors"], axis=1), 1, atol=1e-5)


def test_captions_lie_beside_the_pictures(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "bottts.txt").write_text("mine")
    assert main(["caption", str(folder)]) == 0
    assert (folder / "bottts.txt").read_text() == "mine"
    assert (folder / "landscape.txt").read_text().startswith("landscape illustration, ")
    assert main(["caption", str(folder), "--overwrite", "--language", "zh"]) == 0
    assert (folder / "bottts.txt").read_text().startswith("机器人")
    assert main(["caption", str(folder), "--language", "de"]) == 2
    assert main(["caption", str(folder / "none")]) == 2
    (folder / "empty").mkdir()
    capsys.readouterr()
    assert main(["caption", str(folder / "empty")]) == 2
    assert "empty has no pictures" in capsys.readouterr().err


def test_heads_of_another_text_encoder_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "remembered_sha256", lambda path: "00" * 32)
    with pytest.raises(CheckpointError, match="another text encoder"):
        embedding.embedder.__wrapped__()
