"""Brackets that give words more or less weight, in A1111's, in ComfyUI's and in NovelAI's way.

A1111 (wiki, "Attention/emphasis"): `()` is times 1.1, `[]` divided by 1.1, `(:1.3)` times 1.3. Nested brackets
multiply, open ones reach to the end, and a `BREAK` outside of brackets starts a new window of tokens. A number that
cannot be read, as in `(a:1.2.3)`, is text. This is no grammar: `[(a]b)` has a meaning, since brackets of a kind are
matched with each other alone.

ComfyUI: `()` is times 1.1, a number replaces the weight around it, `[]` are text. Brackets without a partner are text.

NovelAI (its documentation, "Strengthening & Weakening Vectors"): `{}` is times 1.05, `[]` divided by 1.05, `1.5::a::`
times 1.5. Open ones reach to the end; `::` also closes the brackets that opened since its number. `()` are text.
"""

import re
from dataclasses import dataclass

from sfumato.prompts.reading import FlatPrompt, Piece, Reading, Segment, merged

_TOKEN = re.compile(r"\\[()\[\]\\]|\\|[(\[]|:\s*([+-]?[.\d]+)\s*\)|[)\]]|[^\\()\[\]:]+|:")
_BREAK = re.compile(r"\bBREAK\b")
_STEP = 1.1


def a1111(text: str) -> Reading:
    """Brackets, escapes and BREAK; any text has a reading.

    Raises:
        RequestError: a weight is out of range.
    """
    words: list[str] = []
    weights: list[float] = []
    round_open: list[int] = []
    square_open: list[int] = []

    def say(word: str, weight: float = 1.0) -> None:
        words.append(word)
        weights.append(weight)

    def multiply(start: int, factor: float) -> None:
        weights[start:] = [weight * factor for weight in weights[start:]]

    for found in _TOKEN.finditer(text):
        token = found[0]
        number = _number(found[1])
        if token.startswith("\\"):
            say(token[1:])
        elif token == "(":
            round_open.append(len(words))
        elif token == "[":
            square_open.append(len(words))
        elif number is not None and round_open:
            multiply(round_open.pop(), number)
        elif token == ")" and round_open:
            multiply(round_open.pop(), _STEP)
        elif token == "]" and square_open:
            multiply(square_open.pop(), 1 / _STEP)
        elif found[1] is not None and number is None and round_open:
            say(token[:-1])
            multiply(round_open.pop(), _STEP)
        else:
            first, *others = _BREAK.split(token)
            say(first.rstrip() if others else first)
            for place, part in enumerate(others):
                say("BREAK", -1.0)
                say(part.strip() if place < len(others) - 1 else part.lstrip())
    for start in round_open:
        multiply(start, _STEP)
    for start in square_open:
        multiply(start, 1 / _STEP)
    return _broken(words, weights)


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _broken(words: list[str], weights: list[float]) -> Reading:
    """Segments of the words between breaks. A BREAK within a bracket has another weight than -1, and is a word."""
    segments: list[list[Piece]] = [[]]
    for word, weight in zip(words, weights, strict=True):
        if word == "BREAK" and weight == -1:
            segments.append([])
        else:
            segments[-1].append(Piece(word, weight))
    return Reading((FlatPrompt(tuple(Segment(merged(pieces)) for pieces in segments)),))


# ------------------------------------------------------------------------------------------------------- ComfyUI


@dataclass(frozen=True)
class _Group:
    """A pair of brackets: where it closes, and the number before that with the place of its colon."""

    close: int
    colon: int
    number: float | None


_COMFY_TOKEN = re.compile(r"\\[()]|[()]")


def comfy(text: str) -> Reading:
    """Round brackets and escapes; any text has a reading.

    Raises:
        RequestError: a weight is out of range.
    """
    groups = _groups(text)
    ends: dict[int, int] = {group.close: group.colon for group in groups.values()}
    pieces: list[Piece] = []
    weights = [1.0]
    place = 0

    def say(end: int) -> None:
        pieces.append(Piece(text[place:end], weights[-1]))

    for found in _COMFY_TOKEN.finditer(text):
        start = found.start()
        if len(found[0]) == 2:
            say(start)
            place = start + 1
        elif start in groups:
            say(start)
            number = groups[start].number
            weights.append(weights[-1] * _STEP if number is None else number)
            place = start + 1
        elif start in ends:
            say(ends[start])
            weights.pop()
            place = start + 1
    say(len(text))
    return Reading((FlatPrompt((Segment(merged(pieces)),), packing="words"),))


def _groups(text: str) -> dict[int, _Group]:
    """The pairs of brackets by where they open."""
    groups: dict[int, _Group] = {}
    stack: list[int] = []
    before = 0
    for found in _COMFY_TOKEN.finditer(text):
        place = found.start()
        if found[0] == "(":
            stack.append(place)
        elif found[0] == ")" and stack:
            begin = stack.pop()
            colon = text.rfind(":", max(begin + 2, before), place)  # "(:1.3)" weighs nothing: its colon is text
            number = _number(text[colon + 1 : place].strip()) if colon >= 0 else None
            if number is not None and abs(number) < float("inf"):  # neither infinite nor "nan"
                groups[begin] = _Group(place, colon, number)
            else:
                groups[begin] = _Group(place, place, None)
        before = found.end()
    return groups


# ------------------------------------------------------------------------------------------------------- NovelAI


_NOVELAI_TOKEN = re.compile(r"[{}\[\]]|(?<![\w.])([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))::|::")
_NOVELAI_PAIRS = {"}": "{", "]": "["}


def novelai(text: str) -> Reading:
    """Curly and square brackets and numbers before `::`; any text has a reading.

    Raises:
        RequestError: a weight is out of range.
    """
    pieces: list[Piece] = []
    opened: dict[str, list[int]] = {"{": [], "[": []}  # where brackets stand that are still open
    numbers = [(-1, 1.0)]  # where a number stands, and the product of those still open
    place = 0
    for found in _NOVELAI_TOKEN.finditer(text):
        token, start = found[0], found.start()
        partners = opened[_NOVELAI_PAIRS[token]] if token in _NOVELAI_PAIRS else None
        if partners == [] or (token == "::" and len(numbers) == 1):
            continue  # without a partner it is text
        pieces.append(Piece(text[place:start], _novelai_weight(opened, numbers)))
        place = found.end()
        if token in opened:
            opened[token].append(start)
        elif partners is not None:
            partners.pop()
        elif found[1] is not None:
            numbers.append((start, numbers[-1][1] * float(found[1])))
        else:
            since, _ = numbers.pop()
            opened = {kind: [at for at in places if at < since] for kind, places in opened.items()}
    pieces.append(Piece(text[place:], _novelai_weight(opened, numbers)))
    return Reading((FlatPrompt((Segment(merged(pieces)),)),))


def _novelai_weight(opened: dict[str, list[int]], numbers: list[tuple[int, float]]) -> float:
    return float(1.05 ** (len(opened["{"]) - len(opened["["])) * numbers[-1][1])
