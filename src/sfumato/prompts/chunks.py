"""Words into windows of tokens, however many there are (A1111 wiki, "Infinite prompt length").

A window has the tokenizer's length: a begin, room for its words, an end. Where words run over and a comma stands at
most `backtrack` tokens before the end, what follows the comma moves to the next window. A new segment starts a new
window. Spare room takes the tokenizer's padding, after an end which closes the words.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sfumato.errors import RequestError
from sfumato.models.tokenizer import ClipTokenizer
from sfumato.prompts.reading import Piece, Wording, brief

BACKTRACK = 20


@dataclass(frozen=True, eq=False)
class Chunks:
    """Windows of token ids, with the weight of each token; begin, end and padding weigh 1 (times their segment's)."""

    ids: Int[Tensor, "k n"]
    weights: Float[Tensor, "k n"]

    def __len__(self) -> int:
        return len(self.ids)


def pack(
    wording: Wording,
    tokenizer: ClipTokenizer,
    *,
    backtrack: int = BACKTRACK,
    embeddings: Mapping[str, Sequence[int]] | None = None,
) -> Chunks:
    """The windows of a wording: at least one, and none for a break at the very end.

    Args:
        backtrack: how far from the end a comma is sought; 0 cuts wherever the window is full.
        embeddings: names that stand for learned vectors, as ids of these (rows added to the encoder's table). The
            longest name that fits is taken; a name's vectors are never torn apart, nor are they commas.

    Raises:
        RequestError: a name has more vectors than a window has room.
    """
    room = tokenizer.length - 2
    comma = tokenizer.vocabulary.get(",</w>", -1)
    names = _names(tokenizer, embeddings or {}, room)
    windows: list[_Window] = []
    window = _Window(1.0)
    for place, segment in enumerate(wording.segments):
        if place:
            windows.append(window)
        window = _Window(segment.weight)
        for piece in segment.pieces:
            for ids in _groups(tokenizer, piece, names):
                while len(window.ids) + len(ids) > room:
                    windows.append(window)
                    moves = ids[0] != comma and window.after_comma >= 0 and len(window.ids) == room
                    moves = moves and room - window.after_comma < backtrack
                    window = window.split(window.after_comma if moves else len(window.ids))
                window.ids += ids
                window.weights += [piece.weight] * len(ids)
                if ids[0] == comma:
                    window.after_comma = len(window.ids)
    if window.ids or not windows:
        windows.append(window)
    rows = [window.row(tokenizer) for window in windows]
    return Chunks(torch.tensor([ids for ids, _ in rows]), torch.tensor([weights for _, weights in rows]))


def padded(chunks: Chunks, count: int, tokenizer: ClipTokenizer) -> Chunks:
    """As many windows as `count`, empty ones added at the end, so that prompts of unequal length share a batch."""
    missing = count - len(chunks)
    if missing <= 0:
        return chunks
    ids, weights = _Window(1.0).row(tokenizer)
    return Chunks(
        torch.cat([chunks.ids, torch.tensor([ids] * missing)]),
        torch.cat([chunks.weights, torch.tensor([weights] * missing)]),
    )


class _Window:
    """A window being filled."""

    def __init__(self, weight: float) -> None:
        self.weight = weight
        self.ids: list[int] = []
        self.weights: list[float] = []
        self.after_comma = -1

    def split(self, place: int) -> "_Window":
        """Cut the window at `place`, and begin the next with what was behind."""
        rest = _Window(self.weight)
        rest.ids, self.ids = self.ids[place:], self.ids[:place]
        rest.weights, self.weights = self.weights[place:], self.weights[:place]
        return rest

    def row(self, tokenizer: ClipTokenizer) -> tuple[list[int], list[float]]:
        """Ids and weights of the whole window. A full one ends at the end; in others padding follows it."""
        spare = tokenizer.length - 2 - len(self.ids)
        filler = tokenizer.vocabulary[tokenizer.padding]
        ids = [tokenizer.begin, *self.ids, tokenizer.end, *[filler] * spare]
        weights = [1.0, *self.weights, 1.0, *[1.0] * spare]
        return ids, [weight * self.weight for weight in weights]


_Names = dict[int, list[tuple[list[int], list[int]]]]


def _names(tokenizer: ClipTokenizer, embeddings: Mapping[str, Sequence[int]], room: int) -> _Names:
    """By the first token of a name: its tokens and those that stand for it, longer names first."""
    names: _Names = {}
    for name, vectors in embeddings.items():
        if len(vectors) > room:
            raise RequestError(f"the embedding {brief(name)} has {len(vectors)} vectors; a window has room for {room}")
        words = tokenizer.words(name)
        if words and vectors:
            names.setdefault(words[0], []).append((words, list(vectors)))
    for rows in names.values():
        rows.sort(key=lambda row: -len(row[0]))
    return names


def _groups(tokenizer: ClipTokenizer, piece: Piece, names: _Names) -> list[list[int]]:
    """Tokens of a piece in groups that stay together: a single token, or the vectors of a name."""
    ids = tokenizer.words(piece.text)
    groups: list[list[int]] = []
    place = 0
    while place < len(ids):
        rows = names.get(ids[place], [])
        row = next((row for row in rows if ids[place : place + len(row[0])] == row[0]), None)
        groups.append([ids[place]] if row is None else row[1])
        place += 1 if row is None else len(row[0])
    return groups
