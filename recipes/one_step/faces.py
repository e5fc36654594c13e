"""Faces that diffusion, an adversary and one-step students learn from alike:
``python -m recipes.one_step.faces --out runs/one-step``.

Portraits of 128 px in one DiceBear style (personas), as nano's recipe draws and describes them: in `data` as it is
trained from nothing, in `photos` the first of those to train on as students learn, with two captions each.
"""

import argparse
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

from recipes.nano.data.captions import caption
from recipes.nano.data.render import render
from sfumato.training.data import Pictures

STYLE = "personas"
SIZE = 128


def keep(pictures: Pictures, count: int, folder: Path) -> None:
    """Pictures as people have them, captions beside them."""
    folder.mkdir(parents=True)
    for number in pictures.train[:count].tolist():
        Image.fromarray(np.asarray(pictures.array[number])).save(folder / f"{number:05d}.png", compress_level=1)
        rng = Random(number)
        lines = [caption(pictures.attributes[number], rng) for _ in range(2)]
        (folder / f"{number:05d}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def make(out: Path, count: int, photos: int) -> None:
    """Render both."""
    render(out / "data", {STYLE: count}, placements=0, size=SIZE, seed=0, processes=2)
    keep(Pictures.for_training(out / "data"), photos, out / "photos")


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
