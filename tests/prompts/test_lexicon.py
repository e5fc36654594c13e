"""What a lexicon makes of prompts: phrases, colours, kinds of pictures, and what goes without saying."""

import json
from pathlib import Path
from typing import Any

import pytest

from sfumato.errors import CheckpointError
from sfumato.prompts.interpretation import interpret
from sfumato.prompts.lexicon import FILE, Lexicon, tokens

MEANINGS = [
    {"kind": "face", "noun": True, "weight": 2, "usual": {"hair": "bun", "hair_color": "white"}},  # 0 granny
    {"kind": "face", "noun": True, "weight": 2, "plain": True},  # 1 girl
    {"shows": {"hair": "curly hair"}, "paints": "hair", "plain": True},  # 2
    {"shows": {"hair": "bun"}, "paints": "hair", "plain": True},  # 3
    {"paints": "hair"},  # 4 hair
    {"shows": {"hat": "cap"}, "paints": "hat", "plain": True},  # 5
    {"color": "red", "plain": True},  # 6
    {"color": "blue", "plain": True},  # 7
    {"paints": "background", "plain": True},  # 8
    {"kind": "thing", "noun": True, "weight": 2, "shows": {"name": "bus"}, "plain": True},  # 9
    {"kind": "thing", "noun": True, "weight": 2, "shows": {"name": "town"}},  # 10
    {"kind": "place", "noun": True, "weight": 2, "shows": {"terrain": "sea"}, "paints": "terrain"},  # 11
    {"shows": {"time": "sunset"}},  # 12
    {"kind": "face", "noun": True, "weight": 2, "style": "sketch", "plain": True},  # 13 sketch
    {"kind": "thing", "noun": True, "weight": 2, "shows": {"name": "heart"}},  # 14
]
WORDS = {
    "granny": [0], "girl": [1], "女 孩": [1], "curly hair": [2], "卷 发": [2], "bun": [3], "hair": [4], "头 发": [4],
    "cap": [5], "帽": [5], "red": [6], "红": [6], "红 色": [6], "blue": [7], "蓝": [7], "蓝 色": [7],
    "background": [8], "背 景": [8], "bus": [9], "公 交 车": [9], "city": [10], "城 市": [10], "sea": [11], "海": [11],
    "sunset": [12], "夕 阳": [12], "sketch": [13], "心": [14], "high quality": [],
}  # fmt: skip
KINDS: dict[str, Any] = {
    "face": {
        "caption": "{style}",
        "order": ["hair", "hat", "style", "background"],
        "styles": {
            "sketch": {"says": "sketch", "has": {"hair": ["bun"]}},
            "comic": {"says": "comic", "has": {"hair": ["curly hair"], "hat": ["cap"]}},
        },
        "alone": {"hair": "hair"},
        "rules": [],
        "hides": {"hat": "hair"},
    },
    "thing": {
        "caption": "{style} of {name}",
        "order": ["style", "name", "background"],
        "styles": {"icon": {"says": "icon", "has": {}}},
        "alone": {},
        "rules": [],
        "hides": {},
    },
    "place": {
        "caption": "{style}",
        "order": ["time", "terrain", "sky", "style"],
        "styles": {"view": {"says": "view", "has": {}}},
        "alone": {"sky": "sky"},
        "rules": [[{"time": "sunset"}, {"sky_color": "orange"}], [{"time": ""}, {"sky_color": "blue"}]],
        "hides": {},
    },
}


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return Lexicon.parse({"words": WORDS, "meanings": MEANINGS, "kinds": KINDS, "says": {"name": {"bus": "a bus"}}})


def test_tokens_are_stems_without_articles_and_han_characters() -> None:
    assert tokens("The girl's caps, 女孩 3D") == ["girl", "cap", "女", "孩", "3d"]


@pytest.mark.parametrize(
    ("prompt", "caption"),
    [
        ("a girl with red curly hair", "comic, red curly hair"),
        ("a girl with curly red hair, high quality", "comic, red curly hair"),  # a colour inside of a phrase
        ("a girl whose hair is red", "sketch, red hair"),
        ("girl, blue cap, red background", "comic, blue cap, red background"),
        ("a girl on red", "sketch, red background"),
        ("红色卷发的女孩，背景是蓝色", "comic, red curly hair, blue background"),
        ("女孩头发红色", "sketch, red hair"),
        ("my granny", "sketch, white bun"),
        ("my granny with red hair", "sketch, red bun"),  # what is said goes before what is usual
        ("a granny in a blue cap", "comic, blue cap"),  # which hides the hair
        ("a bus, please", "icon of a bus"),
        ("a city bus", "icon of a bus"),  # of two nouns side by side the last
        ("城市里的公交车", "icon of a bus"),  # in Chinese the last of a clause
        ("a bus by the sea", "icon of a bus"),
        ("the sea at sunset", "view, sunset, sea, orange sky"),
        ("夕阳下的大海", "view, sunset, sea, orange sky"),
        ("sea", "view, sea, blue sky"),
        ("sunset", "view, sunset, orange sky"),  # no noun, but one kind alone has it
        ("a girl with curly hair and no red cap", "comic, curly hair"),  # said to be missing
        ("没有帽子的女孩，卷发", "comic, curly hair"),
        ("a girl without a cap, blue background", "sketch, blue background"),
    ],
)
def test_what_is_said_is_put_in_the_words_of_the_captions(lexicon: Lexicon, prompt: str, caption: str) -> None:
    assert interpret(prompt, lexicon).caption == caption


@pytest.mark.parametrize("missing", ["bun", "no bun", "(bun:1.2), ugly", "red cap and bun"])
def test_what_the_negative_prompt_names_does_not_go_without_saying(lexicon: Lexicon, missing: str) -> None:
    assert interpret("my granny", lexicon).caption == "sketch, white bun"
    assert interpret("my granny", lexicon, missing).caption == "sketch, white hair"
    assert interpret("my granny without bun", lexicon).caption == "sketch, white hair"
    assert interpret("my granny with a bun", lexicon, missing).caption == "sketch, white bun", "what is said stays"


@pytest.mark.parametrize(
    "prompt", ["", "a spaceship", "high quality", "blue", "关心你", "sketch, red curly hair, girl"]
)
def test_what_it_does_not_know_or_what_is_plain_stays(lexicon: Lexicon, prompt: str) -> None:
    """So does a character in the midst of another word: 心 of 关心."""
    assert interpret(prompt, lexicon).caption is None


def test_a_folder_without_one_has_none_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    assert Lexicon.read(tmp_path) is None
    (tmp_path / FILE).write_text("{}")
    with pytest.raises(CheckpointError, match=r"lexicon\.json is no lexicon: 'meanings'; take"):
        Lexicon.read(tmp_path)
    (tmp_path / FILE).write_text(json.dumps({"words": {}, "meanings": [], "kinds": {}, "says": {}}))
    found = Lexicon.read(tmp_path)
    assert found is not None
    assert interpret("a girl", found).caption is None
