"""Words for micah."""

from typing import Final

from .common import MORE_CLOTHES, MORE_HAIR, UNNAMED, Tables, Words

_HAIR: Final[Words] = {
    "#000000": "black",
    "#f4d150": "blonde",
    "#ffeba4": "platinum blonde",
    "#ac6651": "brown",
    "#77311d": "dark brown",
    "#9287ff": "purple",
    "#fc909f": "pink",
    "#6bd9e9": "light blue",
    "#ffffff": "white",
}
_FRAMES: Final[Words] = {
    "#000000": "black",
    "#f4d150": "yellow",
    "#9287ff": "purple",
    "#fc909f": "pink",
    "#6bd9e9": "light blue",
    "#ffffff": "white",
}
# Pastels and skins, which have no name of their own as hair or clothes.
_NAMELESS: Final = ("#f9c9b6", "#d2eff3", "#e0ddff", "#ffedef")

TABLES: Final = Tables(
    colours={
        "base": {"#f9c9b6": "light", "#ac6651": "brown", "#77311d": "dark"},
        "hair": _HAIR,
        "facialHair": {"#000000": "black"},
        "shirt": {**_FRAMES, "#ffeba4": "light yellow", "#77311d": "brown"},
        "glasses": _FRAMES,
        "earring": {"#f4d150": "gold", "#ffffff": "white", "#000000": "black"},
    },
    more={
        "base": {"#d8a07c": "tan"},
        "hair": {**MORE_HAIR, "#d0432b": "red", "#ee8a35": "orange"},
        "shirt": {**MORE_CLOTHES, "#d93a3a": "red", "#3f7fe0": "blue", "#1f2f66": "navy blue", "#8f949c": "grey"},
        "glasses": {"#d93a3a": "red", "#3f7fe0": "blue"},
    },
    variants={
        "hair": {
            "dannyPhantom": "side-swept hair",
            "dougFunny": "few strands of hair",
            "fonze": "quiff",
            "full": "long wavy hair",
            "mrClean": "bald head",
            "mrT": "mohawk",
            "pixie": "bob hair",
            "turban": "turban",
        },
        "eyes": {"eyes": UNNAMED, "round": UNNAMED, "smiling": "happy eyes"},
        "eyebrows": {
            "up": UNNAMED,
            "down": "sad eyebrows",
            "eyelashesDown": "long eyelashes",
            "eyelashesUp": "long eyelashes",
        },
        "mouth": {
            "frown": "frown",
            "laughing": "laugh",
            "nervous": "grimace",
            "pucker": "puckered lips",
            "sad": "sad mouth",
            "smile": "smile",
            "smirk": "smirk",
            "surprised": "surprised mouth",
        },
        "facialHair": {"beard": "full beard", "scruff": "stubble"},
        "glasses": {"round": "round glasses", "square": "square glasses"},
        "earrings": {"hoop": "hoop earring", "stud": "stud earring"},
        "clothes": {"collared": "collared shirt", "crew": "crew neck sweater", "open": "scoop neck shirt"},
        "ears": {"attached": UNNAMED, "detached": UNNAMED},
        "nose": {"curve": UNNAMED, "pointed": UNNAMED, "tound": UNNAMED},
        "head": {"standard": UNNAMED},
    },
    excluded=frozenset(
        {
            "eyes:eyesShadow",  # eye shadow is hardly seen
            "eyes:smilingShadow",
            "eyeShadow",
            "eyebrows:#000000",
            "eyes:#000000",
            "mouth:#000000",
            *(f"{thing}:{value}" for thing in ("hair", "shirt", "glasses", "earring") for value in _NAMELESS),
            "shirt:#ac6651",  # a skin
            *(f"glasses:{value}" for value in ("#ac6651", "#77311d", "#ffeba4")),
            *(f"earring:{value}" for value in ("#ac6651", "#77311d", "#ffeba4", "#9287ff", "#fc909f", "#6bd9e9")),
        }
    ),
    held_out=(
        frozenset({("hair", "bob hair"), ("hair_color", "red")}),
        frozenset({("hair", "quiff"), ("hair_color", "green")}),
        frozenset({("clothing", "crew neck sweater"), ("clothing_color", "yellow")}),
        frozenset({("accessory", "round glasses"), ("accessory_color", "red")}),
    ),
)
