"""Words for big-smile."""

from typing import Final

from .common import MORE_HAIR, UNNAMED, Tables

TABLES: Final = Tables(
    colours={
        "skin": {
            "#ffe4c0": "pale",
            "#f5d7b1": "pale",
            "#efcc9f": "light",
            "#e2ba87": "light",
            "#c99c62": "tan",
            "#a47539": "brown",
            "#8c5a2b": "brown",
            "#643d19": "dark",
        },
        "hair": {
            "#220f00": "black",
            "#3a1a00": "dark brown",
            "#71472d": "brown",
            "#238d80": "teal",
            "#d56c0c": "orange",
            "#e9b729": "blonde",
        },
    },
    more={"hair": {**MORE_HAIR, "#c5321f": "red", "#ef86ad": "pink", "#f2efec": "white"}},
    variants={
        "hair": {
            "bangs": "long hair with bangs",
            "bowlCutHair": "bowl cut",
            "braids": "braids",
            "bunHair": "top bun",
            "curlyBob": "round bob hair",
            "curlyShortHair": "short curly hair",
            "froBun": "afro bun",
            "halfShavedHead": "half-shaved hair",
            "shavedHead": "buzz cut",
            "shortHair": "short hair",
            "straightHair": "long straight hair",
            "wavyBob": "long wavy hair",
        },
        "eyes": {
            "normal": UNNAMED,
            "cheery": UNNAMED,
            "angry": "angry eyes",
            "sad": "sad eyes",
            "sleepy": "closed eyes",
            "starstruck": "star eyes",
            "winking": "winking eye",
        },
        "mouth": {
            "awkwardSmile": "awkward smile",
            "braces": "smile with braces",
            "gapSmile": "gap-toothed smile",
            "kawaii": "cat mouth",
            "openSad": "sad mouth",
            "openedSmile": "laugh",
            "teethSmile": "big smile",
            "unimpressed": "serious mouth",
        },
        "accessories": {
            "catEars": "cat ears",
            "clownNose": "clown nose",
            "faceMask": "face mask",
            "glasses": "round glasses",
            "mustache": "moustache",
            "sailormoonCrown": "tiara",
            "sleepMask": "sleep mask",
            "sunglasses": "sunglasses",
        },
        "head": {"base": UNNAMED},
    },
    excluded=frozenset(
        {
            "eyes:confused",  # hardly differs from normal
            "hair:mohawk",  # shaved sides of the wrong colour
            "hair:#e2ba87",  # a skin, too
            "hair:#605de4",  # neither blue nor purple
        }
    ),
    held_out=(
        frozenset({("hair", "long straight hair"), ("hair_color", "green")}),
        frozenset({("hair", "short curly hair"), ("hair_color", "pink")}),
        frozenset({("hair", "braids"), ("hair_color", "blonde")}),
    ),
)

PAINTED: Final = {
    "clownNose": "red",
    "faceMask": "white",
    "glasses": "gold",
    "mustache": "brown",
    "sailormoonCrown": "gold",
    "sleepMask": "purple",
    "sunglasses": "black",
}
"""Colours of accessories, which the style does not let us choose."""
