"""JPEG at the level of segments (ITU-T T.81, annex B): EXIF and XMP read, put and stripped without recompression."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sfumato.errors import RequestError
from sfumato.metadata import exif as exif_block
from sfumato.metadata import xmp as xmp_packet

SIGNATURE = b"\xff\xd8\xff"
LARGEST = 65533
"""Bytes in a segment, whose length has 16 bits and counts itself."""

_SCAN, _END, _COMMENT, _APP0, _APP1, _APP2, _APP14, _APP15 = 0xDA, 0xD9, 0xFE, 0xE0, 0xE1, 0xE2, 0xEE, 0xEF
_JFIF = 14  # bytes of its segment, the last two the size of a thumbnail
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


@dataclass(frozen=True)
class Segment:
    """A marker with its content, and for a scan the coded picture after it; the last has all that follows."""

    marker: int
    content: bytes
    raw: bytes

    @property
    def is_exif(self) -> bool:
        return self.marker == _APP1 and self.content.startswith(exif_block.HEADER)

    @property
    def is_xmp(self) -> bool:
        return self.marker == _APP1 and self.content.startswith(xmp_packet.JPEG_HEADER)

    @property
    def bare(self) -> bytes:
        """Without a thumbnail in JFIF's, and without what follows the picture."""
        if self.marker == _END:
            return b"\xff\xd9"
        if self.marker == _APP0 and len(self.content) > _JFIF:
            return _segment(self.content[: _JFIF - 2] + bytes(2), _APP0)
        return self.raw

    @property
    def looks(self) -> bool:
        """Whether it says how the picture looks: frames, tables, scans, JFIF, colour profile, Adobe's transform."""
        if self.marker == _APP0:
            return self.content.startswith(b"JFIF\0")
        if self.marker == _APP2:
            return self.content.startswith(b"ICC_PROFILE\0")
        if self.marker == _APP14:
            return self.content.startswith(b"Adobe")
        return self.marker != _COMMENT and not _APP0 <= self.marker <= _APP15


def segments(data: bytes, *, scans: bool = True) -> Iterator[Segment]:
    """All segments after the start of the picture.

    Args:
        scans: go on to the end of the picture, rather than to its first scan.

    Raises:
        RequestError: the file ends before, or holds no segment where one must be.
    """
    place = 2
    while True:
        start = place
        while data[place : place + 1] == b"\xff":  # any number of them may stand before a marker
            place += 1
        marker = data[place] if place < len(data) else 0
        if marker == _END:
            yield Segment(marker, data[place + 1 :], b"\xff" + data[place:])
            return
        length = int.from_bytes(data[place + 1 : place + 3], "big")
        end = place + 1 + length
        if place + 3 > len(data) or end > len(data):
            raise RequestError("the JPEG file ends too early; fetch it again")
        if place == start or marker < 0xC0 or length < 2:
            raise RequestError(f"the JPEG file is damaged at byte {start}; fetch it again")
        content = data[place + 3 : end]
        if marker == _SCAN:
            if not scans:
                return
            found = _NEXT_MARKER.search(data, end)
            end = len(data) if found is None else found.start()
        yield Segment(marker, content, b"\xff" + data[place:end])
        place = end


def read(data: bytes) -> tuple[bytes | None, bytes | None]:
    """The EXIF block and the XMP packet."""
    exif = xmp = None
    for segment in segments(data, scans=False):
        if segment.is_exif and exif is None:
            exif = segment.content
        elif segment.is_xmp and xmp is None:
            xmp = segment.content.removeprefix(xmp_packet.JPEG_HEADER)
    return exif, xmp


def comment(data: bytes) -> bytes | None:
    """The content of the first comment segment."""
    found = (segment.content for segment in segments(data, scans=False) if segment.marker == _COMMENT)
    return next(found, None)


def put(data: bytes, exif: bytes | None, xmp: bytes) -> bytes:
    """The file with this EXIF block, which may be None, and XMP packet, and no others."""
    kept = [segment for segment in segments(data) if not segment.is_exif and not segment.is_xmp]
    blocks = [] if exif is None else [_segment(exif_block.HEADER + exif.removeprefix(exif_block.HEADER))]
    blocks.append(_segment(xmp_packet.JPEG_HEADER + xmp))
    return _file(kept, blocks, [segment.raw for segment in kept])


def strip(data: bytes) -> bytes:
    """The file with only what says how it looks, and with its orientation."""
    kept = [segment for segment in segments(data) if segment.looks]
    exif, _ = read(data)
    turned = None if exif is None else exif_block.turned(exif)
    return _file(kept, [] if turned is None else [_segment(turned)], [segment.bare for segment in kept])


def _file(kept: Sequence[Segment], blocks: Sequence[bytes], raw: Sequence[bytes]) -> bytes:
    first = 1 if kept and kept[0].marker == _APP0 else 0  # JFIF wants to be first
    return b"".join([b"\xff\xd8", *raw[:first], *blocks, *raw[first:]])


def _segment(content: bytes, marker: int = _APP1) -> bytes:
    if len(content) > LARGEST:
        raise RequestError(f"{len(content)} bytes of text do not fit into a JPEG segment, which holds {LARGEST}")
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content
