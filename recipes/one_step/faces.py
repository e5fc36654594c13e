"""Faces that diffusion, an adversary and one-step students learn from alike:
``python -m recipes.one_step.faces --out runs/one-step``.

Portraits of 128 px in one DiceBear style (personas), as nano's recipe draws and describes them: in `data` as it is
trained from nothing, in `photos` the first of those to train on as students learn, with two captions each.
"""

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

from recipes.nano.data.captions import caption
from recipes.nano.data.render import render
from recipes.teach.pictures import write
from sfumato.training.data import Pictures

STYLE = "personas"
SIZE = 128


def described(pictures: Pictures, numbers: Iterable[int]) -> Iterator[tuple[Image.Image, str]]:
    """Those pictures, each with two captions, a line each."""
    for number in numbers:
        rng = Random(number)
        lines = [caption(pictures.attributes[number], rng) for _ in range(2)]
        yield Image.fromarray(np.asarray(pictures.array[number])), "\n".join(lines)


def make(out: Path, count: int, photos: int) -> None:
    """Render both."""
    render(out / "data", {STYLE: count}, placements=0, size=SIZE, seed=0, processes=2)
    pictures = Pictures.for_training(out / "data")
    write(out / "photos", described(pictures, pictures.train[:photos].tolist()))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/one-step"))
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--photos", type=int, default=2000)
    given = parser.parse_args()
    make(given.out, given.count, given.photos)


if __name__ == "__main__":
    main()
