"""The lexicon's share of scenes: places and what may be in them, from the tables of the views and `scenes.toml`."""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from recipes.nano.data.chinese_captions import ANY_STYLE as CHINESE_ANY
from recipes.nano.data.chinese_captions import TABLE
from recipes.nano.data.english_captions import ANY_STYLE, SYNONYMS, WHEN
from recipes.nano.data.words import STYLES
from recipes.nano.data.words.objects import selection
from recipes.nano.data.words.views import KIND, LOOKS, PLACES, SKIES
from recipes.nano.language.wordings import OBJECTS, SUNS, TIMES, bare

if TYPE_CHECKING:
    from recipes.nano.language.lexicon import Builder

WORDS: Final[Mapping[str, Mapping[str, Sequence[str]]]] = tomllib.loads(
    Path(__file__).with_name("scenes.toml").read_text(encoding="utf-8")
)
PLACE: Final = 3.0
"""Weights of words: where a place is said, things stand in it, even if they are said first."""
EMPTY: Final = 2.0
"""The same of a model whose scenes hold no other things: then what is said first is painted."""
IN_ONE: Final = 1.0
"""What may be in a scene makes one only where hour or weather are said as well."""
BLURRED: Final = "animal"
"""Too small in a scene to be known: one that a prompt is about is painted by itself, without what is around it."""
SINGULAR: Final = ("house",)
"""Said first of what stands for one and for many."""
SPOKEN_FOR: Final = ("time_of_day", "season", "weather")
ANYWHERE: Final = "lake"
"""Where nobody says the place."""
MOST_LIKELY: Final[Mapping[str, str]] = {
    "sailboat": "sea", "rowing boat": "lake", "ship": "sea", "lighthouse": "sea", "palm tree": "beach",
    "palm trees": "beach", "birds": "sea", "hot air balloon": "sky", "airplane": "sky", "pine trees": "forest",
    "leafy trees": "meadow", "leafy tree": "meadow", "flowers": "meadow", "butterfly": "meadow", "fish":
    "underwater world", "whale": "underwater world", "campfire": "forest", "tent": "mountain landscape", "path":
    "rolling hills", "cabin": "lake", "castle": "rolling hills", "house": "rolling hills", "deer": "forest",
}  # fmt: skip
"""The place of what may be in many, where nobody says it; of others it is the first that has it."""
RELIEF_OF: Final[Mapping[str, str]] = {"mountain landscape": "mountains", "desert": "dunes"}
AMBIGUOUS: Final = ("umbrella", "planet", "行星", "星球")
"""Plain words of things in a scene that are rather something by themselves."""
KNOWN_BY: Final[Mapping[str, str]] = {"beach": "palm trees", "desert": "cacti", "underwater world": "corals"}
"""What grows in a place where nobody says it, so that it is known at a glance."""
LIES_IN: Final[Mapping[str, str]] = {"mountains": "mountain landscape", "snowy mountains": "mountain landscape"} | {
    "dunes": "desert", "hills": "rolling hills",
}  # fmt: skip
EVENING: Final = ("傍晚",)
"""Which captions say of dusk, and people of sunset."""
SUN: Final = re.compile(r"\bsun\b|太阳|夕阳|落日")
"""In wordings of an hour, whose colour is then the sun's and not the sky's."""
MOON_IS: Final[Mapping[str, str]] = {"full moon with a halo": "full moon", "sun with a halo": "sun"}


WHOLE: Final = frozenset(
    name for each in selection()["dropped"] if each["reason"].startswith("a whole scene") for name in each["names"]
)
"""Things that are scenes."""
ORBS: Final = frozenset(word for both in SUNS.values() for words in both for word in words.split("|"))
"""The moon is more than its hour."""


def add_scenes(builder: "Builder") -> None:
    """All phrases that mean something in a scene."""
    about = builder.about[KIND]
    weight = PLACE if "object" in about else EMPTY
    _add_looks(builder)
    for place in PLACES:
        seen = {"place": place} | ({"relief": RELIEF_OF[place]} if place in RELIEF_OF else {})
        paints = "relief" if place in RELIEF_OF else "water" if PLACES[place].water else ""
        meaning = {
            "kind": KIND,
            "noun": True,
            "weight": weight,
            "shows": seen,
            **({"paints": paints} if paints else {}),
        }
        if place != "sky":  # which is in others as well, and has a colour there
            builder.add(_plain(place), **(meaning | {"shows": {"place": place}}), plain=True)
        builder.add(_others("places", place), **meaning)
    for land, place in LIES_IN.items():
        noun = {"kind": KIND, "noun": True, "weight": weight, "paints": "relief"}
        builder.add(_plain(land), **noun, shows={"place": place, "relief": land}, plain=True)
        builder.add(_others("things", land), **noun, shows={"place": place, "relief": land})
    somewhere = {"kind": KIND, "noun": True, "weight": IN_ONE, "usual": {"place": ANYWHERE}}
    generic = [*ANY_STYLE[KIND], *CHINESE_ANY[KIND], "landscape", "nature", "风景", "风光", "景观", "景", "自然"]
    builder.add(generic, **somewhere, plain=True)
    for table, key in (("hours", "time_of_day"), ("seasons", "season"), ("weathers", "weather")):
        for value in sorted(about[key], key=lambda value: value in TIMES):  # dusk has words of sunset's
            plain = [*_plain(value), *([WHEN[value]] if value in WHEN else [])]
            others = [*_others(table, value), *_phrases(TIMES.get(value, ()) if key == "time_of_day" else ())]
            told: dict[str, Any] = {**somewhere, "shows": {key: value}}
            sky = {"paints": "sky"} if key == "time_of_day" else {}
            builder.add((word for word in plain if word not in EVENING), **told, **sky, plain=True)
            for word in (word for word in (*others, *map(bare, others)) if word not in ORBS):
                builder.add([word], **told, **({"paints": "sun"} if sky and SUN.search(word) else sky))
    for said, value in MOON_IS.items():
        key = "moon" if "moon" in value else "sun"
        builder.add(_phrases(SUNS[said]), kind=KIND, shows={key: value}, paints=key)
    builder.add(EVENING, **somewhere, shows={"time_of_day": "dusk"}, paints="sky", plain=True)
    _add_things(builder)


def _add_looks(builder: "Builder") -> None:
    for look in LOOKS:
        builder.add(_plain(STYLES[look]), kind=KIND, shows={"style": look}, style=look, plain=True)
        builder.add(_others("looks", look), kind=KIND, shows={"style": look})


def _add_things(builder: "Builder") -> None:
    about = builder.about[KIND]
    apart = {*SPOKEN_FOR, "style", "place", "relief", "object"}
    places = {
        thing: MOST_LIKELY.get(thing, name)
        for name, place in reversed([*PLACES.items()])
        for _, things in place.slots.values()
        for thing in things
    }
    for key, values in about.items():
        if key in apart or key.endswith("_color"):
            continue
        for value in sorted(values, key=lambda value: value not in SINGULAR):
            meaning: dict[str, Any] = {"kind": KIND, "shows": {key: value}}
            if key == BLURRED:
                meaning["weight"] = 0.0
            elif value in places and value not in PLACES:
                meaning |= {"noun": True, "weight": IN_ONE, "usual": {"place": places[value]}}
            if f"{key}_color" in about:
                meaning["paints"] = key
            builder.add((word for word in _plain(value) if word not in AMBIGUOUS), **meaning, plain=True)
            builder.add([*_others("things", value), *_phrases(OBJECTS.get(value, ()))], **meaning)
    parts = {value for key, values in about.items() if key not in apart for value in values}
    for name, chinese in builder.things.items():
        if name in about.get("object", ()) and name not in parts:
            meaning = {"kind": KIND, "shows": {"object": name}}
            builder.add([name, chinese], **meaning, plain=True)
            builder.add(_phrases(OBJECTS.get(name, ())), **meaning)


def rules() -> Iterator[tuple[Mapping[str, str], Mapping[str, str]]]:
    """What goes without saying in a scene: the hour by the sky's colour or by what is in it, else by day; palm trees at
    a beach; the sun low in a sky that is orange at sunset."""
    for time, skies in SKIES.items():
        for colour in skies:
            yield {"sky_color": colour, "time_of_day": ""}, {"time_of_day": time}
    for key in ("moon", "stars", "aurora", "shooting_star"):
        yield {key: "*", "time_of_day": ""}, {"time_of_day": "night"}
    for name, place in PLACES.items():
        if place.water:
            yield {"place": name, "water_color": "*"}, {"water": place.water}
        if name in RELIEF_OF:
            yield {"place": name, "relief_color": "*"}, {"relief": RELIEF_OF[name]}
        if place.times:
            yield {"place": name, "time_of_day": ""}, {"time_of_day": "daytime"}
    for name, plants in KNOWN_BY.items():
        yield {"place": name, "plants": ""}, {"plants": plants}
    for time, colour in (("sunset", "orange"), ("sunrise", "peach")):
        yield {"time_of_day": time, "weather": ""}, {"sky_color": colour, "sun": "low sun"}


def _plain(value: str) -> list[str]:
    return [*SYNONYMS.get(value, (value,)), *TABLE.get(value, ())]


def _others(table: str, value: str) -> list[str]:
    return _phrases(WORDS[table].get(value, ()))


def _phrases(both: Sequence[str]) -> list[str]:
    return [phrase for words in both for phrase in words.split("|") if phrase]
