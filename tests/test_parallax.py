"""Layers of a picture: their borders follow what is drawn, together they are the picture, and none has a hole."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sfumato import cli, parallax


@pytest.fixture(scope="module")
def hills() -> tuple[Image.Image, np.ndarray]:
    """A sky, a hill and a meadow whose borders are waves; and where they are."""
    across = np.arange(120)
    lines = [30 + 8 * np.sin(across / 15), 65 + 6 * np.cos(across / 11)]
    layers = sum((np.arange(96)[:, None] >= np.round(line) for line in lines), np.zeros((96, 120), int))
    colours = np.array([(90, 160, 250), (60, 120, 80), (190, 210, 60)], np.uint8)
    return Image.fromarray(colours[layers]), layers


def test_bands_follow_the_edges(hills: tuple[Image.Image, np.ndarray]) -> None:
    image, layers = hills
    assert (parallax.bands(image, 3) == layers).mean() > 0.99
    flat = parallax.bands(Image.new("RGB", (40, 90), "white"), 3)  # without an edge: straight
    assert np.array_equal(flat, np.repeat(np.arange(3), 30)[:, None].repeat(40, 1))


def test_depths_are_parted_where_they_lie_apart(hills: tuple[Image.Image, np.ndarray]) -> None:
    _, layers = hills
    grain = np.random.default_rng(0).normal(0, 4, layers.shape)
    depth = Image.fromarray((np.array([20, 90, 230])[layers] + grain).clip(0, 255).astype(np.uint8))
    assert (parallax.depths(depth, 3) == layers).all()


def test_layers_laid_on_each_other_are_the_picture(hills: tuple[Image.Image, np.ndarray]) -> None:
    image, layers = hills
    pictures = parallax.cut(image, layers)
    whole = pictures[0]
    assert np.asarray(whole)[..., 3].min() == 255  # nothing shows through the farthest
    for each in pictures[1:]:
        whole = Image.alpha_composite(whole, each)
    off = np.abs(np.asarray(whole)[..., :3].astype(int) - np.asarray(image))
    around = np.pad(layers, 1, mode="edge")
    shifted = [around[y : y + 96, x : x + 120] for y in range(3) for x in range(3)]
    inside = np.all([each == layers for each in shifted], axis=0)  # where no edge fades
    assert off[inside].max() <= 1
    sky = np.asarray(pictures[0])[..., :3].reshape(-1, 3)
    assert (sky == sky[0]).all()  # what is behind the hills is filled from the sky alone


def test_the_command_writes_a_map_of_tiled(
    hills: tuple[Image.Image, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hills[0].save(tmp_path / "hills.png")
    out = tmp_path / "game" / "hills.tmj"
    assert cli.main(["parallax", str(tmp_path / "hills.png"), "--layers", "3", "-o", str(out)]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    described = json.loads(out.read_text())
    assert [(each["image"], each["parallaxx"]) for each in described["layers"]] == [
        ("hills-1.png", 0.333),
        ("hills-2.png", 0.667),
        ("hills-3.png", 1.0),
    ]
    for each in described["layers"]:
        with Image.open(out.with_name(each["image"])) as layer:
            assert (layer.size, layer.mode) == ((120, 96), "RGBA")
    words = ["parallax", str(tmp_path / "hills.png"), "-o", str(out)]
    for more, said in [
        (["--layers", "1"], "layers 1 must be 2 to 16"),
        (["--speed", "1"], "1 speeds for 3 layers"),
        (["--depth", str(out.with_name("hills-1.png")), "--layers", "9"], "makes no 9 layers"),
    ]:
        assert cli.main([*words, *more]) == 2
        assert said in capsys.readouterr().err
