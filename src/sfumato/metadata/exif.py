"""EXIF: the UserComment, where the settings of JPEG, WebP and AVIF pictures are, other texts, and the orientation.

Reading is our own, of the few tags we want, with every offset checked (TIFF 6.0, section 2; EXIF 2.3, section 4.6.5).
Writing keeps the other tags and is Pillow's.
"""

import struct
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field

from sfumato.errors import RequestError
from sfumato.metadata import encodings

HEADER = b"Exif\0\0"
"""Stands before the TIFF structure in JPEG files, and in some others."""

_ORIENTATION, _FOLDER, _USER_COMMENT = 0x0112, 0x8769, 0x9286
_TEXTS = {0x010E: "imagedescription", 0x010F: "make", 0x0110: "model"}
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 7: 1, 129: 1}  # bytes of a BYTE, ASCII, SHORT, LONG, UNDEFINED, UTF-8 (Exif 3.0)
_UNICODE = b"UNICODE\0"


@dataclass(frozen=True)
class Exif:
    """What we read of it.

    Attributes:
        orientation: 1 to 8; 1 is upright.
        comment: the UserComment, of whatever folder.
        texts: description, make and model of a camera by their names, where nodes of ComfyUI put its graphs.
    """

    orientation: int = 1
    comment: str | None = None
    texts: Mapping[str, str] = field(default_factory=dict)


def read(data: bytes) -> Exif:
    """The tags in a block, with or without its header.

    Raises:
        RequestError: it is damaged.
    """
    tiff = data.removeprefix(HEADER)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        raise RequestError("its EXIF block is damaged: no TIFF header")
    (start,) = _unpack(order + "I", tiff, 4)
    folder = _Folder(tiff, order, start)
    orientation = folder.number(_ORIENTATION)
    inner = folder.number(_FOLDER)
    folders = [folder] if inner is None else [_Folder(tiff, order, inner), folder]
    comments = (each.value(_USER_COMMENT) for each in folders)
    comment = next((encodings.comment(value) for value in comments if value), None)
    values = {name: folder.value(tag) for tag, name in _TEXTS.items()}
    return Exif(
        orientation if orientation is not None and 1 <= orientation <= 8 else 1,
        comment,
        {name: encodings.decoded(value).rstrip("\0") for name, value in values.items() if value},
    )


def write(comment: str | None, old: bytes | None = None) -> bytes:
    """A block with this UserComment, or none; the other tags are those of `old`, if it can be read."""
    from PIL import Image

    exif = Image.Exif()
    if old is not None and _modest(old.removeprefix(HEADER)):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                exif.load(HEADER + old.removeprefix(HEADER))
                exif.tobytes()
        except (ValueError, TypeError, KeyError, IndexError, OverflowError, SyntaxError, OSError, struct.error):
            exif = Image.Exif()
    folder = exif.get_ifd(_FOLDER)
    folder.pop(_USER_COMMENT, None)
    if comment is not None:
        mark = "\ufeff" if comment.startswith("\ufeff") else ""  # the first is taken for a byte order mark
        folder[_USER_COMMENT] = _UNICODE + (mark + comment).encode("utf-16-be")
    return exif.tobytes()


def turned(old: bytes) -> bytes | None:
    """A block with nothing but the orientation of `old`; None when that is upright or cannot be read."""
    from PIL import Image

    try:
        orientation = read(old).orientation
    except RequestError:
        return None
    if orientation == 1:
        return None
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    return exif.tobytes()


class _Folder:
    """Where the values of an image file directory lie; they are cut out only when asked for."""

    def __init__(self, tiff: bytes, order: str, start: int) -> None:
        self.tiff, self.order = tiff, order
        (count,) = _unpack(order + "H", tiff, start)
        self.entries: dict[int, tuple[int, int, int]] = {}
        for place in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, length = _unpack(order + "HHI", tiff, place)
            self.entries[tag] = kind, length, place + 8

    def value(self, tag: int) -> bytes | None:
        if tag not in self.entries:
            return None
        kind, count, place = self.entries[tag]
        size = _SIZES.get(kind, 0) * count
        if size > 4:
            (place,) = _unpack(self.order + "I", self.tiff, place)
        if place + size > len(self.tiff):
            raise RequestError("its EXIF block is damaged: a value reaches past the end")
        return self.tiff[place : place + size]

    def number(self, tag: int) -> int | None:
        kind, value = self.entries.get(tag, (0,))[0], self.value(tag)
        form = {3: "H", 4: "I"}.get(kind)
        if form is None or not value:
            return None
        return int(_unpack(self.order + form, value, 0)[0])


def _modest(tiff: bytes) -> bool:
    """Whether its values are not each the whole block, over and over: Pillow copies them all."""
    try:
        order = {b"II*\0": "<", b"MM\0*": ">"}[tiff[:4]]
        outer = _Folder(tiff, order, _unpack(order + "I", tiff, 4)[0])
        inner = outer.number(_FOLDER)
        folders = [outer] if inner is None else [outer, _Folder(tiff, order, inner)]
    except (KeyError, RequestError):
        return False
    return sum(8 * count for folder in folders for _, count, _ in folder.entries.values()) <= 64 * len(tiff) + 4096


def _unpack(form: str, data: bytes, place: int) -> tuple[int, ...]:
    try:
        return struct.unpack_from(form, data, place)
    except struct.error:
        raise RequestError("its EXIF block is damaged: it ends too early") from None
