"""The objects that people name most: which of the emoji these are, and how they are shown so that they can be composed.

The list and its words are in `words.objects`. An object comes in three sizes, in nine
places, mirrored where it is seen from the side; each of these is an attribute.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

from . import emoji
from .portraits import pick
from .words import UNNAMED
from .words.objects import FACINGS, POSITIONS, SIZES, names, selection


@dataclass(frozen=True)
class Setting:
    """How an object is shown: where it is drawn, and the attributes that say so."""

    placement: emoji.Placement
    attributes: Mapping[str, str]


@cache
def load(packages: Path = emoji.PACKAGES) -> tuple[emoji.Emoji, ...]:
    """The objects' emoji, in the order of the list.

    Raises KeyError if the list names one that `emoji.toml` does not choose.
    """
    chosen = {each.name: each for each in emoji.load(packages)}
    return tuple(chosen[name] for name in names())


def show(thing: emoji.Emoji, rng: Random, count: int) -> list[Setting]:
    """`count` settings, of all sizes in turn; none before a background whose colour is in the object's name."""
    usable = emoji.backgrounds_of(thing)
    backgrounds = rng.sample(usable, min(count, len(usable)))
    backgrounds += rng.choices(usable, k=count - len(backgrounds))
    sizes = list(SIZES)
    start = rng.randrange(len(sizes))
    return [
        _setting(thing, background, sizes[(start + k) % len(sizes)], rng) for k, background in enumerate(backgrounds)
    ]


def _setting(thing: emoji.Emoji, background: str, size: str, rng: Random) -> Setting:
    scale = rng.uniform(*SIZES[size])
    position = "center" if size == "large" else pick(rng, POSITIONS)
    left, top = ((1 - scale) * min(max(share + rng.uniform(-0.05, 0.05), 0), 1) for share in POSITIONS[position])
    attributes = {"size": size, "position": UNNAMED if size == "large" else position}
    mirrored = False
    if thing.name in selection()["faces_left"]:
        attributes["facing"] = pick(rng, FACINGS)
        mirrored = attributes["facing"] == "right"
    placement = emoji.Placement(background, scale, left, top, mirrored)
    return Setting(placement, {key: words for key, words in attributes.items() if words != UNNAMED})
