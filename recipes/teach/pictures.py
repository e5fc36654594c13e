"""Pictures of a style that nano has never seen, to teach it: ``python -m recipes.teach.pictures FOLDER``.

Thirty drawings of DiceBear's `notionists` (by Zoish, CC0 1.0) on named background colours, with captions. Other seeds
are other people in the same style: by those `recipes.teach.measure` judges.
"""

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random

from dicebear import Avatar
from PIL import Image

from recipes.nano.data.emoji import rasterise_rgba
from recipes.nano.data.portraits import load_style
from recipes.nano.data.words import BACKGROUNDS

STYLE = "notionists"
SUBJECT = "ink drawing portrait"


def draw(count: int, size: int = 256, seed: int = 0) -> Iterator[tuple[Image.Image, str]]:
    """Pictures of the style with their captions; the same for the same seed."""
    rng = Random(f"{STYLE} {seed}")
    colours = {words: value for value, words in BACKGROUNDS.items()}
    for number in range(count):
        words = rng.choice(sorted(colours))
        svg = str(Avatar(load_style(STYLE), {"seed": f"{seed}-{number}"}))
        drawing = Image.fromarray(rasterise_rgba(svg, size), "RGBa").convert("RGBA")
        picture = Image.new("RGB", drawing.size, colours[words])
        picture.paste(drawing.convert("RGB"), mask=drawing.getchannel("A"))
        yield picture, f"{SUBJECT}, {words} background"


def write(folder: Path, drawn: Iterable[tuple[Image.Image, str]]) -> None:
    """Pictures with their captions beside them, numbered."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (picture, caption) in enumerate(drawn):
        picture.save(folder / f"{number:04d}.png", compress_level=1)
        (folder / f"{number:04d}.txt").write_text(f"{caption}\n", encoding="utf-8")


def main() -> None:
    """Write the pictures and their captions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    write(given.folder, draw(given.count, seed=given.seed))


if __name__ == "__main__":
    main()
