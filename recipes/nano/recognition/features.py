"""The judge's features of fresh renders, with what they show: `python -m recipes.nano.recognition.features FOLDER`.

A file a style, which is not made again. With the default seed no picture is one of the data set's.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Self

import numpy as np
import torch
from torch import Tensor

from recipes.nano.data import emoji
from recipes.nano.data.render import COUNTS, Job, drawings, shown
from sfumato.checkpoints.classifiers import load_classifier
from sfumato.evaluation.judge import tensor_of

JUDGE = Path(__file__).parents[1] / "judge"
STYLES = (*COUNTS, *emoji.PICTURES)
SEED = 2
SIZE = 256
BATCH = 16


@dataclass(frozen=True)
class Features:
    """Of n renders: the judge's, (n, c) float32, and what each shows."""

    embedded: Tensor
    attributes: list[dict[str, str]]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """All that lie in a folder."""
        embedded, attributes = [], []
        for style in STYLES:
            with np.load(folder / f"{style}.npz") as file:
                embedded.append(torch.from_numpy(file["embedded"].astype(np.float32)))
                attributes += json.loads(str(file["attributes"]))
        return cls(torch.cat(embedded), attributes)


def renders(style: str, count: int, seed: int) -> Iterator[tuple[np.ndarray, dict[str, str]]]:
    """Pictures and what they show; of emoji one placement each, in any order, again when all have been."""
    if style in emoji.PICTURES:
        order = [k for k, each in enumerate(emoji.load()) if style in each.bodies]
        Random(f"{seed} {style}").shuffle(order)
        jobs = [(Job(style, order[k % len(order)]), seed + k // len(order)) for k in range(count)]
    else:
        jobs = [(Job(style, k), seed) for k in range(count)]
    for job, of_job in jobs:
        drawing = next(drawings(job, 1, of_job))
        picture = shown(drawing, emoji.rasterise_rgba(drawing.svg, SIZE), SIZE)
        assert picture is not None
        yield np.ascontiguousarray(picture), drawing.attributes


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=200, help="of each style")
    parser.add_argument("--emoji", type=int, default=1000, help="of each look of emoji")
    parser.add_argument("--seed", type=int, default=SEED)
    given = parser.parse_args()
    judge = load_classifier(JUDGE)
    given.folder.mkdir(parents=True, exist_ok=True)
    for style in STYLES:
        file = given.folder / f"{style}.npz"
        if file.is_file():
            continue
        made = list(renders(style, given.emoji if style in emoji.PICTURES else given.count, given.seed))
        with torch.inference_mode():
            parts = [
                judge.embed(tensor_of([picture for picture, _ in made[k : k + BATCH]]))
                for k in range(0, len(made), BATCH)
            ]
        attributes = json.dumps([shows for _, shows in made], ensure_ascii=False)
        temporary = file.with_suffix(".tmp.npz")
        np.savez(temporary, embedded=torch.cat(parts).numpy().astype(np.float16), attributes=attributes)
        temporary.replace(file)
        print(style, len(made), flush=True)


if __name__ == "__main__":
    main()
