"""Words for bottts."""

from typing import Final

from .common import UNNAMED, Tables

TABLES: Final = Tables(
    colours={
        "base": {
            "#e45e4d": "red",
            "#de6811": "orange",
            "#9b9312": "olive green",
            "#40a843": "green",
            "#15a876": "green",
            "#15a594": "teal",
            "#15a2a9": "teal",
            "#1499da": "blue",
            "#448ef4": "blue",
            "#9975ea": "purple",
            "#b46bd6": "purple",
            "#d95c9a": "pink",
            "#978d87": "grey",
            "#8f8f8f": "grey",
            "#879198": "grey",
        },
    },
    more={"base": {"#efc02e": "yellow", "#80553a": "brown", "#24408e": "navy blue", "#4b4f57": "dark grey"}},
    variants={
        "head": {
            "round01": "round head",
            "round02": "round head",
            "square01": "square head",
            "square02": "square head",
            "square03": UNNAMED,
            "square04": UNNAMED,
        },
        "eyes": {
            "bulging": "bulging eyes",
            "dizzy": "dizzy eyes",
            "eva": "black visor with round blue eyes",
            "frame1": "black screen with blue eyes",
            "frame2": "black screen with green eyes",
            "glow": "glowing eyes",
            "happy": "happy eyes",
            "hearts": "heart eyes",
            "robocop": "black visor",
            "round": "white dot eyes",
            "roundFrame01": "black visor with square white eyes",
            "roundFrame02": "black visor with round white eyes",
            "sensor": "camera eye",
            "shade01": "red visor",
        },
        "mouth": {
            "bite": "sharp teeth",
            "diagram": "screen mouth",
            "grill01": "grille mouth",
            "grill02": "grille mouth",
            "grill03": "toothy grin",
            "smile01": "smile",
            "smile02": "one tooth",
            "square01": "tiny mouth",
            "square02": "serious mouth",
        },
        "sides": {
            "antenna01": "side antennae",
            "antenna02": "side antennae",
            "cables01": "side cables",
            "cables02": "side cables",
            "round": "round ears",
            "square": "square ears",
            "squareAssymetric": UNNAMED,
        },
        "texture": {
            "camo01": "camouflage pattern",
            "camo02": "camouflage pattern",
            "circuits": "circuit pattern",
            "dirty01": "dark patches",
            "dirty02": "dark patches",
            "dots": "dots",
        },
        "top": {
            "antenna": "antenna",
            "antennaCrooked": "crooked antenna",
            "bulb01": "light bulb",
            "glowingBulb01": "glowing light bulb",
            "glowingBulb02": "glowing light bulb",
            "horns": "horns",
            "lights": "row of lights",
            "pyramid": "pyramid",
            "radar": "radar dish",
        },
    },
    excluded=frozenset(
        {
            "texture:grunge01",  # hardly seen
            "texture:grunge02",
            "base:#c67c11",  # colours between two names
            "base:#b18911",
            "base:#7a9f12",
            "base:#159fbf",
            "base:#7681f5",
            "base:#ca62bb",
            "base:#e25a75",
        }
    ),
    held_out=(
        frozenset({("body_color", "pink"), ("head_decoration", "horns")}),
        frozenset({("body_color", "green"), ("eyes", "heart eyes")}),
        frozenset({("body_color", "yellow"), ("head_decoration", "radar dish")}),
    ),
)
