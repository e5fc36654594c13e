"""Rendering nano's data set, and its captions in English and Chinese. Without npm."""

import hashlib
import json
import re
from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
import pytest

pytest.importorskip("dicebear")
pytest.importorskip("dicebear_styles")
pytest.importorskip("resvg_py")

from recipes.nano.data import chinese_captions, english_captions, portraits, render
from recipes.nano.data.captions import CHINESE_SHARE, caption, full_caption, whole_caption
from recipes.nano.data.things import things
from recipes.nano.data.views import VIEW_LOOKS
from recipes.nano.data.words import BACKGROUNDS, STYLES

COUNTS = dict.fromkeys(("avataaars", "voxel-art", "landscape"), 2)
APPLE = {
    "kind": "emoji",
    "style": "emoji",
    "name": "red apple",
    "name_zh": "红苹果",
    "tags": "fruit|red",
    "tags_zh": "水果|红色",
    "group": "food-drink",
    "background": "light blue",
    "split": "train",
}
APART = {"kind", "style", "split"}


def drawn(style: str, count: int) -> list[dict[str, str]]:
    return [render.SOURCES[style](style, Random(f"test {style} {index}")).attributes for index in range(count)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("nano") / "data"
    with pytest.MonkeyPatch.context() as patch:
        here(patch)
        assert render.render(out, COUNTS, placements=0, size=64, seed=3) == 0
    return out


def here(patch: pytest.MonkeyPatch) -> None:
    """Draw in this process, and no slower than it is."""
    patch.setattr(render, "ProcessPoolExecutor", lambda processes, context: Here())
    patch.setattr("os.nice", lambda increment: increment)


def test_a_rendered_folder_is_complete(folder: Path) -> None:
    pictures = np.load(folder / "pictures.npy", mmap_mode="r")
    attributes = [json.loads(line) for line in (folder / "attributes.jsonl").read_text("utf-8").splitlines()]
    assert pictures.dtype == np.uint8
    assert pictures.shape == (6, 64, 64, 3)
    assert Counter(each["style"] for each in attributes) == COUNTS
    assert {each["split"] for each in attributes} <= {"train", "validation"}
    assert not folder.with_name("data.partial").exists()


def test_the_corner_of_a_portrait_has_its_background(folder: Path) -> None:
    pictures = np.load(folder / "pictures.npy")
    value = {name: value for value, name in BACKGROUNDS.items()}
    lines = (folder / "attributes.jsonl").read_text("utf-8").splitlines()
    for picture, line in zip(pictures[:4], lines[:4], strict=True):
        assert "#" + bytes(picture[0, 0]).hex() == value[json.loads(line)["background"]]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_with_any_number_of_processes(folder: Path, tmp_path: Path) -> None:
    render.render(tmp_path / "again", COUNTS, placements=0, size=64, seed=3, processes=2)
    for name in ("pictures.npy", "attributes.jsonl"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_an_existing_folder_is_left_alone(folder: Path) -> None:
    with pytest.raises(FileExistsError, match="already exists"):
        render.render(folder, COUNTS, placements=0, size=64, seed=3)


@pytest.mark.slow
def test_more_of_a_style_comes_last_and_moves_nothing() -> None:
    few = render.jobs({"planets": 2, "landscape": 1}, placements=1)
    more = render.jobs({"planets": 2, "landscape": 1}, placements=1, more={"planets": 2})
    assert more == [*few, render.Job("planets", 2), render.Job("planets", 3)]
    assert set(render.MORE) <= set(render.COUNTS)


def test_the_first_data_set_stays_as_it_was() -> None:
    """What its pictures show and how they are drawn, by digest: later kinds come last. A change here moves the card."""
    told = hashlib.sha256()
    for style in render.COUNTS:
        for index in range(6):
            drawn = render.SOURCES[style](style, Random(f"0 {style} {index}"))
            assert isinstance(drawn, portraits.Portrait)
            told.update(json.dumps([drawn.attributes, drawn.options], ensure_ascii=False).encode())
    assert told.hexdigest() == "74a42fb63db7aa3ac2335baeef1e3830c94b19c8aca056dff057bd707f05a12b"


def test_a_drawing_which_kills_the_renderer_costs_only_itself() -> None:
    red = '<rect width="1" height="1" fill="#f00"/>'
    good = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1">{red}</svg>'
    with render.Renderer(8) as rasterised:
        assert rasterised("not a drawing") is None
        picture = rasterised(good)
        assert picture is not None
        assert picture[4, 4].tolist() == [255, 0, 0, 255]


def test_failed_drawings_leave_no_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, so that the patch is seen."""
    draw_svg = portraits.svg
    monkeypatch.setattr(
        portraits, "svg", lambda portrait: "broken" if portrait.style == "planets" else draw_svg(portrait)
    )
    here(monkeypatch)
    counts = {"avataaars": 1, "planets": 1, "toon-head": 1}
    assert render.render(tmp_path / "data", counts, placements=0, size=16, seed=0) == 1
    assert np.load(tmp_path / "data" / "pictures.npy").shape == (2, 16, 16, 3)
    styles = [json.loads(line)["style"] for line in (tmp_path / "data" / "attributes.jsonl").open(encoding="utf-8")]
    assert styles == ["avataaars", "toon-head"]


class Here:
    """A pool which is no pool."""

    def __enter__(self) -> "Here":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    @staticmethod
    def map(function, items, chunksize):  # type: ignore[no-untyped-def]
        return map(function, items)


def test_every_style_is_rendered_and_has_words() -> None:
    assert {*render.COUNTS, *VIEW_LOOKS} == set(render.SOURCES)
    assert set(STYLES) == {*render.SOURCES, "emoji", "fluent-emoji"}
    assert {attributes["kind"] for style in render.SOURCES for attributes in drawn(style, 1)} == set(
        english_captions.ANY_STYLE
    )
    assert set(english_captions.ANY_STYLE) == set(chinese_captions.ANY_STYLE)


def test_synonyms_begin_with_the_plain_word_and_doing_has_a_chinese_twin() -> None:
    assert all(synonyms[0] == word for word, synonyms in english_captions.SYNONYMS.items())
    assert chinese_captions.DOING.keys() <= english_captions.DOING.keys()


@pytest.mark.parametrize("style", render.SOURCES)
def test_a_full_caption_says_everything(style: str) -> None:
    for attributes in drawn(style, 60):
        said, said_in_chinese = full_caption(attributes), full_caption(attributes, "zh")
        assert said.startswith(STYLES[style])
        for key, words in attributes.items():
            if key not in APART:
                assert words in said
                assert chinese_captions.TABLE[words][0] in said_in_chinese
        for thing, colour in things(attributes).values():
            if thing and colour:
                assert f"{colour} {thing}" in said


@pytest.mark.parametrize("style", render.SOURCES)
def test_captions_vary_and_follow_the_seed(style: str) -> None:
    attributes = drawn(style, 1)[0]
    said = [caption(attributes, Random(seed)) for seed in range(300)]
    assert said == [caption(attributes, Random(seed)) for seed in range(300)]
    assert len(set(said)) > 120
    chinese = [each for each in said if re.search(r"[\u4e00-\u9fff]", each)]
    assert abs(len(chinese) / 300 - CHINESE_SHARE) < 0.1
    assert not any(re.search(r"[a-z]{2}", each) for each in chinese)
    assert not any(", ," in each or "  " in each or each != each.strip(" ,，") for each in said)
    assert not any("，，" in each for each in said)


@pytest.mark.parametrize("style", render.SOURCES)
def test_a_whole_caption_leaves_nothing_out(style: str) -> None:
    """In either language each attribute is there, in one of its wordings; it varies all the same."""
    for attributes in drawn(style, 8):
        said = [whole_caption(attributes, Random(seed)) for seed in range(60)]
        assert len(set(said)) > 20
        for each in said:
            is_chinese = re.search(r"[\u4e00-\u9fff]", each) is not None
            for words in (words for key, words in attributes.items() if key not in APART):
                plain = (words,)
                wordings = chinese_captions.TABLE[words] if is_chinese else english_captions.SYNONYMS.get(words, plain)
                assert any(wording in each for wording in wordings), (words, each)
    assert any(STYLES[style] in each for each in said)


def test_every_draw_can_be_told_in_both_languages() -> None:
    for style in render.SOURCES:
        for i, attributes in enumerate(drawn(style, 60)):
            for seed in range(6):
                assert caption(attributes, Random(f"{i} {seed}"))


def test_emoji_captions() -> None:
    assert full_caption(APPLE) == "emoji art of a red apple, light blue background"
    assert full_caption(APPLE, "zh").endswith("，红苹果，浅蓝色背景")
    said = {caption(APPLE, Random(seed)) for seed in range(600)}
    assert all("red apple" in each or "红苹果" in each for each in said)
    assert {"a red apple, light blue background", "emoji art of a red apple on a light blue background"} <= said
    assert any("fruit" in each for each in said)
    assert any("水果" in each for each in said)


@pytest.mark.parametrize(
    ("name", "phrase"),
    [
        ("umbrella", "an umbrella"),
        ("unicorn", "a unicorn"),
        ("hourglass", "an hourglass"),
        ("grapes", "grapes"),
        ("octopus", "an octopus"),
        ("bowl of noodles", "a bowl of noodles"),
        ("frying pan with an egg", "a frying pan with an egg"),
    ],
)
def test_articles(name: str, phrase: str) -> None:
    assert full_caption({**APPLE, "name": name}) == f"emoji art of {phrase}, light blue background"


@pytest.mark.parametrize(
    ("hair", "beard", "words"),
    [("long hair", False, {"woman", "girl"}), ("bald head", True, {"man", "guy", "boy"})],
)
def test_hair_and_beard_hint_at_who_it_is(hair: str, beard: bool, words: set[str]) -> None:
    attributes = {"kind": "portrait", "style": "micah", "hair": hair} | ({"facial_hair": "full beard"} if beard else {})
    said = " ".join(english_captions.ENGLISH.sentence(attributes, Random(seed)) for seed in range(60))
    assert set(re.findall(r"\b(?:woman|girl|man|guy|boy)\b", said)) == words


def test_hair_and_mood_may_stand_before_the_person_in_both_languages() -> None:
    attributes = {"kind": "portrait", "style": "", "hair": "long hair", "hair_color": "red", "mouth": "smile"}
    english = {english_captions.ENGLISH.sentence(attributes, Random(seed)) for seed in range(300)}
    assert english >= {
        "a smiling red-haired girl",
        "a red-haired woman, smiling",
        "a person with red long hair, smiling",
    }
    bald = {**attributes, "hair": "bald head", "facial_hair": "full beard"}
    del bald["hair_color"]
    said = {english_captions.ENGLISH.sentence(bald, Random(seed)) for seed in range(600)}
    assert any(re.fullmatch("a smiling bald bearded (man|guy|boy|person)", each) for each in said)
    del attributes["hair"]
    chinese = {chinese_captions.CHINESE.sentence(attributes, Random(seed)) for seed in range(600)}
    assert any(re.fullmatch("一个微笑的红发的?人", each) for each in chinese)
