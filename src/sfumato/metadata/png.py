"""PNG at the level of chunks (W3C PNG, third edition): texts read, put and stripped without touching a pixel."""

import re
import struct
import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from sfumato.errors import RequestError
from sfumato.metadata.encodings import decoded

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_LOOKS = frozenset(
    b"IHDR PLTE IDAT IEND tRNS gAMA cHRM sRGB iCCP cICP mDCV cLLI sBIT bKGD hIST pHYs acTL fcTL fdAT".split()
)
"""Chunks that say how the picture looks."""


@dataclass(frozen=True)
class Chunk:
    """A chunk, as places in the file: all of it, and its content."""

    kind: bytes
    start: int
    end: int

    @property
    def content(self) -> slice:
        """Between the head and the checksum."""
        return slice(self.start + 8, self.end - 4)


def chunks(data: bytes) -> Iterator[Chunk]:
    """All chunks up to the end of the picture.

    Raises:
        RequestError: the file ends before, or a chunk is impossible.
    """
    place = len(SIGNATURE)
    while True:
        if place + 12 > len(data):
            raise RequestError("the PNG file ends too early; fetch it again")
        length, kind = struct.unpack_from(">I4s", data, place)
        end = place + 12 + length
        if not kind.isalpha() or not kind.isascii():
            raise RequestError(f"the PNG file is damaged at byte {place}; fetch it again")
        if end > len(data):
            raise RequestError("the PNG file ends too early; fetch it again")
        yield Chunk(kind, place, end)
        if kind == b"IEND":
            return
        place = end


class _TooLongError(Exception):
    """A text is longer than what is left of the budget."""


def read(data: bytes, budget: int) -> tuple[dict[str, str], bytes | None]:
    """Texts by keyword, the last of equal ones, and the EXIF block.

    Args:
        budget: characters that all texts may have together.

    Raises:
        RequestError: a damaged text, or too much text.
    """
    texts: dict[str, str] = {}
    exif, left = None, budget
    for chunk in chunks(data):
        if chunk.kind not in _TEXTS and chunk.kind != b"eXIf":
            continue
        content = data[chunk.content]
        if zlib.crc32(data[chunk.start + 4 : chunk.end - 4]) != struct.unpack(">I", data[chunk.end - 4 : chunk.end])[0]:
            raise RequestError(f"the PNG chunk {chunk.kind.decode()} is damaged: its checksum is wrong")
        if chunk.kind == b"eXIf":
            exif = content
            continue
        try:
            if len(content) > left:
                raise _TooLongError
            keyword, text = _text(chunk.kind, content, left)
        except _TooLongError:
            raise RequestError(f"its texts are too long: over {budget} bytes together, when unpacked") from None
        left -= len(text)
        texts[keyword] = text
    return texts, exif


def profile(text: str) -> bytes:
    """The block in a text ``Raw profile type ...``, as ImageMagick and others write EXIF and XMP: in hexadecimal behind
    its kind and its length. Empty where it is none.
    """
    found = re.fullmatch(r"\s*\w+\s+\d+\s+([0-9a-fA-F\s]*)", text)
    digits = "" if found is None else "".join(found[1].split())
    return bytes.fromhex(digits[: len(digits) // 2 * 2])


def put(data: bytes, texts: Mapping[str, str], *, without: Collection[str] = ()) -> bytes:
    """The file with these texts right after its header, and no others of their keywords or of those in `without`."""
    gone = {*texts, *without}
    kept: list[bytes] = []
    last = len(SIGNATURE)
    for chunk in chunks(data):
        last = chunk.end
        if chunk.kind in _TEXTS and data[chunk.content].partition(b"\0")[0].decode("latin-1") in gone:
            continue
        kept.append(data[chunk.start : chunk.end])
        if chunk.kind == b"IHDR":
            kept += [_encoded(keyword, text) for keyword, text in texts.items()]
    return SIGNATURE + b"".join(kept) + data[last:]


def strip(data: bytes) -> bytes:
    """The file with only the chunks that say how it looks."""
    return SIGNATURE + b"".join(data[c.start : c.end] for c in chunks(data) if c.kind in _LOOKS)


def _encoded(keyword: str, text: str) -> bytes:
    """A chunk ``tEXt`` where Latin-1 suffices and cannot be taken for UTF-8, else ``iTXt``."""
    plain = text.encode("latin-1", "replace")
    if decoded(plain) == text:
        kind, content = b"tEXt", keyword.encode("latin-1") + b"\0" + plain
    else:
        kind, content = b"iTXt", keyword.encode("latin-1") + bytes(5) + text.encode("utf-8")
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _text(kind: bytes, content: bytes, budget: int) -> tuple[str, str]:
    word, found, rest = content.partition(b"\0")
    keyword = word.decode("latin-1")
    if not found:
        raise RequestError(f"the PNG chunk {kind.decode()} is damaged: it has no keyword")
    if kind == b"tEXt":
        return keyword, decoded(rest)
    if kind == b"zTXt":
        return keyword, decoded(_inflated(rest[1:], budget))
    compressed, rest = rest[:1] == b"\1", rest[2:]
    parts = rest.split(b"\0", 2)  # language, translated keyword, text
    if len(parts) < 3:
        raise RequestError("the PNG chunk iTXt is damaged: it ends too early")
    text = _inflated(parts[2], budget) if compressed else parts[2]
    return keyword, decoded(text)


def _inflated(data: bytes, budget: int) -> bytes:
    """Never more than was allowed, whatever the data would swell to."""
    stream = zlib.decompressobj()
    try:
        text = stream.decompress(data, budget + 1)
    except zlib.error:
        raise RequestError("a compressed PNG text is damaged") from None
    if len(text) > budget:
        raise _TooLongError
    if not stream.eof:
        raise RequestError("a compressed PNG text ends too early")
    return text
