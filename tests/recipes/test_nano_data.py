"""The data recipe of nano: complete tables, known attributes, the same bytes each time. Without npm."""

import json
import tomllib
from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
import pytest

pytest.importorskip("dicebear")
pytest.importorskip("dicebear_styles")
pytest.importorskip("resvg_py")

from dicebear import Avatar
from recipes.nano.data import emoji, portraits
from recipes.nano.data.captions import DOING, SYNONYMS, caption, full_caption
from recipes.nano.data.render import PORTRAIT_STYLES, Renderer, rasterise, render
from recipes.nano.data.words import (
    BACKGROUNDS,
    COLOURS,
    EXCLUDED,
    HEADWEAR,
    HELD_OUT,
    MORE,
    STYLES,
    TOON_HAIR,
    VARIANTS,
)

COUNTS = dict.fromkeys(PORTRAIT_STYLES, 6)
APPLE = {
    "kind": "emoji",
    "style": "emoji",
    "name": "red apple",
    "name_zh": "红苹果",
    "group": "food-drink",
    "background": "light blue",
    "split": "train",
}


def drawn(style: str, count: int) -> list[portraits.Portrait]:
    return [portraits.draw(style, Random(f"test {style} {index}")) for index in range(count)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("nano") / "data"
    assert render(out, COUNTS, emoji_looks=0, size=64, seed=3) == 0
    return out


def test_a_rendered_folder_is_complete(folder: Path) -> None:
    pictures = np.load(folder / "pictures.npy", mmap_mode="r")
    attributes = [json.loads(line) for line in (folder / "attributes.jsonl").read_text("utf-8").splitlines()]
    assert pictures.dtype == np.uint8
    assert pictures.shape == (18, 64, 64, 3)
    assert Counter(each["style"] for each in attributes) == COUNTS
    for each in attributes:
        assert each["kind"] == "portrait"
        assert each["split"] in {"train", "validation"}
        assert {"skin", "background", "mouth", "clothing", "clothing_color"} <= each.keys()
    assert not folder.with_name("data.partial").exists()


def test_the_corner_of_a_portrait_has_its_background(folder: Path) -> None:
    pictures = np.load(folder / "pictures.npy")
    value = {name: value for value, name in BACKGROUNDS.items()}
    for picture, line in zip(pictures, (folder / "attributes.jsonl").read_text("utf-8").splitlines(), strict=True):
        assert "#" + bytes(picture[0, 0]).hex() == value[json.loads(line)["background"]]


def test_the_same_seed_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    render(tmp_path / "again", COUNTS, emoji_looks=0, size=64, seed=3)
    for name in ("pictures.npy", "attributes.jsonl"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_an_existing_folder_is_left_alone(folder: Path) -> None:
    with pytest.raises(FileExistsError, match="already exists"):
        render(folder, COUNTS, emoji_looks=0, size=64, seed=3)


def test_a_drawing_which_kills_the_renderer_costs_only_itself() -> None:
    red = '<rect width="1" height="1" fill="#f00"/>'
    good = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1">{red}</svg>'
    with Renderer(8) as rasterised:
        assert rasterised("not a drawing") is None
        picture = rasterised(good)
    assert picture is not None
    assert np.array_equal(picture, rasterise(good, 8))
    assert picture[4, 4].tolist() == [255, 0, 0]


def test_failed_drawings_leave_no_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw_svg = portraits.svg
    monkeypatch.setattr(
        portraits, "svg", lambda portrait: "broken" if portrait.style == "personas" else draw_svg(portrait)
    )
    counts = {"avataaars": 1, "personas": 1, "toon-head": 1}
    assert render(tmp_path / "data", counts, emoji_looks=0, size=16, seed=0) == 1
    assert np.load(tmp_path / "data" / "pictures.npy").shape == (2, 16, 16, 3)
    styles = [json.loads(line)["style"] for line in (tmp_path / "data" / "attributes.jsonl").open(encoding="utf-8")]
    assert styles == ["avataaars", "toon-head"]


@pytest.mark.parametrize("style", PORTRAIT_STYLES)
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


@pytest.mark.parametrize("style", PORTRAIT_STYLES)
def test_every_choice_is_made_here(style: str) -> None:
    """What the library resolves is what the options say: it adds nothing that the attributes do not know."""
    for portrait in drawn(style, 50):
        resolved = Avatar(portraits.load_style(style), portrait.options).to_json()["options"]
        fixed = {"head", "body"}  # no choice
        for key, value in resolved.items():
            if key.endswith("Variant") and key.removesuffix("Variant") not in fixed:
                assert portrait.options[f"{key.removesuffix('Variant')}Probability"] == 100
                assert value == portrait.options[key]
            if key.endswith("Color") and key != "strokeColor":
                assert value == portrait.options[key]


@pytest.mark.parametrize("style", PORTRAIT_STYLES)
def test_shares_and_rules(style: str) -> None:
    count = 1500
    attributes = [portrait.attributes for portrait in drawn(style, count)]
    seen = Counter(key for each in attributes for key in each)
    assert seen["facial_hair"] / count == pytest.approx(0.25, abs=0.05)
    if style != "toon-head":
        assert seen["accessory"] / count == pytest.approx(0.35, abs=0.05)
        assert seen["headwear"] / count == pytest.approx(0.15, abs=0.04)
    assert {each["background"] for each in attributes} == set(BACKGROUNDS.values())
    for each in attributes:
        assert ("hair" in each) != ("headwear" in each)
        assert each["background"] not in {each.get("hair_color"), each["clothing_color"]}
        if style == "avataaars":  # the others' hats have colours of their own
            assert each["background"] != each.get("headwear_color")
        if "facial_hair_color" in each and "hair_color" in each:
            assert each["facial_hair_color"] == each["hair_color"]
        if each.get("headwear") == "hijab":
            assert "facial_hair" not in each
        if "sunglasses" in each.get("accessory", "") or each.get("accessory") == "eyepatch":
            assert "eyes" not in each


@pytest.mark.parametrize("style", PORTRAIT_STYLES)
def test_held_out_combinations_are_never_trained_on(style: str) -> None:
    reserved = 0
    for portrait in drawn(style, 3000):
        if any(pair <= portrait.attributes.items() for pair in HELD_OUT[style]):
            reserved += 1
            assert portrait.attributes["split"] == "validation"
    assert reserved > 0


@pytest.mark.parametrize("style", PORTRAIT_STYLES)
def test_held_out_combinations_can_occur(style: str) -> None:
    """Each word of a reserved pair is one which the tables know."""
    words = {words for table in VARIANTS[style].values() for words in table.values()} | set(TOON_HAIR.values())
    for tables in (COLOURS, MORE):
        words |= {words for table in tables[style].values() for words in table.values()}
    assert {value for pair in HELD_OUT[style] for _, value in pair} <= words


def test_synonyms_belong_to_words_which_occur() -> None:
    words = {words for style in VARIANTS.values() for table in style.values() for words in table.values()}
    words |= set(TOON_HAIR.values()) | set(BACKGROUNDS.values())
    words |= {
        words for tables in (COLOURS, MORE) for style in tables.values() for t in style.values() for words in t.values()
    }
    assert SYNONYMS.keys() <= words
    assert DOING.keys() <= words
    assert all(synonyms[0] == word for word, synonyms in SYNONYMS.items())
    assert {*VARIANTS["avataaars"]["top"], *VARIANTS["personas"]["hair"]} >= HEADWEAR


@pytest.mark.parametrize("style", PORTRAIT_STYLES)
def test_a_full_caption_says_everything(style: str) -> None:
    for portrait in drawn(style, 100):
        said = full_caption(portrait.attributes)
        assert said.startswith(STYLES[style])
        for key, words in portrait.attributes.items():
            if key not in {"kind", "style", "split"}:
                assert words in said
        for thing in ("hair", "clothing", "headwear", "facial_hair"):
            if f"{thing}_color" in portrait.attributes:
                assert f"{portrait.attributes[f'{thing}_color']} {portrait.attributes[thing]}" in said


@pytest.mark.parametrize("style", PORTRAIT_STYLES)
def test_captions_vary_and_follow_the_seed(style: str) -> None:
    attributes = drawn(style, 1)[0].attributes
    said = [caption(attributes, Random(seed)) for seed in range(200)]
    assert said == [caption(attributes, Random(seed)) for seed in range(200)]
    assert len(set(said)) > 150
    assert sum(STYLES[style] in each for each in said) > 170
    assert sum(attributes["background"] in each.replace("gray", "grey") for each in said) > 120
    assert not any(", ," in each or "  " in each or each != each.strip(" ,") for each in said)


def test_emoji_captions() -> None:
    assert full_caption(APPLE) == "emoji art of a red apple, light blue background"
    said = {caption(APPLE, Random(seed)) for seed in range(300)}
    assert all("red apple" in each for each in said)
    assert {
        "a red apple, light blue background",
        "emoji art of a red apple on a light blue background",
    } <= said


@pytest.mark.parametrize(
    ("name", "phrase"),
    [
        ("umbrella", "an umbrella"),
        ("unicorn", "a unicorn"),
        ("hourglass", "an hourglass"),
        ("grapes", "grapes"),
        ("bowl of noodles", "a bowl of noodles"),
        ("frying pan with an egg", "a frying pan with an egg"),
    ],
)
def test_articles(name: str, phrase: str) -> None:
    assert full_caption({**APPLE, "name": name}) == f"emoji art of {phrase}, light blue background"


def test_emoji_stay_on_the_canvas_and_avoid_their_own_colour() -> None:
    apple = emoji.Emoji("red apple", "红苹果", "food-drink", '<circle cx="16" cy="16" r="16" fill="#123456"/>', 32)
    placements = emoji.place(apple, Random(0), 10)
    assert len({placement.background for placement in placements}) == 10
    assert "red" not in {BACKGROUNDS[placement.background] for placement in placements}
    for placement in placements:
        assert 0.62 <= placement.scale <= 0.86
        assert 0 <= placement.left <= placement.left + placement.scale <= 1
        assert 0 <= placement.top <= placement.top + placement.scale <= 1
        picture = rasterise(emoji.svg(apple, placement), 64)
        assert "#" + bytes(picture[0, 0]).hex() == placement.background
        middle = [int(64 * (edge + placement.scale / 2)) for edge in (placement.top, placement.left)]
        assert picture[middle[0], middle[1]].tolist() == [0x12, 0x34, 0x56]


def test_the_emoji_selection_is_consistent() -> None:
    selection = tomllib.loads(emoji.SELECTION.read_text("utf-8"))
    for name in ("whole_subgroups", "left_out", "picked"):
        assert len(selection[name]) == len(set(selection[name]))
    assert not set(selection["left_out"]) & {*selection["picked"], *selection["renamed"]}
    assert all(name == name.lower() for name in selection["renamed"].values())
    assert len(set(selection["renamed"].values())) == len(selection["renamed"])


def test_sources_credit_every_style() -> None:
    sources = (Path(portraits.__file__).parents[1] / "SOURCES.md").read_text("utf-8")
    for style in PORTRAIT_STYLES:
        meta = portraits.definition(style)["meta"]
        for part in ("creator", "source", "license"):
            assert f"[{meta[part]['name']}]({meta[part]['url']})" in sources
    for package, version in (emoji.PICTURES, emoji.NAMES):
        assert f"`{package}` {version}" in sources
