"""One person in other moods, clothes and places, to teach nano: ``python -m recipes.teach.person FOLDER``.

Eight drawings of DiceBear's `micah` (by Micah Lanier, CC BY 4.0) whose hair, glasses and skin stay and whose mouth,
eyes, clothes and background change; captions say only what changes. Other seeds are other moods of the same person, or
other people: by those `recipes.teach.measure --person` judges.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from random import Random

from PIL import Image

from recipes.nano.data.captions import full_caption
from recipes.nano.data.emoji import rasterise_rgba
from recipes.nano.data.portraits import Portrait, svg
from recipes.nano.data.portraits import draw as draw_portrait
from recipes.teach.pictures import write

STYLE = "micah"
PERSON = 11
"""The seed of who it is: a blonde bob, dark skin, red round glasses, white hoops."""
CHANGES = ("mouth", "eyes", "eyebrows", "clothes", "clothing", "shirt", "background")
"""How the names of what changes begin."""


def draw(count: int, size: int = 256, seed: int = 0, person: int = PERSON) -> Iterator[tuple[Image.Image, str]]:
    """Pictures of a person with captions of what changes; the same for the same seeds."""
    own = draw_portrait(STYLE, Random(f"{STYLE} person {person}"))
    for number in range(count):
        mood = draw_portrait(STYLE, Random(f"{STYLE} mood {seed} {number}"))
        shown = {key: value for key, value in mood.attributes.items() if key.startswith(("kind", "style", *CHANGES))}
        kept = {key: value for key, value in own.options.items() if not key.startswith(CHANGES)}
        changed = {key: value for key, value in mood.options.items() if key.startswith(CHANGES)}
        drawn = Portrait(STYLE, {}, {**kept, **changed})
        picture = Image.fromarray(rasterise_rgba(svg(drawn), size), "RGBa").convert("RGB")
        yield picture, full_caption(shown).partition(", ")[2]  # without the style


def traits(person: int = PERSON) -> dict[str, str]:
    """What stays of a person, as nano's captions have it."""
    own = draw_portrait(STYLE, Random(f"{STYLE} person {person}")).attributes
    return {key: value for key, value in own.items() if not key.startswith(("kind", "style", "split", *CHANGES))}


def main() -> None:
    """Write the pictures and their captions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=8)
    given = parser.parse_args()
    write(given.folder, draw(given.count))


if __name__ == "__main__":
    main()
