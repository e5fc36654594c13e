"""Captions for a picture's attributes, made anew each time: what a person might type to get this picture.

`caption` varies language, order, words and how much is said, `whole_caption` all of these but the last; `full_caption`
says everything, always in the same way.
What may be left out and how often is decided here; a `Phrasing` only puts words together.
"""

from collections.abc import Mapping
from random import Random
from typing import Final, Literal

from .chinese_captions import CHINESE
from .english_captions import ENGLISH
from .phrasing import Phrasing

Language = Literal["en", "zh"]

LANGUAGES: Final[Mapping[Language, Phrasing]] = {"en": ENGLISH, "zh": CHINESE}

CHINESE_SHARE: Final = 0.6
DROP_SHARE: Final = 0.15  # of the attributes, in most captions
TERSE_SHARE: Final = 0.15  # of the captions: these lose most attributes
TERSE_DROP_SHARE: Final = 0.7
TAGS_SHARE: Final = 0.5  # tag lists; the others are sentences
STYLE_DROP_SHARE: Final = 0.25
EMOJI_STYLE_DROP_SHARE: Final = 0.3


def caption(attributes: Mapping[str, str], rng: Random) -> str:
    """A caption drawn at random; the same state of `rng` gives the same caption."""
    words = _language(rng)
    drop = TERSE_DROP_SHARE if rng.random() < TERSE_SHARE else DROP_SHARE
    told = {key: value for key, value in attributes.items() if rng.random() >= drop or key == "kind"}
    if attributes["kind"] == "emoji":
        told |= {key: attributes[key] for key in ("name", "name_zh", "tags", "tags_zh") if key in attributes}
        told["style"] = "" if rng.random() < EMOJI_STYLE_DROP_SHARE else attributes["style"]
        return words.emoji(told, rng)
    told["style"] = "" if rng.random() < STYLE_DROP_SHARE else attributes["style"]
    return words.tag_list(told, rng) if rng.random() < TAGS_SHARE else words.sentence(told, rng)


def whole_caption(attributes: Mapping[str, str], rng: Random) -> str:
    """A caption drawn at random that leaves nothing out; a list, since a sentence about a red-haired girl may say no
    more of her hair."""
    words = _language(rng)
    return words.emoji(attributes, rng) if attributes["kind"] == "emoji" else words.tag_list(attributes, rng)


def _language(rng: Random) -> Phrasing:
    return LANGUAGES["zh" if rng.random() < CHINESE_SHARE else "en"]


def full_caption(attributes: Mapping[str, str], language: Language = "en") -> str:
    """The caption which says everything, for validation and documentation."""
    words = LANGUAGES[language]
    return words.full_emoji(attributes) if attributes["kind"] == "emoji" else words.full_tags(attributes)
