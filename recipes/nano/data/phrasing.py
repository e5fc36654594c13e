"""What captions of any language have in common: how often things are said, and the shape of a tag list."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from .things import person_of, things

Attributes = Mapping[str, str]
Choose = Callable[[Sequence[str]], str]

STYLE_FIRST_SHARE: Final = 0.75
HINT_SHARE: Final = 0.5
TAG_SHARE: Final = 0.15


@dataclass(frozen=True)
class Phrasing:
    """What a language brings.

    Attributes:
        comma: between tags.
        any_style: kind -> words for a picture whose style goes unmentioned.
        persons: who a portrait shows, by what `person_of` says; "" for anyone.
        style: words for a style.
        phrase: words for a thing of this key, with its colour; either may be missing.
        background: words for a background of this colour.
        sentence: all attributes in one sentence.
        emoji: a thing by its name, with or without its look, a tag and the background.
        full_emoji: look, name and background.
    """

    comma: str
    any_style: Mapping[str, tuple[str, ...]]
    persons: Mapping[str, tuple[str, ...]]
    style: Callable[[str, Choose], str]
    phrase: Callable[[str, str | None, str | None, Choose], str]
    background: Callable[[str, Choose], str]
    sentence: Callable[[Attributes, Random], str]
    emoji: Callable[[Attributes, Random], str]
    full_emoji: Callable[[Attributes], str]

    def tag_list(self, attributes: Attributes, rng: Random) -> str:
        """Tags in any order, the style mostly first."""
        tags = self._tags(attributes, rng.choice)
        if attributes["kind"] == "portrait" and rng.random() < HINT_SHARE / 2:
            tags.append(self.person(attributes, rng))
        rng.shuffle(tags)
        if not attributes["style"]:
            return self.comma.join([rng.choice(self.any_style[attributes["kind"]]), *tags])
        style = self.style(attributes["style"], rng.choice)
        return self.comma.join([style, *tags] if rng.random() < STYLE_FIRST_SHARE else [*tags, style])

    def full_tags(self, attributes: Attributes) -> str:
        """Everything in its plainest words, in the order of `things`."""
        return self.comma.join([self.style(attributes["style"], plainest), *self._tags(attributes, plainest)])

    def person(self, attributes: Attributes, rng: Random) -> str:
        """Who a portrait shows, with or without what hints at a man or a woman."""
        return rng.choice(self.persons[person_of(attributes) if rng.random() < HINT_SHARE else ""])

    def tagged(self, subject: str, name: str, tags: str, rng: Random) -> str:
        """Now and then with one of the ``|``-separated tags of an emoji, but for its name."""
        others = [tag for tag in tags.split("|") if tag and tag != name]
        return f"{subject}{self.comma}{rng.choice(others)}" if others and rng.random() < TAG_SHARE else subject

    def _tags(self, attributes: Attributes, choose: Choose) -> list[str]:
        tags = [self.phrase(key, thing, colour, choose) for key, (thing, colour) in things(attributes).items()]
        if "background" in attributes:
            tags.append(self.background(attributes["background"], choose))
        return tags


def plainest(words: Sequence[str]) -> str:
    """The first, which is the plain word."""
    return words[0]
