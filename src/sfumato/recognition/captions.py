"""Captions of what a picture of nano's domain shows, as nano has read them: each thing by its plain word, a colour in
front, the style first and the background last. The words are tables in ``data/judge/words.json``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, get_args

from sfumato.choices import Language

Attributes = Mapping[str, str]
Both = Sequence[str]
"""The English word and the Chinese one."""

COMMA = {"en": ", ", "zh": "，"}


@dataclass(frozen=True)
class Words:
    """The tables.

    Attributes:
        kinds: kind of picture -> the attributes that it can have.
        first: the attributes that are said first, in this order.
        alone: attribute -> what its colour stands before where the thing goes unmentioned.
        styles, backgrounds, colours: word -> how it is said.
        things: attribute -> word -> how it is said.
        objects: name -> with its article, and in Chinese.
        temperatures: attribute -> by what the judge's logits are divided, so that probabilities are calibrated.
    """

    kinds: Mapping[str, Sequence[str]]
    first: Sequence[str]
    alone: Mapping[str, Both]
    styles: Mapping[str, Both]
    backgrounds: Mapping[str, Both]
    colours: Mapping[str, Both]
    things: Mapping[str, Mapping[str, Both]]
    objects: Mapping[str, Both]
    temperatures: Mapping[str, float]

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        """Read from the JSON object."""
        return cls(**data)

    def caption(self, attributes: Attributes, language: Language = "en") -> str:
        """All that attributes say, in the plainest words."""
        index = get_args(Language).index(language)
        style, background = attributes.get("style", ""), attributes.get("background", "")
        behind = [self.backgrounds[background][index]] if background else []
        before = [self.styles[style][index]] if style else []
        if "name" in attributes:
            thing = self.objects[attributes["name"]][index]
            said = [f"{before[0]} of {thing}"] if before and language == "en" else [*before, thing]
            return COMMA[language].join([*said, *behind])
        tags = [self._phrase(attributes, key, index) for key in self._things(attributes)]
        return COMMA[language].join([*before, *tags, *behind])

    def _things(self, attributes: Attributes) -> list[str]:
        """The things to be named, in their order; of some the colour alone is worth a word."""
        keys = dict.fromkeys((*self.first, *(key.removesuffix("_color") for key in attributes)))
        return [
            key
            for key in keys
            if (key in attributes and key in self.things) or (f"{key}_color" in attributes and key in self.alone)
        ]

    def _phrase(self, attributes: Attributes, key: str, index: int) -> str:
        thing, colour = attributes.get(key), attributes.get(f"{key}_color")
        words = (self.alone[key] if thing is None else self.things[key][thing])[index]
        return words if colour is None else f"{self.colours[colour][index]}{' ' * (index == 0)}{words}"
