"""The guide's pictures, made of nano's rendered data: `python -m docs.guide.images runs/nano/data`."""

import argparse
from collections import defaultdict
from itertools import cycle, islice
from pathlib import Path
from random import Random

import torch
from PIL import Image
from recipes.nano.data.words import STYLES

from sfumato.diffusion.path import STRAIGHT
from sfumato.images import contact_sheet, to_pil
from sfumato.training.data import Pictures, generator_for

FOLDER = Path(__file__).with_name("images")
TILE = 128
"""Pixels a side."""

LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)


def tile(pictures: Pictures, index: int) -> Image.Image:
    """A picture, small."""
    return Image.fromarray(pictures.array[index]).resize((TILE, TILE), Image.Resampling.BOX)


def data(pictures: Pictures, count: int = 24) -> Image.Image:
    """Training pictures, the styles in turn, drawn at random."""
    places: dict[str, list[int]] = defaultdict(list)
    for index in pictures.train.tolist():
        places[pictures.attributes[index]["style"]].append(index)
    rng = Random(0)
    chosen = [rng.choice(places[style]) for style in islice(cycle(reversed(list(STYLES))), count)]
    return contact_sheet([tile(pictures, index) for index in chosen], 8)


def noising(pictures: Pictures) -> Image.Image:
    """The first picture on the straight path to one noise; in pixels, for the eye. nano's path is one of latents."""
    clean = pictures.pixels(torch.tensor([0]))
    clean = torch.nn.functional.avg_pool2d(clean, pictures.size // TILE)
    noise = torch.randn(clean.shape, generator=generator_for(0))
    return contact_sheet([to_pil(STRAIGHT.mix(clean, noise, torch.tensor(sigma))[0]) for sigma in LEVELS], len(LEVELS))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    pictures = Pictures(parser.parse_args().data)
    FOLDER.mkdir(exist_ok=True)
    for make in (data, noising):
        make(pictures).save(FOLDER / f"{make.__name__}.png", optimize=True)


if __name__ == "__main__":
    main()
