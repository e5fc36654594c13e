"""What a model has seen: the words of its captions and the things they name, and advice for prompts far from them.

A small model paints something for any prompt; this says when that something is a guess. The file `world.json` lies in
the model's folder and is written by training.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Self

FILE: Final = "world.json"
FAR: Final = 0.5
"""A prompt of which more than this share of words is new is far from what the model knows."""

FEW: Final = 20
"""An attribute with more values than this, mostly different from picture to picture, is no knowledge."""

SILENT_KEYS: Final = frozenset(
    {"kind", "split", "tags", "tags_zh", "caption", "captions", "repeats", "source", "sha256"}
)

_LATIN = re.compile(r"[^\W\d_]+", re.ASCII)
_HAN = re.compile(r"[\u3400-\u9fff]+")
_SILENT: Final = frozenset(
    {
        "a",
        "an",
        "the",
        "of",
        "on",
        "in",
        "at",
        "by",
        "with",
        "and",
        "or",
        "to",
        "for",
        "from",
        "is",
        "are",
        "his",
        "her",
    }
    | {"his", "her", "its", "their", "very", "best", "quality", "masterpiece"}
)


def words(text: str) -> list[str]:
    """Latin words without their plural s, less those that say nothing, and each pair of neighbouring Han characters."""
    latin = [word.lower() for word in _LATIN.findall(text)]
    said = [word.removesuffix("s") if len(word) > 3 else word for word in latin if word not in _SILENT]
    return said + [run[i : i + 2] for run in _HAN.findall(text) for i in range(max(1, len(run) - 1))]


@dataclass(frozen=True)
class World:
    """Attributes:
    known: the words of the captions it was trained on, as `words` splits them.
    about: kind of picture -> attribute -> what it may be, the most frequent first.
    """

    known: tuple[str, ...]
    about: Mapping[str, Mapping[str, tuple[str, ...]]]

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
        """Of the model in a folder; None when it has none or it cannot be read."""
        try:
            data = json.loads((folder / FILE).read_text(encoding="utf-8"))
            about = {kind: {key: tuple(v) for key, v in keys.items()} for kind, keys in data["about"].items()}
            return cls(tuple(data["known"]), about)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def write(self, folder: Path) -> None:
        """As `world.json` in the folder."""
        (folder / FILE).write_text(json.dumps(asdict(self), ensure_ascii=False) + "\n", encoding="utf-8")

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.known)

    def unknown(self, prompt: str) -> list[str]:
        """The prompt's words that no caption had, in its order."""
        return [word for word in dict.fromkeys(words(prompt)) if word not in self._known]

    def advice(self, prompt: str, name: str) -> str | None:
        """One line for a prompt that is mostly outside what the model knows; None for others."""
        said, new = dict.fromkeys(words(prompt)), self.unknown(prompt)
        if not said or len(new) / len(said) <= FAR:
            return None
        kinds = ", ".join(f"{kind}s" if not kind.endswith("s") else kind for kind in self.about)
        return (
            f"{name} never learned {', '.join(map(repr, new[:4]))} and paints a guess; it knows {kinds}: "
            f"see `sfumato models {name}`"
        )
