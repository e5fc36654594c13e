"""A file's texts, parsed once for all readers."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Texts:
    """What the texts of a file are.

    Attributes:
        plain: by their names; an object of texts, as NovelAI's in a UserComment, is as good as the file.
        objects: those that are JSON objects, and the plain texts together, since some tools write a chunk a setting.
    """

    plain: Mapping[str, str]
    objects: tuple[tuple[str, Mapping[str, Any]], ...]

    @classmethod
    def of(cls, texts: Mapping[str, str]) -> Self:
        """Parse the texts of a file."""
        plain = dict(texts)
        objects = list(_objects(texts))
        for _, found in list(objects):
            inner = {name: value for name, value in found.items() if isinstance(value, str) and name not in plain}
            if "Comment" in inner:
                plain |= inner
            objects += _objects(inner)
            if isinstance(graph := found.get("prompt"), dict):
                objects.append(("prompt", graph))
        return cls(plain, (*objects, ("", plain)))


def parsed(text: str | None) -> Any:
    """The JSON value of a text; None for anything else, however deep or broken."""
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return None


def is_object(text: str) -> bool:
    """Whether a text is a JSON object."""
    return _object(text) is not None


def _objects(texts: Mapping[str, str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, text in texts.items():
        found = _object(text)
        if found is not None:
            yield name, found


def _object(text: str) -> Mapping[str, Any] | None:
    value = parsed(text) if re.match(r"\s*\{", text) else None
    return value if isinstance(value, dict) else None
