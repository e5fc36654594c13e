"""The guide of the service says in both languages what the code does."""

import re
from pathlib import Path

import pytest

from sfumato.service.app import application
from sfumato.service.settings import Settings
from tests.test_guides import commands, unknown

GUIDE = Path(__file__).parents[2] / "docs" / "guide"
ENDS = (".md", ".zh.md")
PAGES = {"serve": 12, "gallery": 16}
"""Guides, and how many addresses each names at least."""


def texts(name: str) -> list[str]:
    return [(GUIDE / f"{name}{end}").read_text(encoding="utf-8") for end in ENDS]


@pytest.mark.parametrize("name", PAGES)
def test_commands_are_real_and_the_same(name: str) -> None:
    english, chinese = map(commands, texts(name))
    assert english
    assert english == chinese
    assert [unknown(words) for words in english] == [None] * len(english)


@pytest.mark.parametrize("name", PAGES)
def test_addresses_are_those_of_the_application(name: str, tmp_path: Path) -> None:
    paths = {
        re.sub(r"{\w+(:path)?}", "*", getattr(route, "path", "")) for route in application(Settings(tmp_path)).routes
    }
    english, chinese = ([*re.findall(r"`(?:GET|POST|PATCH) (/[^\s`]+)`", text)] for text in texts(name))
    assert english == chinese
    assert len(english) >= PAGES[name]
    assert {re.sub(r"\b(ID|INDEX|NAME)\b", "*", address.partition("?")[0]) for address in english} <= paths
