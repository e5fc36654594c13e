"""Random portraits with known attributes: each variant and colour is chosen here, none left to the library.

`draw` picks, `svg` draws. Words live in `words`; this module only knows which choices go together. What is not
about persons serves characters and scenes too.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from random import Random
from typing import Any

from dicebear import Avatar, Style

from .words import (
    BACKGROUNDS,
    COLOURS,
    HEADWEAR,
    HELD_OUT,
    HELD_OUT_BACKGROUNDS,
    MORE,
    PAINTED,
    TOON_HAIR,
    UNNAMED,
    VARIANTS,
    Words,
)

GLASSES_SHARE = 0.35
FACIAL_HAIR_SHARE = 0.25
HEADWEAR_SHARE = 0.15
PLAIN_SHARE = 0.4  # ordinary eyes, ordinary eyebrows
VALIDATION_SHARE = 0.02
VIVID_SKIN_SHARE = 0.05
CHEEKS_SHARE = 0.25
EARRING_SHARE = 0.3

INK = "#000000"
BALD = frozenset({"bald head", "few strands of hair"})
LOST_HAIR = {"brown": frozenset({"brown"}), "dark": frozenset({"brown", "dark brown"})}  # before skin of its own colour
DARK_GLASSES = frozenset({"kurt", "sunglasses", "wayfarers"})
FANTASY_SKIN = frozenset({"orange", "yellow"})
VIVID_SKIN = FANTASY_SKIN | {"brown"}
OVER_THE_EYES = frozenset({"long20", "long26", "short06"})  # hair of adventurer


@dataclass
class Portrait:
    """A picture to be drawn: what it shows in words, and the DiceBear options which show it."""

    style: str
    attributes: dict[str, str] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    def show(self, component: str, variant: str | None) -> None:
        """Fix a component to one variant, or hide it."""
        self.options[f"{component}Probability"] = 0 if variant is None else 100
        if variant is not None:
            self.options[f"{component}Variant"] = variant

    def paint(self, color: str, value: str) -> None:
        """Fix one of the style's colours to a hex value."""
        self.options[f"{color}Color"] = [value]

    def say(self, attribute: str, words: str) -> None:
        """Note an attribute, unless there is no word for it."""
        if words != UNNAMED:
            self.attributes[attribute] = words

    def vary(self, rng: Random, component: str, attribute: str, *, plain: float = 0.0) -> None:
        """Draw a component's variant from its table; `plain` is the share of unnamed variants."""
        table = VARIANTS[self.style][component]
        unnamed = rng.random() < plain
        variant = pick(rng, [name for name, words in table.items() if (words == UNNAMED) == unnamed])
        self.show(component, variant)
        self.say(attribute, table[variant])

    def tint(self, rng: Random, color: str, attribute: str, *, avoid: Collection[str] = ()) -> None:
        """Draw one of the style's colours, by name."""
        value = pick_by_words(rng, palette(self.style, color), avoid)
        self.paint(color, value)
        self.say(attribute, palette(self.style, color)[value])


def pick(rng: Random, choices: Iterable[str]) -> str:
    """One of the choices, evenly."""
    return rng.choice(list(choices))


def palette(style: str, color: str) -> Words:
    """The style's own colours and ours, hex to name."""
    return {**COLOURS[style][color], **MORE[style].get(color, {})}


def pick_by_words(rng: Random, table: Words, avoid: Collection[str] = ()) -> str:
    """A key of the table by its name; names are equally likely, however many keys they have."""
    name = pick(rng, dict.fromkeys(words for words in table.values() if words not in avoid))
    return pick(rng, [value for value, words in table.items() if words == name])


def begin(kind: str, style: str, rng: Random) -> Portrait:
    """A picture of which nothing is decided but the background."""
    portrait = Portrait(style, {"kind": kind, "style": style})
    background = pick_by_words(rng, BACKGROUNDS)
    portrait.paint("background", background)
    portrait.say("background", BACKGROUNDS[background])
    return portrait


def finish(portrait: Portrait, rng: Random) -> Portrait:
    """The picture with its split decided, from all its attributes."""
    by_chance = rng.random() < VALIDATION_SHARE
    portrait.attributes["split"] = "validation" if by_chance or held_out(portrait.attributes) else "train"
    return portrait


def held_out(attributes: Mapping[str, str]) -> bool:
    """Whether the attributes contain a combination or a background reserved for validation."""
    reserved = attributes.get("background") in HELD_OUT_BACKGROUNDS[attributes["kind"]]
    return reserved or any(pair <= attributes.items() for pair in HELD_OUT[attributes["style"]])


def draw(style: str, rng: Random) -> Portrait:
    """A random portrait of the style, its attributes noted and its split decided."""
    portrait = begin("portrait", style, rng)
    color = SKIN.get(style, "skin")
    skins = set(palette(style, color).values())
    vivid = rng.random() < VIVID_SKIN_SHARE and skins >= FANTASY_SKIN
    lost = {portrait.attributes["background"]} & FANTASY_SKIN  # would vanish before a background of the same name
    portrait.tint(rng, color, "skin", avoid=(skins - VIVID_SKIN if vivid else FANTASY_SKIN) | lost)
    DRAWERS[style](portrait, rng)
    return finish(portrait, rng)


def svg(portrait: Portrait) -> str:
    """The portrait as an SVG document."""
    drawing = str(Avatar(load_style(portrait.style), portrait.options))
    return _MASKED.sub(_mask_each_path, drawing) if portrait.style == "personas" else drawing


# personas shades by overlays inside a masked group. The mask isolates the group, so that an overlay finds
# nothing to blend with and turns into plain white: dark skin and black hair come out grey. A mask on each
# path does not isolate.
_MASKED = re.compile(r'<g mask="(?P<mask>[^"]+)">(?P<paths>(?:<path [^>]*/>)+)</g>')


def _mask_each_path(group: re.Match[str]) -> str:
    return group["paths"].replace("<path ", f'<path mask="{group["mask"]}" ')


@cache
def load_style(style: str) -> Style:
    """The definition of a style from the installed package."""
    return Style(definition(style))


@cache
def definition(style: str) -> dict[str, Any]:
    """The JSON of a style."""
    source = resources.files("dicebear_styles") / f"{style}.json"
    loaded: dict[str, Any] = json.loads(source.read_text(encoding="utf-8"))
    return loaded


def draw_hair(portrait: Portrait, rng: Random, component: str = "hair") -> str:
    """Draw a hair style and its colour, no headwear; returns the variant."""
    styles = {name: words for name, words in VARIANTS[portrait.style][component].items() if name not in HEADWEAR}
    variant = pick_by_words(rng, styles)
    portrait.show(component, variant)
    portrait.say("hair", styles[variant])
    lost = LOST_HAIR.get(portrait.attributes["skin"], frozenset())
    portrait.tint(rng, "hair", "hair_color", avoid=lost | {portrait.attributes["background"]})
    if styles[variant] in BALD:
        del portrait.attributes["hair_color"]
    return variant


def _draw_avataaars(portrait: Portrait, rng: Random) -> None:
    background = portrait.attributes["background"]
    skin = portrait.attributes["skin"]
    tops = VARIANTS["avataaars"]["top"]
    wears_hat = rng.random() < HEADWEAR_SHARE
    top = pick_by_words(rng, {name: words for name, words in tops.items() if (name in HEADWEAR) == wears_hat})
    portrait.show("top", top)
    hair = pick_by_words(rng, palette("avataaars", "hair"), {background})
    portrait.paint("hair", hair)
    if wears_hat:
        portrait.say("headwear", tops[top])
        portrait.tint(rng, "hat", "headwear_color", avoid={background})
    else:
        portrait.say("hair", tops[top])
        portrait.say("hair_color", palette("avataaars", "hair")[hair])

    if top != "hijab" and rng.random() < FACIAL_HAIR_SHARE:
        portrait.vary(rng, "facialHair", "facial_hair")
        portrait.paint("facialHair", hair)
        portrait.say("facial_hair_color", palette("avataaars", "hair")[hair])
    else:
        portrait.show("facialHair", None)

    accessory = pick(rng, VARIANTS["avataaars"]["accessories"]) if rng.random() < GLASSES_SHARE else None
    portrait.show("accessories", accessory)
    if accessory is not None:
        portrait.say("accessory", VARIANTS["avataaars"]["accessories"][accessory])
        portrait.tint(rng, "accessories", "accessory_color", avoid={skin})
    if accessory in DARK_GLASSES or accessory == "eyepatch":
        portrait.show("eyes", "default")
    else:
        portrait.vary(rng, "eyes", "eyes", plain=PLAIN_SHARE)

    portrait.vary(rng, "eyebrows", "eyebrows", plain=PLAIN_SHARE)
    portrait.vary(rng, "mouth", "mouth")
    portrait.vary(rng, "clothes", "clothing")
    motif = pick(rng, VARIANTS["avataaars"]["clothesGraphic"])
    portrait.show("clothesGraphic", motif)
    clothing = portrait.attributes["clothing"]
    portrait.say("clothing", clothing.format(print=VARIANTS["avataaars"]["clothesGraphic"][motif]))
    portrait.tint(rng, "clothes", "clothing_color", avoid={background})
    portrait.show("nose", "default")


def _draw_personas(portrait: Portrait, rng: Random) -> None:
    background = portrait.attributes["background"]
    styles = VARIANTS["personas"]["hair"]
    wears_hat = rng.random() < HEADWEAR_SHARE
    hair = pick(rng, [name for name in styles if (name in HEADWEAR) == wears_hat])
    portrait.show("hair", hair)
    colour = pick_by_words(rng, palette("personas", "hair"), {background})
    portrait.paint("hair", colour)
    if hair in HEADWEAR:
        portrait.say("headwear", styles[hair])
        portrait.say("headwear_color", {"beanie": "red", "cap": "orange"}[hair])  # painted so, not ours to choose
    else:
        portrait.say("hair", styles[hair])
        if hair not in {"bald", "buzzcut"}:  # no hair, or a mere shade of it
            portrait.say("hair_color", palette("personas", "hair")[colour])

    portrait.vary(rng, "mouth", "mouth")
    beardless = portrait.attributes["mouth"] in {"pacifier", "red lips"}
    if not beardless and rng.random() < FACIAL_HAIR_SHARE / 0.7:  # 0.7: the share of other mouths
        portrait.vary(rng, "facialHair", "facial_hair")
        portrait.paint("facialHair", colour)
        if portrait.attributes["facial_hair"] != "stubble":
            portrait.say("facial_hair_color", palette("personas", "hair")[colour])
        if portrait.attributes["facial_hair"] == "full beard":  # covers the mouth with a smile of its own
            portrait.say("mouth", "big smile")
    else:
        portrait.show("facialHair", None)

    eyes = VARIANTS["personas"]["eyes"]
    if rng.random() < GLASSES_SHARE:
        worn = pick(rng, ["glasses", "sunglasses"])
        portrait.show("eyes", worn)
        portrait.say("accessory", eyes[worn])
    else:
        look = "open" if rng.random() < PLAIN_SHARE else pick(rng, ["happy", "sleep", "wink"])
        portrait.show("eyes", look)
        portrait.say("eyes", eyes[look])
    portrait.vary(rng, "nose", "nose", plain=1.0)
    portrait.vary(rng, "clothes", "clothing")
    portrait.tint(rng, "clothing", "clothing_color", avoid={background})


def _draw_toon_head(portrait: Portrait, rng: Random) -> None:
    background = portrait.attributes["background"]
    front, rear = rng.choice(list(TOON_HAIR))
    portrait.show("hair", front)
    portrait.show("rearHair", rear)
    portrait.say("hair", TOON_HAIR[front, rear])
    portrait.tint(rng, "hair", "hair_color", avoid={background})
    if rng.random() < FACIAL_HAIR_SHARE:
        portrait.vary(rng, "beard", "facial_hair")
        portrait.say("facial_hair_color", portrait.attributes["hair_color"])
    else:
        portrait.show("beard", None)
    portrait.vary(rng, "eyes", "eyes", plain=PLAIN_SHARE)
    portrait.vary(rng, "eyebrows", "eyebrows", plain=PLAIN_SHARE)
    portrait.vary(rng, "mouth", "mouth")
    portrait.vary(rng, "clothes", "clothing")
    portrait.tint(rng, "clothes", "clothing_color", avoid={background})


def _draw_adventurer(portrait: Portrait, rng: Random) -> None:
    hair = draw_hair(portrait, rng)
    worn = rng.random() < GLASSES_SHARE
    if worn:
        portrait.vary(rng, "glasses", "accessory")
        portrait.tint(rng, "glasses", "accessory_color", avoid={portrait.attributes["background"]})
    else:
        portrait.show("glasses", None)
    if hair in OVER_THE_EYES or portrait.attributes.get("accessory") == "sunglasses":
        portrait.show("eyes", "variant24")
    else:
        portrait.vary(rng, "eyes", "eyes", plain=PLAIN_SHARE)
    fringe = hair in OVER_THE_EYES or worn or "bangs" in portrait.attributes["hair"]
    portrait.vary(rng, "eyebrows", "eyebrows", plain=1.0 if fringe else PLAIN_SHARE)
    portrait.vary(rng, "mouth", "mouth")
    if "red lips" not in portrait.attributes["mouth"] and rng.random() < FACIAL_HAIR_SHARE / 0.86:  # the other mouths
        portrait.show("details", "mustache")
        portrait.say("facial_hair", VARIANTS["adventurer"]["details"]["mustache"])
        portrait.say("facial_hair_color", "black")  # painted so, not ours to choose
    elif rng.random() < CHEEKS_SHARE:
        cheeks = pick(rng, ["blush", "freckles"])
        portrait.show("details", cheeks)
        portrait.say("cheeks", VARIANTS["adventurer"]["details"][cheeks])
    else:
        portrait.show("details", None)
    portrait.show("earrings", None)


def _draw_big_smile(portrait: Portrait, rng: Random) -> None:
    draw_hair(portrait, rng)
    accessories = VARIANTS["big-smile"]["accessories"]
    seen = portrait.attributes["skin"] not in {"brown", "dark"}  # the moustache is brown; 0.6 are other skins
    if seen and rng.random() < FACIAL_HAIR_SHARE / 0.6:
        worn = "mustache"
        portrait.say("facial_hair", accessories[worn])
        portrait.say("facial_hair_color", PAINTED[worn])
    elif rng.random() < GLASSES_SHARE / (1 - FACIAL_HAIR_SHARE):
        worn = pick(rng, [name for name in accessories if name != "mustache"])
        portrait.say("accessory", accessories[worn])
        portrait.say("accessory_color", PAINTED.get(worn, UNNAMED))
    else:
        worn = None
    portrait.show("accessories", worn)
    if worn in {"sleepMask", "sunglasses"}:
        portrait.show("eyes", "normal")
    else:
        portrait.vary(rng, "eyes", "eyes", plain=PLAIN_SHARE)
    if worn == "faceMask":
        portrait.show("mouth", "teethSmile")
    else:
        portrait.vary(rng, "mouth", "mouth")


def _draw_micah(portrait: Portrait, rng: Random) -> None:
    background = portrait.attributes["background"]
    if rng.random() < HEADWEAR_SHARE:
        cloth = pick_by_words(rng, palette("micah", "shirt"), {background})
        portrait.show("hair", "turban")
        portrait.paint("hair", cloth)
        portrait.say("headwear", VARIANTS["micah"]["hair"]["turban"])
        portrait.say("headwear_color", palette("micah", "shirt")[cloth])
        hair = pick_by_words(rng, palette("micah", "hair"))
    else:
        draw_hair(portrait, rng)
        hair = portrait.options["hairColor"][0]

    portrait.vary(rng, "mouth", "mouth")
    bearded = rng.random() < FACIAL_HAIR_SHARE
    if bearded:
        portrait.vary(rng, "facialHair", "facial_hair")
        portrait.paint("facialHair", hair)
        if portrait.attributes["facial_hair"] != "stubble":
            colour = palette("micah", "hair")[hair]
            portrait.say("facial_hair_color", colour)
            if colour in {"black", "dark brown"}:  # the mouth is drawn in black
                del portrait.attributes["mouth"]
    else:
        portrait.show("facialHair", None)
    if rng.random() < GLASSES_SHARE:
        portrait.vary(rng, "glasses", "accessory")
        portrait.tint(rng, "glasses", "accessory_color", avoid={background})
    else:
        portrait.show("glasses", None)
    if rng.random() < EARRING_SHARE:
        portrait.vary(rng, "earrings", "earring")
        portrait.tint(rng, "earring", "earring_color", avoid={background})
    else:
        portrait.show("earrings", None)
    portrait.vary(rng, "eyes", "eyes", plain=PLAIN_SHARE)
    portrait.vary(rng, "eyebrows", "eyebrows", plain=1.0 if bearded else PLAIN_SHARE)
    portrait.vary(rng, "ears", "ears", plain=1.0)
    portrait.vary(rng, "nose", "nose", plain=1.0)
    for line in ("eyes", "eyebrows", "mouth"):
        portrait.paint(line, INK)
    portrait.vary(rng, "clothes", "clothing")
    portrait.tint(rng, "shirt", "clothing_color", avoid={background})


SKIN = {"micah": "base"}  # what a style calls the colour of the skin, if not "skin"
DRAWERS = {
    "avataaars": _draw_avataaars,
    "personas": _draw_personas,
    "toon-head": _draw_toon_head,
    "adventurer": _draw_adventurer,
    "big-smile": _draw_big_smile,
    "micah": _draw_micah,
}
PORTRAIT_STYLES = tuple(DRAWERS)
