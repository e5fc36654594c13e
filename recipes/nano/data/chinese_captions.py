"""Chinese words for a picture: tag lists and sentences, from the table of words."""

from collections.abc import Mapping
from random import Random
from typing import Final

from .chinese import WORDS
from .phrasing import STYLE_FIRST_SHARE, Attributes, Choose, Phrasing, plainest
from .things import things
from .words import STYLES
from .words.objects import CHINESE as SETTINGS
from .words.objects import CHINESE_FACING
from .words.objects import names as object_names
from .words.scenes import CHINESE as SCENES
from .words.views import CHINESE as VIEWS

TABLE: Final[Mapping[str, tuple[str, ...]]] = {
    **{name: (chinese,) for name, chinese in object_names().items()},
    **VIEWS,
    **SCENES,
    **WORDS,
}

ANY_STYLE: Final[Mapping[str, tuple[str, ...]]] = {
    "portrait": ("头像", "人像", "人物"),
    "character": ("角色", "游戏角色"),
    "plant": ("植物", "盆栽"),
    "planet": ("星球", "行星"),
    "landscape": ("风景", "风景画"),
    "scene": ("场景", "景色"),
}
PERSONS: Final[Mapping[str, tuple[str, ...]]] = {
    "": ("人",),
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
WHEN: Final = frozenset({"time_of_day", "season", "weather"})
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


def _sentence(attributes: Attributes, rng: Random) -> str:
    """One sentence: 一个微笑的红发女孩，戴眼镜，蓝色背景."""
    style = _style(attributes["style"], rng.choice) if attributes["style"] else ""
    before: list[str] = []
    clauses: list[str] = []
    for key, (thing, colour) in things(attributes).items():
        if key == "place":
            continue
        if key in WHEN and attributes["kind"] == "scene" and rng.random() < 0.6:
            before.append(f"{_phrase(key, thing, colour, rng.choice)}的")
        elif key in WHEN:
            clauses.append(_phrase(key, thing, colour, rng.choice))
        elif thing is not None and thing in DOING and rng.random() < 0.7:
            before.insert(0, f"{DOING[thing]}的")
        elif key == "hair" and rng.random() < 0.5:
            before.append(_phrase(key, thing, colour, rng.choice) + rng.choice(("的", "")))
        else:
            clauses.append(rng.choice(VERBS.get(key, ("", "有"))) + _phrase(key, thing, colour, rng.choice))
    rng.shuffle(clauses)
    if attributes["kind"] == "portrait":
        subject = f"一个{''.join(before)}{CHINESE.person(attributes, rng)}"
    elif "place" in attributes:
        subject = f"{''.join(before)}{_word(attributes['place'], rng.choice)}"
    else:
        subject, style = f"一个{''.join(before)}{style or rng.choice(ANY_STYLE[attributes['kind']])}", ""
    if "background" in attributes:
        clauses.append(_background(attributes["background"], rng.choice))
    if style and rng.random() < STYLE_FIRST_SHARE:
        return "，".join([style, subject, *clauses])
    return "，".join([subject, *clauses, *([style] if style else [])])


def _emoji(attributes: Attributes, rng: Random) -> str:
    """A thing by its name, with or without its look, a tag and the background."""
    name = _sized(attributes, rng.choice)
    forms: tuple[str, ...] = (name, f"一个{name}", f"{name}表情符号")
    if attributes["style"]:
        style = _style(attributes["style"], rng.choice)
        forms = (f"{style}，{name}", f"{name}，{style}", f"{name}的{style}")
    form = rng.choices(forms, weights=(3, 2, 1))[0]
    subject = CHINESE.tagged(form, attributes["name_zh"], attributes.get("tags_zh", ""), rng)
    setting = "".join(f"，{words}" for words in _setting(attributes, rng.choice))
    if "background" not in attributes:
        return subject + setting
    background = _background(attributes["background"], rng.choice)
    return (f"{background}上的{subject}" if rng.random() < 0.25 else f"{subject}，{background}") + setting


def _full_emoji(attributes: Attributes) -> str:
    """Look, name and background."""
    background = _background(attributes["background"], plainest)
    said = [_style(attributes["style"], plainest), _sized(attributes, plainest), background]
    return "，".join([*said, *_setting(attributes, plainest)])


def _sized(attributes: Attributes, choose: Choose) -> str:
    """A thing's name with its size, if that is known."""
    return (
        choose(SETTINGS[attributes["size"]]) + attributes["name_zh"] if "size" in attributes else attributes["name_zh"]
    )


def _setting(attributes: Attributes, choose: Choose) -> list[str]:
    """Where a thing is in the picture and where it looks, as far as it is known."""
    said = [choose(SETTINGS[attributes["position"]])] if "position" in attributes else []
    return [*said, choose(CHINESE_FACING[attributes["facing"]])] if "facing" in attributes else said


def _style(style: str, choose: Choose) -> str:
    return _word(STYLES[style], choose)


def _background(colour: str, choose: Choose) -> str:
    return f"{_word(colour, choose)}背景"


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


CHINESE: Final = Phrasing(
    comma="，",
    any_style=ANY_STYLE,
    persons=PERSONS,
    style=_style,
    phrase=_phrase,
    background=_background,
    sentence=_sentence,
    emoji=_emoji,
    full_emoji=_full_emoji,
)
