"""What a model has seen: the words of its captions and the things they name, and advice for prompts beyond them.

A small model paints something for any prompt; this says when that something is a guess. The file `world.json` lies in
the model's folder and is written by training.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Final, Self

from sfumato.files import read_regular

FILE: Final = "world.json"
FEW: Final = 20
"""An attribute with more values than this, mostly different from picture to picture, is no knowledge."""

SILENT_KEYS: Final = frozenset(
    {"kind", "split", "tags", "tags_zh", "caption", "captions", "repeats", "source", "sha256"}
)

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_HAN = re.compile(r"[\u3400-\u9fff]+")
_MARKUP = re.compile(r"<\w+:[^>]+>|\bembedding:\S+")
_PAUSE = re.compile(r"[^\w\s'’-]|\n")
_SILENT = re.compile(
    r"an?|the|this|that|some|any|each|and|or|but|with|without|of|on|in|at|by|to|for|from|into|onto|over|under|above|"
    r"below|between|behind|beside|near|next|through|is|are|was|be|has|have|as|its?|his|her|he|she|they|their|very|"
    r"break|best|quality|masterpiece"
)
_SILENT_HAN = re.compile(r"[的在与]|[一二两三四五六七八九十几每][个只位张辆座条朵棵匹头件双副幅]")


def words(text: str) -> list[str]:
    """Words of letters without their plural s, less those that say nothing, and each pair of neighbouring Han
    characters.
    """
    said = [_stem(word) for word in _latin(text) if not _SILENT.fullmatch(word)]
    return said + [pair for run in _HAN.findall(text) for pair in _pairs(run)]


def _latin(text: str) -> list[str]:
    """Words in any letters but Han; what has digits ("8k") is none."""
    return [word.lower() for word in _WORD.findall(_HAN.sub(" ", text)) if not any(c.isdigit() for c in word)]


def _stem(word: str) -> str:
    word = re.split(r"['’]", word)[0]
    return word.removesuffix("s") if len(word) > 3 else word


def _pairs(run: str) -> list[str]:
    return [run[i : i + 2] for i in range(max(1, len(run) - 1))]


@dataclass(frozen=True)
class Vocabulary:
    """Attributes:
    known: the words of the captions it was trained on, as `words` splits them.
    about: kind of picture -> attribute -> what it may be, the most frequent first.
    dropped: reason -> things that an earlier model of that name knew.
    """

    known: tuple[str, ...]
    about: Mapping[str, Mapping[str, tuple[str, ...]]]
    dropped: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def learn(cls, captions: Iterable[str], attributes: Iterable[Mapping[str, object]]) -> Self:
        """From the captions and the attributes of the training data."""
        known = sorted({word for caption in captions for word in words(caption)})
        counts: dict[str, dict[str, Counter[str]]] = {}
        for each in attributes:
            kind = counts.setdefault(str(each.get("kind", "picture")), {})
            for key, value in each.items():
                if key not in SILENT_KEYS and isinstance(value, str):
                    kind.setdefault(key, Counter())[value] += 1
        about = {
            kind: {
                key: tuple(value for value, _ in found.most_common())
                for key, found in keys.items()
                if len(found) <= max(FEW, found.total() / 2)  # others are file names, addresses and the like
            }
            for kind, keys in counts.items()
        }
        return cls(tuple(known), about)

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """The vocabulary of the model in a folder; None when it has none or it cannot be read."""
        try:
            data = json.loads(read_regular(folder / FILE))
            about = {kind: {key: tuple(v) for key, v in keys.items()} for kind, keys in data["about"].items()}
            dropped = {reason: tuple(names) for reason, names in data.get("dropped", {}).items()}
            return cls(tuple(data["known"]), about, dropped)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def write(self, folder: Path) -> None:
        """Write it as `world.json` into the folder."""
        (folder / FILE).write_text(json.dumps(asdict(self), ensure_ascii=False) + "\n", encoding="utf-8")

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.known)

    @cached_property
    def _things(self) -> tuple[frozenset[str], frozenset[tuple[str, str]]]:
        """Words that occur in names of things alone, and which of them stand side by side in one."""
        names: set[str] = set()
        others: set[str] = set()
        pairs: set[tuple[str, str]] = set()
        for keys in self.about.values():
            for key, values in keys.items():
                for value in values:
                    said = words(_HAN.sub(" ", value))
                    (names if key == "name" else others).update(said)
                    pairs.update(pairwise(said))
        return frozenset(names - others), frozenset(pairs)

    def unknown(self, prompt: str) -> list[str]:
        """What no caption had, in whole words: words, names of two things in one ("city bus"), and of Chinese what
        stands between two particles.
        """
        things, pairs = self._things
        found = []
        for phrase in _PAUSE.split(_MARKUP.sub(",", prompt)):
            before = ""
            for word in _latin(phrase):
                stem = _stem(word)
                if _SILENT.fullmatch(word):
                    before = ""
                    continue
                if stem not in self._known:
                    found.append(word)
                elif {_stem(before), stem} <= things and (_stem(before), stem) not in pairs:
                    found.append(f"{before} {word}")
                before = word
            runs = (run for whole in _HAN.findall(phrase) for run in _SILENT_HAN.split(whole) if len(run) > 1)
            found += [run for run in runs if not self._known.issuperset(_pairs(run))]
        return list(dict.fromkeys(found))

    def advice(self, prompt: str, name: str) -> str | None:
        """One line for a prompt that says what the model has not learned; None for others."""
        new = self.unknown(prompt)
        kinds = ", ".join(f"{kind}s" if not kind.endswith("s") else kind for kind in self.about)
        if prompt.strip() and not _WORD.search(_MARKUP.sub("", prompt)):
            return f"the prompt has no words, and {name} paints a guess; it knows {kinds}: see `sfumato models {name}`"
        if not new:
            return None
        return (
            f"{name} never learned {', '.join(map(repr, new[:4]))}{' ...' if new[4:] else ''} and paints a guess; it "
            f"knows {kinds}: see `sfumato models {name}`"
        )
