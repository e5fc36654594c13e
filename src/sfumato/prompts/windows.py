"""Words into windows of tokens, however many there are.

A window has the tokenizer's length: a begin, room for its words, an end. A new segment starts a new window. Spare room
takes the tokenizer's padding, after an end which closes the words. Where words run over, a prompt's packing says
where the window ends:

    commas   behind a comma among the last `BACKTRACK` tokens, else where it is full (A1111 wiki, "Infinite prompt
             length")
    words    before a word that no longer fits, unless it has `WORD` tokens or more (ComfyUI, `SDTokenizer`)
    full     where it is full (compel up to 2.0, and its `SplitLongTextMode.BRUTAL` since)

Learned vectors are called by the tokens of their names; in `words` by `embedding:NAME`, where an unknown name is left
out.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from sfumato.errors import RequestError
from sfumato.models.tokenizer import ClipTokenizer
from sfumato.prompts.reading import FlatPrompt, Packing, Piece, brief

BACKTRACK = 20
WORD = 8

CALLED = re.compile(r"(?<!\S)embedding:([^\s,]*)")
"""How ComfyUI calls learned vectors: at the beginning of a word, as far as a comma."""


class Window:
    """A window being filled with words of a segment."""

    def __init__(self, segment: int = -1, scale: float = 1.0) -> None:
        self.segment = segment
        self.scale = scale
        self.ids: list[int] = []
        self.weights: list[float] = []
        self.after_comma = -1

    def split(self, place: int) -> "Window":
        """Cut the window at `place`, and begin the next with what was behind."""
        rest = Window(self.segment, self.scale)
        rest.ids, self.ids = self.ids[place:], self.ids[:place]
        rest.weights, self.weights = self.weights[place:], self.weights[:place]
        return rest


def windows(
    prompt: FlatPrompt,
    tokenizer: ClipTokenizer,
    *,
    embeddings: Mapping[str, Sequence[int]] | None = None,
) -> list[Window]:
    """The windows of a prompt: at least one, and none for a break at the very end.

    Args:
        embeddings: names that stand for learned vectors, as ids of these (rows added to the encoder's table). The
            longest name that fits is taken; a name's vectors are never torn apart (in `words`, from `WORD` on), nor
            are they commas.

    Raises:
        RequestError: a name has more vectors than a window has room.
    """
    room = tokenizer.length - 2
    comma = tokenizer.vocabulary.get(",</w>", -1)
    backtrack = BACKTRACK if prompt.packing == "commas" else 0
    groups = _grouping(tokenizer, embeddings or {}, prompt.packing)
    found: list[Window] = []
    window = Window()
    for place, segment in enumerate(prompt.segments):
        if place:
            found.append(window)
        window = Window(place, segment.weight)
        for piece in segment.pieces:
            for ids in groups(piece):
                while len(window.ids) + len(ids) > room:
                    found.append(window)
                    moves = ids[0] != comma and window.after_comma >= 0 and len(window.ids) == room
                    moves = moves and room - window.after_comma < backtrack
                    window = window.split(window.after_comma if moves else len(window.ids))
                window.ids += ids
                window.weights += [piece.weight] * len(ids)
                if ids[0] == comma:
                    window.after_comma = len(window.ids)
    if window.ids or not found:
        found.append(window)
    return found


def unknown(prompt: FlatPrompt, embeddings: Mapping[str, Sequence[int]]) -> Iterator[str]:
    """Names that a prompt calls as ComfyUI does, and that stand for nothing."""
    if prompt.packing == "words":
        for segment in prompt.segments:
            for piece in segment.pieces:
                yield from (name for name in CALLED.findall(piece.text) if _named(embeddings, name) is None)


def _named(embeddings: Mapping[str, Sequence[int]], name: str) -> Sequence[int] | None:
    """The vectors of a name, which may come with a folder, an ending or in another case."""
    stem = re.split(r"[\\/]", re.sub(r"\.(safetensors|pt|bin|png)$", "", name))[-1]
    known = {key.casefold(): vectors for key, vectors in embeddings.items()} | dict(embeddings)
    return next((known[key] for key in (name, stem, stem.casefold()) if key in known), None)


_Group = list[int]
"""Tokens that stay together."""


def _grouping(
    tokenizer: ClipTokenizer, embeddings: Mapping[str, Sequence[int]], packing: Packing
) -> Callable[[Piece], list[_Group]]:
    """What makes groups of a piece, after one look at the names.

    Raises:
        RequestError: a name has more vectors than a window has room.
    """
    room = tokenizer.length - 2
    for name, vectors in embeddings.items():
        if len(vectors) > room:
            raise RequestError(f"the embedding {brief(name)} has {len(vectors)} vectors; a window has room for {room}")
    if packing == "words":
        return partial(_word_groups, tokenizer, embeddings)
    return partial(_groups, tokenizer, _names(tokenizer, embeddings))


def _word_groups(tokenizer: ClipTokenizer, embeddings: Mapping[str, Sequence[int]], piece: Piece) -> list[_Group]:
    """Words, and the vectors of `embedding:NAME`; tokens of their own where there are many."""
    groups: list[_Group] = []
    for word in piece.text.split():
        called = CALLED.match(word)
        if called is not None:
            groups.append(list(_named(embeddings, called[1]) or ()))
        groups.append(tokenizer.words(word if called is None else word[called.end() :]))
    return [part for group in groups for part in ([group] if 0 < len(group) < WORD else [[token] for token in group])]


_Names = dict[int, list[tuple[_Group, _Group]]]


def _names(tokenizer: ClipTokenizer, embeddings: Mapping[str, Sequence[int]]) -> _Names:
    """Names by their first token: its tokens and those that stand for it, longer names first."""
    names: _Names = {}
    for name, vectors in embeddings.items():
        words = tokenizer.words(name)
        if words and vectors:
            names.setdefault(words[0], []).append((words, list(vectors)))
    for rows in names.values():
        rows.sort(key=lambda row: -len(row[0]))
    return names


def _groups(tokenizer: ClipTokenizer, names: _Names, piece: Piece) -> list[_Group]:
    """Single tokens, or the vectors of a name."""
    ids = tokenizer.words(piece.text)
    groups: list[_Group] = []
    place = 0
    while place < len(ids):
        rows = names.get(ids[place], [])
        row = next((row for row in rows if ids[place : place + len(row[0])] == row[0]), None)
        groups.append([ids[place]] if row is None else row[1])
        place += 1 if row is None else len(row[0])
    return groups
