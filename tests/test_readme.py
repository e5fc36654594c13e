"""The README tells what the code does: its generated part is current and its commands exist."""

import re
from pathlib import Path

from docs.readme import README, current


def test_the_generated_part_is_current() -> None:
    assert README.read_text(encoding="utf-8") == current(), "run python -m docs.readme"


def test_make_targets_exist() -> None:
    makefile = (README.parent / "Makefile").read_text()
    for target in re.findall(r"(?:^|`)make ([a-z-]+)", README.read_text(), re.M):
        assert re.search(rf"^{target}:", makefile, re.M), target


def test_linked_files_exist() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", README.read_text()):
        if not link.startswith("http"):
            assert (README.parent / Path(link)).exists(), link
