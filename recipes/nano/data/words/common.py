"""What the tables of all styles share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

Words = Mapping[str, str]

UNNAMED: Final = ""

BACKGROUNDS: Final[Words] = {
    "#ffffff": "white",
    "#d5d8dc": "light grey",
    "#85898f": "grey",
    "#1c1c20": "black",
    "#bfe3fb": "light blue",
    "#3f7fe0": "blue",
    "#1f2f66": "navy blue",
    "#2a9d94": "teal",
    "#b5f0cf": "mint green",
    "#48ab52": "green",
    "#f7d23b": "yellow",
    "#f28c28": "orange",
    "#fbcfae": "peach",
    "#f7b2cb": "pink",
    "#d93a3a": "red",
    "#8144bb": "purple",
    "#d3c4f3": "lavender",
    "#80553a": "brown",
}

# Colours of our own, added to those which a style brings.
MORE_HAIR: Final[Words] = {"#3f6fd1": "blue", "#4aa35a": "green", "#8a4fc4": "purple"}
MORE_CLOTHES: Final[Words] = {
    "#3f9d4f": "green",
    "#f08a2c": "orange",
    "#7f4fc0": "purple",
    "#f5c932": "yellow",
    "#7a5238": "brown",
    "#2a9d94": "teal",
}


@dataclass(frozen=True)
class Tables:
    """The words of one style. A component's table maps its variants, a colour's table hex values, to words.

    `colours` are the style's own, `more` are ours. `variants` and `colours` together with `excluded`, what is
    never drawn, cover the style completely: there a whole component or colour is written as `name`, one
    variant or value as `name:value`. `held_out` are the combinations of (attribute, words) which no training
    picture shows.
    """

    colours: Mapping[str, Words]
    variants: Mapping[str, Words]
    more: Mapping[str, Words] = field(default_factory=dict)
    excluded: frozenset[str] = frozenset()
    held_out: tuple[frozenset[tuple[str, str]], ...] = ()
