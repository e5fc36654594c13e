"""How a prompt is read by a small model's lexicon: what is said, as the model was taught to hear it.

`interpret` finds the lexicon's phrases in a prompt, the longest first; takes from them what kind of picture is meant
and what it shows; gives colours to what they stand beside; and says it in the model's own words. What no phrase covers
is left out.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from sfumato.prompts.lexicon import Kind, Lexicon, Meaning, spelled, tokens

HEAD: Final = 1.5
TOKEN: Final = 0.1
COLOUR: Final = 0.2
"""What counts for a kind of picture besides a phrase's weight: that it is the head, each of its tokens; a colour."""
REACH: Final = 2
"""Unknown tokens that may stand between a colour and what it colours."""
FAR: Final = 40
"""Characters before a phrase among which it is looked for whether it is said to be missing."""
FAINT: Final = 1.0
"""Nouns of no more weight are no head where another is: a portrait of a cat, a moon over the sea."""

_HAN = re.compile(r"[\u3400-\u9fff]")
_PAUSE = re.compile(r"[,.;:!?，。；：！？、\n]|\s-\s|\band\b|\bwith\b|\bwearing\b|和|与|戴|穿|有")
_CLAUSE = re.compile(r"[,.;:!?，。；：！？\n]")
_AT = re.compile(r"\s*[正坐站躺停漂浮]?在")
_IS = re.compile(r"\s*(?:is|are|was|in|should be|be|of|[:：]|是|为|要|用|涂成|染成|弄成)?\s*", re.IGNORECASE)
_BEFORE_GROUND = re.compile(r"\b(?:on|against|over)(?:\s+an?|\s+plain)?\s*$", re.IGNORECASE)
_DENIED = re.compile(
    r"(?:\b(?:without|no|not|never)(?: (?:an?|any|the|her|his|their|wearing|having))*"
    r"|(?:没有|没|无|不|别)(?:带|戴|穿|要|有|留|画|是)?(?:任何)?)\s*\Z",
    re.IGNORECASE,
)
_EMPTY = re.compile(r"and|or|with|of|on|in|at|by|to|for|is|are|has|have|wearing|who|[的有和与是在戴穿着一个只张位]")
_PARTICLE = re.compile(
    r"[的了着在和与有是一二两三几只个位张条头座辆朵颗棵片轮栋艘架匹群里上下中前后戴穿留画看想请给我你他她大小老又很]"
)


@dataclass(frozen=True)
class Interpretation:
    """What a prompt means to a model.

    Attributes:
        caption: the prompt in the model's own words; None where it is in them already, a style among them, or says
            nothing that the model knows.
        expert: which of the model's experts paints it; "": the model itself.
    """

    caption: str | None = None
    expert: str = ""


def interpret(prompt: str, lexicon: Lexicon, against: str = "") -> Interpretation:
    """What a plain prompt, in any words, means to the model of a lexicon.

    Args:
        against: the negative prompt: what it names does not go without saying.
    """
    spans, denied = _affirmed(prompt, _spans(prompt, lexicon))
    denied += _spans(against, lexicon)
    plain = _is_plain(prompt, spans)
    _paint(prompt, spans)
    head = _head(prompt, spans)
    name = _kind(lexicon.kinds, spans, head)
    if name is None:
        return Interpretation()
    kind = lexicon.kinds[name]
    if plain and not _body_coloured(spans):
        return Interpretation(expert=kind.expert)
    shown = _shown(
        kind, name, spans, head, {item for span in denied for m in span.meanings for item in m.shows.items()}
    )
    return Interpretation(_worded(kind, *shown, lexicon.says), kind.expert)


@dataclass
class _Span:
    """A phrase found in a prompt: from token `first` up to `last`, characters `start` to `end`.

    Its `color` is that of what it names; a `loose` one stands by itself.
    """

    first: int
    last: int
    start: int
    end: int
    meanings: Sequence[Meaning]
    color: str = ""
    loose: str = ""

    @property
    def noun(self) -> Meaning | None:
        """The likeliest meaning that names what a picture is of."""
        return next((meaning for meaning in self.meanings if meaning.noun), None)

    @property
    def hue(self) -> str:
        """The colour that it may be; "" if none."""
        return next((meaning.color for meaning in self.meanings if meaning.color), "")

    @property
    def paintable(self) -> bool:
        """Whether a colour beside it can be its own."""
        return any(meaning.paints for meaning in self.meanings)

    def among(self, kind: str, known: Kind) -> list[Meaning]:
        """What it may mean in pictures of this kind, nouns first."""
        found = (m for m in self.meanings if m.kind == kind or (not m.kind and not m.color and known.takes(m)))
        return sorted(found, key=lambda meaning: not meaning.noun)


def _spans(prompt: str, lexicon: Lexicon) -> list[_Span]:
    found, at, words = [], 0, list(spelled(prompt))
    last = len(words) - 1
    while at < len(words):
        far = min(last, at + lexicon.longest - 1)
        ends = (i for i in range(at, far) if _CLAUSE.search(prompt[words[i][2] : words[i + 1][1]]))
        for length in range(next(ends, far) + 1 - at, 0, -1):
            meanings, color = _meanings([token for token, _, _ in words[at : at + length]], lexicon.words)
            if meanings is None:
                continue
            if meanings:
                start, end = words[at][1], words[at + length - 1][2]
                found.append(_Span(at, at + length, start, end, meanings, color))
            at += length
            break
        else:
            at += 1
    return [span for span in found if _whole(span, found, words)]


def _meanings(
    said: Sequence[str], words: Mapping[tuple[str, ...], Sequence[Meaning]]
) -> tuple[Sequence[Meaning] | None, str]:
    """Meanings of a phrase, which may have a colour inside: curly blonde hair."""
    if (found := words.get(tuple(said))) is not None:
        return found, ""
    for first in range(1, len(said) - 1):
        for last in range(first + 1, len(said)):
            color = next((m.color for m in words.get(tuple(said[first:last]), ()) if m.color), "")
            around = words.get((*said[:first], *said[last:])) if color else None
            if around and any(meaning.paints for meaning in around):
                return around, color
    return None, ""


def _is_plain(prompt: str, spans: Sequence[_Span]) -> bool:
    covered = {at for span in spans for at in range(span.first, span.last)}
    plain = [meaning for span in spans for meaning in span.meanings if meaning.plain]
    return (
        any("style" in meaning.shows or (meaning.style and not meaning.shows) for meaning in plain)
        and all(any(meaning.plain for meaning in span.meanings) for span in spans)
        and all(at in covered or _EMPTY.fullmatch(token) for at, token in enumerate(tokens(prompt)))
    )


def _kind(kinds: Mapping[str, Kind], spans: Sequence[_Span], head: _Span | None) -> str | None:
    """The kind of picture that has most of what is said; None where that is next to nothing."""
    scores, nouns, named = dict.fromkeys(kinds, 0.0), dict.fromkeys(kinds, 0.0), set[str]()
    for name, kind in kinds.items():
        for span in spans:
            if not (found := span.among(name, kind)):
                continue
            scores[name] += min(found[0].weight, FAINT) + TOKEN * (span.last - span.first)
            if found[0].noun:
                beside = head is not None and span.last == head.first  # a city bus is a bus
                more = max(found[0].weight - FAINT, 0.0) * (not beside) + (HEAD if span is head else 0.0)
                nouns[name] = max(nouns[name], more)
                named.add(name)
    whole = {name: scores[name] + nouns[name] for name in kinds}
    best = max(whole, key=whole.__getitem__, default=None)
    if best is None or not whole[best]:
        return None
    return best if best in named or sum(score > 0 for score in whole.values()) == 1 else None


def _shown(
    kind: Kind, name: str, spans: Sequence[_Span], head: _Span | None, denied: Collection[tuple[str, str]]
) -> tuple[str, Mapping[str, str]]:
    """The style of a picture, and what it shows: what is said, and of what goes without saying what is not denied."""
    found = [(span, each) for span in spans if (each := span.among(name, kind))]
    nouns = [(span, each[0]) for span, each in found if each[0].noun]
    rest = [(span, each) for span, each in found if not each[0].noun]
    nouns.sort(key=lambda pair: pair[0] is not head)
    style = _style(kind, nouns, rest)
    shown: dict[str, str] = {}
    loose = next((span.loose for span in spans if span.loose), "")
    for span, noun in nouns:
        shown = {**noun.shows, **shown}
        _set_colour(shown, noun.paints, span.color or loose)
    has = kind.styles[style].has
    for span, each in rest:
        meaning = next((m for m in each if _drawable(m, has)), each[0])
        for key, value in meaning.shows.items():
            if kind.draws(key, value):
                shown.setdefault(key, value)
        _set_colour(shown, meaning.paints, span.color)
    for _, noun in nouns[:1]:
        usual = {key: value for key, value in noun.usual.items() if key in shown or (key, value) not in denied}
        _add_usual(shown, usual, kind.hides)
    for given, then in kind.rules:
        if all(value == shown.get(key, "") or (value == "*" and key in shown) for key, value in given.items()):
            shown = {**dict(then.items() - denied), **shown}
    return style, shown


def _drawable(meaning: Meaning, has: Mapping[str, frozenset[str]]) -> bool:
    """Whether a style that has this can show it; one of which nothing is told can."""
    painted = not meaning.paints or meaning.paints in has or f"{meaning.paints}_color" in has
    return not has or (painted and all(value in has.get(key, ()) for key, value in meaning.shows.items()))


def _style(kind: Kind, nouns: Sequence[tuple[_Span, Meaning]], rest: Sequence[tuple[_Span, Sequence[Meaning]]]) -> str:
    asked = [each[0].shows["style"] for _, each in rest if "style" in each[0].shows]
    asked += [noun.style for _, noun in nouns if noun.style]
    if asked:
        return asked[0]

    def fits(style: str) -> float:
        has = kind.styles[style].has
        score = 0.0
        for span, each in rest:
            score += any(all(v in has.get(k, ()) for k, v in m.shows.items()) for m in each)
            score += COLOUR * any(span.color in has.get(f"{m.paints}_color", ()) for m in each)
        for _, noun in nouns:
            score += sum(value in has.get(key, ()) for key, value in {**noun.usual, **noun.shows}.items()) / 2
        return score

    return max(kind.styles, key=fits)


def _worded(kind: Kind, style: str, shown: Mapping[str, str], says: Mapping[str, Mapping[str, str]]) -> str:
    tags = []
    for key in kind.order:
        if key in ("background", "style", "size", "name"):
            continue
        thing, colour = shown.get(key), shown.get(f"{key}_color", "")
        if thing is None and not (colour and key in kind.alone):
            continue
        words = kind.alone[key] if thing is None else says.get(key, {}).get(thing, thing)
        tags.append(f"{colour} {words}".strip())
    if "background" in shown:
        tags.append(f"{shown['background']} background")
    name = " ".join(shown[key] for key in ("size", "name") if key in shown)
    name = says.get("name", {}).get(name, name)
    said = kind.caption.format(style=kind.styles[style].says, name=name)
    return ", ".join([said, *tags])


def _body_coloured(spans: Sequence[_Span]) -> bool:
    """Whether a creature is said to have a colour: captions say that of its body."""
    loose = any(span.loose for span in spans)
    nouns = (span.noun for span in spans if span.color or loose)
    return any(noun is not None and noun.paints and noun.style for noun in nouns)


def _paint(prompt: str, spans: Sequence[_Span]) -> None:
    """Give each colour to what it stands beside; what is left of it is its other meanings."""
    for at, span in enumerate(spans):
        if not (color := span.hue):
            continue
        span.meanings = [meaning for meaning in span.meanings if not meaning.color]
        after = next((each for each in spans[at + 1 :] if each.paintable or each.noun or each.hue), None)
        before = spans[at - 1] if at else None
        if after is not None and after.paintable and _near(prompt, span, after, spans):
            after.color, span.meanings = after.color or color, ()
        elif before is not None and before.paintable and _IS.fullmatch(prompt[before.end : span.start]):
            before.color, span.meanings = before.color or color, ()
        elif _BEFORE_GROUND.search(prompt[: span.start]):
            span.color, span.meanings = color, [Meaning(paints="background")]
        elif not span.meanings and _alone(prompt, span):
            span.loose = color


def _whole(span: _Span, spans: Sequence[_Span], words: Sequence[tuple[str, int, int]]) -> bool:
    """Whether a phrase is no piece of another word: one Han character in the midst of unknown ones says nothing."""
    if span.last - span.first > 1 or not _HAN.fullmatch(words[span.first][0]):
        return True
    known = {at for each in spans if each.last - each.first > 1 for at in range(each.first, each.last)}
    coloured = ((a.first, b.first) for a, b in pairwise(spans) if a.last == b.first and a.hue and b.noun)
    known |= {at for pair in coloured for at in pair}  # 黑狗
    beside = (at for at in (span.first - 1, span.last) if 0 <= at < len(words))
    touching = (at for at in beside if words[at][1] == span.end or words[at][2] == span.start)
    return all(at in known or not _HAN.match(words[at][0]) or _PARTICLE.match(words[at][0]) for at in touching)


def _affirmed(prompt: str, spans: Sequence[_Span]) -> tuple[list[_Span], list[_Span]]:
    """Those that are said to be there, and those that are said to be missing: without glasses, no red hat, 没有光环."""
    affirmed, denied, end = list[_Span](), list[_Span](), -1
    for span in spans:
        if span.first == end or _DENIED.search(prompt, max(0, span.start - FAR), span.start):
            denied.append(span)
            end = span.last if span.hue else -1
        else:
            affirmed.append(span)
    return affirmed, denied


def _alone(prompt: str, span: _Span) -> bool:
    """Whether nothing else stands between the commas around it."""
    before, after = prompt[: span.start].rstrip(), prompt[span.end :].lstrip()
    return (not before or _CLAUSE.match(before[-1]) is not None) and (not after or _CLAUSE.match(after) is not None)


def _near(prompt: str, one: _Span, other: _Span, spans: Sequence[_Span]) -> bool:
    if _PAUSE.search(between := prompt[one.end : other.start]):
        return False
    known = [span for span in spans if one.last <= span.first < other.first]
    if not known:
        return other.first - one.last <= REACH
    for span in known:  # green three-eyed monster
        between = between.replace(prompt[span.start : span.end], "")
    return all(token == "的" for token in tokens(between))


def _head(prompt: str, spans: Sequence[_Span]) -> _Span | None:
    """The noun that all else belongs to: the first of all ("city bus": the last of those that stand side by side), in
    Chinese the last of its clause, or what is said to be somewhere."""
    found = [(span, span.noun.weight) for span in spans if span.noun is not None]
    nouns = [span for span, weight in found if weight > FAINT] or [span for span, _ in found]
    if not nouns:
        return None
    if not _HAN.match(prompt[nouns[0].start]):
        head = nouns[0]
        for span in nouns[1:]:
            head = span if span.first == head.last and not _PAUSE.search(prompt[head.end : span.start]) else head
        return head
    if (placed := next((span for span in nouns if _AT.match(prompt, span.end)), None)) is not None:
        return placed
    end = _CLAUSE.search(prompt, nouns[0].end)
    return [span for span in nouns if end is None or span.end <= end.start()][-1]


def _set_colour(shown: dict[str, str], key: str, color: str) -> None:
    if key and color:
        shown.setdefault("background" if key == "background" else f"{key}_color", color)


def _add_usual(shown: dict[str, str], usual: Mapping[str, str], hides: Mapping[str, str]) -> None:
    """What goes with a noun, but for what is hidden by what is said, and the colour of another thing."""
    said = dict(shown)
    hidden = {hides[key] for key in said if key in hides}
    for key, value in usual.items():
        thing = key.removesuffix("_color")
        another = key != thing and thing in said and said[thing] != usual.get(thing)
        if thing not in hidden and not another:
            shown.setdefault(key, value)
