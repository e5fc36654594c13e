"""Photographs that scikit-image's and scikit-learn's wheels bring along: to test with, and never trained on."""

from functools import cache
from pathlib import Path

import numpy as np
import skimage
import sklearn
from jaxtyping import Float
from PIL import Image

COLOUR = (
    "astronaut.png",
    "chelsea.png",
    "coffee.png",
    "rocket.jpg",
    "hubble_deep_field.jpg",
    "china.jpg",
    "flower.jpg",
)
GREY = ("camera.png", "brick.png", "grass.png", "gravel.png", "coins.png", "moon.png", "page.png", "text.png")


@cache
def photograph(name: str) -> Float[np.ndarray, "h w *c"]:
    """A photograph in [0, 1]."""
    folders = [Path(skimage.__file__).parent / "data", Path(sklearn.__file__).parent / "datasets" / "images"]
    file = next(folder / name for folder in folders if (folder / name).is_file())
    with Image.open(file) as image:
        return np.asarray(image.convert("L" if name in GREY else "RGB"), np.float32) / 255


def crops(count: int, side: int) -> list[Float[np.ndarray, "h w *c"]]:
    """Squares of all photographs in turn, from their middle outwards."""
    found = []
    for k in range(count):
        whole = photograph((*COLOUR, *GREY)[k % len((*COLOUR, *GREY))])
        h, w = (length - side for length in whole.shape[:2])
        top, left = [(h // 2, w // 2), (0, 0), (h, w)][k // len((*COLOUR, *GREY)) % 3]
        top, left = max(0, top), max(0, left)
        found.append(whole[top : top + side, left : left + side])
    return found
