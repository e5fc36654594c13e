"""The short list of nano's objects: every emoji is kept or dropped for a reason; size, place and side are as said."""

import json
from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
import pytest

pytest.importorskip("dicebear")
pytest.importorskip("resvg_py")

from recipes.nano.data import chinese_captions, emoji, objects, render, views
from recipes.nano.data.captions import caption, full_caption
from recipes.nano.data.words import BACKGROUNDS
from recipes.nano.data.words.objects import CHINESE, CHINESE_FACING, ENGLISH, FACINGS, POSITIONS, names, selection
from recipes.nano.data.words.objects import SIZES as SIZE_RANGES
from recipes.nano.data.words.views import STAGES

VOCABULARY = Path(__file__).parents[2] / "src/sfumato/data/nano/world.json"
ARROW = '<path fill="#123456" d="M0 16L32 0V32Z"/>'  # points to the left
SIZES = {"small", "large"}


def made_up(name: str) -> emoji.Emoji:
    return emoji.Emoji(name, "甲", "", "", "food-drink", "🍎", {"emoji": (ARROW, 32), "fluent-emoji": (ARROW, 32)})


def attributes_of(setting: objects.Setting) -> dict[str, str]:
    background = BACKGROUNDS[setting.placement.background]
    thing = {"kind": "emoji", "style": "emoji", "name": "dog", "name_zh": "狗", "background": background}
    return {**thing, **setting.attributes}


def test_every_emoji_of_the_bundled_world_is_kept_or_dropped_for_a_reason() -> None:
    world = json.loads(VOCABULARY.read_text("utf-8"))
    known = world["about"]["emoji"]
    dropped = [name for each in selection()["dropped"] for name in each["names"]]
    assert 300 <= len(names()) <= 500
    assert sum(len(kept) for kept in selection()["kept"].values()) == len(names())
    assert Counter([*names()]) == Counter(known["name"])
    assert Counter(dropped) == Counter(name for names in world["dropped"].values() for name in names)
    assert set(names().values()) <= set(known["name_zh"])
    assert len(set(names().values())) == len(names())
    reasons = [each["reason"] for each in selection()["dropped"]]
    assert all(reasons)
    assert len(set(reasons)) == len(reasons)
    assert set(selection()["faces_left"]) <= set(names())


def test_settings_have_words_in_both_languages_and_all_are_drawn() -> None:
    assert ENGLISH.keys() == POSITIONS.keys()
    assert CHINESE.keys() == POSITIONS.keys() | SIZES
    assert CHINESE_FACING.keys() == set(FACINGS)
    drawn = [setting.attributes for seed in range(20) for setting in objects.show(made_up("dog"), Random(seed), 12)]
    for key, values in {"size": SIZES, "position": set(POSITIONS), "facing": set(FACINGS)}.items():
        assert {attributes.get(key, "") for attributes in drawn} - {""} == values
    assert all(("position" in attributes) != (attributes.get("size") == "large") for attributes in drawn)
    flat = [setting.attributes for setting in objects.show(made_up("pizza"), Random(0), 30)]
    assert not any("facing" in attributes for attributes in flat)


def test_size_place_and_side_are_in_the_picture() -> None:
    rgba = emoji.rasterise_rgba(emoji.svg(made_up("dog"), "emoji"), 96)
    for setting in objects.show(made_up("dog"), Random(4), 48):
        pixels = emoji.composite(rgba, setting.placement, 96)
        ground = pixels[0, 0] if setting.placement.scale < 0.9 else pixels[-1, 0]
        rows, columns = np.nonzero(np.abs(pixels.astype(int) - ground).max(axis=-1) > 8)
        left, right, top, bottom = columns.min(), columns.max(), rows.min(), rows.max()
        low, high = SIZE_RANGES[setting.attributes.get("size", "")]
        assert low - 0.04 < (right - left + 1) / 96 < high + 0.04
        position = setting.attributes.get("position", "center")
        middle = ((left + right) / 2 / 96, (top + bottom) / 2 / 96)
        for at, words in ((middle[0], ("left", "right")), (middle[1], ("top", "bottom"))):
            if words[0] in position.split():
                assert at < 0.42
            elif words[1] in position.split():
                assert at > 0.58
            else:
                assert 0.4 < at < 0.6
        tall = [np.ptp(rows[columns == column]) for column in (left + 2, right - 2)]
        assert (tall[0] < tall[1]) == (setting.attributes["facing"] == "left")


def test_captions_say_size_place_and_side() -> None:
    corner = {"size": "small", "position": "top left corner", "facing": "right"}
    attributes = {**attributes_of(objects.Setting(emoji.Placement("#d93a3a", 0.3, 0, 0), corner))}
    assert full_caption(attributes) == "emoji art of a small dog, red background, in the top left corner, facing right"
    assert full_caption(attributes, "zh").endswith("小小的狗，红色背景，在左上角，朝右")
    said = {caption(attributes, Random(seed)) for seed in range(400)}
    assert any("top left" in each and "facing right" in each for each in said)
    assert any("左上角" in each for each in said)
    assert all("dog" in each or "狗" in each for each in said)


def test_a_placement_says_nothing_of_a_mirror_to_the_split() -> None:
    """Or the split of the pictures that stand would change."""
    assert repr(emoji.Placement("#ffffff", 0.7, 0.1, 0.2)) == repr(emoji.Placement("#ffffff", 0.7, 0.1, 0.2, True))


def test_objects_and_stages_come_last() -> None:
    few = render.jobs({"landscape": 1}, placements=0)
    more = render.jobs({"landscape": 1}, placements=0, settings=3, staged=1)
    assert more[:1] == few
    assert more[1 : 1 + 2 * len(names())] == [
        render.Job(look, index, 3) for look in emoji.PICTURES for index in range(len(names()))
    ]
    assert more[1 + 2 * len(names()) :] == [render.Job(look, 0, 1) for look in views.VIEW_LOOKS]


@pytest.mark.parametrize("look", views.VIEW_LOOKS)
def test_an_object_stands_in_a_view(look: str) -> None:
    """In front, alone, and said in both languages."""
    for seed in range(3):
        staged = views.stage(look, "dog", Random(seed))
        assert staged.attributes["place"] in STAGES
        assert not {"prop", "animal", "vehicle"} & staged.attributes.keys()
        assert "dog" in full_caption(staged.attributes)
        assert chinese_captions.TABLE["dog"][0] in full_caption(staged.attributes, "zh")
        without, drawn = (
            emoji.rasterise_rgba(views.svg(staged, standing=standing), 96)[..., :3].astype(int)
            for standing in ("", emoji.svg(made_up("dog"), "emoji"))
        )
        changed = np.abs(drawn - without).max(axis=-1) > 8
        assert changed[40:].mean() > 0.05
        assert not changed[:20].any()


def test_a_look_held_out_is_held_out_in_settings_and_in_views(monkeypatch: pytest.MonkeyPatch) -> None:
    things = tuple(made_up(name) for name in list(names())[:80])
    monkeypatch.setattr(objects, "load", lambda: things)
    held_out = {thing.name: emoji.held_out(thing.name) for thing in things}
    assert set(held_out.values()) == {None, *emoji.PICTURES}
    for index, thing in enumerate(things):
        for look in emoji.PICTURES:
            for drawing in render.drawings(render.Job(look, index, 2), 0, 0):
                assert drawing.attributes["name"] == thing.name
                assert drawing.placement is not None
                if look == held_out[thing.name]:
                    assert drawing.attributes["split"] == "validation"
    thing = next(each for each in things if held_out[each.name] == "emoji")
    bodies = {look: (f'<g id="{look}"/>{ARROW}', 32) for look in emoji.PICTURES}
    one = emoji.Emoji(thing.name, thing.name_zh, "", "", "", "", bodies)
    monkeypatch.setattr(objects, "load", lambda: (one,))
    drawn = [drawing for k in range(12) for drawing in render.drawings(render.Job("flat", k, 1), 0, 0)]
    held = [drawing for drawing in drawn if '<g id="emoji"/>' in drawing.svg]
    assert 0 < len(held) < len(drawn)
    assert all(drawing.attributes["object"] == one.name for drawing in drawn)
    assert all(drawing.attributes["split"] == "validation" for drawing in held)
