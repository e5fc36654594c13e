"""Wordings of the recipe's captions as people might write them, made anew each time, in English and in Chinese.

`pair` draws what is to be seen and says it twice: as people do, and as a caption of the recipe does, which has its
words in its order. Where people leave open what a picture needs (what an old man looks like, which colour the sky has
at sunset), the caption says it. Some pairs are captions of the recipe twice, whose meaning must stay what it is.
"""

import json
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Final, cast

from recipes.nano.data import characters, portraits, scenes, views
from recipes.nano.data.captions import LANGUAGES, Language, caption
from recipes.nano.data.chinese_captions import ALONE as CHINESE_ALONE
from recipes.nano.data.chinese_captions import TABLE
from recipes.nano.data.emoji import held_out
from recipes.nano.data.english_captions import ALONE as ENGLISH_ALONE
from recipes.nano.data.english_captions import SYNONYMS
from recipes.nano.data.things import LONG_HAIR, things
from recipes.nano.data.words import BACKGROUNDS, STYLES
from recipes.nano.data.words.scenes import SKIES as SKY_COLOURS
from recipes.nano.data.words.views import KIND as SCENE
from sfumato.checkpoints.catalogue import bundled_folder
from sfumato.prompts.vocabulary import Vocabulary

Attributes = Mapping[str, str]
Both = tuple[str, str]
"""English and Chinese, each "a|b|c"."""
Table = Mapping[str, Both]
HERE: Final = Path(__file__).parent


def _toml(name: str) -> dict[str, Any]:
    return tomllib.loads((HERE / name).read_text(encoding="utf-8"))


WORDS: Final = _toml("words.toml")
COLOURS, PARTS, FACES, SKINS, PORTRAIT_STYLES, LOOKS, CREATURES, TERRAINS, TIMES, SUNS, WATER, SKIES = (
    cast("Table", WORDS[name])
    for name in (
        "colours", "parts", "faces", "skins", "portrait_styles", "looks", "creatures", "terrains", "times", "suns",
        "water", "skies",
    )
)  # fmt: skip
PERSONS: Final[Sequence[tuple[Both, Attributes]]] = [(each["names"], each["looks"]) for each in WORDS["persons"]]
"""Who a portrait shows, and how it looks where nothing else is said."""
FRAMES: Final[Mapping[str, Mapping[Language, Sequence[str]]]] = _toml("frames.toml")
OBJECTS: Final[Table] = _toml("objects.toml")
INSTEAD: Final = {name: drawn for drawn, names in _toml("nearest.toml").items() for name in names}
"""What is drawn for a thing that a model does not know."""

KEPT_SHARE: Final = 0.2
"""Of the pairs: captions of the recipe, which must stay what they are."""
CHINESE_SHARE: Final = 0.5
SHARES: Final[Mapping[str, float]] = {
    "emoji": 0.38, "portrait": 0.30, "landscape": 0.15, "character": 0.09, "planet": 0.04, "plant": 0.04,
}  # fmt: skip
COMMON_SHARE: Final = 0.75
"""Of the things: those in `objects.toml`, which people name most."""
TYPO_SHARE: Final = 0.05

SKY_AT: Final[Mapping[str, str]] = {
    "sunset": "orange",
    "sunrise": "peach",
    "daytime": "light blue",
    "night": "navy blue",
}
"""The sky where nobody says what it is like."""
LAND: Final[Mapping[str, str]] = {"sea": "blue", "rolling hills": "green", "desert dunes": "orange"}
TIME_OF: Final[Mapping[str, str]] = {colour: time for time, skies in SKY_COLOURS.items() for colour in skies}
SAID_BEFORE: Final = ("at ", "in ", "by ", "with ", "when ", "during ", "on ", "under ")
STYLE_ORDER: Final = ("avataaars", "personas", "adventurer", "big-smile", "toon-head", "micah")
"""Of portraits: the first that has all that is asked for is painted where nobody asks for a style."""
WEARS: Final = ("accessory", "headwear", "clothing", "shoes", "trousers")


@dataclass(frozen=True)
class Meaning:
    """What is said and what is to be seen, as attributes of a picture; the second holds the first."""

    said: Attributes
    shown: Attributes
    noun: Both | None = None
    """Words for who or what it is, where its attributes alone do not say it."""


def pair(rng: Random) -> tuple[str, str]:
    """A wording and the caption of the recipe that means the same, in the same language; the same state of `rng` gives
    the same pair. No wording is a prompt of `prompts.jsonl`, by which the model is judged."""
    while (found := _pair(rng))[0].lower() in _asked():
        pass
    return found


@cache
def _asked() -> frozenset[str]:
    lines = (HERE / "prompts.jsonl").read_text(encoding="utf-8").splitlines()
    return frozenset(json.loads(line)["prompt"].lower() for line in lines)


def _pair(rng: Random) -> tuple[str, str]:
    kind = rng.choices(list(SHARES), weights=list(SHARES.values()))[0]
    if rng.random() < KEPT_SHARE:
        kept = caption(drawn(kind, rng), rng)
        return kept, kept
    language: Language = "zh" if rng.random() < CHINESE_SHARE else "en"
    meaning = MEANINGS[kind](rng)
    say = _english if language == "en" else _chinese
    return say(meaning, rng), reference(meaning.shown, language)


def reference(shown: Attributes, language: Language) -> str:
    """The recipe's plainest caption."""
    words = LANGUAGES[language]
    if shown["kind"] != "emoji":
        return words.full_tags(shown)
    if "background" in shown:
        return words.full_emoji(shown)
    return words.full_emoji({**shown, "background": "white"}).removesuffix(
        ", white background" if language == "en" else "，白色背景"
    )


@cache
def _names() -> list[tuple[str, str]]:
    """The bundled model's things, in English and in Chinese."""
    vocabulary = Vocabulary.read(bundled_folder("nano"))
    assert vocabulary is not None
    about = vocabulary.about["emoji"]
    return list(zip(about["name"], about["name_zh"], strict=True))


def drawn(kind: str, rng: Random) -> dict[str, str]:
    """All attributes of a picture of the recipe, as it might be drawn."""
    if kind == "emoji":
        name, chinese = rng.choice(_names())
        style, background = rng.choice(("emoji", "fluent-emoji")), rng.choice(list(BACKGROUNDS.values()))
        return {"kind": kind, "style": style, "name": name, "name_zh": chinese, "background": background}
    if kind == "portrait":
        found = portraits.draw(rng.choice(portraits.PORTRAIT_STYLES), rng)
    elif kind == "character":
        found = characters.draw(rng.choice(characters.CHARACTER_STYLES), rng)
    elif kind == SCENE:
        return _without_split(views.draw(rng.choice(views.VIEW_LOOKS), rng).attributes)
    else:
        found = scenes.draw({"plant": "sprouts", "planet": "planets", "landscape": "landscape"}[kind], rng)
    return _without_split(found.attributes)


def _without_split(attributes: Attributes) -> dict[str, str]:
    return {key: value for key, value in attributes.items() if key != "split"}


# What is meant.


def _thing(rng: Random) -> Meaning:
    known = dict(_names())
    if rng.random() < COMMON_SHARE:
        name = rng.choice([each for each in OBJECTS if each in known])
        chinese = known[name]
    else:
        name, chinese = rng.choice(_names())
    said = {"kind": "emoji", "name": name, "name_zh": chinese}
    if rng.random() < 0.3:
        said["background"] = rng.choice(list(BACKGROUNDS.values()))
    look = "emoji" if held_out(name) == "fluent-emoji" else "fluent-emoji"
    if rng.random() < 0.12:
        said["style"] = look = rng.choice(list(LOOKS))
    return Meaning(said, {**said, "style": look}, OBJECTS.get(name, ("", "")))


def _portrait(rng: Random) -> Meaning:
    style = rng.choices(STYLE_ORDER, weights=(5, 2, 3, 2, 1, 1))[0]
    all_ = {k: v for k, v in portraits.draw(style, rng).attributes.items() if k not in ("split", "style", "kind")}
    noun, looks = PERSONS[_person(all_, rng)]
    said = _some(all_, rng, rng.choice((0, 1, 1, 2, 2, 3, 3, 4, 5)))
    for key in looks:  # what makes a pirate is there, said or not
        if key.removesuffix("_color") not in said and f"{key}_color" not in said and "hair" not in key:
            said.pop(key, None)
    shown = {**_fitting(looks, said), **said}
    named = rng.random() < 0.12
    shown = {"kind": "portrait", "style": style if named else home(shown), **shown}
    return Meaning({"kind": "portrait", **said, **({"style": style} if named else {})}, shown, noun)


def _person(attributes: Attributes, rng: Random) -> int:
    """Which of `PERSONS` may look so."""
    if rng.random() < 0.3:
        return rng.randrange(5, len(PERSONS))
    if rng.random() < 0.25:
        return 4
    if "facial_hair" in attributes:
        return rng.choice((0, 0, 1))
    worn = f"{attributes.get('hair', '')} {attributes.get('headwear', '')}"
    return rng.choice((2, 3) if any(word in worn for word in LONG_HAIR) else (0, 1, 0, 1, 2, 3))


def _fitting(looks: Attributes, said: Attributes) -> dict[str, str]:
    """What a person looks like beside what is said: one hat or hair, and no colour of another thing."""
    covered = "headwear" in said
    kept = {}
    for key, value in looks.items():
        thing = key.removesuffix("_color")
        if (covered and thing == "hair") or (thing == "headwear" and "hair" in said):
            continue
        if key.endswith("_color") and thing in said:
            continue
        kept[key] = value
    return kept


def _some(attributes: Attributes, rng: Random, count: int) -> dict[str, str]:
    """Some of a picture's things, mostly with their colours, perhaps its background."""
    keys = list(things({"kind": "", "style": "", **attributes}))
    said = {}
    for key in rng.sample(keys, min(count, len(keys))):
        colour = f"{key}_color"
        if key in attributes:
            said[key] = attributes[key]
        if colour in attributes and (rng.random() < 0.65 or key not in attributes):
            said[colour] = attributes[colour]
    if "background" in attributes and rng.random() < 0.35:
        said["background"] = attributes["background"]
    return said


def _alone(kind: str, rng: Random) -> Meaning:
    """A creature, a planet or a plant, of a style that its noun says."""
    all_ = drawn(kind, rng)
    style = all_["style"]
    said = _some({k: v for k, v in all_.items() if k not in ("kind", "style")}, rng, rng.choice((1, 2, 2, 3, 3, 4)))
    for key in ("body_color", "planet_color", "plant"):
        if key in all_ and rng.random() < 0.7:
            said[key] = all_[key]
    if "plant" in said and "plant_color" in all_ and rng.random() < 0.5:
        said["plant_color"] = all_["plant_color"]
    return Meaning({"kind": kind, **said}, {"kind": kind, "style": style, **said}, CREATURES[style])


def _landscape(rng: Random) -> Meaning:
    all_ = drawn("landscape", rng)
    shares = {"terrain": 0.96, "time_of_day": 0.7, "sky_color": 0.25, "sun": 0.3, "moon": 0.4, "water": 0.7}
    said = {key: all_[key] for key, share in shares.items() if key in all_ and rng.random() < share}
    if not said.keys() & {"terrain", "time_of_day"}:
        said["terrain"] = all_["terrain"]
    for key in ("sun_color", "terrain_color"):
        if key.removesuffix("_color") in said and key in all_ and rng.random() < 0.2:
            said[key] = all_[key]
    return Meaning({"kind": "landscape", **said}, completed(said))


def completed(said: Attributes) -> dict[str, str]:
    """A landscape with what goes without saying: the moon at night, an orange sky at sunset."""
    time = said.get("time_of_day") or TIME_OF.get(said.get("sky_color", ""))
    if time is None and "moon" in said:
        time = "night"
    shown = {"kind": "landscape", "style": "landscape"}
    if time is not None:
        shown |= {"time_of_day": time, "sky_color": said.get("sky_color", SKY_AT[time])}
    if time in ("sunset", "sunrise") or "sun" in said:
        sky = shown.get("sky_color", "")
        shown |= {"sun": said.get("sun", "sun with a halo"), "sun_color": said.get("sun_color", "yellow")}
        if "sun_color" not in said and "yellow" in sky:
            shown["sun_color"] = "orange"
    if time == "night":
        shown |= {"moon": said.get("moon", "full moon"), "moon_color": "white"}
    if (terrain := said.get("terrain")) is not None:
        shown["terrain"] = terrain
        colour = said.get("terrain_color", LAND.get(terrain))
        if colour is not None and (colour, time) != ("green", "sunset"):
            shown["terrain_color"] = colour
    if "water" in said:
        shown |= {"water": "lake", "water_color": "blue"}
    return shown


MEANINGS: Final[Mapping[str, Callable[[Random], Meaning]]] = {
    "emoji": _thing,
    "portrait": _portrait,
    "landscape": _landscape,
    "character": lambda rng: _alone("character", rng),
    "planet": lambda rng: _alone("planet", rng),
    "plant": lambda rng: _alone("plant", rng),
}


@cache
def vocabulary_of(style: str) -> frozenset[tuple[str, str]]:
    """What portraits or characters of a style may have."""
    rng = Random(0)
    draw = portraits.draw if style in portraits.PORTRAIT_STYLES else characters.draw
    drawn = (draw(style, rng).attributes.items() for _ in range(600))
    return frozenset(item for items in drawn for item in items)


def home(shown: Attributes) -> str:
    """The style of portraits that has most of what is to be seen, things before their colours."""

    def fits(style: str) -> float:
        has = vocabulary_of(style)
        return sum((0.2 if key.endswith("_color") else 1.0) for key, value in shown.items() if (key, value) in has)

    return max(STYLE_ORDER, key=fits)


# How it is said.


def bare(time: str) -> str:
    """A time without what stands before it: evening, of "in the evening"."""
    return re.sub(r"^(?:at|in|by|with|during|on|under|when)(?: the| a)? (?!moon|dark|sun$|day$)", "", time)


def _split(words: str) -> list[str]:
    return [word for word in words.split("|") if word]


def _or(table: Mapping[str, Both], word: str, language: int) -> list[str]:
    return _split(table[word][language]) if word in table else []


def _likely(words: Sequence[str], rng: Random) -> str:
    """One of the words, the first ones more often: tables begin with what people say most."""
    return rng.choices(words, weights=[1 / (2 + rank) for rank in range(len(words))])[0]


def _colour(colour: str, language: int, rng: Random) -> str:
    """A word for a colour."""
    plain = list(SYNONYMS.get(colour, (colour,))) if language == 0 else list(TABLE[colour])
    others = _or(COLOURS, colour, language)
    word = _likely(others, rng) if others and rng.random() < 0.3 else rng.choice(plain)
    if language == 1 and len(word) == 2 and word.endswith("色") and rng.random() < 0.4:
        return word[:-1]
    return word


def _part(key: str, thing: str | None, colour: str | None, language: int, rng: Random) -> str:
    """A thing with its colour."""
    if thing is None:
        words = [(ENGLISH_ALONE.get(key, key) if language == 0 else CHINESE_ALONE[key])]
    else:
        words = list(SYNONYMS.get(thing, (thing,)) if language == 0 else TABLE[thing])
        others = _or(PARTS, thing, language) or _or(FACES, thing, language)
        if others and rng.random() < 0.65:
            words = others
    word = _likely(words, rng)
    if colour is None:
        return word
    hue = _colour(colour, language, rng)
    if language == 1:
        if word.endswith(("头发", "发")) and rng.random() < 0.5:
            return f"{hue}{word}" if rng.random() < 0.6 else f"{word}，{hue}的"
        return f"{hue}{'' if hue.endswith('的') or rng.random() < 0.6 else '的'}{word}"
    article, _, rest = word.partition(" ")
    if article in ("a", "an"):
        return f"a {hue} {rest}"
    if word.endswith(" hair") and rng.random() < 0.5:
        return f"{word.removesuffix('hair')}{hue} hair"
    return f"{hue} {word}"


def _article(word: str, rng: Random) -> str:
    if word.startswith(("a ", "an ", "the ")) or word.endswith("s") or rng.random() < 0.45:
        return word
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


@dataclass
class _Said:
    """The parts of a wish: before its noun, had, worn, done; and the noun."""

    before: list[str]
    has: list[str]
    wears: list[str]
    does: list[str]


def _parts(said: Attributes, language: int, rng: Random) -> _Said:
    found = _Said([], [], [], [])
    for key, (thing, colour) in things({"style": "", **said}).items():
        if key == "skin" and thing is not None:
            others = _or(SKINS, thing, language)
            plain = f"{thing} skin" if language == 0 else TABLE[thing][0].removesuffix("皮肤") + "皮肤"
            if others and rng.random() < 0.6:
                found.before.append(rng.choice(others))
            else:
                found.has.append(plain)
        elif key in ("body", "planet") and thing is None and colour is not None:
            found.before.append(_colour(colour, language, rng))
        elif thing is not None and thing in FACES and rng.random() < 0.8:
            found.does.append(_likely(_or(FACES, thing, language), rng))
        elif key == "hair" and thing == "bald head" and rng.random() < 0.5:
            found.before.append("bald" if language == 0 else "光头")
        elif key == "facial_hair" and colour is None and language == 0 and thing == "full beard" and rng.random() < 0.3:
            found.before.append("bearded")
        elif key == "hair" and thing is None and colour is not None and rng.random() < 0.4:
            hue = _colour(colour, language, rng)
            found.before.append(f"{hue}-haired" if language == 0 else f"{hue}头发")
        elif key in ("plant", "pot"):
            continue
        else:
            (found.wears if key in WEARS else found.has).append(_part(key, thing, colour, language, rng))
    for parts in (found.has, found.wears, found.does):
        rng.shuffle(parts)
    return found


def _plant_noun(meaning: Meaning, language: int, rng: Random) -> str:
    """A plant by what grows in its pot."""
    assert meaning.noun is not None
    said = meaning.said
    noun = rng.choice(_split(meaning.noun[language]))
    if "plant" in said:
        noun = _part("plant", said["plant"], said.get("plant_color"), language, rng)
    if not said.keys() & {"pot", "pot_color"}:
        if "plant" in said:  # or it would be one in the open
            noun = f"{noun} in a pot" if language == 0 else f"花盆里的{noun}"
        return noun
    pot = _part("pot", said.get("pot"), said.get("pot_color"), language, rng)
    if language == 0:
        return f"{noun} {rng.choice(('in', 'growing in', 'planted in'))} {_article(pot, rng)}"
    return rng.choice((f"{pot}里的{noun}", f"{noun}，种在{pot}里", f"长在{pot}里的{noun}"))


def _english(meaning: Meaning, rng: Random) -> str:
    said = meaning.said
    if said["kind"] == "landscape":
        text = _english_landscape(said, rng)
    elif said["kind"] == "emoji":
        text = _english_thing(meaning, rng)
    else:
        text = _english_being(meaning, rng)
    if "background" in said:
        ground = rng.choice(FRAMES["backgrounds"]["en"]).format(_colour(said["background"], 0, rng))
        mark = " " if ground.startswith(("on ", "with ", "in ", "against ")) and rng.random() < 0.7 else ", "
        text = f"{text}{mark}{ground}"
    if rng.random() < 0.4:
        text = rng.choice(FRAMES["heads"]["en"]).format(text)
    if rng.random() < 0.3:
        tails = rng.sample(FRAMES["tails"]["en"], rng.choice((1, 1, 2, 3, 5)))
        joined = rng.choice(FRAMES["marks"]["en"]).join(tails)
        text = f"{text}, {joined}" if rng.random() < 0.8 else f"{joined}, {text}"
    return _english_spelling(text, rng)


def _english_being(meaning: Meaning, rng: Random) -> str:
    assert meaning.noun is not None
    said, found = meaning.said, _parts(meaning.said, 0, rng)
    noun = _likely(_split(meaning.noun[0]), rng) if said["kind"] != "plant" else _plant_noun(meaning, 0, rng)
    if rng.random() < 0.25:
        found.before.insert(0, rng.choice(FRAMES["adjectives"]["en"][:30]))
    before = [word for word in found.does if " " not in word and rng.random() < 0.5]
    does = [word for word in found.does if word not in before]
    style = rng.choice(_or(PORTRAIT_STYLES, said["style"], 0)) if "style" in said else ""
    who = " ".join([*before, *found.before, noun])
    if rng.random() < 0.35:  # a list
        tags = [*found.has, *found.wears, *does]
        rng.shuffle(tags)
        place = 0 if rng.random() < 0.75 else rng.randrange(len(tags) + 1)
        tags.insert(place, who if rng.random() < 0.5 else _article(who, rng))
        if style:
            tags.insert(0 if rng.random() < 0.6 else len(tags), style)
        mark = rng.choice(FRAMES["marks"]["en"])
        first = ": " if rng.random() < 0.12 else mark
        return first.join([tags[0], mark.join(tags[1:])]) if tags[1:] else tags[0]
    text = who if noun.startswith("my ") or noun == "someone" else _article(who, rng)
    has = [_article(part, rng) for part in found.has]
    wears = [_article(part, rng) for part in found.wears]
    clauses = []
    if has:
        had = rng.choice((" with {}", " with {}", " has {}", ", {}", " who has {}", " having {}"))
        clauses.append(had.format(_and(has, rng)))
    if wears:
        worn = rng.choice((" wearing {}", " wearing {}", " in {}", " with {}", " who wears {}", ", {}"))
        clauses.append(worn.format(_and(wears, rng)))
    clauses += [rng.choice((" {}", ", {}", ", {}")).format(part) for part in does]
    rng.shuffle(clauses)
    text += "".join(clauses)
    if style:
        text = f"{style} of {text}" if rng.random() < 0.6 else f"{text}, {style}"
    return text


def _and(parts: Sequence[str], rng: Random) -> str:
    if len(parts) == 1:
        return parts[0]
    return f"{', '.join(parts[:-1])}{rng.choice((' and ', ' and ', ', ', ' plus '))}{parts[-1]}"


def _english_thing(meaning: Meaning, rng: Random) -> str:
    said = meaning.said
    assert meaning.noun is not None
    others = [word.strip() for word in meaning.noun[0].split(",") if word.strip()]
    word = _likely(others, rng) if others and rng.random() < 0.55 else said["name"]
    before = rng.sample(FRAMES["adjectives"]["en"], rng.choice((0, 0, 1, 1, 1, 2)))
    if rng.random() < 0.1:
        before.append(rng.choice(list(COLOURS)))
    if rng.random() < 0.07 and not word.endswith("s"):
        word += "s"
    text = " ".join([*before, word])
    start = rng.random()
    if start < 0.5:
        text = _article(text, rng)
    elif start < 0.62:
        text = f"{rng.choice(('the', 'my', 'one', 'this', 'some', 'two', 'his', 'our'))} {text}"
    if rng.random() < 0.3:
        text = f"{text}{rng.choice((' ', ' ', ', '))}{rng.choice(FRAMES['places']['en'])}"
    if "style" in said:
        look = rng.choice([*_or(LOOKS, said["style"], 0), STYLES[said["style"]]])
        text = rng.choice((f"{look} of {text}", f"{text}, {look}"))
    return text


def _english_landscape(said: Attributes, rng: Random) -> str:
    bits = []
    place = (
        _likely(_or(TERRAINS, said["terrain"], 0), rng) if "terrain" in said else rng.choice(("landscape", "scenery"))
    )
    if "terrain_color" in said:
        place = f"{_colour(said['terrain_color'], 0, rng)} {place}"
    if rng.random() < 0.35:
        place = f"{rng.choice(FRAMES['moods']['en'])} {place}"
    start = rng.random()
    if start < 0.3:
        place = f"the {place}"
    elif start < 0.65:
        place = _article(place, rng)
    if "water" in said:
        lake = rng.choice(_split(WATER["lake"][0]))
        place = rng.choice(FRAMES["lakes"]["en"]).format(place=place, lake=lake)
    time = _likely(_or(TIMES, said["time_of_day"], 0), rng) if "time_of_day" in said else ""
    if "sky_color" in said:
        hue = " and ".join(_sky(each, 0, rng) for each in said["sky_color"].split(" and "))
        bits.append(rng.choice(_split(SKIES["sky"][0])).format(hue))
    for key in ("sun", "moon"):
        if key in said:
            orb = rng.choice(_or(SUNS, said[key], 0))
            if key == "sun" and "sun_color" in said:
                orb = f"{_colour(said['sun_color'], 0, rng)} sun"
            bits.append(rng.choice(("{}", "with {}", "and {}", "under {}")).format(orb))
    over = time and not time.startswith(SAID_BEFORE) and rng.random() < 0.4
    text = rng.choice(FRAMES["over" if over else "times"]["en"]).format(place=place, time=time)
    text = text if time else place
    rng.shuffle(bits)
    for bit in bits:
        text += f"{' ' if bit.startswith(('with ', 'and ', 'under ')) else ', '}{bit}"
    return text


def _sky(colour: str, language: int, rng: Random) -> str:
    if colour == "dark purple":
        return "dark purple" if language == 0 else "深紫色"
    return _colour(colour, language, rng)


def _english_spelling(text: str, rng: Random) -> str:
    """Capitals, ends of sentences, now and then a slip."""
    draw = rng.random()
    if draw < 0.15:
        text = text[:1].upper() + text[1:]
    elif draw < 0.18:
        text = text.title()
    if rng.random() < 0.12 and not text.endswith("?"):
        text += rng.choice((".", "!", "...", "!!"))
    if rng.random() < TYPO_SHARE:
        places = [i for i in range(1, len(text) - 1) if text[i - 1 : i + 2].isalpha()]
        if places:
            at = rng.choice(places)
            text = rng.choice((
                text[:at] + text[at + 1 :],
                text[:at] + text[at] + text[at:],
                text[:at] + text[at + 1] + text[at] + text[at + 2 :],
            ))  # fmt: skip
    return text


def _chinese(meaning: Meaning, rng: Random) -> str:
    said = meaning.said
    if said["kind"] == "landscape":
        text = _chinese_landscape(said, rng)
    elif said["kind"] == "emoji":
        text = _chinese_thing(meaning, rng)
    else:
        text = _chinese_being(meaning, rng)
    mark = rng.choice(FRAMES["marks"]["zh"])
    if "background" in said:
        hue = _colour(said["background"], 1, rng)
        ground = rng.choice(FRAMES["backgrounds"]["zh"]).format(hue.removesuffix("的"))
        text = f"{text}{mark}{ground}" if rng.random() < 0.8 else f"{hue.removesuffix('的')}背景上的{text}"
    if rng.random() < 0.4:
        text = rng.choice(FRAMES["heads"]["zh"]).format(text)
    if rng.random() < 0.3:
        tails = mark.join(rng.sample(FRAMES["tails"]["zh"], rng.choice((1, 1, 2, 3, 5))))
        text = f"{text}{mark}{tails}" if rng.random() < 0.8 else f"{tails}{mark}{text}"
    if rng.random() < 0.12 and text[-1] not in "？。吧呗":
        text += rng.choice("。！～")
    if rng.random() < TYPO_SHARE / 2 and len(text) > 8:
        at = rng.randrange(1, len(text) - 1)
        text = rng.choice((text[:at] + text[at + 1 :], text[:at] + text[at + 1] + text[at] + text[at + 2 :]))
    return text


def _chinese_being(meaning: Meaning, rng: Random) -> str:
    assert meaning.noun is not None
    said, found = meaning.said, _parts(meaning.said, 1, rng)
    noun = _likely(_split(meaning.noun[1]), rng) if said["kind"] != "plant" else _plant_noun(meaning, 1, rng)
    before = [_of(word, rng) for word in found.before]
    does = []
    for word in found.does:
        if rng.random() < 0.6:
            before.append(_of(word, rng))
        else:
            does.append(word)
    if rng.random() < 0.25:
        before.insert(0, rng.choice(FRAMES["adjectives"]["zh"]))
    elif rng.random() < 0.4:
        before.insert(0, rng.choice(("一个", "一位", "一名", "我的", "这个", "一只", "一颗", "一盆", "")))
    style = rng.choice(_or(PORTRAIT_STYLES, said["style"], 1)) if "style" in said else ""
    clauses = [rng.choice(("", "", "有", "有着", "长着", "带", "留着")) + part for part in found.has]
    clauses += [rng.choice(("", "戴着", "穿着", "戴", "穿", "身穿")) + part for part in found.wears]
    clauses += does
    rng.shuffle(clauses)
    mark = rng.choice(FRAMES["marks"]["zh"])
    who = "".join(before) + noun
    if clauses and rng.random() < 0.35:  # 戴眼镜、穿红毛衣的女孩
        some = clauses[: rng.choice((1, 1, 2))]
        who = f"{rng.choice(('、', '，', '')).join(some)}的{who}"
        clauses = clauses[len(some) :]
    if style:
        clauses.insert(0 if rng.random() < 0.5 else len(clauses), style)
    place = 0 if rng.random() < 0.8 else rng.randrange(len(clauses) + 1)
    return mark.join([*clauses[:place], who, *clauses[place:]])


def _of(word: str, rng: Random) -> str:
    return word if word.endswith("的") or rng.random() < 0.15 else f"{word}的"


def _chinese_thing(meaning: Meaning, rng: Random) -> str:
    said = meaning.said
    assert meaning.noun is not None
    others = [word.strip() for word in meaning.noun[1].split(",") if word.strip()]
    word = _likely(others, rng) if others and rng.random() < 0.55 else said["name_zh"]
    before = rng.sample(FRAMES["adjectives"]["zh"], rng.choice((0, 0, 1, 1, 1, 2)))
    if rng.random() < 0.1:
        before.append(_colour(rng.choice(list(BACKGROUNDS.values())), 1, rng))
    text = "".join([*before, word])
    if rng.random() < 0.25:
        place = rng.choice(FRAMES["places"]["zh"])
        text = rng.choice((f"{text}{place}", f"{place.removeprefix('在')}的{text}", f"{text}，{place}"))
    if "style" in said:
        look = rng.choice([*_or(LOOKS, said["style"], 1), *TABLE[STYLES[said["style"]]]])
        text = rng.choice((f"{text}的{look}", f"{text}，{look}", f"{look}，{text}"))
    return text


def _chinese_landscape(said: Attributes, rng: Random) -> str:
    place = _likely(_or(TERRAINS, said["terrain"], 1), rng) if "terrain" in said else rng.choice(("风景", "景色"))
    if "terrain_color" in said:
        place = _of(_colour(said["terrain_color"], 1, rng), rng) + place
    if rng.random() < 0.3:
        place = rng.choice(FRAMES["moods"]["zh"]) + place
    if "water" in said:
        lake = rng.choice(_split(WATER["lake"][1]))
        place = rng.choice(FRAMES["lakes"]["zh"]).format(place=place, lake=lake)
    text = place
    if "time_of_day" in said:
        time = _likely(_or(TIMES, said["time_of_day"], 1), rng)
        text = rng.choice(FRAMES["times"]["zh"]).format(place=place, time=time)
    bits = []
    if "sky_color" in said:
        hue = "和".join(_sky(each, 1, rng) for each in said["sky_color"].split(" and "))
        bits.append(rng.choice(_split(SKIES["sky"][1])).format(hue.removesuffix("的")))
    for key in ("sun", "moon"):
        if key in said:
            orb = rng.choice(_or(SUNS, said[key], 1))
            if key == "sun" and "sun_color" in said:
                orb = _of(_colour(said["sun_color"], 1, rng), rng) + "太阳"
            bits.append(rng.choice(("", "有", "天上有", "天空中", "")) + orb)
    rng.shuffle(bits)
    mark = rng.choice(FRAMES["marks"]["zh"])
    return mark.join([text, *bits] if rng.random() < 0.75 else [*bits, text])
