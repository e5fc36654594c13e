"""What a model says it knows, and when it advises."""

from dataclasses import replace
from pathlib import Path

import pytest

from sfumato.prompts.vocabulary import Vocabulary, words

ATTRIBUTES = [
    {"kind": "portrait", "hair": "short hair", "split": "train"},
    {"kind": "portrait", "hair": "long hair", "split": "train"},
    {"kind": "portrait", "hair": "long hair", "split": "train"},
    {"kind": "emoji", "name": "red apple", "name_zh": "红苹果", "tags": "fruit", "split": "train"},
    {"kind": "emoji", "name": "bus", "name_zh": "公交车", "tags": "travel", "split": "train"},
    {"kind": "emoji", "name": "city at night", "name_zh": "城市夜景", "tags": "travel", "split": "train"},
]
CAPTIONS = ["a portrait with long hair", "short hair, blue background", "red apples on white", "红苹果，蓝色背景"]
CAPTIONS += ["a bus", "公交车", "a city at night", "城市夜景"]


@pytest.fixture
def vocabulary() -> Vocabulary:
    return Vocabulary.learn(CAPTIONS, ATTRIBUTES)


def test_words_are_latin_stems_and_pairs_of_han() -> None:
    said = words("A pair of Apples, 红苹果 (best quality) 7! Château's 8k")
    assert said == ["pair", "apple", "château", "红苹", "苹果"]


def test_the_most_frequent_values_come_first(vocabulary: Vocabulary) -> None:
    assert vocabulary.about == {
        "portrait": {"hair": ("long hair", "short hair")},
        "emoji": {
            "name": ("red apple", "bus", "city at night"),
            "name_zh": ("红苹果", "公交车", "城市夜景"),
        },
    }


@pytest.mark.parametrize(
    "prompt",
    [
        "a red apple",
        "Portrait, long hair!",
        "红苹果",
        "",
        "of the",
        "a bus",
        "a city at night",
        "8k, best <lora:x:1> (apples:1.2)",
    ],
)
def test_no_advice_within_the_vocabulary(vocabulary: Vocabulary, prompt: str) -> None:
    assert vocabulary.advice(prompt, "nano") is None


@pytest.mark.parametrize(
    ("prompt", "named"),
    [
        ("the battle of Trafalgar", "'battle', 'trafalgar' and"),
        ("apple by Rubens", "'rubens' and"),
        ("a city bus", "'city bus' and"),
        ("8k château Schloß", "'château', 'schloß' and"),
        ("一位白发的火车站长，红苹果", "'白发', '火车站长' and"),
        ("一辆城市公交车", "'城市公交车' and"),
        ("!!!???", "no words"),
        ("🐉 <lora:x:1>", "no words"),
        ("red oil green painting 红车 a big house", "'oil', 'green', 'painting', 'big' ... and"),
    ],
)
def test_advice_outside_of_it(vocabulary: Vocabulary, prompt: str, named: str) -> None:
    advice = vocabulary.advice(prompt, "nano")
    assert advice is not None
    assert named in advice
    assert "portraits, emojis" in advice
    assert "\n" not in advice


def test_written_and_read(vocabulary: Vocabulary, tmp_path: Path) -> None:
    for each in (vocabulary, replace(vocabulary, dropped={"too thin": ("sword", "rose")})):
        each.write(tmp_path)
        assert Vocabulary.read(tmp_path) == each


@pytest.mark.parametrize("content", [None, "", "[]", '{"known": 3}', '{"known": [], "about": []}', "\ud800"])
def test_an_unreadable_file_is_none(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "world.json").write_text(content, encoding="utf-8", errors="surrogatepass")
    assert Vocabulary.read(tmp_path) is None


def test_values_of_one_picture_each_are_no_knowledge() -> None:
    rows = [{"kind": "photo", "file": f"{i}.png", "colour": "red"} for i in range(50)]
    assert Vocabulary.learn([], rows).about == {"photo": {"colour": ("red",)}}
