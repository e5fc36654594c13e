"""Words for what the drawings show, and nothing but tables: which variant or colour is called what.

A portrait table maps a variant of a DiceBear style to the words a person would type; `UNNAMED` means that the
variant is drawn but not worth a word (an ordinary eye, a plain eyebrow). `EXCLUDED` lists what is never
drawn, so that tables and exclusions together cover a style completely.
"""

from collections.abc import Mapping
from typing import Final

Words = Mapping[str, str]

UNNAMED: Final = ""

STYLES: Final[Words] = {
    "avataaars": "flat cartoon portrait",
    "personas": "minimal portrait",
    "toon-head": "toon portrait",
    "emoji": "emoji art",
}

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

_AVATAAARS_HAIR_COLOURS: Final[Words] = {
    "#a55728": "auburn",
    "#2c1b18": "black",
    "#b58143": "light brown",
    "#d6b370": "blonde",
    "#724133": "brown",
    "#4a312c": "dark brown",
    "#f59797": "pink",
    "#ecdcbf": "platinum blonde",
    "#c93305": "red",
    "#e8e1e1": "white",
}
_AVATAAARS_CLOTHES_COLOURS: Final[Words] = {
    "#262e33": "black",
    "#65c9ff": "sky blue",
    "#5199e4": "blue",
    "#25557c": "navy blue",
    "#e6e6e6": "light grey",
    "#929598": "grey",
    "#3c4f5c": "dark grey",
    "#b1e2ff": "light blue",
    "#a7ffc4": "mint green",
    "#ffafb9": "pink",
    "#ffffb1": "light yellow",
    "#ff488e": "hot pink",
    "#ff5c5c": "red",
    "#ffffff": "white",
}

# style -> colour of the style's JSON -> hex -> name
COLOURS: Final[Mapping[str, Mapping[str, Words]]] = {
    "avataaars": {
        "skin": {
            "#ffdbb4": "pale",
            "#edb98a": "light",
            "#d08b5b": "tan",
            "#ae5d29": "brown",
            "#614335": "dark",
            "#fd9841": "orange",
            "#f8d25c": "yellow",
        },
        "hair": _AVATAAARS_HAIR_COLOURS,
        "facialHair": _AVATAAARS_HAIR_COLOURS,
        "clothes": _AVATAAARS_CLOTHES_COLOURS,
        "hat": {**_AVATAAARS_CLOTHES_COLOURS, "#ffdeb5": "cream"},
        "accessories": {
            "#262e33": "black",
            "#5199e4": "blue",
            "#25557c": "navy blue",
            "#929598": "grey",
            "#ff488e": "hot pink",
            "#ff5c5c": "red",
            "#ffffff": "white",
        },
    },
    "personas": {
        "skin": {
            "#eeb4a4": "pale",
            "#e7a391": "pale",
            "#e5a07e": "light",
            "#d78774": "light",
            "#b16a5b": "tan",
            "#92594b": "brown",
            "#623d36": "dark",
        },
        "hair": {
            "#362c47": "black",
            "#f29c65": "blonde",
            "#6c4545": "brown",
            "#f27d65": "orange",
            "#dee1f5": "white",
            "#e16381": "pink",
            "#e15c66": "red",
        },
        "facialHair": {
            "#362c47": "black",
            "#f29c65": "blonde",
            "#6c4545": "brown",
            "#f27d65": "orange",
            "#dee1f5": "white",
            "#e16381": "pink",
            "#e15c66": "red",
        },
        "clothing": {
            "#456dff": "blue",
            "#6dbb58": "green",
            "#f55d81": "pink",
            "#7555ca": "purple",
            "#e24553": "red",
            "#54d7c7": "turquoise",
            "#f3b63a": "yellow",
        },
    },
    "toon-head": {
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
}

# Further colours for styles whose own palette is narrow.
MORE: Final[Mapping[str, Mapping[str, Words]]] = {
    "avataaars": {"hair": MORE_HAIR, "clothes": MORE_CLOTHES, "hat": MORE_CLOTHES},
    "personas": {
        "hair": MORE_HAIR,
        "clothing": {"#2f3140": "black", "#f4f4f4": "white", "#8f949c": "grey", "#f08a2c": "orange"},
    },
    "toon-head": {
        "hair": {**MORE_HAIR, "#c93305": "red", "#f08fb0": "pink", "#e4e0e0": "white"},
        "clothes": {"#8fd0f5": "light blue", "#2a9d94": "teal", "#7a5238": "brown"},
    },
}

# style -> component of the style's JSON -> variant -> words
VARIANTS: Final[Mapping[str, Mapping[str, Words]]] = {
    "avataaars": {
        "top": {
            "bigHair": "big wavy hair",
            "bob": "bob hair",
            "bun": "top bun",
            "curly": "curly hair",
            "curvy": "long wavy hair",
            "dreads": "long dreadlocks",
            "dreads01": "short dreadlocks",
            "dreads02": "wild frizzy hair",
            "frida": "braided hair with flowers",
            "frizzle": "shaved hair with a quiff",
            "fro": "afro",
            "froBand": "afro with a headband",
            "longButNotTooLong": "shoulder-length hair",
            "miaWallace": "bob hair with bangs",
            "shaggy": "shaggy hair",
            "shaggyMullet": "mullet",
            "shavedSides": "long hair with shaved sides",
            "shortCurly": "short curly hair",
            "shortFlat": "short hair",
            "shortRound": "short round hair",
            "shortWaved": "short wavy hair",
            "sides": "balding hair",
            "straight01": "long swept hair",
            "straight02": "long straight hair",
            "straightAndStrand": "long hair with bangs",
            "theCaesar": "cropped hair",
            "theCaesarAndSidePart": "cropped hair",
            "hat": "wide hat",
            "hijab": "hijab",
            "turban": "turban",
            "winterHat02": "pompom winter hat",
            "winterHat03": "winter beanie",
            "winterHat04": "cat ear beanie",
            "winterHat1": "winter hat with ear flaps",
        },
        "accessories": {
            "eyepatch": "eyepatch",
            "kurt": "oval sunglasses",
            "prescription01": "glasses",
            "prescription02": "rectangular glasses",
            "round": "round glasses",
            "sunglasses": "sunglasses",
            "wayfarers": "sunglasses",
        },
        "facialHair": {
            "beardLight": "short beard",
            "beardMedium": "full beard",
            "beardMajestic": "long beard",
            "moustacheFancy": "fancy moustache",
            "moustacheMagnum": "moustache",
        },
        "eyes": {
            "default": UNNAMED,
            "closed": "closed eyes",
            "cry": "crying eyes",
            "eyeRoll": "rolling eyes",
            "happy": "happy eyes",
            "hearts": "heart eyes",
            "side": "sideways glance",
            "squint": "squinting eyes",
            "surprised": "surprised eyes",
            "wink": "winking eye",
            "winkWacky": "wacky wink",
            "xDizzy": "dizzy eyes",
        },
        "eyebrows": {
            "default": UNNAMED,
            "defaultNatural": UNNAMED,
            "angry": "angry eyebrows",
            "angryNatural": "angry eyebrows",
            "flatNatural": "flat eyebrows",
            "frownNatural": "worried eyebrows",
            "raisedExcited": "raised eyebrows",
            "raisedExcitedNatural": "raised eyebrows",
            "sadConcerned": "sad eyebrows",
            "sadConcernedNatural": "sad eyebrows",
            "upDown": "one raised eyebrow",
            "upDownNatural": "one raised eyebrow",
        },
        "mouth": {
            "default": "open mouth",
            "smile": "big smile",
            "twinkle": "smile",
            "serious": "serious mouth",
            "sad": "sad mouth",
            "concerned": "worried mouth",
            "disbelief": "frown",
            "eating": "full cheeks",
            "grimace": "grimace",
            "screamOpen": "scream",
            "tongue": "tongue out",
        },
        "clothes": {
            "blazerAndShirt": "blazer over a shirt",
            "blazerAndSweater": "blazer over a sweater",
            "collarAndSweater": "sweater with a collar",
            "graphicShirt": "t-shirt with a {print}",
            "hoodie": "hoodie",
            "overall": "overalls",
            "shirtCrewNeck": "t-shirt",
            "shirtScoopNeck": "scoop neck shirt",
            "shirtVNeck": "v-neck shirt",
        },
        "clothesGraphic": {
            "bat": "bat",
            "bear": "bear",
            "deer": "deer",
            "diamond": "diamond",
            "pizza": "pizza",
            "skull": "skull",
            "skullOutline": "skull",
        },
        "nose": {"default": UNNAMED},
    },
    "personas": {
        "hair": {
            "bald": "bald head",
            "balding": "balding hair",
            "beanie": "beanie",
            "bobBangs": "bob hair with bangs",
            "bobCut": "bob hair",
            "bunUndercut": "undercut with a bun",
            "buzzcut": "buzz cut",
            "cap": "cap",
            "curly": "curly hair",
            "curlyBun": "curly bun with a headband",
            "curlyHighTop": "curly high top",
            "extraLong": "very long hair",
            "fade": "fade haircut",
            "long": "long hair",
            "mohawk": "mohawk",
            "pigtails": "pigtails",
            "shortCombover": "short hair",
            "shortComboverChops": "short hair with sideburns",
            "sideShave": "ponytail",
            "straightBun": "top bun with a headband",
        },
        "eyes": {
            "open": UNNAMED,
            "happy": "happy eyes",
            "sleep": "closed eyes",
            "wink": "winking eye",
            "glasses": "glasses",
            "sunglasses": "sunglasses",
        },
        "facialHair": {
            "beardMustache": "full beard",
            "goatee": "goatee",
            "pyramid": "moustache",
            "shadow": "stubble",
            "soulPatch": "soul patch",
            "walrus": "walrus moustache",
        },
        "mouth": {
            "bigSmile": "big smile",
            "frown": "frown",
            "lips": "red lips",
            "pacifier": "pacifier",
            "smile": "smile",
            "smirk": "smirk",
            "surprise": "surprised mouth",
        },
        "nose": {"mediumRound": UNNAMED, "smallRound": UNNAMED},
        "clothes": {
            "checkered": "plaid shirt",
            "rounded": "t-shirt",
            "small": "two-tone top",
            "squared": "sweater",
        },
    },
    "toon-head": {
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
}

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

# Never drawn. A whole component or colour is written as `name`, one variant or colour value as `name:value`.
EXCLUDED: Final[Mapping[str, frozenset[str]]] = {
    "avataaars": frozenset(
        {
            "mouth:vomit",
            "eyebrows:unibrowNatural",  # ignores the hair colour
            "clothesGraphic:cumbia",  # lettering
            "clothesGraphic:hola",
            "clothesGraphic:resist",
            # pale frames which vanish on pale skin
            "accessories:#65c9ff",
            "accessories:#e6e6e6",
            "accessories:#3c4f5c",
            "accessories:#b1e2ff",
            "accessories:#a7ffc4",
            "accessories:#ffdeb5",
            "accessories:#ffafb9",
            "accessories:#ffffb1",
        }
    ),
    "personas": frozenset({"nose:wrinkles"}),
    "toon-head": frozenset({"stroke"}),
}

HEADWEAR: Final = frozenset(
    {
        "hat", "hijab", "turban", "winterHat02", "winterHat03", "winterHat04", "winterHat1",  # avataaars
        "beanie", "cap",  # personas
    }
)  # fmt: skip

# Combinations which no training picture shows: style -> ((attribute, words), (attribute, words))
HELD_OUT: Final[Mapping[str, tuple[frozenset[tuple[str, str]], ...]]] = {
    "avataaars": (
        frozenset({("hair", "bob hair"), ("hair_color", "pink")}),
        frozenset({("hair", "afro"), ("hair_color", "blonde")}),
        frozenset({("hair", "long dreadlocks"), ("hair_color", "blue")}),
        frozenset({("hair", "mullet"), ("hair_color", "green")}),
        frozenset({("clothing", "hoodie"), ("clothing_color", "green")}),
        frozenset({("clothing", "overalls"), ("clothing_color", "red")}),
    ),
    "personas": (
        frozenset({("hair", "mohawk"), ("hair_color", "red")}),
        frozenset({("hair", "pigtails"), ("hair_color", "blue")}),
        frozenset({("hair", "curly hair"), ("hair_color", "white")}),
        frozenset({("clothing", "plaid shirt"), ("clothing_color", "green")}),
    ),
    "toon-head": (
        frozenset({("hair", "spiky hair"), ("hair_color", "red")}),
        frozenset({("hair", "long wavy hair"), ("hair_color", "black")}),
        frozenset({("clothing", "turtleneck"), ("clothing_color", "orange")}),
    ),
}
