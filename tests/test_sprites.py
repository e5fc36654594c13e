"""Sprites: the background goes, what it encloses stays, and the atlas finds each sprite again."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from sfumato import cli
from sfumato.errors import RequestError
from sfumato.sprites import cut_out, oklab, sheet, trimmed

TEAL = (20, 140, 150)


def ring(background: tuple[int, int, int] = TEAL, colour: str = "red") -> Image.Image:
    """A ring whose hole has the background's colour, with smooth edges."""
    large = Image.new("RGB", (256, 256), background)
    pen = ImageDraw.Draw(large)
    pen.ellipse((40, 80, 200, 240), fill=colour)
    pen.ellipse((90, 130, 150, 190), fill=background)
    return large.resize((64, 64), Image.Resampling.BOX)


def test_oklab_is_ottossons() -> None:
    assert np.allclose(oklab(np.array([[1.0, 1, 1], [1, 0, 0]])), [[1, 0, 0], [0.62796, 0.22486, 0.12585]], atol=1e-3)


def test_the_background_goes_and_what_it_does_not_reach_stays() -> None:
    found = np.asarray(cut_out(ring()))
    assert found[0, 0, 3] == found[63, 63, 3] == 0
    assert tuple(found[40, 15]) == (255, 0, 0, 255)
    assert tuple(found[40, 30]) == (*TEAL, 255)  # enclosed
    soft = (found[..., 3] > 0) & (found[..., 3] < 255)
    assert soft.any()
    assert found[soft][:, 1].astype(int).mean() < 80  # the edge's own colour: hardly any teal


def test_pictures_without_a_flat_background_are_refused() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8))
    with pytest.raises(RequestError, match="not of one colour"):
        cut_out(noise)
    with pytest.raises(RequestError, match="all background"):
        cut_out(Image.new("RGB", (8, 8), "white"))


def test_the_atlas_finds_each_sprite() -> None:
    sprites = {f"s{i}": cut_out(ring(colour=colour)) for i, colour in enumerate(("red", "yellow", "black"))}
    sprites["dot"] = Image.new("RGBA", (5, 3), "blue")
    page, atlas = sheet(sprites, "a.png")
    taken = np.zeros((page.height, page.width), int)
    for name, sprite in sprites.items():
        facts = atlas["frames"][name]
        x, y, w, h = (facts["frame"][key] for key in "xywh")
        assert page.crop((x, y, x + w, y + h)).tobytes() == trimmed(sprite)[0].tobytes()
        assert facts["sourceSize"] == {"w": sprite.width, "h": sprite.height}
        whole = Image.new("RGBA", sprite.size)
        whole.paste(trimmed(sprite)[0], (facts["spriteSourceSize"]["x"], facts["spriteSourceSize"]["y"]))
        assert whole.getchannel("A").tobytes() == sprite.getchannel("A").tobytes()
        taken[y : y + h, x : x + w] += 1
    assert taken.max() == 1
    assert atlas["meta"]["size"] == {"w": page.width, "h": page.height}


def test_the_command_writes_sheet_and_atlas(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ring().save(tmp_path / "a.png")
    ring(colour="blue").save(tmp_path / "b.png")
    out = tmp_path / "sheet.png"
    assert cli.main(["sheet", str(tmp_path / "a.png"), str(tmp_path / "b.png"), "-o", str(out)]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    assert list(json.loads(out.with_suffix(".json").read_text())["frames"]) == ["a", "b"]
    with Image.open(out) as page:
        assert page.mode == "RGBA"
    assert cli.main(["sheet", str(tmp_path / "a.png"), "-o", "x.jpg"]) == 2
    assert "must end in .png" in capsys.readouterr().err
