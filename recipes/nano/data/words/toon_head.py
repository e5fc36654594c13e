"""Words for toon-head."""

from collections.abc import Mapping
from typing import Final

from .common import MORE_HAIR, UNNAMED, Tables

# toon-head draws hair in two layers: (front, rear) -> words
TOON_HAIR: Final[Mapping[tuple[str, str | None], str]] = {
    ("sideComed", None): "short hair",
    ("sideComed", "neckHigh"): "chin-length hair",
    ("sideComed", "shoulderHigh"): "shoulder-length hair",
    ("sideComed", "longStraight"): "long straight hair",
    ("sideComed", "longWavy"): "long wavy hair",
    ("bun", None): "top bun",
    ("bun", "longStraight"): "long hair with a bun",
    ("spiky", None): "spiky hair",
    ("spiky", "neckHigh"): "spiky mullet",
    ("undercut", None): "undercut",
    ("undercut", "neckHigh"): "mullet",
}

TABLES: Final = Tables(
    colours={
        "skin": {
            "#f1c3a5": "light",
            "#c68e7a": "tan",
            "#b98e6a": "olive",
            "#a36b4f": "brown",
            "#5c3829": "dark",
        },
        "hair": {
            "#2c1b18": "black",
            "#d6b370": "blonde",
            "#724133": "brown",
            "#a55728": "auburn",
            "#b58143": "light brown",
        },
        "clothes": {
            "#151613": "black",
            "#0b3286": "navy blue",
            "#545454": "dark grey",
            "#147f3c": "green",
            "#f97316": "orange",
            "#ec4899": "pink",
            "#731ac3": "purple",
            "#b11f1f": "red",
            "#e8e9e6": "white",
            "#eab308": "yellow",
        },
    },
    more={
        "hair": {**MORE_HAIR, "#c93305": "red", "#f08fb0": "pink", "#e4e0e0": "white"},
        "clothes": {"#8fd0f5": "light blue", "#2a9d94": "teal", "#7a5238": "brown"},
    },
    variants={
        "eyes": {
            "wide": UNNAMED,
            "happy": "gentle eyes",
            "bow": "happy eyes",
            "humble": "closed eyes",
            "wink": "winking eye",
        },
        "eyebrows": {
            "neutral": UNNAMED,
            "happy": "arched eyebrows",
            "angry": "angry eyebrows",
            "raised": "one raised eyebrow",
            "sad": "sad eyebrows",
        },
        "mouth": {
            "smile": "smile",
            "laugh": "laugh",
            "agape": "surprised mouth",
            "angry": "angry mouth",
            "sad": "sad mouth",
        },
        "beard": {
            "chin": "chin beard",
            "chinMoustache": "goatee with a moustache",
            "fullBeard": "full beard",
            "longBeard": "long beard",
            "moustacheTwirl": "twirled moustache",
        },
        "clothes": {
            "dress": "sleeveless top",
            "openJacket": "open jacket",
            "shirt": "sweater with a collar",
            "tShirt": "t-shirt",
            "turtleNeck": "turtleneck",
        },
        "body": {"body": UNNAMED},
        "head": {"head": UNNAMED},
    },
    excluded=frozenset({"stroke"}),
    held_out=(
        frozenset({("hair", "spiky hair"), ("hair_color", "red")}),
        frozenset({("hair", "long wavy hair"), ("hair_color", "black")}),
        frozenset({("clothing", "turtleneck"), ("clothing_color", "orange")}),
    ),
)
