"""The guide of the service says in both languages what the code does."""

import re
from pathlib import Path

from sfumato.service.app import Settings, application
from tests.test_guides import commands, unknown

GUIDE = Path(__file__).parents[2] / "docs" / "guide"
TEXTS = [(GUIDE / f"serve{end}").read_text(encoding="utf-8") for end in (".md", ".zh.md")]


def test_commands_are_real_and_the_same() -> None:
    english, chinese = map(commands, TEXTS)
    assert english == chinese
    assert [unknown(words) for words in english] == [None] * len(english)


def test_addresses_are_those_of_the_application(tmp_path: Path) -> None:
    paths = {
        re.sub(r"{\w+(:path)?}", "*", getattr(route, "path", "")) for route in application(Settings(tmp_path)).routes
    }
    for text in TEXTS:
        told = re.findall(r"`(?:GET|POST|PATCH) (/[^\s`]+)`", text)
        assert len(told) == 9
        assert {re.sub(r"\b(ID|INDEX)\b", "*", address) for address in told} <= paths
