"""What of a picture's attributes is a thing to be named, in which order, and with which colour."""

from collections.abc import Mapping
from typing import Final, Literal

APART: Final = frozenset({"kind", "style", "split", "group", "name", "name_zh", "tags", "tags_zh", "background"})
"""Attributes which are no part of what is drawn, or which captions treat by themselves."""

FIRST: Final = ("hair", "headwear", "skin", "eyes", "eyebrows", "accessory", "mouth", "facial_hair", "clothing")
"""The order of a portrait's things in full captions; the others follow as they stand."""


ALONE: Final = frozenset(
    {"hair", "clothing", "trousers", "shoes", "body", "plant", "pot", "flower", "berries", "planet", "sky", "terrain"}
)
"""What may be told by its colour alone: "red hair". Of others (a moustache, a hat) a colour says nothing."""


def things(attributes: Mapping[str, str]) -> dict[str, tuple[str | None, str | None]]:
    """Key -> (what it is, its colour); the first may be missing, or the second."""
    keys = dict.fromkeys(
        key
        for key in (*FIRST, *(key.removesuffix("_color") for key in attributes))
        if key in attributes or (key in ALONE and f"{key}_color" in attributes)
    )
    return {key: (attributes.get(key), attributes.get(f"{key}_color")) for key in keys if key not in APART}


LONG_HAIR: Final = ("long", "bun", "pigtails", "ponytail", "braid", "bob", "hijab", "shoulder", "wavy")
"""Parts of the words for hair and headwear that are taken as a hint of a woman."""


def person_of(attributes: Mapping[str, str]) -> Literal["man", "woman", ""]:
    """What passers-by would say: a beard hints at a man, long hair at a woman; "" where nothing hints."""
    if "facial_hair" in attributes:
        return "man"
    worn = f"{attributes.get('hair', '')} {attributes.get('headwear', '')}"
    return "woman" if any(word in worn for word in LONG_HAIR) else ""
