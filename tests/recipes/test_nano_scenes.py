"""The scenes of nano's data: complete tables, words which match the pixels, the same scene from the same seed."""

from collections import Counter
from functools import cache
from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("dicebear")
pytest.importorskip("dicebear_styles")
pytest.importorskip("resvg_py")

from PIL import ImageColor
from recipes.nano.data import portraits
from recipes.nano.data.emoji import rasterise_rgba
from recipes.nano.data.portraits import Portrait, definition, held_out, svg
from recipes.nano.data.scenes import SCENE_STYLES, draw
from recipes.nano.data.words import BACKGROUNDS, HELD_OUT, scenes

PLAIN_KEYS = {"kind", "style", "split"}


@cache
def drawn(style: str, count: int = 400) -> list[Portrait]:
    return [draw(style, Random(f"test {style} {index}")) for index in range(count)]


def shows(picture: NDArray[np.uint8], color: str, tolerance: int = 3) -> bool:
    """Whether at least 20 pixels have the colour."""
    distance = np.abs(picture.astype(int) - ImageColor.getrgb(color)).max(axis=-1)
    return int((distance <= tolerance).sum()) >= 20


@pytest.mark.parametrize("style", SCENE_STYLES)
def test_tables_and_exclusions_cover_each_style(style: str) -> None:
    excluded = scenes.EXCLUDED[style]
    tables = {component: set(table) for component, table in scenes.VARIANTS[style].items()}
    if style == "landscape":
        shapes = {shape for shapes, _ in scenes.TERRAINS.values() for shape in shapes}
        tables |= {f"hill{layer}": shapes for layer in range(1, 5)}
    for component, description in definition(style)["components"].items():
        if component not in excluded and "extends" not in description:
            dropped = {name.partition(":")[2] for name in excluded if name.startswith(f"{component}:")}
            assert tables[component] | dropped == set(description["variants"]), component
            assert not tables[component] & dropped
    assert tables.keys() <= definition(style)["components"].keys()


@pytest.mark.parametrize("style", SCENE_STYLES)
def test_every_word_has_a_chinese_one(style: str) -> None:
    said = {value for scene in drawn(style) for key, value in scene.attributes.items() if key not in PLAIN_KEYS}
    assert said | {scenes.KINDS[style]} <= scenes.CHINESE.keys()


def test_chinese_words_are_chinese() -> None:
    for english, translations in scenes.CHINESE.items():
        assert translations
        assert len(set(translations)) == len(translations), english
        assert all("\u4e00" <= letter <= "\u9fff" for each in translations for letter in each), english


def test_backgrounds_of_planets_are_backgrounds() -> None:
    assert set(BACKGROUNDS.values()) >= scenes.DARK


@pytest.mark.parametrize("style", SCENE_STYLES)
def test_a_scene_follows_from_its_seed(style: str) -> None:
    first, second, other = (draw(style, Random(seed)) for seed in ("a", "a", "b"))
    assert first == second
    assert svg(first) == svg(second)
    assert svg(first) != svg(other)


@pytest.mark.parametrize(
    ("style", "always"),
    [
        ("sprouts", {"background", "plant", "plant_color", "pot", "pot_color", "mouth"}),
        ("planets", {"background", "planet_color"}),
        ("landscape", {"time_of_day", "sky_color", "terrain", "terrain_color"}),
    ],
)
def test_what_every_scene_says(style: str, always: set[str]) -> None:
    for scene in drawn(style):
        assert always | PLAIN_KEYS <= scene.attributes.keys()
        assert scene.attributes["kind"] == scenes.KINDS[style]
        assert all(scene.attributes.values())


def test_colours_of_plants_and_planets_are_in_the_picture() -> None:
    for scene in [*drawn("sprouts")[:12], *drawn("planets")[:12]]:
        picture = rasterise_rgba(svg(scene), 96)[..., :3]
        assert "#" + bytes(picture[0, -1]).hex() == scene.options["backgroundColor"][0] or "stars" in scene.attributes
        assert shows(picture, scene.options["backgroundColor"][0])
        assert shows(picture, scene.options["potColor" if scene.style == "sprouts" else "planetColor"][0], tolerance=30)


def test_colours_of_landscapes_are_in_the_picture() -> None:
    for scene in drawn("landscape")[:20]:
        picture = rasterise_rgba(svg(scene), 96)[..., :3]
        top, horizon = scenes.SKIES[scene.attributes["time_of_day"]][scene.attributes["sky_color"]]
        assert shows(picture[:2], top, tolerance=8)
        assert not shows(picture[60:], horizon)
        assert shows(picture, scene.options["hill2Color"][0])
        assert ("orbColor" in scene.options) == bool({"sun", "moon"} & scene.attributes.keys())
        if "orbColor" in scene.options:
            assert shows(picture[:50], scene.options["orbColor"][0])


def test_the_sun_is_never_seen_at_night() -> None:
    for scene in drawn("landscape"):
        assert ("sun" if scene.attributes["time_of_day"] == "night" else "moon") not in scene.attributes


def test_nothing_vanishes_before_its_background() -> None:
    for scene in drawn("sprouts"):
        words_of_colours = {scene.attributes["pot_color"], scene.attributes["plant_color"]}
        assert scene.attributes["background"] not in words_of_colours
    for scene in drawn("planets"):
        assert scene.attributes["background"] != scene.attributes["planet_color"]
    for scene in drawn("landscape"):
        sky = scene.attributes["sky_color"].split(" and ")
        assert not {scene.attributes["terrain_color"], scene.attributes.get("sun_color")} & set(sky)


@pytest.mark.parametrize("style", SCENE_STYLES)
def test_combinations_held_out_are_real_and_never_trained_on(style: str) -> None:
    said = Counter(item for scene in drawn(style) for item in scene.attributes.items())
    for pair in HELD_OUT[style]:
        assert all(said[item] for item in pair), pair
    splits = Counter(scene.attributes["split"] for scene in drawn(style))
    assert 0.02 < splits["validation"] / splits.total() < 0.25
    assert not any(held_out(scene.attributes) for scene in drawn(style) if scene.attributes["split"] == "train")


@pytest.mark.parametrize(("color", "expected"), [("purple", True), ("red", False)])
def test_a_purple_planet_with_a_ring_is_held_out(color: str, expected: bool) -> None:
    attributes = {"kind": "planet", "style": "planets", "planet_color": color, "ring": "thin ring"}
    assert held_out(attributes) is expected


def test_a_background_may_be_held_out(monkeypatch: pytest.MonkeyPatch) -> None:
    attributes = {"kind": "planet", "style": "planets", "planet_color": "red", "background": "teal"}
    monkeypatch.setattr(portraits, "HELD_OUT_BACKGROUNDS", {"planet": frozenset({"teal"})})
    assert held_out(attributes)
    assert not held_out(attributes | {"background": "black"})


def test_an_unknown_style_is_an_error() -> None:
    with pytest.raises(KeyError, match="shapes"):
        draw("shapes", Random(0))
