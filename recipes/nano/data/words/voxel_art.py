"""Words for voxel-art."""

from typing import Final

from .common import UNNAMED, Tables

TABLES: Final = Tables(
    colours={
        "skin": {
            "#f5d0b0": "pale",
            "#eab890": "light",
            "#dda878": "light",
            "#c99062": "tan",
            "#b07347": "tan",
            "#95562f": "brown",
            "#7d4a26": "brown",
            "#6a3d1f": "dark",
        },
        "hair": {
            "#2c222b": "black",
            "#5a3825": "dark brown",
            "#7b4a2d": "brown",
            "#a56b46": "brown",
            "#c98850": "light brown",
            "#d9b380": "blonde",
            "#e8d4a8": "platinum blonde",
            "#d6455d": "red",
            "#6d5acf": "purple",
            "#3fb27f": "green",
        },
        "hat": {
            "#c68a5f": "brown",
            "#f2f2f2": "white",
            "#e0876d": "coral",
            "#5ba8a0": "teal",
            "#d9a03c": "yellow",
            "#a06fb8": "purple",
            "#4a6fa5": "blue",
        },
        "shirt": {
            "#e64980": "hot pink",
            "#f76707": "orange",
            "#e8590c": "orange",
            "#fab005": "yellow",
            "#40c057": "green",
            "#12b886": "teal",
            "#228be6": "blue",
            "#7950f2": "purple",
            "#495057": "dark grey",
        },
        "pants": {
            "#3b5b8c": "blue",
            "#2f4160": "navy blue",
            "#6b4f3a": "brown",
            "#495057": "dark grey",
        },
        "shoes": {
            "#f1f3f5": "white",
            "#343a40": "black",
            "#d6336c": "hot pink",
            "#1971c2": "blue",
            "#f08c00": "orange",
            "#6741d9": "purple",
        },
        "jacket": {
            "#f8f9fa": "white",
            "#343a40": "black",
            "#3b5b8c": "blue",
            "#6b4f3a": "brown",
            "#b55239": "red",
            "#5ba8a0": "teal",
        },
    },
    more={
        "hair": {"#3f6fd1": "blue", "#ef86ad": "pink", "#f0eeec": "white"},
        "hat": {"#d93a3a": "red", "#48ab52": "green", "#2b2d33": "black"},
        "shirt": {"#d93a3a": "red", "#f4f4f4": "white", "#2b2d33": "black"},
        "pants": {"#2b2d33": "black", "#b9bec5": "light grey", "#a83232": "red", "#3f8f4d": "green"},
        "shoes": {"#c93030": "red", "#6b4f3a": "brown"},
        "jacket": {"#f5c932": "yellow", "#7f4fc0": "purple", "#ef86ad": "pink", "#3f9d4f": "green"},
    },
    variants={
        "top": {
            "short": "short hair",
            "spiky": "spiky hair",
            "bowl": "bowl cut",
            "sideSwept": "side-swept hair",
            "curly": "curly hair",
            "mohawk": "mohawk",
            "buns": "double buns",
            "ponytail": "top bun",
            "bob": "bob hair",
            "shoulderLength": "shoulder-length hair",
            "longStraight": "long straight hair",
            "longWavy": "long wavy hair",
            "partedLong": "long hair with a middle part",
            "braids": "braids",
            "twinTails": "pigtails",
            "afro": "afro",
            "halfShaved": "half-shaved hair",
            "cap": "cap",
            "beanie": "pompom beanie",
            "animalEars": "bear hat",
            "bunnyEars": "bunny hat",
        },
        "eyes": {
            "open": UNNAMED,
            "soft": UNNAMED,
            "wide": UNNAMED,
            "happy": "happy eyes",
            "sleepy": "sleepy eyes",
            "side": "sideways glance",
            "closed": "closed eyes",
            "star": "star eyes",
        },
        "mouth": {
            "smile": "smile",
            "flat": "serious mouth",
            "ooh": "surprised mouth",
            "tongue": "tongue out",
            "smirk": "smirk",
            "laugh": "laugh",
            "wideSmile": "big smile",
            "frown": "frown",
            "grin": "toothy grin",
        },
        "cheeks": {"pixel": "blushing cheeks", "freckles": "freckles"},
        "beard": {"full": "full beard", "mustache": "moustache", "goatee": "goatee", "stubble": "stubble"},
        "glasses": {
            "round": "round glasses",
            "square": "square glasses",
            "shades": "sunglasses",
            "visor": "visor",
        },
        "eyebrows": {"flat": UNNAMED, "raised": UNNAMED, "soft": UNNAMED},
        "nose": {"block": UNNAMED, "wide": UNNAMED, "small": UNNAMED, "tall": UNNAMED},
        "outfit": {
            "plain": "shirt",
            "stripes": "striped shirt",
            "jacket": "open jacket",
            "overalls": "overalls",
            "hoodie": "hoodie",
            "tie": "shirt with a tie",
            "coat": "coat",
            "dress": "dress",
            "suit": "suit",
        },
    },
    excluded=frozenset(
        {
            "animation",
            "background",
            "outfit:checker",  # black and white, whatever the jacket's colour
            "mouth:bigSmile",  # hardly differs from the grin
            "cheeks:blush",  # hardly seen
            "eyebrows:angry",
            "glasses:cat",  # not to be told from the square ones
            "hair:#3b2f2f",  # between black and brown
            "hair:#b55239",  # between brown and red
            "hat:#8d95d6",  # between blue and purple
            "shirt:#4c6ef5",
            "pants:#4a4e69",
            "pants:#7a86a8",
        }
    ),
    held_out=(
        frozenset({("hair", "mohawk"), ("hair_color", "blue")}),
        frozenset({("hair", "long straight hair"), ("hair_color", "pink")}),
        frozenset({("clothing", "hoodie"), ("clothing_color", "red")}),
        frozenset({("headwear", "bunny hat"), ("headwear_color", "purple")}),
    ),
)

CLOTH: Final = {
    "plain": "shirt",
    "stripes": "shirt",
    "jacket": "jacket",
    "overalls": "pants",
    "hoodie": "shirt",
    "tie": "shirt",
    "coat": "jacket",
    "dress": "jacket",
    "suit": "jacket",
}
"""Which of the style's colours an outfit mostly shows."""
