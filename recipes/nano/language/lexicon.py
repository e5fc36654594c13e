"""The lexicon of nano's folder: what people's words mean in the recipe's, from the tables of this recipe.

    python -m recipes.nano.language.lexicon src/sfumato/data/nano

Phrases come from the words of the captions in both languages (which are plain) and from `words.toml`, `objects.toml`
and `frames.toml`; `sfumato.prompts.interpretation` says how they are read.
"""

import argparse
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from recipes.nano.data import emoji
from recipes.nano.data.chinese_captions import ALONE as CHINESE_ALONE
from recipes.nano.data.chinese_captions import ANY_STYLE as CHINESE_ANY
from recipes.nano.data.chinese_captions import PERSONS as CHINESE_PERSONS
from recipes.nano.data.chinese_captions import TABLE
from recipes.nano.data.english_captions import ALONE as ENGLISH_ALONE
from recipes.nano.data.english_captions import ANY_STYLE, BEFORE, DOING, SYNONYMS, WHEN, with_article
from recipes.nano.data.english_captions import PERSONS as ENGLISH_PERSONS
from recipes.nano.data.things import ALONE, FIRST
from recipes.nano.data.words import STYLES
from recipes.nano.data.words.objects import CHINESE as CHINESE_SETTINGS
from recipes.nano.data.words.objects import CHINESE_FACING
from recipes.nano.data.words.objects import ENGLISH as POSITIONS
from recipes.nano.data.words.views import KIND as SCENE
from recipes.nano.data.words.views import LOOKS
from recipes.nano.language import places
from recipes.nano.language import wordings as people
from sfumato.checkpoints.experts import FOLDER
from sfumato.files import write_atomic
from sfumato.prompts.lexicon import FILE, tokens
from sfumato.prompts.vocabulary import Vocabulary

Meaning = dict[str, Any]
Phrases = dict[str, list[Meaning]]

KINDS: Final = ("portrait", "character", "planet", "plant", SCENE, "landscape", "emoji")
"""The first of equal ones is meant."""
EXPERTS: Final[Mapping[str, Sequence[str]]] = {"scenes": (SCENE,)}
"""Kinds of pictures for which a model has other weights, where its folder brings them."""
PARTS_OF: Final = ("portrait", "character", "planet", "plant", "landscape")
"""Kinds of pictures whose parts have words of their own."""
UNORDERED: Final = ("style", "size", "name", "name_zh", "group", "background")
SIZES: Final[Mapping[str, Sequence[str]]] = {
    "small": ("tiny", "little", "小小", "小"),
    "large": ("big", "huge", "giant", "close up", "巨大的", "巨大", "大大", "大", "特写"),
}
HYPONYMS: Final = Path(__file__).with_name("hyponyms.json")
NOUN: Final = 2.0
"""Weights of words for what a picture is of: a dog is no smile."""
POT: Final = 3.5
"""What stands in a pot is a plant of ours, though it may be a thing by itself."""
GROUNDS: Final = ("background", "backdrop", "bg", "wall", "space", "outer space", "背景", "底色", "底", "宇宙", "太空")
WORN: Final[Mapping[str, str]] = {
    "armour": "clothing", "armor": "clothing", "robe": "clothing", "cape": "clothing", "cloak": "clothing",
    "uniform": "clothing", "盔甲": "clothing", "铠甲": "clothing", "长袍": "clothing", "袍子": "clothing",
    "斗篷": "clothing", "披风": "clothing", "制服": "clothing", "衣": "clothing",
    "clothes": "clothing", "outfit": "clothing", "shirt": "clothing",
    "top": "clothing", "衣服": "clothing", "上衣": "clothing", "hat": "headwear", "帽子": "headwear",
    "帽": "headwear", "haired": "hair", "hair": "hair", "头发": "hair", "发": "hair", "beard": "facial_hair",
    "body": "body", "fur": "body", "身体": "body", "shoes": "shoes", "boots": "shoes", "鞋": "shoes", "鞋子": "shoes",
    "trousers": "trousers", "pants": "trousers", "jeans": "trousers", "裤子": "trousers", "裤": "trousers",
    "pot": "pot", "flowerpot": "pot", "花盆": "pot", "盆": "pot", "sky": "sky", "天空": "sky", "天": "sky",
    "clouds": "sky", "sun": "sun", "太阳": "sun", "skin": "skin", "皮肤": "skin",
    "flowers": "flower", "berries": "berries",
}  # fmt: skip
"""What may be said by its colour alone."""
PEOPLE: Final[Mapping[str, str]] = {
    "kid": "boy", "child": "boy", "children": "boy", "baby boy": "boy", "hero": "man", "king": "man", "queen": "woman",
    "friend": "person", "neighbour": "person", "neighbor": "person", "people": "person", "character": "person",
    "doctor": "nurse", "chef": "man", "cook": "man", "wizard": "viking", "santa": "grandfather", "singer": "woman",
    "witch": "woman", "1girl": "girl", "2girls": "girl", "1boy": "man", "2boys": "man",
    "小孩": "男孩", "孩子": "男孩", "英雄": "男人", "国王": "男人", "朋友": "人", "医生": "护士", "厨师": "男人",
    "圣诞老人": "爷爷", "魔法师": "智者", "巫师": "智者", "歌手": "女人", "小朋友": "男孩", "女巫": "女人",
}  # fmt: skip
"""People whom `words.toml` does not name, by one who looks like them."""
WORN_BY: Final = ("wearing", "wears", "dressed in", "戴着", "戴", "穿着", "穿", "身穿", "留着")
"""Who wears something is a person, whose clothes have the colour that is nothing else's."""
PERSON: Final = re.compile(r"\b(?:man|woman|person|people|men|women|boy|girl|child)\b")
"""In names of things: somebody, and so a portrait."""
PLANETS: Final[Mapping[str, Mapping[str, str]]] = {
    "gas giant|气态巨行星|气态行星|巨行星": {"planet_color": "orange", "surface": "stripes"},
    "mercury|水星": {"planet_color": "grey", "surface": "craters"},
    "venus|金星": {"planet_color": "yellow", "surface": "swirls"},
    "mars|火星|红色星球": {"planet_color": "red", "surface": "large patches"},
    "jupiter|木星": {"planet_color": "orange", "surface": "storm spot"},
    "saturn|土星": {"planet_color": "yellow", "ring": "wide ring"},
    "uranus|天王星": {"planet_color": "light blue", "ring": "thin ring"},
    "neptune|海王星": {"planet_color": "blue", "surface": "swirls"},
    "pluto|冥王星": {"planet_color": "grey", "surface": "large patches"},
    "ice planet|icy planet|frozen planet|冰冻星球|冰封星球": {"planet_color": "light blue", "surface": "cracks"},
    "lava planet|volcanic planet|熔岩星球|火山星球": {"planet_color": "red", "surface": "cracks"},
    "desert planet|沙漠星球": {"planet_color": "orange", "surface": "swirls"},
    "water world|ocean planet|海洋星球": {"planet_color": "blue", "surface": "swirls"},
    "cratered moon|moon with craters|陨石坑月球": {"planet_color": "grey", "surface": "craters"},
}  # fmt: skip
"""Planets by name or kind, and what they look like where nobody says more."""
FAINT: Final = 1.0
"""What counts little: a thing in the sky, which may be all of a picture, but belongs to a landscape where there is one;
a portrait, which may be a cat's."""
LIKENESSES: Final = (
    *("portrait", "face", "avatar", "profile picture", "character portrait", "headshot"),
    *("头像", "人像", "肖像", "脸", "半身像", "个人头像"),
)
"""Nouns of portraits that may be of anything."""
SKIES_AT_NIGHT: Final = (
    "starry sky",
    "starry night",
    "night sky",
    "sky full of stars",
    "星空",
    "夜空",
    "繁星",
    "满天星",
)
AMBIGUOUS: Final = frozenset({"water", "water in front", "湖水"})
BLOCKS: Final = (
    *("minecraft", "minecraft style", "voxel", "blocky", "pixel art", "pixel", "lego", "8-bit", "8 bit", "roblox"),
    *("game character", "video game character", "rpg character", "game hero", "game avatar"),
    *("我的世界", "我的世界里的", "我的世界风格", "我的世界风格的", "方块风格的", "像素风格的", "像素风", "像素游戏"),
    *("体素", "体素风格", "体素风格的", "体素角色", "乐高", "乐高风格的", "像素", "像素风格", "方块风格"),
    *("游戏角色", "游戏人物", "游戏里的", "游戏主角", "像素角色"),
)
"""Looks that game characters alone have, whoever they are."""
WHOEVER: Final = (
    *("guy", "man", "woman", "girl", "boy", "person", "kid", "dude", "hero", "knight", "warrior", "soldier"),
    *("character", "farmer", "villager", "wizard", "archer", "prince", "princess", "king", "queen", "ninja"),
    *("pirate", "miner", "zombie"),
    *("小人", "人", "男人", "女人", "男孩", "女孩", "人物", "角色", "小英雄", "英雄", "勇士", "骑士", "战士"),
    *("小孩", "女战士", "农夫", "农民", "村民", "法师", "魔法师", "弓箭手", "王子", "公主", "国王", "女王"),
    *("忍者", "海盗", "矿工", "僵尸"),
)
MONSTERS: Final[Mapping[str, Mapping[str, str]]] = {
    "cyclops|独眼怪|独眼怪物|独眼巨人|独眼兽|独眼怪兽": {"eyes": "one eye"},
    "devil|little devil|demon|little demon|imp|小恶魔|恶魔|小魔鬼|魔鬼": {"head_decoration": "horns"},
    "big-mouthed monster|大嘴怪|大嘴怪物|大嘴怪兽": {"mouth": "open mouth"},
}
"""What goes without saying of some."""
CREATURES_BY_NAME: Final[Mapping[str, str]] = {
    "robot": "bottts", "monster": "critters", "alien": "critters",
    "机器人": "bottts", "怪兽": "critters", "怪物": "critters", "外星人": "critters",
}  # fmt: skip
WHOEVER_OF: Final[Mapping[bool, Sequence[str]]] = {
    True: (" baby", " kid", " guy", " girl", " boy", " man", " person", " face", " head", " character"),
    False: ("宝宝", "小孩", "女孩", "男孩", "小伙", "头", "头像", "脸"),
}
"""A robot girl is a robot."""
MISLEADING: Final = ("red hot", "red coral")
"""Names that are mostly met as the beginnings of others: a red hot air balloon."""
CONTAINERS: Final = (
    "cup of",
    "slice of",
    "piece of",
    "bowl of",
    "glass of",
    "plate of",
    "bunch of",
    "pair of",
    "bottle of",
)
"""Before a thing; they are none by themselves."""


def _split(words: str) -> list[str]:
    return [word.strip() for word in words.replace(",", "|").split("|") if word.strip()]


def _told(words: str) -> str:
    """A thing as it is told: 头发乱糟糟, of 乱糟糟的头发."""
    return re.sub(r"^(.{1,6})的(头发|脸蛋|脸|眼睛|牙齿)$", r"\2\1", words)


class Builder:
    """Gathers phrases: what is said first of a phrase is likeliest, and `plain` is what the captions say."""

    def __init__(self, vocabulary: Vocabulary, experts: Collection[str] = ()) -> None:
        self.about = vocabulary.about
        self.experts = {kind: expert for expert in experts for kind in EXPERTS.get(expert, ())}
        self.words: Phrases = {}
        self.things = dict(zip(self.about["emoji"]["name"], self.about["emoji"]["name_zh"], strict=True))
        """Names of objects in both languages."""
        self.scenes = SCENE in self.about
        """Whether the model paints scenes, which are what people mean by landscapes then."""
        if self.scenes:
            staged = self.about[SCENE].get("object", ())
            self.things |= {name: TABLE[name][0] for name in staged if name not in self.things}

    def add(self, phrases: Iterable[str], **meaning: Any) -> None:
        """Each of the phrases may mean this."""
        for phrase in phrases:
            key = " ".join(tokens(phrase))
            found = self.words.setdefault(key, [])
            same = next((each for each in found if {**each, "plain": 0} == {**meaning, "plain": 0}), None)
            if same is None:
                found.append(dict(meaning))
            elif meaning.get("plain"):
                same["plain"] = True

    def build(self) -> dict[str, Any]:
        """All of it, as JSON."""
        self._colours()
        self._people()
        self._creatures()
        if self.scenes:
            places.add_scenes(self)
        self._landscapes()
        self._attributes()
        self._things()
        self._styles()
        self._hyponyms()
        self._ignored()
        meanings = {json.dumps(each, ensure_ascii=False): each for found in self.words.values() for each in found}
        numbers = {key: at for at, key in enumerate(meanings)}
        words = {
            phrase: [numbers[json.dumps(each, ensure_ascii=False)] for each in found]
            for phrase, found in sorted(self.words.items())
        }
        return {"words": words, "meanings": [*meanings.values()], "kinds": self._kinds(), "says": self._says()}

    def _colours(self) -> None:
        said = [key for keys in self.about.values() for key in keys if key.endswith("_color") or key == "background"]
        colours = {value for keys in self.about.values() for key in said for value in keys.get(key, ())}
        for colour in sorted(colours - {"bald"}):
            if " and " in colour and not self.scenes:
                continue
            plain = [*SYNONYMS.get(colour, (colour,)), *TABLE.get(colour, ())]
            self.add(plain, color=colour, plain=True)
            self.add((word[:-1] for word in plain if len(word) == 2 and word.endswith("色")), color=colour)
            for words in people.COLOURS.get(colour, ()):
                self.add(_split(words), color=colour)
            self.add(
                (f"{word[0]}发" for word in plain if word.endswith("色") and len(word) == 2),
                shows={"hair_color": colour},
            )
        for phrase in GROUNDS:
            self.add([phrase], paints="background", plain=True)

    def _people(self) -> None:
        """Nouns of portraits, and what those look like of whom nobody says more."""
        self.add(
            (w for each in ENGLISH_PERSONS.values() for w in each), kind="portrait", noun=True, weight=NOUN, plain=True
        )
        self.add(
            (w for each in CHINESE_PERSONS.values() for w in each), kind="portrait", noun=True, weight=NOUN, plain=True
        )
        self.add(
            [*ANY_STYLE["portrait"], *CHINESE_ANY["portrait"]], kind="portrait", noun=True, weight=FAINT, plain=True
        )
        byname = {}
        for names, looks in people.PERSONS:
            for words in names:
                for word in _split(words):
                    byname[word] = dict(looks)
        byname |= {"黑人": {"skin": "dark"}, "白人": {"skin": "pale"}}
        for word, looks in [*byname.items(), *((new, byname[old]) for new, old in PEOPLE.items())]:
            key = " ".join(tokens(word))
            self.words[key] = [each for each in self.words.get(key, []) if not each.get("noun")]
            weight = FAINT if word in LIKENESSES else NOUN
            self.words[key].insert(0, {"kind": "portrait", "noun": True, "weight": weight, "usual": looks})
            if not looks or word in (
                "man",
                "woman",
                "girl",
                "boy",
                "男人",
                "女人",
                "女孩",
                "男孩",
                "男士",
                "人",
                "guy",
            ):
                self.words[key][0]["plain"] = True

    def _creatures(self) -> None:
        paints = {"critters": "body", "bottts": "body", "voxel-art": "clothing", "planets": "planet", "sprouts": "pot"}
        kinds = dict.fromkeys(("critters", "bottts", "voxel-art"), "character") | {
            "planets": "planet",
            "sprouts": "plant",
        }
        for style, names in people.CREATURES.items():
            meaning = {"kind": kinds[style], "noun": True, "weight": NOUN, "paints": paints[style]}
            named = {"style": style, **meaning}
            self.add([STYLES[style], *TABLE[STYLES[style]]], **named, plain=True)
            for words in names:
                self.add(_split(words), **(named if kinds[style] == "character" else meaning))
        self.add(
            ["potted", "in pot", "planted in pot", "growing in pot", "盆栽的", "花盆里", "盆里", "种在花盆里"],
            kind="plant",
            noun=True,
            style="sprouts",
            paints="pot",
            weight=POT,
        )
        self.add(ANY_STYLE["planet"], kind="planet", noun=True, weight=NOUN, paints="planet", plain=True)
        planet = {"kind": "planet", "noun": True, "weight": NOUN, "style": "planets", "paints": "planet"}
        for called, looks in PLANETS.items():
            self.add(_split(called), **planet, usual=looks)
        critter = {"kind": "character", "noun": True, "weight": NOUN, "style": "critters", "paints": "body"}
        self.add(["monster", "alien", "外星人"], **critter)
        for called, looks in MONSTERS.items():
            self.add(_split(called), **critter, usual=looks)
        for creature, style in CREATURES_BY_NAME.items():
            young = (f"{creature}{someone}" for someone in WHOEVER_OF[creature.isascii()])
            self.add(young, **{**critter, "style": style})

    def _landscapes(self) -> None:
        noun = {"kind": "landscape", "noun": True, "weight": NOUN}
        for terrain, names in people.TERRAINS.items():
            meaning = {**noun, "shows": {"terrain": terrain}, "paints": "terrain"}
            self.add([*SYNONYMS.get(terrain, (terrain,)), *TABLE[terrain]], **meaning, plain=True)
            for words in () if self.scenes else names:
                self.add(_split(words), **meaning)
        if not self.scenes:
            self.add([*ANY_STYLE["landscape"], *CHINESE_ANY["landscape"]], **noun, plain=True)
        self.add([STYLES["landscape"], *TABLE[STYLES["landscape"]]], **noun, style="landscape", plain=True)
        if self.scenes:
            self.add(
                ["ringed planet", *TABLE["ringed planet"]],
                kind="planet",
                noun=True,
                weight=NOUN,
                style="planets",
                paints="planet",
                shows={"ring": "wide ring"},
            )
            night = {"time_of_day": "night", "stars": "starry sky"}
            self.add(SKIES_AT_NIGHT, kind=SCENE, noun=True, weight=FAINT, shows=night, usual={"place": places.ANYWHERE})
        else:
            self.add(["view", "scene", "景观", "景色", "景"], **noun)
            self.add(SKIES_AT_NIGHT, **noun, shows={"time_of_day": "night"})
        self.add(["蓝天", "蓝天白云"], shows={"sky_color": "light blue"})
        for key, table in (("time_of_day", people.TIMES), ("sun", people.SUNS), ("water", people.WATER)):
            for value, names in table.items():
                kind = "moon" if "moon" in value else key
                apart = AMBIGUOUS | (places.ORBS if self.scenes and key == "time_of_day" else frozenset())
                meaning = {"shows": {kind: value}, "paints": "sky" if key == "time_of_day" else kind}
                plain = [value, *TABLE.get(value, ()), *([WHEN[value]] if value in WHEN else [])]
                self.add(plain, **meaning, plain=True)
                for word in (word for words in names for word in _split(words)):
                    paints = (
                        {"paints": "sun"} if key == "time_of_day" and places.SUN.search(word) else {}
                    )  # a red sinking sun
                    self.add(sorted({word, people.bare(word)} - apart), **{**meaning, **paints})

    def _attributes(self) -> None:
        """Words for the parts of a picture, as captions have them and as people do."""
        shown: dict[str, set[str]] = {}
        for kind in PARTS_OF:
            for key, values in self.about[kind].items():
                if not key.endswith("_color") and key not in ("style", "background", "terrain", "time_of_day", "sun"):
                    shown.setdefault(key, set()).update(values)
        orders = {key: values for kind in (*PARTS_OF, "emoji") for key, values in self.about[kind].items()}
        for key, all_shown in shown.items():
            frequent = [value for value in orders[key] if value in all_shown]
            for value in [*frequent, *sorted(all_shown - set(frequent))]:
                meaning: Meaning = {"shows": {key: value}}
                if any(f"{key}_color" in self.about[kind] for kind in PARTS_OF):
                    meaning["paints"] = key
                if key == "skin":
                    self.add(
                        [f"{value} skin", *(f"{w.removesuffix('皮肤')}皮肤" for w in TABLE[value])],
                        **meaning,
                        plain=True,
                    )
                    for words in people.SKINS.get(value, ()):
                        self.add(_split(words), **meaning)
                    continue
                self.add([*SYNONYMS.get(value, (value,)), *TABLE.get(value, ())], **meaning, plain=True)
                if value in BEFORE:
                    self.add([BEFORE[value]], **meaning, plain=True)
                if value in DOING:
                    self.add([DOING[value]], **meaning, plain=True)
                for table in (people.PARTS, people.FACES):
                    for words in table.get(value, ()):
                        self.add(_split(words), **meaning)
                        self.add((told for word in _split(words) if (told := _told(word)) != word), **meaning)
        self.add(WORN_BY, kind="portrait", paints="clothing")
        self.add(["skin", "fur", "皮肤", "毛"], kind="character", paints="body")
        for word, key in WORN.items():
            alone = {ENGLISH_ALONE.get(key, key), CHINESE_ALONE.get(key, "")}
            self.add([word], paints=key, plain=word in alone)
        for key in sorted(ALONE - {"moon"}):  # which says that there is one, and that it is night
            self.add(
                [ENGLISH_ALONE.get(key, key), *([CHINESE_ALONE[key]] if key in CHINESE_ALONE else [])],
                paints=key,
                plain=True,
            )

    def _things(self) -> None:
        meanings = {}
        for name, chinese in self.things.items():
            shown = (each.get("shows", {}) for each in self.words.get(" ".join(tokens(name)), []))
            if PERSON.search(name) or any({"terrain", "time_of_day"} & each.keys() for each in shown):
                continue  # a portrait or a landscape
            if self.scenes and name in places.WHOLE:
                continue
            style = "emoji" if emoji.held_out(name) == "fluent-emoji" else "fluent-emoji"
            weight = FAINT if name.endswith((" moon", "sun")) else NOUN
            meanings[name] = {"kind": "emoji", "noun": True, "weight": weight, "style": style, "shows": {"name": name}}
            self.add([name, chinese], **meanings[name], plain=True)
        for name, both in people.OBJECTS.items():
            drawn = name if name in meanings else people.INSTEAD.get(name, "")
            for words in both if drawn in meanings else ():
                self.add(_split(words), **meanings[drawn])
        for name, drawn in people.INSTEAD.items():
            if drawn in meanings and name not in meanings:
                self.add([name, *TABLE.get(name, ())], **meanings[drawn])

        for name, character in json.loads(emoji.CHARACTERS.read_text(encoding="utf-8")).items():
            for meaning in self.words.get(" ".join(tokens(name)), []):
                self.add([character], **{**meaning, "plain": False})
        self._settings()
        for plant in self.about["plant"]["plant"]:  # where there is none by itself
            for phrase in (
                plant,
                *TABLE[plant],
                *(word for words in people.PARTS.get(plant, ()) for word in _split(words)),
            ):
                self.add([phrase], kind="plant", noun=True, weight=NOUN, shows={"plant": plant}, paints="plant")

    def _settings(self) -> None:
        """How large a thing is, where it is and where it looks, as far as the model knows; it makes no kind."""
        faint = {"kind": "emoji", "weight": 0.0}
        about = self.about["emoji"]
        for size in about.get("size", ()):
            said = [size, *CHINESE_SETTINGS[size], *SIZES[size]]
            shows = {"shows": {"size": size}} if size == "large" else {}  # a little sailboat is no speck in a corner
            self.add(said, **faint, **shows, plain=True)
        for position in about.get("position", ()):
            said = [*POSITIONS[position], *CHINESE_SETTINGS[position]]
            self.add(said, **faint, shows={"position": position}, plain=True)
        for facing in about.get("facing", ()):
            said = [f"facing {facing}", f"looking {facing}", *CHINESE_FACING[facing]]
            self.add(said, **faint, shows={"facing": facing}, plain=True)

    def _hyponyms(self) -> None:
        """Kinds of things, of places and of persons; what is known already stays as it is."""
        for name, words in json.loads(HYPONYMS.read_text(encoding="utf-8")).items():
            known = self.words.get(" ".join(tokens(name)), [])
            found = [each for each in known if each.get("noun")]
            if name == "person" or not found:
                found = [{"kind": "portrait", "noun": True, "weight": NOUN}] if name == "person" else []
            new = (word for word in words if " ".join(tokens(word)) not in self.words and word not in MISLEADING)
            for word in list(new):
                for meaning in [*found[:1], *(each for each in known if "object" in each.get("shows", {}))]:
                    self.add([word], **{key: value for key, value in meaning.items() if key != "plain"})

    def _styles(self) -> None:
        for style, names in people.PORTRAIT_STYLES.items():
            self.add(
                [STYLES[style], *TABLE[STYLES[style]]], kind="portrait", noun=True, weight=NOUN, style=style, plain=True
            )
            for words in names:
                self.add(_split(words), kind="portrait", noun=True, weight=NOUN, style=style)
        for style, said in (("adventurer", ("comic", "漫画")), ("micah", ("hand-drawn", "手绘"))):
            self.add(said, kind="portrait", noun=True, weight=NOUN, style=style)
        looks = [*BLOCKS, *(f"{look} {someone}" for look in BLOCKS for someone in WHOEVER)]
        self.add(looks, kind="character", noun=True, weight=NOUN, style="voxel-art", paints="clothing")
        for style, names in people.LOOKS.items():
            self.add([STYLES[style], *TABLE[STYLES[style]]], kind="emoji", shows={"style": style}, plain=True)
            for words in names:
                self.add(_split(words), kind="emoji", shows={"style": style})

    def _ignored(self) -> None:
        """What stands around a wish, and is not to be taken for one."""
        for language in ("en", "zh"):
            for name in ("heads", "tails", "places"):
                for phrase in (part for words in people.FRAMES[name][language] for part in words.split("{}")):
                    key = " ".join(tokens(phrase))
                    if len(key.split()) > 1 and not (self.scenes and self._is_place(key.split()[1:])):
                        self.words.setdefault(key, [])
        for phrase in CONTAINERS:
            self.words.setdefault(" ".join(tokens(phrase)), [])

    def _is_place(self, said: Sequence[str]) -> bool:
        found = self.words.get(" ".join(said), ())
        return any(each.get("kind") == SCENE and "place" in each.get("shows", {}) for each in found)

    def _kinds(self) -> dict[str, Any]:
        found = {}
        styles = {
            "portrait": people.STYLE_ORDER, "character": ("critters", "bottts", "voxel-art"), "planet": ("planets",),
            "plant": ("sprouts",), "landscape": ("landscape",), "emoji": ("fluent-emoji", "emoji"), SCENE: tuple(LOOKS),
        }  # fmt: skip
        for kind in filter(self.about.__contains__, KINDS):
            keys = [key for key in self.about[kind] if key not in UNORDERED]
            order = list(dict.fromkeys(key.removesuffix("_color") for key in [*(k for k in FIRST if k in keys), *keys]))
            if "sky" in order:
                order = list(dict.fromkeys(("time_of_day", "sky", *order)))
            if kind == SCENE:
                order = list(dict.fromkeys(("place", *places.SPOKEN_FOR, *order)))
            order.append("style")
            order += [key for key in ("size", "name", "background") if key in self.about[kind]]
            found[kind] = {
                "caption": "{style} of {name}" if kind == "emoji" else "{style}",
                "order": order,
                "styles": {style: self._style(kind, style) for style in styles[kind]},
                "alone": {key: ENGLISH_ALONE.get(key, key) for key in sorted(ALONE) if key in order},
                "rules": self._rules(kind),
                "hides": {"headwear": "hair", "hair": "headwear"} if "headwear" in order else {},
                **({"expert": self.experts[kind]} if kind in self.experts else {}),
            }
        return found

    def _rules(self, kind: str) -> Sequence[tuple[Mapping[str, str], Mapping[str, str]]]:
        """What goes without saying; see `lexicon.Kind`."""
        if kind == "landscape":
            return _rules()
        if kind == "emoji" and "size" in self.about[kind]:  # large ones are drawn best
            return [({"size": "", "position": ""}, {"size": "large"})]
        return list(places.rules()) if kind == SCENE else []

    def _style(self, kind: str, style: str) -> dict[str, Any]:
        has: dict[str, set[str]] = {}
        if kind in ("portrait", "character"):
            for key, value in people.vocabulary_of(style):
                if key not in ("kind", "style", "split"):
                    has.setdefault(key, set()).add(value)
        return {"says": STYLES[style], "has": {key: sorted(values) for key, values in sorted(has.items())}}

    def _says(self) -> dict[str, dict[str, str]]:
        skins = {value for about in self.about.values() for value in about.get("skin", ())}
        things = self.about["emoji"]
        names = [*self.things, *(f"{size} {name}" for size in things.get("size", ()) for name in self.things)]
        says = {
            "skin": {value: f"{value} skin" for value in sorted(skins)},
            "name": {name: said for name in names if (said := with_article(name)) != name},
        }
        settings = {
            "position": {position: POSITIONS[position][0] for position in things.get("position", ())},
            "facing": {facing: f"facing {facing}" for facing in things.get("facing", ())},
        }
        return says | {key: words for key, words in settings.items() if words}


def _rules() -> Sequence[tuple[Mapping[str, str], Mapping[str, str]]]:
    """What goes without saying in a landscape, as `wordings.completed` has it."""
    untimed = {"time_of_day": ""}
    rules = [({"sky_color": colour, **untimed}, {"time_of_day": time}) for colour, time in people.TIME_OF.items()]
    rules.append(({"moon": "*", **untimed}, {"time_of_day": "night"}))
    for time in ("sunset", "sunrise"):
        for colour in ("yellow", "light yellow", "pink and yellow"):
            rules.append(({"time_of_day": time, "sky_color": colour}, {"sun_color": "orange"}))
        rules.append(({"time_of_day": time}, {"sun": "sun with a halo"}))
    rules += [({"time_of_day": time}, {"sky_color": colour}) for time, colour in people.SKY_AT.items()]
    rules += [({"sun": "*"}, {"sun_color": "yellow"}), ({"time_of_day": "night"}, {"moon": "full moon"})]
    rules += [({"moon": "*"}, {"moon_color": "white"}), ({"water": "*"}, {"water_color": "blue"})]
    for terrain, colour in people.LAND.items():
        for time in ("", "daytime", "sunrise", "night", *(["sunset"] if colour != "green" else [])):
            rules.append(({"terrain": terrain, "time_of_day": time}, {"terrain_color": colour}))
    return rules


def experts_of(folder: Path) -> list[str]:
    """The experts that a model's folder brings."""
    return sorted(path.name for path in (folder / FOLDER).glob("*") if path.is_dir())


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the model")
    folder = parser.parse_args().folder
    vocabulary = Vocabulary.read(folder)
    if vocabulary is None:
        raise SystemExit(f"lexicon: {folder} has no world.json, from which the words are taken that its model knows")
    data = json.dumps(Builder(vocabulary, experts_of(folder)).build(), ensure_ascii=False, separators=(",", ":"))
    write_atomic(folder / FILE, (data + "\n").encode())
    print(f"{folder / FILE}: {len(data) // 1024} KiB")


if __name__ == "__main__":
    main()
