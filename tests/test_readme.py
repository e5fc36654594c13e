"""The README tells what the code does: its generated part is current and its commands exist."""

import re
from pathlib import Path

import pytest
from docs import families
from docs.readme import README, current


def test_the_generated_part_is_current() -> None:
    assert README.read_text(encoding="utf-8") == current(), "run python -m docs.readme"


@pytest.mark.parametrize("page", families.HEADS)
def test_the_families_in_the_guide_are_current(page: str) -> None:
    assert (families.GUIDE / page).read_text(encoding="utf-8") == families.current(page), "run python -m docs.families"


def test_make_targets_exist() -> None:
    makefile = (README.parent / "Makefile").read_text()
    for target in re.findall(r"(?:^|`)make ([a-z-]+)", README.read_text(), re.M):
        assert re.search(rf"^{target}:", makefile, re.M), target


def test_linked_files_exist() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", README.read_text()):
        if not link.startswith("http"):
            assert (README.parent / Path(link)).exists(), link
