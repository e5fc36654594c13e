"""What a text encoder is to read, once schedules and brackets are resolved: plain data, equal when it reads alike.

Reading     mean of prompts by their shares (one, unless blended)
FlatPrompt  segments, one after the other
Segment     pieces that may share a window of tokens; the next segment starts a window of its own
Piece       text of one weight
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from sfumato.errors import RequestError

Emphasis = Literal["original", "no_norm", "ignore", "comfy", "compel"]
"""How weights act on the encoded tokens; see `encode.py`."""

Packing = Literal["commas", "words", "full"]
"""Where a window of tokens ends; see `windows.py`."""

MAX_WEIGHT = 1000.0
"""No picture survives a tenth of it; a weight beyond is a typing error, and one of 1e300 would be infinite."""


@dataclass(frozen=True)
class Piece:
    """Text, and how much it counts; 1 is usual."""

    text: str
    weight: float = 1.0


@dataclass(frozen=True)
class Segment:
    """Pieces in order. `weight` counts for whole windows, begin and end included."""

    pieces: tuple[Piece, ...]
    weight: float = 1.0


@dataclass(frozen=True)
class FlatPrompt:
    """Segments in order, the share of their encoding in the `Reading`, and how they are packed into windows."""

    segments: tuple[Segment, ...]
    share: float = 1.0
    packing: Packing = "commas"


@dataclass(frozen=True)
class Reading:
    """All that one condition is encoded from."""

    prompts: tuple[FlatPrompt, ...]

    @property
    def text(self) -> str:
        """All of the text, whatever its pieces weigh."""
        pieces = (piece for prompt in self.prompts for segment in prompt.segments for piece in segment.pieces)
        return "".join(piece.text for piece in pieces)

    @property
    def plain(self) -> str | None:
        """The text, where it is one of usual weight; None where it has weights, breaks or is blended."""
        usual = FlatPrompt((Segment((Piece(self.text),)),), packing=self.prompts[0].packing)
        return self.text if self == Reading((usual,)) else None


def literal(text: str) -> Reading:
    """The reading of a text in which no character has a meaning."""
    return Reading((FlatPrompt((Segment(merged([Piece(text)])),)),))


def merged(pieces: Iterable[Piece]) -> tuple[Piece, ...]:
    """Neighbours of equal weight joined, so that words are not torn where a bracket was; empty ones dropped.

    Raises:
        RequestError: a weight is out of range.
    """
    runs: list[tuple[list[str], float]] = []
    for piece in pieces:
        if not piece.text:
            continue
        check_weight(piece.weight, piece.text)
        if runs and runs[-1][1] == piece.weight:
            runs[-1][0].append(piece.text)
        else:
            runs.append(([piece.text], piece.weight))
    return tuple(Piece("".join(texts), weight) for texts, weight in runs)


def check_weight(weight: float, what: str) -> float:
    """`weight` itself.

    Raises:
        RequestError: it is not a number, or too large to mean anything.
    """
    if math.isfinite(weight) and abs(weight) <= MAX_WEIGHT:
        return weight
    raise RequestError(
        f"the weight of {brief(what)} is {weight:.3g}; it must be -{MAX_WEIGHT:g} to {MAX_WEIGHT:g}; "
        "take away brackets or write a smaller number"
    )


def brief(text: str) -> str:
    """A text on one line, short enough for a message."""
    return repr(text if len(text) <= 40 else text[:40] + "...")
