"""Of a data set what the bundled network itself paints, things mostly large, as another data set:

python -m recipes.nano.things_data runs/nano/mixed_data runs/nano/things_data
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Final

import numpy as np
from numpy.lib.format import open_memmap

ELSEWHERE: Final = ("scene", "landscape")
"""Kinds of pictures that an expert paints."""
OTHERS: Final = 0.35
"""The share that is kept of things which are not large."""


def chosen(rows: Sequence[Mapping[str, str]]) -> Iterator[int]:
    """The numbers of the pictures that are kept."""
    rng = Random(0)
    for number, row in enumerate(rows):
        small = row["kind"] == "emoji" and row.get("size") != "large"
        if row["kind"] not in ELSEWHERE and (not small or rng.random() < OTHERS):
            yield number


def select(source: Path, target: Path) -> int:
    """Write the data set `target`, which must not exist; returns of how many pictures it is."""
    lines = (source / "attributes.jsonl").read_text(encoding="utf-8").splitlines()
    pictures = np.load(source / "pictures.npy", mmap_mode="r")
    numbers = list(chosen([json.loads(line) for line in lines]))
    target.mkdir(parents=True)
    kept = open_memmap(target / "pictures.npy", "w+", np.uint8, (len(numbers), *pictures.shape[1:]))
    for place, number in enumerate(numbers):
        kept[place] = pictures[number]
    kept.flush()
    (target / "attributes.jsonl").write_text("".join(f"{lines[number]}\n" for number in numbers), encoding="utf-8")
    return len(numbers)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    given = parser.parse_args()
    print(select(given.source, given.target), "pictures")


if __name__ == "__main__":
    main()
