"""Random portraits with known attributes: each variant and colour is chosen here, none left to the library.

`draw` picks, `svg` draws. Words live in `words.py`; this module only knows which choices go together.
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

from .words import BACKGROUNDS, COLOURS, HEADWEAR, HELD_OUT, MORE, TOON_HAIR, UNNAMED, VARIANTS, Words

GLASSES_SHARE = 0.35
FACIAL_HAIR_SHARE = 0.25
HEADWEAR_SHARE = 0.15
PLAIN_SHARE = 0.4  # ordinary eyes, ordinary eyebrows
VALIDATION_SHARE = 0.02
VIVID_SKIN_SHARE = 0.05

DARK_GLASSES = frozenset({"kurt", "sunglasses", "wayfarers"})
FANTASY_SKIN = frozenset({"orange", "yellow"})
VIVID_SKIN = FANTASY_SKIN | {"brown"}


@dataclass
class Portrait:
    """A portrait to be drawn: what it shows in words, and the DiceBear options which show it."""

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


def draw(style: str, rng: Random) -> Portrait:
    """A random portrait of the style, its attributes noted and its split decided."""
    portrait = Portrait(style, {"kind": "portrait", "style": style})
    background = pick_by_words(rng, BACKGROUNDS)
    portrait.paint("background", background)
    portrait.say("background", BACKGROUNDS[background])
    skins = set(palette(style, "skin").values())
    vivid = rng.random() < VIVID_SKIN_SHARE and skins >= FANTASY_SKIN
    lost = {BACKGROUNDS[background]} & FANTASY_SKIN  # would vanish before a background of the same name
    portrait.tint(rng, "skin", "skin", avoid=(skins - VIVID_SKIN if vivid else FANTASY_SKIN) | lost)
    DRAWERS[style](portrait, rng)
    by_chance = rng.random() < VALIDATION_SHARE
    portrait.attributes["split"] = "validation" if by_chance or held_out(portrait.attributes) else "train"
    return portrait


def held_out(attributes: Mapping[str, str]) -> bool:
    """Whether the attributes contain a combination reserved for validation."""
    return any(pair <= attributes.items() for pair in HELD_OUT.get(attributes["style"], ()))


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


DRAWERS = {"avataaars": _draw_avataaars, "personas": _draw_personas, "toon-head": _draw_toon_head}
