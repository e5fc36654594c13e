"""Sprites: the background goes, what it encloses stays, and the atlas finds each sprite again."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from sfumato import cli
from sfumato.colours import oklab
from sfumato.errors import RequestError
from sfumato.sprites import components, cut_out, read_palette, sheet, trimmed

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


@pytest.mark.parametrize("background", [(255, 255, 255), (230, 240, 90), (20, 20, 30)])
def test_edges_are_as_opaque_as_they_were_mixed(background: tuple[int, int, int]) -> None:
    """Against the alpha that the picture was made with; the old rule, how near a colour is, was out by a quarter."""
    large = Image.new("L", (512, 512))
    pen = ImageDraw.Draw(large)
    pen.ellipse((100, 60, 420, 400), fill=255)
    pen.line((250, 30, 250, 500), fill=255, width=24)
    alpha = np.asarray(large.resize((128, 128), Image.Resampling.BOX)) / 255
    mixed = alpha[..., None] * np.array((200, 60, 120)) + (1 - alpha[..., None]) * np.array(background)
    found = np.asarray(cut_out(Image.fromarray(mixed.round().astype(np.uint8)))) / 255
    soft = (alpha > 0.02) & (alpha < 0.98)
    assert np.abs(found[..., 3] - alpha)[soft].mean() < 0.02
    assert np.abs(found[..., :3] - np.array((200, 60, 120)) / 255)[soft & (found[..., 3] > 0.2)].max() < 0.06


def test_crumbs_go_and_parts_stay() -> None:
    picture = Image.new("RGB", (64, 64), "white")
    pen = ImageDraw.Draw(picture)
    pen.rectangle((20, 20, 43, 43), fill="navy")
    pen.rectangle((4, 4, 10, 10), fill="navy")  # 49 of 576 pixels
    pen.rectangle((56, 56, 58, 58), fill="navy")
    found = cut_out(picture).getchannel("A")
    assert (found.getpixel((7, 7)), found.getpixel((57, 57))) == (255, 0)


def test_components_join_what_touches_in_any_way() -> None:
    drawn = ["#.#.#", "#.#..", "###.#", "...##", "##.#."]
    mask = np.array([[cell == "#" for cell in row] for row in drawn])
    labels = components(mask)
    assert labels[0, 0] == labels[0, 2]
    assert len({labels[0, 0], labels[0, 4], labels[2, 4], labels[4, 0]}) == 4
    assert labels[4, 3] == labels[2, 4]
    assert (labels > 0).tolist() == mask.tolist()
    assert components(np.zeros((3, 3), bool)).max() == 0


def test_palettes_of_other_programs() -> None:
    red_and_blue = [(255, 0, 0), (0, 0, 255)]
    assert read_palette(b"GIMP Palette\nName: x\n#\n255   0   0\tred\n  0   0 255\n", "a") == red_and_blue
    assert read_palette(b"JASC-PAL\r\n0100\r\n2\r\n255 0 0\r\n0 0 255\r\n", "a") == red_and_blue
    assert read_palette(b"ff0000\n#0000FF\nff0000\n", "a") == red_and_blue
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), "red").save(buffer, "PNG")
    assert read_palette(buffer.getvalue(), "a") == [(255, 0, 0)]
    for data in (b"", b"GIMP Palette\n", b"colours"):
        with pytest.raises(RequestError, match="a has no colours"):
            read_palette(data, "a")


def test_a_tileset_is_as_tiled_reads_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each tile lies where margin, spacing and columns of Tiled's format say, with its edge repeated around."""
    names = ("grass", "sand", "water")
    for k, name in enumerate(names):
        Image.fromarray(np.random.default_rng(k).integers(0, 255, (12, 16, 3), np.uint8)).save(tmp_path / f"{name}.png")
    out = tmp_path / "land.png"
    files = [str(tmp_path / f"{name}.png") for name in names]
    assert cli.main(["tileset", *files, "-o", str(out)]) == 0
    facts = json.loads(out.with_suffix(".tsj").read_text())
    assert (facts["type"], facts["image"], facts["tilecount"], facts["columns"]) == ("tileset", "land.png", 3, 2)
    page = Image.open(out)
    assert page.size == (facts["imagewidth"], facts["imageheight"])
    for number, name in enumerate(names):
        step = facts["tilewidth"] + facts["spacing"], facts["tileheight"] + facts["spacing"]
        x, y = facts["margin"] + number % 2 * step[0], facts["margin"] + number // 2 * step[1]
        with Image.open(tmp_path / f"{name}.png") as tile:
            assert page.crop((x, y, x + 16, y + 12)).convert("RGB").tobytes() == tile.tobytes()
            assert page.getpixel((x - 1, y + 5))[:3] == tile.getpixel((0, 5))  # type: ignore[index]
        assert facts["tiles"][number]["properties"][0]["value"] == name
    Image.new("RGB", (8, 8)).save(tmp_path / "small.png")
    assert cli.main(["tileset", files[0], str(tmp_path / "small.png"), "-o", str(out)]) == 2
    assert "tiles are of one size, not of 8x8, 16x12" in capsys.readouterr().err
