"""Portraits and characters of nano: complete tables, known attributes, words in two languages."""

import re
from collections import Counter
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
import pytest

pytest.importorskip("dicebear")
pytest.importorskip("dicebear_styles")
pytest.importorskip("resvg_py")

from dicebear import Avatar
from recipes.nano.data import characters, portraits
from recipes.nano.data.characters import CHARACTER_STYLES
from recipes.nano.data.chinese import WORDS
from recipes.nano.data.emoji import rasterise_rgba
from recipes.nano.data.portraits import PORTRAIT_STYLES
from recipes.nano.data.words import (
    BACKGROUNDS,
    COLOURS,
    EXCLUDED,
    HEADWEAR,
    HELD_OUT,
    HELD_OUT_BACKGROUNDS,
    MORE,
    STYLES,
    TOON_HAIR,
    VARIANTS,
)
from recipes.nano.data.words.views import LOOKS

DRAWN_STYLES = (*PORTRAIT_STYLES, *CHARACTER_STYLES)
APART = {"kind", "style", "split"}


@cache
def drawn(style: str, count: int = 1000) -> list[portraits.Portrait]:
    draw = portraits.draw if style in PORTRAIT_STYLES else characters.draw
    return [draw(style, Random(f"test {style} {index}")) for index in range(count)]


def words_of(style: str) -> set[str]:
    """All words which the tables have for a style."""
    tables = [*VARIANTS[style].values(), *COLOURS[style].values(), *MORE[style].values()]
    return {words for table in tables for words in table.values()} | (
        set(TOON_HAIR.values()) if style == "toon-head" else set()
    )


@pytest.mark.parametrize("style", DRAWN_STYLES)
def test_tables_and_exclusions_cover_the_style(style: str) -> None:
    definition, excluded = portraits.definition(style), EXCLUDED[style]
    described = {f"{name}:{variant}" for name, table in VARIANTS[style].items() for variant in table}
    described |= {f"{name}:{value}" for name, table in COLOURS[style].items() for value in table}
    if style == "toon-head":
        described |= {f"hair:{front}" for front, _ in TOON_HAIR}
        described |= {f"rearHair:{rear}" for _, rear in TOON_HAIR if rear is not None}
    existing = {f"{name}:{each}" for name, part in definition["components"].items() for each in part["variants"]}
    existing |= {f"{name}:{value}" for name, colour in definition["colors"].items() for value in colour["values"]}
    existing = {each for each in existing if each.split(":")[0] not in excluded}
    assert described | {each for each in excluded if ":" in each} == existing
    assert not described & excluded


@pytest.mark.parametrize("style", DRAWN_STYLES)
def test_every_choice_is_made_here(style: str) -> None:
    """What the library resolves is what the options say: it adds nothing that the attributes do not know."""
    definition = portraits.definition(style)
    single = {f"{name}Variant" for name, part in definition["components"].items() if len(part["variants"]) == 1}
    single |= {f"{name}Color" for name, colour in definition["colors"].items() if len(colour["values"]) == 1}
    for portrait in drawn(style)[:12]:
        resolved = Avatar(portraits.load_style(style), portrait.options).to_json()["options"]
        for key, value in resolved.items():
            if key.endswith("Variant") and (key in portrait.options or key not in single):
                assert portrait.options[f"{key.removesuffix('Variant')}Probability"] == 100
                assert value == portrait.options[key]
            if key.endswith("Color") and (key in portrait.options or key not in single):
                assert value == portrait.options[key]


@pytest.mark.parametrize("style", PORTRAIT_STYLES)
def test_shares_and_rules(style: str) -> None:
    attributes = [portrait.attributes for portrait in drawn(style)]
    seen = Counter(key for each in attributes for key in each)
    assert seen["facial_hair"] / len(attributes) == pytest.approx(0.25, abs=0.05)
    if style != "toon-head":
        assert seen["accessory"] / len(attributes) == pytest.approx(0.35, abs=0.05)
    if style in {"avataaars", "personas", "micah"}:
        assert seen["headwear"] / len(attributes) == pytest.approx(0.15, abs=0.04)
    assert {each["background"] for each in attributes} == set(BACKGROUNDS.values())
    for each in attributes:
        assert {"skin", "background", "kind", "style", "split"} <= each.keys()
        assert ("hair" in each) != ("headwear" in each)
        assert each["background"] not in {each.get("hair_color"), each.get("clothing_color")}
        if style in {"avataaars", "micah"}:  # the others' hats have colours of their own
            assert each["background"] != each.get("headwear_color")
        if (
            style in {"avataaars", "personas", "toon-head", "micah"}
            and {"facial_hair_color", "hair_color"} <= each.keys()
        ):
            assert each["facial_hair_color"] == each["hair_color"]
        if each.get("headwear") == "hijab":
            assert "facial_hair" not in each
        if "sunglasses" in each.get("accessory", "") or each.get("accessory") in {"eyepatch", "sleep mask"}:
            assert "eyes" not in each
        if each.get("accessory") == "face mask":
            assert "mouth" not in each


@pytest.mark.parametrize(
    ("style", "always"),
    [
        ("voxel-art", {"skin", "mouth", "clothing", "clothing_color", "shoes", "shoes_color"}),
        ("critters", {"body_color", "mouth"}),
        ("bottts", {"body_color", "eyes", "mouth", "head_decoration"}),
    ],
)
def test_what_every_character_says(style: str, always: set[str]) -> None:
    for each in (character.attributes for character in drawn(style)):
        assert each["kind"] == "character"
        assert {"background", "split", *always} <= each.keys()
        coloured = {key for key in each if key.endswith("_color")}
        assert each["background"] not in {each[key] for key in coloured - {"facial_hair_color"}}
        if "head_decoration_color" in each:
            assert each["head_decoration_color"] != each["body_color"]
        assert not ({"hair", "headwear"} <= each.keys())
        if each.get("headwear"):
            assert "hair_color" not in each
        if each.get("clothing") in {"dress", "overalls"}:
            assert "trousers" not in each


@pytest.mark.parametrize("style", DRAWN_STYLES)
def test_held_out_combinations_are_never_trained_on(style: str) -> None:
    reserved = Counter[str]()
    for portrait in drawn(style):
        attributes = portrait.attributes
        pair = any(pair <= attributes.items() for pair in HELD_OUT[style])
        background = attributes["background"] in HELD_OUT_BACKGROUNDS[attributes["kind"]]
        reserved.update({"pair": pair, "background": background, "neither": not (pair or background)})
        assert attributes["split"] == "validation" or not (pair or background)
    assert reserved["pair"] > 0
    assert reserved["background"] > 0
    validation = sum(portrait.attributes["split"] == "validation" for portrait in drawn(style))
    assert validation < len(drawn(style)) - reserved["neither"] * 0.95


@pytest.mark.parametrize("style", DRAWN_STYLES)
def test_held_out_combinations_can_occur(style: str) -> None:
    """Each word of a reserved pair is one which the tables know."""
    assert {value for pair in HELD_OUT[style] for _, value in pair} <= words_of(style)
    assert len(HELD_OUT[style]) >= 2


def test_held_out_backgrounds_differ_from_kind_to_kind() -> None:
    names = [name for reserved in HELD_OUT_BACKGROUNDS.values() for name in reserved]
    assert len(names) == len(set(names)) == 2 * sum(map(bool, HELD_OUT_BACKGROUNDS.values()))
    assert set(names) <= set(BACKGROUNDS.values())


@pytest.mark.parametrize("style", DRAWN_STYLES)
def test_every_word_has_a_chinese_one(style: str) -> None:
    said = {words for portrait in drawn(style) for key, words in portrait.attributes.items() if key not in APART}
    templates = {words for words in words_of(style) if "{" in words}
    parts = set(VARIANTS[style].get("clothesGraphic", {}).values())  # said within a template only
    assert said - {""} <= WORDS.keys()
    assert words_of(style) - templates - parts - {""} <= WORDS.keys()
    things = {key.removesuffix("_color") for portrait in drawn(style) for key in portrait.attributes if "_color" in key}
    assert {thing.replace("_", " ") for thing in things} <= WORDS.keys()


def test_the_chinese_table_is_in_chinese() -> None:
    assert {*STYLES.values(), *BACKGROUNDS.values()} - {*LOOKS.values()} <= WORDS.keys()  # views have their own table
    for synonyms in WORDS.values():
        assert len(set(synonyms)) == len(synonyms) > 0
        for each in synonyms:
            assert re.fullmatch(r"(3D|T|V)?[\u4e00-\u9fff]+T?[\u4e00-\u9fff]*", each)


@pytest.mark.parametrize(
    ("style", "attribute", "color"),
    [
        ("adventurer", "hair_color", "hair"),
        ("big-smile", "hair_color", "hair"),
        ("micah", "clothing_color", "shirt"),
        ("micah", "hair_color", "hair"),
        ("critters", "body_color", "body"),
        ("critters", "head_decoration_color", "accent"),
        ("bottts", "body_color", "base"),
        ("voxel-art", "shoes_color", "shoes"),
    ],
)
def test_named_colours_are_in_the_picture(style: str, attribute: str, color: str) -> None:
    table = portraits.palette(style, color)
    told = [portrait for portrait in drawn(style)[:60] if attribute in portrait.attributes][:5]
    for portrait in told:
        value = portrait.options[f"{color}Color"][0]
        assert table[value] == portrait.attributes[attribute]
        picture = rasterise_rgba(portraits.svg(portrait), 64)[..., :3].astype(int)
        distance = np.abs(picture - np.array(list(bytes.fromhex(value[1:])))).max(axis=-1)
        assert (distance <= 6).sum() >= 3


@pytest.mark.parametrize("style", DRAWN_STYLES)
def test_sources_credit_the_style(style: str) -> None:
    sources = (Path(portraits.__file__).parents[1] / "SOURCES.md").read_text("utf-8")
    meta = portraits.definition(style)["meta"]
    for part in ("creator", "source", "license"):
        assert f"[{meta[part]['name']}]({meta[part]['url']})" in sources


def test_headwear_is_worn_by_some_style() -> None:
    tables = (VARIANTS["avataaars"]["top"], VARIANTS["personas"]["hair"], VARIANTS["micah"]["hair"])
    assert {name for table in (*tables, VARIANTS["voxel-art"]["top"]) for name in table} >= HEADWEAR
