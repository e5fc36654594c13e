"""Texts in the lowest bits of pixels, as NovelAI and the web UI's stealth extension hide them in lossless pictures.

Bits go down the columns, from the left: 120 of a signature, 32 of a count, and as many bits of UTF-8, which ``comp``
says to be gzipped. They are those of alpha, or of red, green and blue in turn.
"""

import zlib
from typing import TYPE_CHECKING

from sfumato.metadata.encodings import decoded

if TYPE_CHECKING:
    from PIL.Image import Image

_CHANNELS = {b"stealth_png": "A", b"stealth_rgb": "RGB"}
_KINDS = {b"info": False, b"comp": True}
_SIGNATURE, _COUNT = 15, 4  # bytes
_DIGITS = bytes(48 + value % 2 for value in range(256))
_GZIP = 31  # windowBits of zlib for data with gzip's header


def read(image: "Image", budget: int) -> str | None:
    """The hidden text, at most `budget` bytes of it; None where there is none."""
    from PIL.Image import Transpose

    for mode in _CHANNELS.values():
        if not set(mode) <= set(image.getbands()):
            continue
        channels = image.getchannel(mode) if len(mode) == 1 else image.convert(mode)
        found = _found(channels.transpose(Transpose.TRANSPOSE).tobytes(), mode, budget)
        if found is not None:
            return found
    return None


def _found(values: bytes, mode: str, budget: int) -> str | None:
    signature = _bytes(values, 0, _SIGNATURE)
    compressed = _KINDS.get(signature[-4:])
    if _CHANNELS.get(signature[:-4]) != mode or compressed is None:
        return None
    bits = int.from_bytes(_bytes(values, _SIGNATURE, _COUNT), "big")
    start = _SIGNATURE + _COUNT
    if bits % 8 or bits // 8 > budget or 8 * start + bits > len(values):
        return None
    text = _bytes(values, start, bits // 8)
    if compressed:
        try:
            text = zlib.decompressobj(_GZIP).decompress(text, budget)
        except zlib.error:
            return None
    return decoded(text)


def _bytes(values: bytes, start: int, count: int) -> bytes:
    """`count` bytes of the lowest bits, the highest first, after `start` bytes."""
    digits = values[8 * start : 8 * (start + count)].translate(_DIGITS)
    return int(digits or b"0", 2).to_bytes(count, "big")
