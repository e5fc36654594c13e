"""The full-text index, in both databases: what is added is found by words of any language, until it is erased."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sfumato.errors import RequestError, SfumatoError
from sfumato.service.database import Database
from sfumato.service.gallery import marks
from sfumato.service.gallery.filters import Filters
from sfumato.service.gallery.store import Gallery

PROMPTS = {
    "fox": "two red foxes, side by side",
    "chinese": "一只红狐狸在雪地里",
    "dog": "the dog's red kennel",
    "odd": 'a "quoted" \\ word\0 & | ! :* (here)',
}


@pytest.fixture
def gallery(url: str, tmp_path: Path) -> Iterator[Gallery]:
    database = Database(url)
    found = Gallery(database, tmp_path)
    for id, prompt in PROMPTS.items():
        found.add(id, f"{id}.png", facts(prompt), created=1.0)
    yield found
    database.close()


def facts(prompt: str) -> dict[str, Any]:
    plain = dict.fromkeys(("digest", "pixels", "tool", "task", "negative", "model", "seed", "format"), "x")
    sides = {"width": 8, "height": 8, "exact": True, "request": None, "loras": ["style"], "sources": ["ab"]}
    return {**plain, **sides, "prompt": prompt.replace("\0", " "), **dict.fromkeys(marks.SORTS, "00" * 32)}


def found(gallery: Gallery, query: str, **more: Any) -> set[str]:
    filters = Filters(q=query, **more)
    ids = {entry.id for entry in gallery.find(filters).entries}
    assert gallery.count(filters) == len(ids)
    return ids


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("red", {"fox", "dog"}),
        ("fox", {"fox"}),  # a stem
        ("ken", {"dog"}),  # unfinished
        ("ken red", set()),
        ('"red foxes"', {"fox"}),
        ('"foxes red"', set()),
        ("the", {"dog"}),  # no word is too frequent
        ("red -dog", {"fox"}),
        ("-red", {"chinese", "odd"}),
        ("狐狸", {"chinese"}),
        ("红狐", {"chinese"}),
        ("雪狐", set()),
        ("dog's", {"dog"}),
        ("quoted here", {"odd"}),
        ("\\ ' :* & quoted", {"odd"}),
    ],
)
def test_words_are_found(query: str, ids: set[str], gallery: Gallery) -> None:
    assert found(gallery, query) == ids


def test_what_is_in_the_trash_or_erased_is_not_found(gallery: Gallery) -> None:
    gallery.trash(["fox"])
    assert found(gallery, "red") == {"dog"}
    assert found(gallery, "", trash=True) == {"fox"}
    gallery.restore(["fox"])
    assert found(gallery, "red", lora="style", since=0.5) == {"fox", "dog"}
    assert gallery.erase(["fox"]) == 1
    assert found(gallery, "red") == {"dog"}
    gallery.label(["dog"], "tag", add=["good"])
    assert found(gallery, "", tag="good") == {"dog"}
    assert found(gallery, "red", tag="good") == {"dog"}
    with pytest.raises(RequestError, match="not looked for in the trash"):
        gallery.find(Filters(q="red", trash=True))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://somebody@/here", "a database of mysql is not known; give a URL of sqlite or postgresql"),
        ("postgres", "the database's URL cannot be read; postgresql"),
        ("postgresql+psycopg://nobody@/none?host=/nowhere", "the database cannot be opened: "),
        ("sqlite:////nowhere/at/all.db", "the database cannot be opened: unable to open database file"),
    ],
)
def test_a_database_that_cannot_be_had(url: str, said: str) -> None:
    with pytest.raises(SfumatoError, match=said):
        Database(url)
