"""The painted views of nano's data: words for everything that is drawn, colours that are really there, any size."""

import colorsys
import re
from collections import Counter
from functools import cache
from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("dicebear")
pytest.importorskip("resvg_py")

from PIL import ImageColor
from recipes.nano.data import chinese_captions, render
from recipes.nano.data.emoji import rasterise_rgba
from recipes.nano.data.portraits import held_out
from recipes.nano.data.views import VIEW_LOOKS, View, air_of, draw, svg
from recipes.nano.data.views.places import PLACES as COMPOSED
from recipes.nano.data.views.things import THINGS
from recipes.nano.data.words import HELD_OUT, views

PLAIN_KEYS = {"kind", "style", "split"}
PLANTED = {
    "palm tree", "palm trees", "pine trees", "leafy tree", "leafy trees", "cherry trees", "cacti", "corals", "seaweed",
    "flowers", "tulips", "houses", "island", "islands", "path", "river", "birds", "planet", "ringed planet",
}  # fmt: skip
"""What the places themselves draw, in numbers or as land."""


@cache
def drawn(look: str = "poster", count: int = 2000) -> list[View]:
    return [draw(look, Random(f"test {look} {index}")) for index in range(count)]


def picture(view: View, width: int = 128, height: int | None = None) -> NDArray[np.uint8]:
    return rasterise_rgba(svg(view, width, height or width), width, height)


def shows(pixels: NDArray[np.uint8], color: str, tolerance: int = 4) -> int:
    """How many pixels have the colour."""
    distance = np.abs(pixels[..., :3].astype(int) - ImageColor.getrgb(color)[:3]).max(axis=-1)
    return int((distance <= tolerance).sum())


def hue(color: str) -> tuple[float, float]:
    """In degrees, and the saturation."""
    red, green, blue = (channel / 255 for channel in ImageColor.getrgb(color)[:3])
    angle, saturation, _ = colorsys.rgb_to_hsv(red, green, blue)
    return 360 * angle, saturation


def test_every_place_is_composed_and_every_thing_can_be_drawn() -> None:
    assert COMPOSED.keys() == views.PLACES.keys()
    things = {thing for place in views.PLACES.values() for _, each in place.slots.values() for thing in each}
    assert things == set(THINGS) | PLANTED
    assert views.COLORS_OF.keys() <= things
    assert {name for names in views.COLORS_OF.values() for name in names} == set(views.PAINTS)


def test_everything_in_the_tables_is_drawn() -> None:
    said = Counter(item for view in drawn() for item in view.attributes.items())
    wanted = {("place", name) for name in views.PLACES}
    wanted |= {("time_of_day", time) for time in views.SKIES}
    wanted |= {("sky_color", sky) for skies in views.SKIES.values() for sky in skies}
    wanted |= {("sky_color", sky) for sky in views.WEATHER_SKIES.values()}
    wanted |= {("season", season) for season in views.LEAVES}
    wanted |= {("sun", sun) for suns in views.SUNS.values() for sun in suns}
    wanted |= {("sun_color", name) for name in views.SUN_COLORS} | {("moon_color", name) for name in views.MOON_COLORS}
    wanted |= {("aurora_color", name) for name in views.AURORAS} | {("water_color", name) for name in views.WATERS}
    for place in views.PLACES.values():
        wanted |= {("weather", weather) for weather in place.weathers}
        wanted |= {("relief", relief) for relief in place.relief}
        for attribute, (_, things) in place.slots.items():
            wanted |= {(attribute, thing) for thing in things}
    assert not [item for item in wanted if not said[item]]
    pairs = {
        (view.attributes[key.removesuffix("_color")], name)
        for view in drawn()
        for key, name in view.attributes.items()
        if key.endswith("_color") and key.removesuffix("_color") in view.attributes
    }
    for colors in (views.COLORS_OF, views.RELIEFS):
        for thing, names in colors.items():
            assert {(thing, name) for name in names} <= pairs


def test_every_word_has_a_chinese_one() -> None:
    said = {words for view in drawn() for key, words in view.attributes.items() if key not in PLAIN_KEYS}
    for words in {*said, *views.LOOKS.values(), views.KIND}:
        assert all(re.fullmatch("[\u4e00-\u9fff]+", each) for each in chinese_captions.TABLE[words]), words
    for english, translations in views.CHINESE.items():
        assert len(set(translations)) == len(translations), english


@pytest.mark.parametrize("look", VIEW_LOOKS)
def test_a_view_follows_from_its_seed(look: str) -> None:
    first, second, other = (draw(look, Random(seed)) for seed in ("a", "a", "b"))
    assert first == second
    assert svg(first) == svg(second)
    assert svg(first) != svg(View(look, first.attributes, first.seed + 1)) != svg(other)


@pytest.mark.parametrize("look", VIEW_LOOKS)
def test_colours_of_things_are_in_the_picture(look: str) -> None:
    """Each thing of one flat colour, once in each look, among whatever else there is."""
    exact = ("vehicle", "prop", "building")
    for thing, color in (("sailboat", "red"), ("ship", "green"), ("beach umbrella", "yellow"), ("rocket", "blue")):
        view = next(
            view
            for view in drawn(look)
            for key in exact
            if view.attributes.get(key) == thing and view.attributes[f"{key}_color"] == color
            if "weather" not in view.attributes
        )
        lit = air_of(view.attributes).lit(views.PAINTS[color])
        assert shows(picture(view), lit) >= 12, (thing, view.attributes)


@pytest.mark.parametrize("look", VIEW_LOOKS)
@pytest.mark.parametrize("place", ["meadow", "underwater world", "outer space"])
def test_colours_of_flowers_fish_and_planets_are_in_the_picture(look: str, place: str) -> None:
    key = {"meadow": "flowers", "underwater world": "animal", "outer space": "planet"}[place]
    found = [view for view in drawn(look) if view.attributes["place"] == place and f"{key}_color" in view.attributes]
    for view in found[:3]:
        painted = views.PAINTS[view.attributes[f"{key}_color"]]
        lit = painted if place != "meadow" else air_of(view.attributes).lit(painted)
        assert shows(picture(view), lit, tolerance=26) >= 20, view.attributes


@pytest.mark.parametrize("look", ["flat", "poster"])
@pytest.mark.parametrize("key", ["sky_color", "sun_color", "water_color"])
def test_skies_suns_and_water_have_their_colours(look: str, key: str) -> None:
    clear = (view for view in drawn(look) if not {"weather", "clouds"} & view.attributes.keys())
    by_water = (view for view in clear if view.attributes["place"] in {"sea", "tropical island"})
    found = [view for view in by_water if key in view.attributes and view.attributes.get("sun", "sun") == "sun"]
    assert len(found) >= 6
    for view in found[:6]:
        pixels, air = picture(view, 96), air_of(view.attributes)
        match key:
            case "sky_color":
                assert shows(pixels[:4], air.top, tolerance=14) >= 20, view.attributes
            case "sun_color":
                assert shows(pixels, views.SUN_COLORS[view.attributes[key]]) >= 12, view.attributes
            case _:
                near = air.lit(views.WATERS[view.attributes[key]])
                assert shows(pixels[-30:], near, tolerance=36) >= 60, view.attributes


def test_the_dark_leaves_the_names_of_colours_true() -> None:
    """A red sail at night still is red: no hue is turned far, and no two names become the same."""
    for time, skies in views.SKIES.items():
        for sky in skies:
            air = air_of({"place": "sea", "time_of_day": time, "sky_color": sky})
            lit = {name: air.lit(color) for name, color in views.PAINTS.items()}
            assert len(set(lit.values())) == len(lit)
            for name, color in views.PAINTS.items():
                angle, saturation = hue(color)
                if saturation > 0.35:
                    turned = abs(angle - hue(lit[name])[0])
                    assert min(turned, 360 - turned) < 24, (time, sky, name, lit[name])


def test_nothing_has_the_colour_of_what_is_behind_it() -> None:
    for view in drawn():
        attributes = view.attributes
        assert attributes.get("sun_color") not in attributes.get("sky_color", "").split(" and ")
        if "vehicle_color" in attributes:
            assert attributes["vehicle_color"] not in attributes.get("water_color", "").split()
        if attributes["place"] == "sky" and "vehicle_color" in attributes:
            assert attributes["vehicle_color"] not in attributes["sky_color"].split()


def test_hours_seasons_and_weather_agree() -> None:
    for attributes in (view.attributes for view in drawn()):
        time, weather, season = (attributes.get(key, "") for key in ("time_of_day", "weather", "season"))
        assert ("sun" in attributes) <= (time in views.SUNS)
        assert ("moon" in attributes) <= (time in {"night", "dusk"})
        assert ("stars" in attributes) <= (time == "night")
        assert (weather == "rainbow") <= (time == "daytime")
        assert not (weather == "snowfall" and season in {"spring", "summer", "autumn"})
        assert not (season == "winter" and "flowers" in attributes)
        assert not (attributes["place"] in {"underwater world", "outer space"} and (time or weather or season))


@pytest.mark.parametrize(("width", "height"), [(160, 90), (60, 120), (64, 64)])
def test_any_size_is_filled(width: int, height: int) -> None:
    seen: set[str] = set()
    for k, view in enumerate(drawn()):
        if view.attributes["place"] in seen:
            continue
        seen.add(view.attributes["place"])
        turned = View(VIEW_LOOKS[k % len(VIEW_LOOKS)], view.attributes, view.seed)
        pixels = picture(turned, width, height)
        assert pixels.shape == (height, width, 4)
        assert (pixels[..., 3] == 255).all(), view.attributes
    assert seen == views.PLACES.keys()


@pytest.mark.parametrize("look", VIEW_LOOKS)
def test_a_view_can_be_asked_for(look: str) -> None:
    """With no more than a place's own attributes; what is asked for is painted."""
    asked = {"place": "sea", "time_of_day": "sunset", "sky_color": "orange"}
    with_boat = {**asked, "vehicle": "sailboat", "vehicle_color": "red"}
    red = air_of(asked).lit(views.PAINTS["red"])
    assert shows(picture(View(look, asked, 1)), red) < 12 <= shows(picture(View(look, with_boat, 1)), red)


@pytest.mark.parametrize("look", VIEW_LOOKS)
def test_combinations_held_out_are_real_and_never_trained_on(look: str) -> None:
    said = Counter(item for view in drawn(look) for item in view.attributes.items())
    for pair in HELD_OUT[look]:
        assert all(said[item] for item in pair), pair
    splits = Counter(view.attributes["split"] for view in drawn(look))
    assert 0.02 < splits["validation"] / splits.total() < 0.15
    assert not any(held_out(view.attributes) for view in drawn(look) if view.attributes["split"] == "train")


def test_views_come_last_and_are_rendered() -> None:
    few = render.jobs({"landscape": 1}, placements=0, more={"landscape": 1})
    assert render.jobs({"landscape": 1}, placements=0, more={"landscape": 1, "flat": 2}) == [
        *few,
        render.Job("flat", 0),
        render.Job("flat", 1),
    ]
    (drawing,) = render.drawings(render.Job("papercut", 3), 0, seed=5)
    assert drawing.attributes["kind"] == views.KIND
    assert drawing.svg.startswith("<svg ")
