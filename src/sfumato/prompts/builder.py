"""Prompts made of attributes that a model knows, in the order and the words of its captions; and characters, whose
attributes follow from a name.
"""

import hashlib
from collections.abc import Mapping, Sequence
from random import Random

from sfumato.errors import RequestError, UnknownNameError
from sfumato.prompts.vocabulary import Vocabulary

COLOUR = "_color"
SAID = ("background", "skin")
"""Attributes whose values say too little alone: "lavender background", "tan skin"."""
ALWAYS = ("style", "skin", "hair", "hair_color", "eyes", "mouth", "clothing", "clothing_color", "background")
"""What every character has, where the kind has it; of the rest one in `RARE`."""
RARE = 4
SILENT = ("name_zh", "group", "kind")


def traits_of(vocabulary: Vocabulary, kind: str, texts: Sequence[str], name: str) -> dict[str, str]:
    """The attributes that ``NAME=VALUE`` texts mean, the last of equal names; an empty value leaves one out.

    Args:
        name: of the model, for messages.

    Raises:
        UnknownNameError: the model knows no such kind, attribute, or value of it.
    """
    if kind not in vocabulary.about:
        raise UnknownNameError(f"kind of picture that {name} knows", kind[:64], list(vocabulary.about))
    known = {key: values for key, values in vocabulary.about[kind].items() if key not in SILENT}
    found = dict(text.split("=", 1) for text in texts)
    for key, value in found.items():
        if key not in known:
            raise UnknownNameError(f"attribute of {kind}s", key, list(known))
        if value and value not in known[key]:
            raise UnknownNameError(f"{key} that {name} knows", value[:64], list(known[key]))
    return found


def character(vocabulary: Vocabulary, kind: str, name: str) -> tuple[dict[str, str], int]:
    """The attributes and the seed of a character of that name: each attribute is drawn by the name and its own, so that
    it does not depend on the others.

    Raises:
        RequestError: the model knows no such kind.
    """
    if kind not in vocabulary.about:
        raise RequestError(f"there are no {kind[:64]}s among what the model knows: {', '.join(vocabulary.about)}")
    keys = vocabulary.about[kind]
    found = {}
    for key, values in keys.items():
        draw = Random(f"{name} {key}")
        thing = key.removesuffix(COLOUR)
        rare = thing if thing in keys else key  # a colour comes with its thing
        if key not in SILENT and (key in ALWAYS or Random(f"{name} {rare} rare").randrange(RARE) == 0):
            found[key] = draw.choice(values)
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little")
    return found, seed


def worded(vocabulary: Vocabulary, kind: str, traits: Mapping[str, str]) -> str:
    """The prompt of attributes: the style first, the background last, each with its colour before it."""
    keys = [key for key in vocabulary.about[kind] if traits.get(key)]
    parts = []
    for key in sorted(keys, key=lambda key: (key != "style", key == "background")):
        thing = key.removesuffix(COLOUR)
        if key.endswith(COLOUR) and thing in traits:  # said with it, or left out with it
            continue
        value = traits[key]
        if key.endswith(COLOUR) or key in SAID:
            value = f"{value} {thing.replace('_', ' ')}"
        colour = traits.get(f"{key}{COLOUR}") if f"{key}{COLOUR}" in keys else None
        parts.append(f"{colour} {value}" if colour else value)
    return ", ".join(parts)
