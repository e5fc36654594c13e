"""How alike two pictures are, by marks that are made once.

A sort of mark is a row of `SORTS`: bytes of a picture, and the share in which two of them differ. Embeddings of a
network would be another.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

CELLS = 4  # a side
LEVELS = (104, 120, 136, 152)
"""Of a cell's chroma, 0 to 255, that a bit each says whether they are passed."""
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


def differing(one: bytes) -> Callable[[bytes], float]:
    """The share of bits in which a mark differs from this, 0 to 1."""
    ours, bits = int.from_bytes(one), 8 * len(one)
    return lambda other: (ours ^ int.from_bytes(other)).bit_count() / bits


SORTS: Mapping[str, Callable[[bytes], Callable[[bytes], float]]] = {"look": differing}
"""Sorts of marks: for a picture's, the difference to another's, from 0 to 1."""
