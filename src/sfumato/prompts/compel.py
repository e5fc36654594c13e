"""compel's syntax (its syntax.md): `word+`, `word--`, `(a b)1.3`, `"a b"+`, `("a", "b").blend(.7, .3)`, `.and(1, .5)`.

`+` is times 1.1 and `-` times 0.9, for each sign. A single word takes signs only, a group also a number. `.blend` and
`.and` stand for a whole prompt and take quoted texts. `.swap` edits attention while painting, which is none of the
text's business, and is refused. Brackets and quotes without a partner are text.
"""

import re

from sfumato.errors import RequestError
from sfumato.prompts.reading import FlatPrompt, Piece, Reading, Segment, brief, check_weight, merged

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_FUNCTION = re.compile(
    rf"\s*\(\s*({_QUOTED}(?:\s*,\s*{_QUOTED})*)\s*\)\s*\.(blend|and|add)\s*\(([^()]*)\)\s*", re.DOTALL
)
_CALL = re.compile(r"\.(swap|blend|and|add)\(")
_TOKEN = re.compile(r'(?:\\.|[^\s()",.\\])+|[\s,.]+|[()"\\]', re.DOTALL)
_SIGNS = re.compile(r"\++|-+")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?|\.[0-9]+")
_ESCAPED = re.compile(r'\\([()",.+=\-])')


def read(text: str) -> Reading:
    """The reading of a whole prompt.

    Raises:
        RequestError: a function that is not supported or called wrongly, or a weight out of range.
    """
    found = _FUNCTION.fullmatch(text)
    if found is None:
        call = _CALL.search(text)
        if call is None:
            return Reading((FlatPrompt((Segment(_pieces(text)),), packing="full"),))
        if call[1] == "swap":
            raise RequestError("compel's .swap() is not supported; write the prompt with the new word instead")
        raise RequestError(
            f'compel\'s .{call[1]}() must be the whole prompt and have quoted texts; write ("a", "b").{call[1]}(1, 0.5)'
        )
    texts = [quoted[1:-1] for quoted in re.findall(_QUOTED, found[1], re.DOTALL)]
    segments = [Segment(_pieces(part)) for part in texts]
    if found[2] == "blend":
        shares = _arguments(found[3], len(texts), flag="no_normalize")
        return Reading(tuple(FlatPrompt((one,), share, "full") for one, share in zip(segments, shares, strict=True)))
    weights = _arguments(found[3], len(texts))
    parts = (Segment(segment.pieces, weight) for segment, weight in zip(segments, weights, strict=True))
    return Reading((FlatPrompt(tuple(parts), packing="full"),))


def _arguments(text: str, count: int, *, flag: str | None = None) -> list[float]:
    """The weights, all 1 where none are given. With a `flag`, they are made to add up to 1 unless it is set."""
    words = [word.strip() for word in text.split(",")] if text.strip() else []
    normalised = flag is not None
    if flag is not None and words and words[-1] == flag:
        normalised = False
        words.pop()
    try:
        weights = [check_weight(float(word), word) for word in words] or [1.0] * count
    except ValueError:
        raise RequestError(f"compel's weights {brief(text)} must be numbers; for example (0.7, 0.3)") from None
    if len(weights) != count:
        raise RequestError(f"compel's function has {count} texts and {len(weights)} weights; give one a text or none")
    if normalised:
        total = sum(weights)
        if abs(total) < 1e-6:
            raise RequestError(f"compel's weights {brief(text)} add up to 0; change one or add no_normalize")
        weights = [check_weight(weight / total, text) for weight in weights]
    return weights


def _pieces(text: str) -> tuple[Piece, ...]:
    words: list[str] = []
    weights: list[float] = []
    stack: list[int] = []  # where the open brackets and quotes stand in `words`
    quotes: list[int] = []
    quotes_left = _TOKEN.findall(text).count('"')
    place = 0
    while place < len(text):
        found = _TOKEN.match(text, place)
        assert found is not None, "every character is of a token"
        token, place = found[0], found.end()
        opener: int | None = None
        quotes_left -= token == '"'
        if token == "(" or (token == '"' and not quotes and quotes_left):
            stack.append(len(words))
            if token == '"':
                quotes.append(len(words))
        elif token == ")" and stack and words[stack[-1]] == "(":
            opener = stack.pop()
        elif token == '"' and quotes:
            opener = quotes.pop()
            while stack.pop() != opener:  # brackets that the quote leaves open are text
                pass
        elif _SIGNS.fullmatch(token[-1]) and not token.endswith(("\\+", "\\-")):
            word = token.rstrip(token[-1])
            if word and not word.endswith("\\"):
                words.append(_ESCAPED.sub(r"\1", word))
                weights.append(_factor(token[len(word) :]))
                continue
        if opener is None:
            words.append(token if token in ("(", ")", '"') else _ESCAPED.sub(r"\1", token))
            weights.append(1.0)
            continue
        words[opener] = ""
        suffix = _SIGNS.match(text, place) or _NUMBER.match(text, place)
        if suffix is not None:
            factor = _factor(suffix[0])
            weights[opener:] = [weight * factor for weight in weights[opener:]]
            place = suffix.end()
    return merged(Piece(word, weight) for word, weight in zip(words, weights, strict=True))


def _factor(suffix: str) -> float:
    """The factor of `++`, `--` or a number; signs beyond any sensible weight do not count, lest the power overflow."""
    match suffix[0]:
        case "+":
            return float(1.1 ** min(len(suffix), 1000))
        case "-":
            return float(0.9 ** min(len(suffix), 1000))
        case _:
            return float(suffix)
