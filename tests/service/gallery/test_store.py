"""The gallery's store without its service: what it keeps in memory is what stands in the database."""

import random
from pathlib import Path
from typing import Any

import pytest

from sfumato.errors import UnknownNameError
from sfumato.service.database import Database
from sfumato.service.gallery.store import Gallery

BYTES = 24


def facts(draw: random.Random) -> dict[str, Any]:
    digests = {name: draw.randbytes(32).hex() for name in ("digest", "pixels")}
    said = {"tool": "sfumato", "task": draw.choice(("txt2img", "inpaint")), "model": draw.choice(("nano", "other"))}
    rest = {"exact": True, "request": None, "prompt": "a fox", "negative": "", "seed": "1", "format": "png"}
    loras = draw.sample(("ink", "oil", "wash"), draw.randrange(3))
    return {**digests, **said, **rest, "width": 8, "height": 8, "look": draw.randbytes(BYTES).hex(), "loras": loras} | {
        "sources": []
    }


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    return Gallery(Database.in_folder(tmp_path), tmp_path)


def test_counts_and_likeness_keep_up_with_every_change(gallery: Gallery, tmp_path: Path) -> None:
    draw, there = random.Random(0), [f"{i:032x}" for i in range(12)]
    for id in there:
        gallery.add(id, "x.png", facts(draw), created=1.0)
    gallery.facets()
    for turn in range(30):
        some = draw.sample(there, draw.randrange(1, 4))
        change = draw.choice(("add", "label", "only", "trash", "restore", "erase"))
        if change == "add":
            id = draw.choice([*there, f"{100 + turn:032x}"])
            there = [*dict.fromkeys([*there, id])]
            gallery.add(id, "x.png", facts(draw), created=1.0)
        elif change == "label":
            gallery.label(some, draw.choice(("tag", "board")), add=draw.sample("abc", 2), remove=["a"])
        elif change == "only":
            gallery.label(some, "tag", only=draw.sample("abc", 1))
        elif change == "erase" and len(there) > 8:
            gallery.erase(some[:1])
            there.remove(some[0])
        elif change in ("trash", "restore"):
            getattr(gallery, change)(some)
        fresh = Gallery(gallery._database, tmp_path)
        assert gallery.facets() == fresh.facets(), change
        assert gallery.similar(there[0], limit=5) == fresh.similar(there[0], limit=5), change


def test_counts_are_made_anew_when_a_change_fails(gallery: Gallery, tmp_path: Path) -> None:
    gallery.add("a" * 32, "x.png", facts(random.Random(1)), created=1.0)
    before = gallery.facets()
    with pytest.raises(UnknownNameError):
        gallery.label(["a" * 32, "nothing"], "tag", add=["garden"])
    assert gallery.facets() == before
    with pytest.raises(ValueError, match="hexadecimal"):
        gallery.add("b" * 32, "x.png", {**facts(random.Random(2)), "look": "no digits"}, created=1.0)
    assert gallery.facets() == Gallery(gallery._database, tmp_path).facets() == before


def test_the_nearest_are_those_with_the_fewest_other_bits(gallery: Gallery) -> None:
    draw = random.Random(3)
    marks = [draw.randbytes(BYTES) for _ in range(40)]
    for number, mark in enumerate(marks):
        gallery.add(f"{number:032x}", "x.png", {**facts(draw), "look": mark.hex()}, created=1.0)
    bits = [bin(int.from_bytes(mark) ^ int.from_bytes(marks[7])).count("1") / (8 * BYTES) for mark in marks]
    right = sorted((share, -number) for number, share in enumerate(bits) if number != 7)[:6]
    found = [(share, -int(entry.id, 16)) for entry, share in gallery.similar(f"{7:032x}", limit=6)]
    assert found == right
    assert gallery.similar(f"{7:032x}", most=right[2][0], limit=40)[-1][1] == right[2][0]


def test_what_is_shown_is_marked_later(gallery: Gallery) -> None:
    draw, ids = random.Random(4), [f"{i:032x}" for i in range(6)]
    for id in ids:
        gallery.add(id, "x.png", facts(draw), created=1.0)
    numbers = {id: number for number, id in gallery.likeness.missing("shown")}
    assert list(numbers) == ids
    vectors = {id: bytes([100 * (k % 2), 60, *[0] * 126]) for k, id in enumerate(ids)}
    vectors[ids[5]] = bytes(128)  # of which it is not known
    for some in (ids[3:], ids[:3]):  # the later first
        gallery.likeness.keep("shown", {numbers[id]: vectors[id] for id in some})
        assert not {id for _, id in gallery.likeness.missing("shown")} & set(some)
        gallery.similar(some[0], by="shown")
    found = [(entry.id, round(difference, 3)) for entry, difference in gallery.similar(ids[0], by="shown")]
    assert found == [(ids[4], 0), (ids[2], 0), (ids[3], 0.243), (ids[1], 0.243), (ids[5], 1)]
    assert [entry.id for entry, _ in gallery.like(vectors[ids[1]])] == [ids[3], ids[1], ids[4], ids[2], ids[0]]
    gallery.add(ids[0], "x.png", facts(draw), created=1.0)  # anew
    assert [id for _, id in gallery.likeness.missing("shown")] == [ids[0]]
    assert gallery.marked(ids[1], "shown") == vectors[ids[1]]
