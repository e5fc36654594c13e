"""How alike two pictures are, by marks that are made once.

A sort of mark is a row of `SORTS`: bytes of a picture, and how much many differ from one.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

    Words = np.ndarray[Any, np.dtype[np.uint64]]
    Shares = np.ndarray[Any, np.dtype[np.float64]]

CELLS = 4  # a side
LEVELS = (104, 120, 136, 152)
"""Levels of a cell's chroma, 0 to 255, that a bit each says whether they are passed."""
BITS = 64 + 2 * CELLS * CELLS * len(LEVELS)
NEAR = 0.08
"""Below it two pictures are copies in another size, format or quality."""


def look(image: "Image") -> bytes:
    """Shape and colour: 64 bits of `decoding.fingerprint`, and a thermometer code of the mean chroma of 4x4 cells."""
    import numpy as np
    from PIL import Image

    from sfumato.decoding import fingerprint

    small = np.asarray(image.convert("YCbCr").resize((CELLS, CELLS), Image.Resampling.BOX))[..., 1:]
    passed = small.reshape(-1, 1) >= np.asarray(LEVELS)
    return fingerprint(image).to_bytes(8, "big") + np.packbits(passed).tobytes()


def differing(marks: "Words", one: "Words") -> "Shares":
    """The share of bits in which each of N marks, [words, N], differs from one, [words]: 0 to 1."""
    import numpy as np

    return np.bitwise_count(marks ^ one[:, None]).sum(0) / (64 * len(one))


def turned(marks: "Words", one: "Words") -> "Shares":
    """Half of 1 - cosine between each of N vectors of 8-bit numbers, [words, N], and one: 0 to 1, and 1 for those of
    zeros.
    """
    import numpy as np

    def numbers(words: "Words") -> np.ndarray[Any, np.dtype[np.float32]]:
        return np.ascontiguousarray(words.T).view(np.int8).astype(np.float32)

    many, same = numbers(marks), numbers(one[:, None])[0]
    lengths = np.linalg.norm(many, axis=1) * np.linalg.norm(same)
    cosines = many @ same / np.maximum(lengths, 1e-9)
    return np.where(lengths > 0, (1 - cosines.astype(np.float64)) / 2, 1.0).clip(0, 1)


SORTS: Mapping[str, Callable[["Words", "Words"], "Shares"]] = {"look": differing, "shown": turned}
"""Sorts of marks: how much each of many differs from one, from 0 to 1. Those of what is shown come later than the
picture, see `shown.py`.
"""


class Index:
    """The marks of one sort in memory, by the numbers of their pictures: all are compared with one in a few
    milliseconds. Not safe for threads."""

    def __init__(self, sort: str) -> None:
        import numpy as np

        self._differing = SORTS[sort]
        self._numbers = np.empty(0, np.int64)
        self._marks: Words = np.empty((0, 0), np.uint64)

    @property
    def last(self) -> int:
        """The highest number that it has; 0 when it is empty."""
        return int(self._numbers[-1]) if len(self._numbers) else 0

    def add(self, rows: Sequence[tuple[int, bytes]]) -> None:
        """Marks, of whole words of 64 bits, of pictures that came later than all it has, in their numbers' order."""
        import numpy as np

        if not rows:
            return
        marks = np.frombuffer(b"".join(mark for _, mark in rows), np.uint64).reshape(len(rows), -1).T
        self._marks = (
            np.concatenate((self._marks, marks), axis=1) if len(self._numbers) else np.ascontiguousarray(marks)
        )
        self._numbers = np.concatenate((self._numbers, np.fromiter((number for number, _ in rows), np.int64)))

    def nearest(self, number: int, limit: int, most: float, hidden: Collection[int]) -> list[tuple[int, float]]:
        """The numbers that differ least from one and by how much, of equal ones the newest first.

        Args:
            hidden: numbers that are passed over.

        Raises:
            KeyError: it has no such number.
        """
        import numpy as np

        here = int(np.searchsorted(self._numbers, number))
        if here == len(self._numbers) or self._numbers[here] != number:
            raise KeyError(number)
        return self._nearest(self._marks[:, here], limit, most, (number, *hidden))

    def like(self, mark: bytes, limit: int, hidden: Collection[int]) -> list[tuple[int, float]]:
        """The same of a mark of no picture; what differs wholly is left out."""
        import numpy as np

        less = float(np.nextafter(1, 0))
        return self._nearest(np.frombuffer(mark, np.uint64), limit, less, hidden) if len(self._numbers) else []

    def _nearest(self, one: "Words", limit: int, most: float, hidden: Collection[int]) -> list[tuple[int, float]]:
        import numpy as np

        shares = self._differing(self._marks, one)
        seen = shares <= most
        passed = np.fromiter(hidden, np.int64)
        at = np.minimum(np.searchsorted(self._numbers, passed), len(seen) - 1)
        seen[at[self._numbers[at] == passed]] = False
        numbers, shares = self._numbers[seen], shares[seen]
        if len(shares) > limit:
            near = shares <= np.partition(shares, limit - 1)[limit - 1]
            numbers, shares = numbers[near], shares[near]
        order = np.lexsort((-numbers, shares))[:limit]
        return [(int(numbers[each]), float(shares[each])) for each in order]
