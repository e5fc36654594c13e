"""WebP at the level of RIFF chunks (RFC 9649): EXIF and XMP read, put and stripped without recompression."""

import struct
from collections.abc import Iterator, Sequence

from sfumato.errors import RequestError
from sfumato.metadata import exif as exif_block

_EXIF, _XMP, _EXTENDED = b"EXIF", b"XMP ", b"VP8X"
_LOOKS = (_EXTENDED, b"ICCP", b"ANIM", b"ANMF", b"ALPH", b"VP8 ", b"VP8L")
_HAS_EXIF, _HAS_XMP, _HAS_ALPHA = 0x08, 0x04, 0x10

Chunk = tuple[bytes, bytes]
"""Its name and content."""


def recognises(data: bytes) -> bool:
    """Whether the file says that it is WebP."""
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP"


def chunks(data: bytes) -> Iterator[Chunk]:
    """All chunks.

    Raises:
        RequestError: the file ends before its own length.
    """
    (length,) = struct.unpack_from("<I", data, 4)
    if length + 8 > len(data):
        raise RequestError("the WebP file ends too early; fetch it again")
    place = 12
    while place < length + 8:
        if place + 8 > length + 8:
            raise RequestError(f"the WebP file is damaged at byte {place}; fetch it again")
        name, size = struct.unpack_from("<4sI", data, place)
        if place + 8 + size > length + 8:
            raise RequestError(f"the WebP file is damaged at byte {place}; fetch it again")
        yield name, data[place + 8 : place + 8 + size]
        place += 8 + size + size % 2


def read(data: bytes) -> tuple[bytes | None, bytes | None]:
    """The EXIF block and the XMP packet."""
    found: dict[bytes, bytes] = {}
    for name, content in chunks(data):
        found.setdefault(name, content)
    return found.get(_EXIF), found.get(_XMP)


def put(data: bytes, exif: bytes | None, xmp: bytes | None) -> bytes:
    """The file with these blocks, each of which may be None, and no others."""
    kept = [(name, content) for name, content in chunks(data) if name not in (_EXIF, _XMP)]
    blocks = [(name, content) for name, content in ((_EXIF, exif), (_XMP, xmp)) if content is not None]
    return _file([*_flagged(kept, exif is not None, xmp is not None), *blocks])


def strip(data: bytes) -> bytes:
    """The file with only what says how it looks, and with its orientation."""
    exif, _ = read(data)
    turned = None if exif is None else exif_block.turned(exif)
    looks = _file([chunk for chunk in chunks(data) if chunk[0] in _LOOKS])
    return put(looks, turned, None)


def _flagged(kept: Sequence[Chunk], exif: bool, xmp: bool) -> list[Chunk]:
    """With a header that says what there is; without one if nothing needs it."""
    flags = _HAS_EXIF * exif | _HAS_XMP * xmp
    if kept and kept[0][0] == _EXTENDED and len(kept[0][1]) == 10:
        head = kept[0][1]
        if not flags and not head[0] & ~(_HAS_EXIF | _HAS_XMP | _HAS_ALPHA) and len(kept) == 2:
            return [kept[1]]  # a lone picture says its size and transparency itself
        return [(_EXTENDED, bytes([head[0] & ~(_HAS_EXIF | _HAS_XMP) | flags]) + head[1:]), *kept[1:]]
    if not flags:
        return list(kept)
    if not kept:
        raise RequestError("the WebP file holds no picture; fetch it again")
    alpha, width, height = _frame(*kept[0])
    flags |= _HAS_ALPHA * alpha
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return [(_EXTENDED, bytes([flags, 0, 0, 0]) + size), *kept]


def _frame(name: bytes, content: bytes) -> tuple[bool, int, int]:
    """Transparency, width and height of a lone picture, from its own header."""
    if name == b"VP8 " and content[3:6] == b"\x9d\x01\x2a" and len(content) >= 10:
        width, height = struct.unpack_from("<HH", content, 6)
        size = width & 0x3FFF, height & 0x3FFF
        alpha = False
    elif name == b"VP8L" and content[:1] == b"\x2f" and len(content) >= 5:
        bits = int.from_bytes(content[1:5], "little")
        size = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        alpha = bool(bits >> 28 & 1)
    else:
        raise RequestError("the WebP file holds no picture; fetch it again")
    if 0 in size:
        raise RequestError("the WebP file holds no picture; fetch it again")
    return alpha, *size


def _file(parts: Sequence[Chunk]) -> bytes:
    body = b"".join(
        struct.pack("<4sI", name, len(content)) + content + bytes(len(content) % 2) for name, content in parts
    )
    return struct.pack("<4sI4s", b"RIFF", len(body) + 4, b"WEBP") + body
