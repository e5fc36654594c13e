"""Wordings of the recipe's captions, and the prompts that nano is judged by."""

import json
from collections import Counter
from random import Random

import numpy as np
import pytest
from recipes.nano.data import emoji
from recipes.nano.data.chinese_captions import TABLE
from recipes.nano.data.render import Job, drawings
from recipes.nano.data.words import STYLES
from recipes.nano.language import wordings
from recipes.nano.language.card import JUDGE, PROMPTS, Prompt, Score, judged, prompts, rows
from recipes.nano.language.wordings import (
    COLOURS,
    FACES,
    INSTEAD,
    OBJECTS,
    PARTS,
    PERSONS,
    SKINS,
    STYLE_ORDER,
    TERRAINS,
    TIMES,
    completed,
    home,
    pair,
    reference,
)

from sfumato.checkpoints.catalogue import bundled_folder
from sfumato.checkpoints.classifiers import load_classifier
from sfumato.prompts.vocabulary import Vocabulary


def drawn(count: int, seed: int = 0) -> list[tuple[str, str]]:
    rng = Random(seed)
    return [pair(rng) for _ in range(count)]


def test_the_same_seed_gives_the_same_pairs() -> None:
    assert drawn(50) == drawn(50)
    assert drawn(50) != drawn(50, seed=1)


def test_no_wording_is_a_prompt_of_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor one of those to look at: what is judged was never taught, even where a template would make it."""
    asked = [prompt for part in ("dev", "card") for prompt in prompts(part)]
    assert len(asked) == 300
    made = iter([(asked[0].prompt.upper(), ""), (asked[299].prompt, ""), ("another", "")])
    monkeypatch.setattr(wordings, "_pair", lambda rng: next(made))
    assert pair(Random(0)) == ("another", "")


def test_captions_are_in_the_words_of_the_recipe() -> None:
    vocabulary = Vocabulary.read(bundled_folder("nano"))
    assert vocabulary is not None
    pairs = drawn(600)
    assert sum(bool(vocabulary.unknown(caption)) for _, caption in pairs) < 12  # words of which its captions were few
    kept = sum(wording == caption for wording, caption in pairs)
    assert 60 < kept < 180
    chinese = sum(any("\u4e00" <= letter <= "\u9fff" for letter in caption) for _, caption in pairs)
    assert 240 < chinese < 420


def test_wordings_are_of_one_to_forty_words() -> None:
    lengths = [len(wording.split()) for wording, caption in drawn(2000) if wording.isascii()]
    assert min(lengths) == 1
    assert 25 <= max(lengths) <= 60


def test_tables_name_words_of_the_recipe() -> None:
    vocabulary = Vocabulary.read(bundled_folder("nano"))
    assert vocabulary is not None
    dropped = {name for names in vocabulary.dropped.values() for name in names}
    assert OBJECTS.keys() <= {*vocabulary.about["emoji"]["name"], *dropped}
    assert {*INSTEAD.values()} <= {*vocabulary.about["emoji"]["name"]}
    for table in (COLOURS, PARTS, FACES, SKINS, TERRAINS, TIMES):
        assert table.keys() - TABLE.keys() <= {"beige"}
        for english, chinese in table.values():
            assert all(english.split("|"))
            assert all(chinese.split("|"))
    heads = load_classifier(JUDGE).config.classes
    for _, looks in PERSONS:
        assert all(value in heads[key] for key, value in looks.items())


def test_what_goes_without_saying() -> None:
    shown = completed({"kind": "landscape", "terrain": "sea", "time_of_day": "sunset"})
    assert reference(shown, "en") == ("landscape illustration, sunset, orange sky, yellow sun with a halo, blue sea")
    assert completed({"kind": "landscape", "sky_color": "black"})["moon"] == "full moon"
    assert "time_of_day" not in completed({"kind": "landscape", "terrain": "mountains"})
    thing = {"kind": "emoji", "style": "fluent-emoji", "name": "owl", "name_zh": "猫头鹰"}
    assert reference(thing, "en") == "3d emoji of an owl"
    assert reference(thing, "zh") == "3D表情图，猫头鹰"


def test_a_portrait_has_a_style_that_knows_its_things() -> None:
    assert home({"hair": "mohawk", "mouth": "pacifier"}) == "personas"
    assert home({"accessory": "tiara"}) == "big-smile"
    assert home({}) == STYLE_ORDER[0]
    assert set(STYLE_ORDER) <= STYLES.keys()


def test_prompts_are_whole() -> None:
    lines = [Prompt(**json.loads(line)) for line in PROMPTS.read_text(encoding="utf-8").splitlines()]
    assert Counter((each.part, each.language) for each in lines) == dict.fromkeys(
        [(part, language) for part in ("dev", "card") for language in ("en", "zh")], 75
    )
    assert len({each.prompt for each in lines}) == 300
    heads = load_classifier(JUDGE).config.classes
    for each in lines:
        assert each.seen.keys() - {"kind"}
        assert all(words and set(words) <= set(heads[name]) for name, words in each.seen.items())


def test_the_judge_sees_what_renders_show() -> None:
    """And nothing of it in a picture of another kind."""
    jobs = [drawing for k in range(3) for drawing in drawings(Job("landscape", k), 0, seed=1)]
    pictures = [np.ascontiguousarray(emoji.rasterise_rgba(each.svg, 256)[..., :3]) for each in jobs]
    keys = ("kind", "terrain", "time_of_day")
    asked = [Prompt("card", "en", "landscape", "", {key: [each.attributes[key]] for key in keys}) for each in jobs]
    judge = load_classifier(JUDGE)
    scores = judged(judge, asked, pictures)
    assert np.mean([right for score in scores for right in score.right.values()]) > 0.8
    assert all("kind" not in score.right for score in scores)
    others = [Prompt("card", "en", "landscape", "", {**each.seen, "kind": ["planet"]}) for each in asked]
    assert not any(right for score in judged(judge, others, pictures) for right in score.right.values())


def test_rows_count_topics_together() -> None:
    cat = Prompt("card", "en", "animal", "a cat", {"name": ["cat"], "background": ["white"]})
    sea = Prompt("card", "en", "landscape", "the sea", {"terrain": ["sea"]})
    found = rows(
        [
            Score(cat, {"name": True, "background": False}, 0),
            Score(cat, {"name": False, "background": True}, 7),
            Score(sea, {"terrain": True}, None),
        ]
    )
    assert [(row.topic, row.pictures, row.attributes, row.whole, row.top5) for row in found] == [
        ("landscape", 1, 1.0, 1.0, None),
        ("objects", 2, 0.5, 0.0, 0.5),
        ("all", 3, 0.6, 1 / 3, None),
    ]
