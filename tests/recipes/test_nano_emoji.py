"""The emoji of nano's data: what is chosen and called what, where it stands, what is held out. Without npm."""

import io
import json
import tarfile
import tomllib
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

pytest.importorskip("resvg_py")

from recipes.nano.data import emoji, words
from recipes.nano.data.words import BACKGROUNDS

CIRCLE = '<circle cx="16" cy="16" r="16" fill="#123456"/>'
SUBGROUPS = ("face-smiling", "heart", "animal-marine", "food-fruit", "transport-ground", "clothing", "time", "keycap")
# label, code points, subgroup, tags, Chinese label, icon
STANDARD: tuple[tuple[Any, ...], ...] = (
    ("grinning face", "1F600", "face-smiling", ["cheer", "face", "omg", ":D", "1"], "嘿嘿", "grinning-face"),
    ("melting face", "1FAE0", "face-smiling", ["hot"], "融化的脸", "melting-face"),
    ("heart on fire", "2764-FE0F-200D-1F525", "heart", ["burn", "red-hot love"], "火上之心", "heart-on-fire"),
    ("orca", "1FACD", "animal-marine", [], "虎鲸", None),
    ("red apple", "1F34E", "food-fruit", ["red apple", "fruit"], "红苹果", "red-apple"),
    ("green apple", "1F34F", "food-fruit", ["fruit"], "青苹果", "green-apple"),
    ("automobile", "1F697", "transport-ground", ["car"], "汽车", "automobile"),
    ("woman’s hat", "1F452", "clothing", ["hat"], "女帽", "womans-hat"),
    ("one o’clock", "1F550", "time", ["clock"], "一点", "one-oclock"),
    ("person running: facing right", "1F3C3-27A1", "clothing", [], "跑步者: 面向右边", "running-right"),
    ("keycap: 1", "31-20E3", "keycap", [], "按键: 1", "keycap-1"),
)


def pack(folder: Path, package: tuple[str, str], files: dict[str, Any]) -> None:
    name, version = package
    with tarfile.open(folder / f"{name.removeprefix('@').replace('/', '-')}-{version}.tgz", "w:gz") as archive:
        for path, content in files.items():
            data = json.dumps(content).encode()
            member = tarfile.TarInfo(f"package/{path}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def packages(folder: Path, standard: tuple[tuple[Any, ...], ...] = STANDARD) -> Path:
    """A folder with the three packages, made up; the shaded look lacks the green apple."""
    english: list[dict[str, Any]] = []
    chinese: list[dict[str, Any]] = []
    icons: dict[str, Any] = {}
    icon_of: dict[str, str] = {}
    for order, (label, code, subgroup, tags, label_zh, icon) in enumerate(standard):
        entry = {"hexcode": code, "order": order, "group": 1, "subgroup": SUBGROUPS.index(subgroup)}
        english.append({**entry, "label": label, "tags": tags})
        chinese.append({**entry, "label": label_zh, "tags": [label_zh, "标签", "我爱你"]})
        if icon is not None:
            icons[icon] = {"body": CIRCLE}
            icon_of[code.lower().replace("-fe0f", "")] = icon
    regional = {"label": "regional indicator A", "hexcode": "1F1E6"}  # in no group
    groups = {"groups": {"1": "made-up"}, "subgroups": {str(index): name for index, name in enumerate(SUBGROUPS)}}
    files = {"en/data.json": [*reversed(english), regional], "zh/data.json": chinese, "meta/groups.json": groups}
    pack(folder, emoji.NAMES, files)
    pack(folder, emoji.PICTURES["emoji"], {"icons.json": {"icons": icons}, "chars.json": icon_of})
    shaded = {name: {"body": f"<g>{CIRCLE}</g>"} for name in icons if name != "green-apple"}
    pack(folder, emoji.PICTURES["fluent-emoji"], {"icons.json": {"icons": shaded, "width": 64}, "chars.json": {}})
    return folder


def made_up(name: str) -> emoji.Emoji:
    bodies = {"emoji": (CIRCLE, 32), "fluent-emoji": (CIRCLE, 32)}
    return emoji.Emoji(name, "", "", "", "food-drink", "🍎", bodies)


def test_the_chosen_emoji_and_their_names(tmp_path: Path) -> None:
    loaded = {each.name: each for each in emoji.load(packages(tmp_path))}
    assert {name: each.name_zh for name, each in loaded.items()} == {
        "grinning face": "嘿嘿表情",
        "melting face": "融化的脸",
        "heart on fire": "火上之心",
        "red apple": "红苹果",
        "green apple": "青苹果",
        "car": "汽车",
        "woman's hat": "女帽",
    }
    assert next(iter(loaded)) == "grinning face"
    assert loaded["grinning face"].tags == "cheer|face"
    assert loaded["heart on fire"].tags == "burn|red-hot love"
    assert (loaded["red apple"].tags, loaded["red apple"].tags_zh) == ("fruit", "标签")
    assert loaded["car"].tags == ""
    assert loaded["car"].group == "made-up"
    assert loaded["car"].bodies == {"emoji": (CIRCLE, 32), "fluent-emoji": (f"<g>{CIRCLE}</g>", 64)}
    assert list(loaded["green apple"].bodies) == ["emoji"]


def test_two_emoji_of_one_name_are_an_error(tmp_path: Path) -> None:
    twice = (*STANDARD, ("Car", "1F698", "transport-ground", [], "车", "car"))
    with pytest.raises(ValueError, match=r"emoji\.toml: 'Car' is not the only emoji called 'car'"):
        emoji.load(packages(tmp_path, twice))


def test_the_selection_is_consistent() -> None:
    selection = tomllib.loads(emoji.SELECTION.read_text("utf-8"))
    for name in ("left_out_subgroups", "left_out_endings", "left_out", "left_out_tags", "faces"):
        assert len(selection[name]) == len(set(selection[name]))
    assert not set(selection["left_out"]) & {*selection["renamed"], *selection["renamed_zh"]}
    assert not set(selection["left_out_subgroups"]) & set(selection["faces"])
    assert all(name == name.lower() != label for label, name in selection["renamed"].items())
    for renamed in (selection["renamed"], selection["renamed_zh"]):
        assert list(renamed) == sorted(renamed)
        assert len(set(renamed.values())) == len(renamed)


@pytest.mark.parametrize(
    ("name", "avoided"),
    [
        ("red apple", {"red"}),
        ("light blue heart", {"blue", "light blue"}),
        ("shredded paper", set()),
        ("black and white ball", {"black", "white"}),
    ],
)
def test_placements_avoid_the_colours_of_the_name(name: str, avoided: set[str]) -> None:
    usable = set(BACKGROUNDS.values()) - avoided
    placements = emoji.place(made_up(name), Random(0), len(usable))
    assert {BACKGROUNDS[placement.background] for placement in placements} == usable
    more = emoji.place(made_up(name), Random(0), 100)
    assert len(more) == 100
    assert {BACKGROUNDS[placement.background] for placement in more} == usable
    for placement in more:
        assert emoji.SCALES[0] <= placement.scale <= emoji.SCALES[1]
        assert 0 <= placement.left <= placement.left + placement.scale <= 1
        assert 0 <= placement.top <= placement.top + placement.scale <= 1


def test_rasterised_colours_are_multiplied_by_their_opacity() -> None:
    drawing = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 2 2"><path fill="#ff0000" opacity="0.5" d="{}"/></svg>'
    )
    picture = emoji.rasterise_rgba(drawing.format("M0 0h1v2h-1z"), 8)
    assert picture.shape == (8, 8, 4)
    np.testing.assert_allclose(picture[4, 1], [128, 0, 0, 128], atol=1)
    assert not picture[4, 6].any()


@pytest.mark.parametrize("size", [64, 256])
def test_a_composite_is_what_drawing_on_the_background_gives(size: int) -> None:
    half_clear = f'{CIRCLE}<path fill="#ffffff" opacity="0.6" d="M8 8h20v12h-20z"/>'
    each = emoji.Emoji("disc", "", "", "", "", "", {"emoji": (half_clear, 32)})
    rgba = emoji.rasterise_rgba(emoji.svg(each, "emoji"), 256)
    placement = emoji.Placement("#f7b2cb", 0.75, 0.125, 0.0625)
    picture = emoji.composite(rgba, placement, size)
    assert picture.shape == (size, size, 3)
    assert picture.dtype == np.uint8
    direct = emoji.rasterise_rgba(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><rect width="1" height="1" fill="#f7b2cb"/>'
        f'<g transform="translate(0.125 0.0625) scale({0.75 / 32})">{half_clear}</g></svg>',
        size,
    )
    difference = np.abs(picture.astype(int) - direct[..., :3])
    assert difference.mean() < 1
    assert difference.max() < 60  # at edges


def test_a_composite_stays_on_the_canvas() -> None:
    rgba = np.full((8, 8, 4), 255, np.uint8)
    picture = emoji.composite(rgba, emoji.Placement("#1c1c20", 0.7, 0.3, 0.3), 25)
    assert (picture[-1, -1] == 255).all()
    assert bytes(picture[0, 0]).hex() == "1c1c20"


def test_one_look_of_some_emoji_is_held_out() -> None:
    looks = [emoji.held_out(f"thing {index}") for index in range(4000)]
    for look in emoji.PICTURES:
        assert 0.04 < looks.count(look) / 4000 < 0.06
    assert looks == [emoji.held_out(f"thing {index}") for index in range(4000)]


def test_the_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "HELD_OUT_BACKGROUNDS", {"emoji": frozenset({"teal"})})
    others: list[str] = []
    for index in range(300):
        each = made_up(f"thing {index}")
        for look in emoji.PICTURES:
            for placement in emoji.place(each, Random(index), 10):
                chosen = emoji.split(each, look, placement)
                if look == emoji.held_out(each.name) or BACKGROUNDS[placement.background] == "teal":
                    assert chosen == "validation"
                else:
                    others.append(chosen)
    assert 0.035 < others.count("validation") / len(others) < 0.065
    assert set(others) == {"train", "validation"}


def test_sources_credit_every_package() -> None:
    sources = (Path(emoji.__file__).parents[1] / "SOURCES.md").read_text("utf-8")
    for package, version in (*emoji.PICTURES.values(), emoji.NAMES):
        assert f"`{package}` {version}" in sources
