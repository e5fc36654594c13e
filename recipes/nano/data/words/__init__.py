"""Words for what the drawings show, and nothing but tables: which variant or colour is called what.

A table maps a variant of a DiceBear style to the words a person would type; `UNNAMED` means that the variant
is drawn but not worth a word (an ordinary eye, a plain eyebrow). Each style has a module with its `Tables`; those of
plants, planets and landscapes, whose choices hang together otherwise, are in `scenes`.
"""

from collections.abc import Mapping
from typing import Final

from . import adventurer, avataaars, big_smile, bottts, critters, micah, personas, scenes, toon_head, views, voxel_art
from .big_smile import PAINTED
from .common import BACKGROUNDS, MORE_CLOTHES, MORE_HAIR, UNNAMED, Tables, Words
from .toon_head import TOON_HAIR
from .voxel_art import CLOTH

__all__ = [
    "BACKGROUNDS",
    "CLOTH",
    "COLOURS",
    "EXCLUDED",
    "HEADWEAR",
    "HELD_OUT",
    "HELD_OUT_BACKGROUNDS",
    "MORE",
    "MORE_CLOTHES",
    "MORE_HAIR",
    "PAINTED",
    "STYLES",
    "TOON_HAIR",
    "UNNAMED",
    "VARIANTS",
    "Tables",
    "Words",
]

STYLES: Final[Words] = {
    "avataaars": "flat cartoon portrait",
    "personas": "minimal portrait",
    "toon-head": "toon portrait",
    "adventurer": "comic portrait",
    "big-smile": "big head portrait",
    "micah": "hand-drawn portrait",
    "voxel-art": "voxel game character",
    "critters": "cute monster",
    "bottts": "robot",
    "sprouts": "potted plant cartoon",
    "planets": "planet illustration",
    "landscape": "landscape illustration",
    "emoji": "emoji art",
    "fluent-emoji": "3d emoji",
    **views.LOOKS,
}

_TABLES: Final[Mapping[str, Tables]] = {
    "avataaars": avataaars.TABLES,
    "personas": personas.TABLES,
    "toon-head": toon_head.TABLES,
    "adventurer": adventurer.TABLES,
    "big-smile": big_smile.TABLES,
    "micah": micah.TABLES,
    "voxel-art": voxel_art.TABLES,
    "critters": critters.TABLES,
    "bottts": bottts.TABLES,
}

# style -> colour of the style's JSON -> hex -> name; MORE are colours of our own, for styles with few
COLOURS: Final = {style: tables.colours for style, tables in _TABLES.items()}
MORE: Final = {style: tables.more for style, tables in _TABLES.items()}
# style -> component of the style's JSON -> variant -> words
VARIANTS: Final = {style: tables.variants for style, tables in _TABLES.items()}
# style -> what is never drawn
EXCLUDED: Final = {style: tables.excluded for style, tables in _TABLES.items()}
# style -> combinations of (attribute, words) which no training picture shows
HELD_OUT: Final = {**{style: tables.held_out for style, tables in _TABLES.items()}, **scenes.HELD_OUT, **views.HELD_OUT}

# kind -> backgrounds before which no training picture of the kind stands
HELD_OUT_BACKGROUNDS: Final[Mapping[str, frozenset[str]]] = {
    "portrait": frozenset({"teal", "lavender"}),
    "character": frozenset({"mint green", "orange"}),
    "plant": frozenset({"pink", "grey"}),
    "planet": frozenset({"purple", "brown"}),
    "landscape": frozenset({"light grey", "red"}),
    "emoji": frozenset({"peach", "blue"}),
    views.KIND: frozenset(),  # has no plain background
}

# Variants which are worn instead of hair.
HEADWEAR: Final = frozenset(
    {
        "hat", "hijab", "turban", "winterHat02", "winterHat03", "winterHat04", "winterHat1",  # avataaars, micah
        "beanie", "cap",  # personas, voxel-art
        "animalEars", "bunnyEars",  # voxel-art
    }
)  # fmt: skip
