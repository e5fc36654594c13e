"""What a prompt has that works otherwise than it looks, in lines for people."""

import re
from collections.abc import Iterator

from sfumato.choices import Syntax
from sfumato.prompts.grammar import parse, uncommented
from sfumato.prompts.reading import brief

MANY_PARTS = 8
"""Parts of a prompt with AND, from which on its work is said beforehand."""

_TAG = re.compile(r"<\w+:[^>]+>")
_TEMPLATE = re.compile(r"\{[^{}]*(?:\||\$\$)[^{}]*\}|(?<!\w)__[\w*/-]+__(?!\w)")


def remarks(text: str, syntax: Syntax, *, negative: bool = False) -> Iterator[str]:
    """One line each.

    Raises:
        RequestError: as `parse` does.
    """
    if syntax == "a1111" and (left_out := _comments(text)):
        yield f"{brief(left_out)} is a comment and not painted; --prompt-syntax plain takes # for what it is"
    if found := _TEMPLATE.search(_TAG.sub("", text)):
        yield f"{brief(found[0])} is painted as it stands; with --template it is drawn from"
    parts = len(parse(text, syntax, negative=negative).parts)
    if parts >= MANY_PARTS:
        yield (
            f"{parts} parts joined by AND: each step evaluates {parts + 1} conditions where a plain prompt has 2, "
            f"with about {(parts + 1) / 2:.0f} times the time and memory"
        )


def _comments(text: str) -> str:
    return " ".join(line[len(uncommented(line)) :].strip() for line in text.split("\n")).strip()
