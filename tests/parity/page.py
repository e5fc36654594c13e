"""Writes `docs/parity.md` from a run of the parity tests: `python -m tests.parity.page`, or with files of tests, whose
rows alone are then written anew.
"""

import re
import sys
from collections import defaultdict
from pathlib import Path

import pytest
import torch

from tests.parity.measure import LEVELS, MEASURED, RELATIVE

PAGE = Path(__file__).parents[2] / "docs" / "parity.md"
HEAD = """# Parity with diffusers, transformers and peft

Every network against its original, and whole pipelines against diffusers' with the same seed, on random weights in
tiny configurations and float32: what is compared, and the largest distance that was measured. Written by
`python -m tests.parity.page` from the tests themselves, which fail beyond the bounds: {relative:g} of the original's
norm for a network's output, {levels:g} of 255 levels in any value of a picture. Where the two differ by choice:
[decision 3](decisions/0003-where-we-differ-from-diffusers.md).

Versions: {versions}.

| test | cases | networks, relative distance | pictures, levels of 255 |
| --- | --- | --- | --- |
"""


def rows_of(measured: list[tuple[str, str, float]]) -> list[str]:
    """A row a test function, its parametrised cases together."""
    cases: dict[str, set[str]] = defaultdict(set)
    worst: dict[str, dict[str, float]] = defaultdict(dict)
    for test, what, distance in measured:
        name = re.sub(r"\[.*", "", test.removeprefix("tests/parity/"))
        cases[name].add(test)
        worst[name][what] = max(distance, worst[name].get(what, 0.0))
    rows = []
    for name, distances in worst.items():
        file, _, function = name.partition("::")
        shown = (
            f"[{file.removesuffix('.py')}](../tests/parity/{file}): {function.removeprefix('test_').replace('_', ' ')}"
        )
        relative = f"{distances['relative']:.1e}" if "relative" in distances else ""
        levels = f"{distances['levels']:.2f}" if "levels" in distances else ""
        rows.append(f"| {shown} | {len(cases[name])} | {relative} | {levels} |")
    return rows


def kept(page: str, files: list[str]) -> list[str]:
    """The rows of a page that are not of these files of tests."""
    rows = [line for line in page.splitlines() if line.startswith("| [test_")]
    return [row for row in rows if not any(row.startswith(f"| [{Path(file).stem}]") for file in files)]


def versions() -> str:
    """Of the libraries that were compared with."""
    from importlib.metadata import version

    names = ("diffusers", "transformers", "peft")
    return ", ".join([*(f"{name} {version(name)}" for name in names), f"torch {torch.__version__.split('+')[0]}"])


def main() -> int:
    """Run the tests, and write the page if all pass."""
    files = sys.argv[1:]
    code = pytest.main(["-q", "-p", "no:cacheprovider", *(files or [str(Path(__file__).parent)])])
    if code == 0:
        head = HEAD.format(relative=RELATIVE, levels=LEVELS, versions=versions())
        others = kept(PAGE.read_text(encoding="utf-8"), files) if files else []
        rows = sorted([*others, *rows_of(MEASURED)], key=lambda row: row.partition("]")[0])
        PAGE.write_text(head + "\n".join(rows) + "\n", encoding="utf-8")
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
