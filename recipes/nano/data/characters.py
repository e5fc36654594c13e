"""Random game characters with known attributes: persons of cubes, little monsters, robots.

`draw` picks, `portraits.svg` draws.
"""

from random import Random

from .portraits import (
    CHEEKS_SHARE,
    FACIAL_HAIR_SHARE,
    GLASSES_SHARE,
    HEADWEAR_SHARE,
    PLAIN_SHARE,
    Portrait,
    begin,
    draw_hair,
    finish,
    palette,
    pick,
    svg,
)
from .words import CLOTH, HEADWEAR, VARIANTS

__all__ = ["CHARACTER_STYLES", "draw", "svg"]

PATTERN_SHARE = 0.5
BARE_SHARE = 0.15  # nothing on the head


def draw(style: str, rng: Random) -> Portrait:
    """A random character of the style, its attributes noted and its split decided."""
    character = begin("character", style, rng)
    DRAWERS[style](character, rng)
    return finish(character, rng)


def _draw_voxel_art(character: Portrait, rng: Random) -> None:
    background = character.attributes["background"]
    character.show("animation", "none")
    character.tint(rng, "skin", "skin", avoid={background})
    if rng.random() < HEADWEAR_SHARE:
        tops = VARIANTS["voxel-art"]["top"]
        hat = pick(rng, [name for name in tops if name in HEADWEAR])
        character.show("top", hat)
        character.say("headwear", tops[hat])
        character.tint(rng, "hair", "hair_color")  # of beard and eyebrows
    else:
        draw_hair(character, rng, "top")
    if rng.random() < FACIAL_HAIR_SHARE:
        character.vary(rng, "beard", "facial_hair")
        if character.attributes["facial_hair"] != "stubble":
            character.say("facial_hair_color", character.attributes["hair_color"])
    else:
        character.show("beard", None)
    if "headwear" in character.attributes:
        del character.attributes["hair_color"]

    if rng.random() < GLASSES_SHARE:
        character.vary(rng, "glasses", "accessory")
    else:
        character.show("glasses", None)
    if character.attributes.get("accessory") in {"sunglasses", "visor"}:
        character.show("eyes", "open")
    else:
        character.vary(rng, "eyes", "eyes", plain=PLAIN_SHARE)
    character.vary(rng, "mouth", "mouth")
    if "facial_hair" not in character.attributes and rng.random() < CHEEKS_SHARE:
        character.vary(rng, "cheeks", "cheeks")
    else:
        character.show("cheeks", None)
    for part in ("eyebrows", "nose"):
        character.vary(rng, part, part, plain=1.0)

    outfits = VARIANTS["voxel-art"]["outfit"]
    outfit = pick(rng, outfits)
    character.show("outfit", outfit)
    character.say("clothing", outfits[outfit])
    named = {CLOTH[outfit]: "clothing_color", "shoes": "shoes_color"}
    if "headwear" in character.attributes:
        named["hat"] = "headwear_color"
    if outfit not in {"overalls", "dress"}:
        character.say("trousers", "trousers")
        named["pants"] = "trousers_color"
    character.say("shoes", "shoes")
    for cloth in ("hat", "shirt", "jacket", "pants", "shoes"):
        if cloth in named:
            character.tint(rng, cloth, named[cloth], avoid={background})
        else:
            character.paint(cloth, pick(rng, palette("voxel-art", cloth)))


def _draw_critters(character: Portrait, rng: Random) -> None:
    background = character.attributes["background"]
    character.show("animation", "none")
    character.vary(rng, "body", "body", plain=PLAIN_SHARE)
    character.tint(rng, "body", "body_color", avoid={background})
    if rng.random() < BARE_SHARE:
        character.show("top", None)
        character.paint("accent", pick(rng, palette("critters", "accent")))
    else:
        character.vary(rng, "top", "head_decoration")
        character.tint(rng, "accent", "head_decoration_color", avoid={background, character.attributes["body_color"]})
    if rng.random() < PATTERN_SHARE:
        character.vary(rng, "pattern", "pattern")
    else:
        character.show("pattern", None)
    character.vary(rng, "eyes", "eyes", plain=PLAIN_SHARE / 2)
    character.vary(rng, "mouth", "mouth")
    character.show("cheeks", None)
    character.paint("ink", "#1e293b")


def _draw_bottts(character: Portrait, rng: Random) -> None:
    character.tint(rng, "base", "body_color", avoid={character.attributes["background"]})
    character.vary(rng, "head", "head", plain=PLAIN_SHARE / 2)
    character.vary(rng, "eyes", "eyes")
    character.vary(rng, "mouth", "mouth")
    character.vary(rng, "sides", "sides", plain=PLAIN_SHARE / 2)
    character.vary(rng, "top", "head_decoration")
    if rng.random() < PATTERN_SHARE:
        character.vary(rng, "texture", "pattern")
    else:
        character.show("texture", None)


DRAWERS = {"voxel-art": _draw_voxel_art, "critters": _draw_critters, "bottts": _draw_bottts}
CHARACTER_STYLES = tuple(DRAWERS)
