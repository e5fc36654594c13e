"""Chinese words for a picture: tag lists and sentences, from the table of words."""

from collections.abc import Mapping
from random import Random
from typing import Final

from .chinese import WORDS
from .english_captions import Choose
from .scene_words import CHINESE
from .things import person_of, things
from .words import STYLES

TABLE: Final[Mapping[str, tuple[str, ...]]] = {**CHINESE, **WORDS}
STYLE_FIRST_SHARE: Final = 0.75
HINT_SHARE: Final = 0.5
TAG_SHARE: Final = 0.15

ANY_STYLE: Final[Mapping[str, tuple[str, ...]]] = {
    "portrait": ("头像", "人像", "人物"),
    "character": ("角色", "游戏角色"),
    "plant": ("植物", "盆栽"),
    "planet": ("星球", "行星"),
    "landscape": ("风景", "风景画"),
}
PERSONS: Final[Mapping[str, tuple[str, ...]]] = {
    "": ("人", "人", "女人", "男人", "女孩", "男孩"),
    "man": ("男人", "男人", "男孩", "男士"),
    "woman": ("女人", "女孩", "姑娘"),
}
DOING: Final[Mapping[str, str]] = {
    "angry mouth": "生气",
    "big smile": "大笑",
    "crying eyes": "哭泣",
    "laugh": "大笑",
    "sad mouth": "伤心",
    "scream": "尖叫",
    "serious mouth": "严肃",
    "smile": "微笑",
    "surprised mouth": "惊讶",
    "tongue out": "吐舌头",
    "winking eye": "眨眼",
    "worried mouth": "担忧",
}
"""Expressions that can stand before a person: 微笑的女孩."""

VERBS: Final[Mapping[str, tuple[str, ...]]] = {
    "accessory": ("戴着", "戴"),
    "headwear": ("戴着", "戴"),
    "clothing": ("穿着", "穿"),
    "facial_hair": ("留着", "有"),
}
ALONE: Final[Mapping[str, str]] = {
    "hair": "头发",
    "clothing": "衣服",
    "trousers": "裤子",
    "shoes": "鞋子",
    "body": "身体",
    "plant": "植物",
    "pot": "花盆",
    "flower": "花",
    "berries": "浆果",
    "planet": "星球",
    "sky": "天空",
    "terrain": "大地",
}
"""What a colour stands before when its thing goes unmentioned."""


def tag_list(attributes: Mapping[str, str], rng: Random) -> str:
    """Tags in any order, the style mostly first."""
    tags = _tags(attributes, rng.choice)
    if attributes["kind"] == "portrait" and rng.random() < HINT_SHARE / 2:
        tags.append(_person(attributes, rng))
    rng.shuffle(tags)
    if not attributes["style"]:
        return "，".join([rng.choice(ANY_STYLE[attributes["kind"]]), *tags])
    style = rng.choice(TABLE[STYLES[attributes["style"]]])
    return "，".join([style, *tags] if rng.random() < STYLE_FIRST_SHARE else [*tags, style])


def full_tags(attributes: Mapping[str, str]) -> str:
    """Everything, in the order of `things`."""
    return "，".join([TABLE[STYLES[attributes["style"]]][0], *_tags(attributes, lambda words: words[0])])


def sentence(attributes: Mapping[str, str], rng: Random) -> str:
    """One sentence: 一个微笑的红发女孩，戴眼镜，蓝色背景."""
    style = rng.choice(TABLE[STYLES[attributes["style"]]]) if attributes["style"] else ""
    before: list[str] = []
    clauses: list[str] = []
    for key, (thing, colour) in things(attributes).items():
        if key == "time_of_day":
            clauses.append(_phrase(key, thing, colour, rng.choice))
        elif thing in DOING and rng.random() < 0.7:
            before.insert(0, f"{DOING[thing]}的")
        elif key == "hair" and rng.random() < 0.5:
            before.append(_phrase(key, thing, colour, rng.choice) + rng.choice(("的", "")))
        else:
            clauses.append(rng.choice(VERBS.get(key, ("", "有"))) + _phrase(key, thing, colour, rng.choice))
    rng.shuffle(clauses)
    if attributes["kind"] == "portrait":
        subject = f"一个{''.join(before)}{_person(attributes, rng)}"
    else:
        subject, style = f"一个{''.join(before)}{style or rng.choice(ANY_STYLE[attributes['kind']])}", ""
    if "background" in attributes:
        clauses.append(_background(attributes, rng.choice))
    if style and rng.random() < STYLE_FIRST_SHARE:
        return "，".join([style, subject, *clauses])
    return "，".join([subject, *clauses, *([style] if style else [])])


def emoji(attributes: Mapping[str, str], rng: Random) -> str:
    """A thing by its name, with or without its look, a tag and the background."""
    name = attributes["name_zh"]
    forms: tuple[str, ...] = (name, f"一个{name}", f"{name}表情符号")
    if attributes["style"]:
        style = rng.choice(TABLE[STYLES[attributes["style"]]])
        forms = (f"{style}，{name}", f"{name}，{style}", f"{name}的{style}")
    subject = rng.choices(forms, weights=(3, 2, 1))[0]
    tags = [tag for tag in attributes.get("tags_zh", "").split("|") if tag and tag != name]
    if tags and rng.random() < TAG_SHARE:
        subject += f"，{rng.choice(tags)}"
    if "background" not in attributes:
        return subject
    background = _background(attributes, rng.choice)
    return f"{background}上的{subject}" if rng.random() < 0.25 else f"{subject}，{background}"


def full_emoji(attributes: Mapping[str, str]) -> str:
    """Look, name and background."""
    background = _background(attributes, lambda words: words[0])
    return f"{TABLE[STYLES[attributes['style']]][0]}，{attributes['name_zh']}，{background}"


def _background(attributes: Mapping[str, str], choose: Choose) -> str:
    return f"{_word(attributes['background'], choose)}背景"


def _person(attributes: Mapping[str, str], rng: Random) -> str:
    hint = person_of(attributes) if rng.random() < HINT_SHARE else ""
    return rng.choice(PERSONS[hint] if hint else ("人",))


def _tags(attributes: Mapping[str, str], choose: Choose) -> list[str]:
    tags = [_phrase(key, thing, colour, choose) for key, (thing, colour) in things(attributes).items()]
    return [*tags, _background(attributes, choose)] if "background" in attributes else tags


def _phrase(key: str, thing: str | None, colour: str | None, choose: Choose) -> str:
    """The thing with its colour in front, 红色短发; a colour alone takes the plain word for its thing."""
    if key == "hair" and thing is None and colour is not None:
        return choose((f"{_word(colour, choose)}头发", f"{_word(colour, choose).removesuffix('色')}发"))
    words = _word(thing, choose) if thing is not None else ALONE[key]
    if key == "skin":
        words = words if words.endswith("皮肤") else f"{words}皮肤"
    return f"{_word(colour, choose)}{words}" if colour else words


def _word(words: str, choose: Choose) -> str:
    return choose(TABLE[words])
