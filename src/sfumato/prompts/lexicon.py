"""What people's words mean to a small model: a plain prompt becomes a caption as the model was taught.

A model that learned from captions of one grammar paints well what is said so, and loses the thread where it is said
otherwise. Its folder may bring a lexicon, `lexicon.json`: phrases of any language and what they show. `Lexicon.caption`
finds the phrases in a prompt, the longest first; takes from them what kind of picture is meant and what it shows; gives
colours to what they stand beside; and says it in the model's own words. What no phrase covers is left out.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Self

from sfumato.errors import CheckpointError
from sfumato.files import read_regular

FILE: Final = "lexicon.json"
HEAD: Final = 1.5
TOKEN: Final = 0.1
COLOUR: Final = 0.2
"""What counts for a kind of picture besides a phrase's weight: that it is the head, each of its tokens; a colour."""
REACH: Final = 2
"""Unknown tokens that may stand between a colour and what it colours."""
FAINT: Final = 1.0
"""Nouns of no more weight are no head where another is: a portrait of a cat, a moon over the sea."""

_TOKEN = re.compile(r"[^\W_\u3400-\u9fff]+(?:['’][a-z]+)*|[\u3400-\u9fff]")
_HAN = re.compile(r"[\u3400-\u9fff]")
_PAUSE = re.compile(r"[,.;:!?，。；：！？、\n]|\s-\s|\band\b|\bwith\b|\bwearing\b|和|与|戴|穿|有")
_CLAUSE = re.compile(r"[,.;:!?，。；：！？\n]")
_AT = re.compile(r"\s*[正坐站躺停漂浮]?在")
_IS = re.compile(r"\s*(?:is|are|was|in|should be|be|of|[:：]|是|为|要|用|涂成|染成|弄成)?\s*", re.IGNORECASE)
_BEFORE_GROUND = re.compile(r"\b(?:on|against|over)(?:\s+an?|\s+plain)?\s*$", re.IGNORECASE)
_EMPTY = re.compile(r"and|or|with|of|on|in|at|by|to|for|is|are|has|have|wearing|who|[的有和与是在戴穿着一个只张位]")
_DETERMINER = re.compile(r"an?|the|some|this|that|my|your|his|her|its|our|their")
_PARTICLE = re.compile(
    r"[的了着在和与有是一二两三几只个位张条头座辆朵颗棵片轮栋艘架匹群里上下中前后戴穿留画看想请给我你他她大小老又很]"
)


def tokens(text: str) -> list[str]:
    """Words in small letters without articles and their plural s, and each Han character."""
    return [token for token, _, _ in _spelled(text)]


def _spelled(text: str) -> Iterator[tuple[str, int, int]]:
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

    def takes(self, meaning: Meaning) -> bool:
        """Whether the phrase means something in pictures of this kind, the kind itself aside."""
        shown = {*meaning.shows, *([meaning.paints] if meaning.paints else [])}
        return bool(shown) and shown <= self.keys


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
    def _longest(self) -> int:
        return max(map(len, self.words), default=0)

    def caption(self, prompt: str) -> str | None:
        """The prompt in the model's own words; None where it is in them already, a style among them, or says nothing
        that the model knows."""
        spans = self._spans(prompt)
        plain = self._is_plain(prompt, spans)
        _paint(prompt, spans)
        loose = any(span.loose for span in spans)
        coloured = (span.noun for span in spans if (span.color or loose) and span.noun is not None)
        if plain and not any(noun.paints and noun.style for noun in coloured):
            return None  # captions say the colour of a creature's body
        head = _head(prompt, spans)
        kind = self._kind(spans, head)
        return None if kind is None else self._say(self.kinds[kind], kind, spans, head)

    @cached_property
    def experts(self) -> frozenset[str]:
        """Those that paint some kind of picture."""
        return frozenset(kind.expert for kind in self.kinds.values() if kind.expert)

    def expert(self, prompt: str) -> str:
        """Which of the model's experts paints this, in any words; "": the model itself."""
        spans = self._spans(prompt)
        _paint(prompt, spans)
        kind = self._kind(spans, _head(prompt, spans))
        return "" if kind is None else self.kinds[kind].expert

    def _spans(self, prompt: str) -> list[_Span]:
        spelled = list(_spelled(prompt))
        found, at, last = [], 0, len(spelled) - 1
        while at < len(spelled):
            far = min(last, at + self._longest - 1)
            ends = (i for i in range(at, far) if _CLAUSE.search(prompt[spelled[i][2] : spelled[i + 1][1]]))
            for length in range(next(ends, far) + 1 - at, 0, -1):
                meanings, color = self._meanings([token for token, _, _ in spelled[at : at + length]])
                if meanings is None:
                    continue
                if meanings:
                    start, end = spelled[at][1], spelled[at + length - 1][2]
                    found.append(_Span(at, at + length, start, end, meanings, color))
                at += length
                break
            else:
                at += 1
        return [span for span in found if _whole(span, found, spelled)]

    def _meanings(self, said: Sequence[str]) -> tuple[Sequence[Meaning] | None, str]:
        """Meanings of a phrase, which may have a colour inside: curly blonde hair."""
        if (found := self.words.get(tuple(said))) is not None:
            return found, ""
        for first in range(1, len(said) - 1):
            for last in range(first + 1, len(said)):
                color = next((m.color for m in self.words.get(tuple(said[first:last]), ()) if m.color), "")
                around = self.words.get((*said[:first], *said[last:])) if color else None
                if around and any(meaning.paints for meaning in around):
                    return around, color
        return None, ""

    def _is_plain(self, prompt: str, spans: Sequence[_Span]) -> bool:
        covered = {at for span in spans for at in range(span.first, span.last)}
        plain = [meaning for span in spans for meaning in span.meanings if meaning.plain]
        return (
            any("style" in meaning.shows or (meaning.style and not meaning.shows) for meaning in plain)
            and all(any(meaning.plain for meaning in span.meanings) for span in spans)
            and all(at in covered or _EMPTY.fullmatch(token) for at, token in enumerate(tokens(prompt)))
        )

    def _kind(self, spans: Sequence[_Span], head: _Span | None) -> str | None:
        """The kind of picture that has most of what is said; None where that is next to nothing."""
        scores, nouns, named = dict.fromkeys(self.kinds, 0.0), dict.fromkeys(self.kinds, 0.0), set[str]()
        for name, kind in self.kinds.items():
            for span in spans:
                if not (found := span.among(name, kind)):
                    continue
                scores[name] += min(found[0].weight, FAINT) + TOKEN * (span.last - span.first)
                if found[0].noun:
                    beside = head is not None and span.last == head.first  # a city bus is a bus
                    more = max(found[0].weight - FAINT, 0.0) * (not beside) + (HEAD if span is head else 0.0)
                    nouns[name] = max(nouns[name], more)
                    named.add(name)
        whole = {name: scores[name] + nouns[name] for name in self.kinds}
        best = max(whole, key=whole.__getitem__, default=None)
        if best is None or not whole[best]:
            return None
        return best if best in named or sum(score > 0 for score in whole.values()) == 1 else None

    def _say(self, kind: Kind, name: str, spans: Sequence[_Span], head: _Span | None) -> str:
        found = [(span, each) for span in spans if (each := span.among(name, kind))]
        nouns = [(span, each[0]) for span, each in found if each[0].noun]
        rest = [(span, each) for span, each in found if not each[0].noun]
        nouns.sort(key=lambda pair: pair[0] is not head)
        style = self._style(kind, nouns, rest)
        shown: dict[str, str] = {}
        loose = next((span.loose for span in spans if span.loose), "")
        for span, noun in nouns:
            shown = {**noun.shows, **shown}
            _set_colour(shown, noun.paints, span.color or loose)
        for span, each in rest:
            has = kind.styles[style].has
            drawn = (m for m in each if not has or all(v in has.get(k, ()) for k, v in m.shows.items()))
            meaning = next(drawn, each[0])
            for key, value in meaning.shows.items():
                shown.setdefault(key, value)
            _set_colour(shown, meaning.paints, span.color)
        for _, noun in nouns[:1]:
            _add_usual(shown, noun.usual, kind.hides)
        for given, then in kind.rules:
            if all(value == shown.get(key, "") or (value == "*" and key in shown) for key, value in given.items()):
                shown = {**then, **shown}
        return self._worded(kind, style, shown)

    @staticmethod
    def _style(
        kind: Kind, nouns: Sequence[tuple[_Span, Meaning]], rest: Sequence[tuple[_Span, Sequence[Meaning]]]
    ) -> str:
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

    def _worded(self, kind: Kind, style: str, shown: Mapping[str, str]) -> str:
        tags = []
        for key in kind.order:
            if key in ("background", "style", "size", "name"):
                continue
            thing, colour = shown.get(key), shown.get(f"{key}_color", "")
            if thing is None and not (colour and key in kind.alone):
                continue
            words = kind.alone[key] if thing is None else self.says.get(key, {}).get(thing, thing)
            tags.append(f"{colour} {words}".strip())
        if "background" in shown:
            tags.append(f"{shown['background']} background")
        name = " ".join(shown[key] for key in ("size", "name") if key in shown)
        name = self.says.get("name", {}).get(name, name)
        said = kind.caption.format(style=kind.styles[style].says, name=name)
        return ", ".join([said, *tags])


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


def _whole(span: _Span, spans: Sequence[_Span], spelled: Sequence[tuple[str, int, int]]) -> bool:
    """Whether a phrase is no piece of another word: one Han character in the midst of unknown ones says nothing."""
    if span.last - span.first > 1 or not _HAN.fullmatch(spelled[span.first][0]):
        return True
    known = {at for each in spans if each.last - each.first > 1 for at in range(each.first, each.last)}
    coloured = ((a.first, b.first) for a, b in pairwise(spans) if a.last == b.first and a.hue and b.noun)
    known |= {at for pair in coloured for at in pair}  # 黑狗
    beside = (at for at in (span.first - 1, span.last) if 0 <= at < len(spelled))
    touching = (at for at in beside if spelled[at][1] == span.end or spelled[at][2] == span.start)
    return all(at in known or not _HAN.match(spelled[at][0]) or _PARTICLE.match(spelled[at][0]) for at in touching)


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
