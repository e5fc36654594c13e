"""What people's words mean to a small model, kept beside it: phrases of any language, and what they show.

A model that learned from captions of one grammar paints well what is said so, and loses the thread where it is said
otherwise. Its folder may bring a lexicon, `lexicon.json`; `interpret` reads a prompt by it.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final, Self

from sfumato.errors import CheckpointError
from sfumato.files import read_regular

FILE: Final = "lexicon.json"

_TOKEN = re.compile(
    r"[^\W_\u3400-\u9fff]+(?:['’][a-z]+)*|[\u3400-\u9fff]|[\u2190-\u2bff\U0001f000-\U0001f3fa\U0001f400-\U0001faff]"
)
_DETERMINER = re.compile(r"an?|the|some|this|that|my|your|his|her|its|our|their")


def tokens(text: str) -> list[str]:
    """Words in small letters without articles and their plural s, each Han character and each emoji."""
    return [token for token, _, _ in spelled(text)]


def spelled(text: str) -> Iterator[tuple[str, int, int]]:
    """Its `tokens`, and from which character to which each was written."""
    for found in _TOKEN.finditer(text.lower()):
        word = re.split(r"['’]", found[0])[0]
        if not _DETERMINER.fullmatch(word):
            yield word.removesuffix("s") if len(word) > 3 else word, found.start(), found.end()


@dataclass(frozen=True)
class Meaning:
    """What a phrase may mean.

    Attributes:
        kind: the one kind of picture in which it means this; "": any that has what it shows.
        noun: whether it names what the picture is of.
        style: how that is drawn, where it follows.
        shows: attributes and their values.
        usual: attributes that go with a noun, unless others are said.
        paints: the attribute that a colour beside the phrase is of.
        color: it is a colour.
        plain: it is the captions' own word for this.
        weight: what it counts for its kind of picture; nouns count most.
    """

    kind: str = ""
    noun: bool = False
    style: str = ""
    shows: Mapping[str, str] = field(default_factory=dict)
    usual: Mapping[str, str] = field(default_factory=dict)
    paints: str = ""
    color: str = ""
    plain: bool = False
    weight: float = 1.0


@dataclass(frozen=True)
class Style:
    """A way of drawing a kind of picture.

    Attributes:
        says: its words in a caption.
        has: attribute -> the values that it can draw.
    """

    says: str
    has: Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Kind:
    """A kind of picture.

    Attributes:
        caption: its form, of {style} and {tags}, or {style} and {name}.
        order: its attributes, but for their colours, as a caption names them.
        styles: by name, the usual first.
        alone: attribute -> the word which its colour stands before, when nothing else of it is known.
        rules: pairs of attributes; the second hold where the first do and nothing else is said. "*" is any value, ""
            none.
        hides: attribute -> another that is not to be seen with it: a hat and hair.
        expert: which of the model's experts paints it; "": the model itself.
    """

    caption: str
    order: Sequence[str]
    styles: Mapping[str, Style]
    alone: Mapping[str, str]
    rules: Sequence[tuple[Mapping[str, str], Mapping[str, str]]]
    hides: Mapping[str, str] = field(default_factory=dict)
    expert: str = ""

    @cached_property
    def keys(self) -> frozenset[str]:
        """What pictures of the kind can show, and what of them can have a colour of its own."""
        return frozenset(self.order) | {f"{key}_color" for key in self.order}

    @cached_property
    def _values(self) -> Mapping[str, frozenset[str]]:
        """What any of its styles can draw, where that is told."""
        found: dict[str, frozenset[str]] = {}
        for style in self.styles.values():
            for key, values in style.has.items():
                found[key] = found.get(key, frozenset()) | values
        return found

    def draws(self, key: str, value: str) -> bool:
        """Whether the value of an attribute can be seen in pictures of this kind."""
        return key not in self._values or value in self._values[key]

    def takes(self, meaning: Meaning) -> bool:
        """Whether the phrase means something in pictures of this kind, the kind itself aside."""
        shown = {*meaning.shows, *([meaning.paints] if meaning.paints else [])}
        return bool(shown) and shown <= self.keys


@cache
def lexicon_of(folder: Path) -> "Lexicon | None":
    """The lexicon of the model in a folder, read once a process; None when it has none.

    Raises:
        CheckpointError: it has one that cannot be read.
    """
    return Lexicon.read(folder)


@dataclass(frozen=True)
class Lexicon:
    """Attributes:
    words: phrases, split into `tokens`, and what each may mean, the likeliest first.
    kinds: of pictures, by name.
    says: values which a caption calls otherwise, by attribute.
    """

    words: Mapping[tuple[str, ...], Sequence[Meaning]]
    kinds: Mapping[str, Kind]
    says: Mapping[str, Mapping[str, str]]

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """The lexicon of the model in a folder; None when it has none.

        Raises:
            CheckpointError: it has one that cannot be read.
        """
        path = folder / FILE
        try:
            return cls.parse(json.loads(read_regular(path)))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(
                f"{path} is no lexicon: {error}; take the file away, or get the model again"
            ) from error

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Self:
        """From JSON."""
        meanings = [Meaning(**each) for each in data["meanings"]]
        words = {tuple(phrase.split()): [meanings[at] for at in found] for phrase, found in data["words"].items()}
        kinds = {}
        for name, kind in data["kinds"].items():
            styles = {
                style: Style(each["says"], {key: frozenset(values) for key, values in each["has"].items()})
                for style, each in kind["styles"].items()
            }
            rules = [(given, then) for given, then in kind["rules"]]
            kinds[name] = Kind(**{**kind, "styles": styles, "rules": rules, "expert": str(kind.get("expert", ""))})
        return cls(words, kinds, data["says"])

    @cached_property
    def experts(self) -> frozenset[str]:
        """Those that paint some kind of picture."""
        return frozenset(kind.expert for kind in self.kinds.values() if kind.expert)

    @cached_property
    def longest(self) -> int:
        """Tokens of the longest phrase."""
        return max(map(len, self.words), default=0)
