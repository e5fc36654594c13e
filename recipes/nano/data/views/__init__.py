"""Views: scenes painted by this generator alone, of any size, whose every attribute is known.

`draw` picks what a view shows, `svg` paints it: large shapes and gradients, haze for depth. The picture follows from
its attributes and a seed, so that a view can also be asked for (`View("poster", {"place": "beach", ...}, seed=1)`).
Words and colours live in `words.views`.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Final, cast

from ..portraits import VALIDATION_SHARE, held_out, pick
from ..words.views import (
    AURORAS,
    COLORS_OF,
    FRONT,
    GREY_SKIES,
    KIND,
    LIGHTS,
    LOOKS,
    MOON_COLORS,
    PLACES,
    RELIEFS,
    SKIES,
    STAGES,
    SUN_OF,
    SUNS,
    WATERS,
    WEATHER_SKIES,
)
from .ink import SUBMERGED, Air, Ink, Look
from .places import compose

__all__ = ["VIEW_LOOKS", "View", "air_of", "draw", "stage", "svg"]

VIEW_LOOKS: Final = tuple(LOOKS)
WEATHER_SHARE: Final = 0.3
ORB_SHARE: Final = 0.75
CLOUDS_SHARE: Final = 0.6
STARS_SHARE: Final = 0.8
SUMMER_SAID_SHARE: Final = 0.5
COVERED: Final = frozenset({"rain", "thunderstorm", "fog", "snowfall", "cloudy"})
"""Weather behind which no sun or moon is seen."""


GREY_TIMES: Final = frozenset({"daytime", "dusk", "night"})
"""When it rains: a low sun would shine through."""


@dataclass(frozen=True)
class View:
    """A view to be painted: its look, what it shows in words, and the seed of its shapes."""

    style: str
    attributes: dict[str, str]
    seed: int


def draw(style: str, rng: Random, places: Iterable[str] = PLACES) -> View:
    """A random view of one of the places in the look, its attributes noted and its split decided."""
    name = pick(rng, places)
    place = PLACES[name]
    shown = {"kind": KIND, "style": style, "place": name}
    if place.times:
        _draw_air(shown, rng)
    elif name == "outer space":
        shown["sky_color"] = pick(rng, SKIES["night"])
    by_day = shown.get("time_of_day") in {"daytime", "sunrise"}
    plain_sky = shown.get("weather") not in WEATHER_SKIES
    if place.water and (name == "underwater world" or (shown.get("time_of_day") == "daytime" and plain_sky)):
        shown["water"] = place.water
        shown["water_color"] = pick(rng, WATERS)
    if place.relief:
        shown["relief"] = pick(rng, place.relief)
        if by_day and plain_sky and shown.get("season") != "winter":
            shown["relief_color"] = pick(rng, RELIEFS[shown["relief"]])
    _draw_slots(shown, rng)
    seed = rng.getrandbits(32)
    by_chance = rng.random() < VALIDATION_SHARE
    shown["split"] = "validation" if by_chance or held_out(shown) else "train"
    return View(style, shown, seed)


def stage(style: str, thing: str, rng: Random) -> View:
    """A random view in whose foreground the named object stands, and nothing else."""
    view = draw(style, rng, STAGES)
    taken = {key for attribute in FRONT for key in (attribute, f"{attribute}_color")}
    shown = {key: words for key, words in view.attributes.items() if key not in taken}
    return View(style, {**shown, "object": thing}, view.seed)


def _draw_air(shown: dict[str, str], rng: Random) -> None:
    """Hour, season, weather, and what is in the sky."""
    place = PLACES[shown["place"]]
    time = pick(rng, place.times)
    shown["time_of_day"] = time
    if place.seasons:
        season = pick(rng, ("spring", "summer", "autumn", "winter"))
        if season != "summer" or rng.random() < SUMMER_SAID_SHARE:
            shown["season"] = season
    weather = pick(rng, place.weathers) if rng.random() < WEATHER_SHARE else ""
    fits = {
        "rainbow": time == "daytime" and shown.get("season") != "winter",
        "snowfall": shown.get("season", "winter") == "winter",
        "rain": shown.get("season") != "winter" and time in GREY_TIMES,
        "thunderstorm": shown.get("season") != "winter" and time in GREY_TIMES,
    }
    if weather and fits.get(weather, True):
        shown["weather"] = weather
    if weather == "snowfall" and fits["snowfall"] and place.seasons:
        shown["season"] = "winter"
    weather = shown.get("weather", "")
    grey = weather in WEATHER_SKIES and time == "daytime"
    shown["sky_color"] = WEATHER_SKIES[weather] if grey else pick(rng, SKIES[time])
    if time == "night" and weather not in COVERED and rng.random() < place.aurora:
        shown["aurora"] = "aurora"
        shown["aurora_color"] = pick(rng, AURORAS)
    clear = weather not in COVERED
    if clear and time in SUNS and rng.random() < ORB_SHARE:
        shown["sun"] = pick(rng, SUNS[time])
        if shown["sun"] == "sun on the horizon" and shown["place"] not in {"sea", "beach", "tropical island"}:
            shown["sun"] = "low sun"
        lost = set(shown["sky_color"].split(" and "))
        shown["sun_color"] = pick(rng, [each for each in SUN_OF[time] if each not in lost])
    elif clear and time in {"night", "dusk"} and "aurora" not in shown and rng.random() < ORB_SHARE:
        shown["moon"] = pick(rng, ("full moon", "crescent moon"))
        shown["moon_color"] = pick(rng, MOON_COLORS)
    if clear and time == "night" and rng.random() < STARS_SHARE:
        shown["stars"] = pick(rng, ("stars", "starry sky"))
        if rng.random() < 0.2:
            shown["shooting_star"] = "shooting star"
    match weather:
        case "thunderstorm":
            shown["clouds"] = "dark clouds"
        case "cloudy" | "rain":
            shown["clouds"] = "many clouds" if weather == "cloudy" or rng.random() < 0.6 else "dark clouds"
        case "fog":
            pass
        case _ if "aurora" not in shown and rng.random() < CLOUDS_SHARE * (0.5 if time == "night" else 1):
            shown["clouds"] = pick(rng, ("clouds", "clouds", "streaky clouds"))


def _draw_slots(shown: dict[str, str], rng: Random) -> None:
    """What stands in the place, and in which colours."""
    season = shown.get("season")
    for attribute, (share, things) in PLACES[shown["place"]].slots.items():
        if rng.random() >= share:
            continue
        thing = pick(rng, things)
        if season == "winter" and thing in {"flowers", "tulips", "butterfly", "cherry trees", "mushrooms", "cow"}:
            if shown["place"] == "garden" and attribute == "flowers":
                shown["season"] = season = "spring"  # there is no garden without flowers
            else:
                continue
        if thing == "cherry trees" and season not in {"spring", None}:
            continue
        if thing in {"birds", "butterfly"} and shown.get("time_of_day") == "night":
            continue
        if thing in {"butterfly", "hot air balloon"} and shown.get("weather") in {"rain", "thunderstorm", "snowfall"}:
            continue
        shown[attribute] = thing
        if thing in COLORS_OF:
            shown[f"{attribute}_color"] = pick(
                rng, [each for each in COLORS_OF[thing] if each not in _lost(shown, attribute)]
            )


def _lost(shown: Mapping[str, str], attribute: str) -> Collection[str]:
    """Names of colours in which a thing would vanish."""
    behind = set(shown.get("water_color", "").split()) if attribute in {"vehicle", "animal", "plants"} else set()
    if attribute in {"vehicle", "planet"} and not PLACES[shown["place"]].water:
        behind |= set(re.findall(r"\w+", shown.get("sky_color", "")))
    return behind


def air_of(shown: Mapping[str, str]) -> Air:
    """What hour and weather do to colours."""
    time = shown.get("time_of_day", "daytime")
    if shown["place"] == "outer space":
        return Air(*SKIES["night"][shown["sky_color"]], "#ffffff", "#0a1236", 0.05, 0, "#ffffff")
    if "time_of_day" not in shown:
        return Air("#bfeef2", "#7fd0dc", "#5fb8cc", "#ffffff", "#0f2a55", 0.05, 0.4, SUBMERGED)
    tint, shade, dark, haze, glow = LIGHTS[time]
    weather = shown.get("weather", "")
    grey = time == "daytime" and weather in WEATHER_SKIES
    sky = GREY_SKIES[shown["sky_color"]] if grey else SKIES[time][shown["sky_color"]]
    if weather == "thunderstorm":
        dark = max(dark, 0.34)
    elif weather in {"rain", "cloudy"}:
        dark = max(dark, 0.12)
    return Air(*sky, tint, shade, dark, min(0.97, haze + 0.25) if weather == "fog" else haze, glow)


def svg(view: View, width: int = 256, height: int = 256, *, standing: str = "") -> str:
    """The view as an SVG document for a picture of this aspect, with its object, if any, which is a document too."""
    shorter = min(width, height)
    ink = Ink(
        cast(Look, view.style),
        100 * width / shorter,
        100 * height / shorter,
        air_of(view.attributes),
        Random(view.seed),
    )
    compose(ink, view.attributes, standing)
    return ink.svg()
