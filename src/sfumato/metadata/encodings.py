"""Bytes of a text field to text. Tools of this field break every rule of their carriers, so what the bytes are counts
for more than what the carrier says of them; nothing here fails.

    tEXt of PNG                 UTF-8 where it is valid, else Latin-1, as the standard has it
    EXIF UserComment            the encoding that its first eight bytes name, unless another reads as settings
    both                        zeros at the end are no text
"""

import re

_LENGTH_OF_NAME = 8
_NAMED: dict[bytes, tuple[str, ...]] = {
    b"UNICODE": ("utf-16-be", "utf-16-le", "utf-8"),  # Exif 2 leaves the order open; Exif 3.0 means UTF-8
    b"ASCII": ("utf-8", "utf-16-le", "utf-16-be"),
    b"JIS": ("iso2022_jp", "utf-8"),
    b"": ("utf-8", "utf-16-le", "utf-16-be"),
}
_CHARSET = re.compile(r'^charset="?\w+"? ')
"""What exiv2 has before a comment that it shows, and programs on it write back, GIMP among them."""
_MARKS = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be", b"\xef\xbb\xbf": "utf-8"}


def is_settings(text: str) -> bool:
    """Whether a text looks like what tools of this field write: an infotext or a JSON object."""
    bare = text.strip()
    return "Steps: " in text or (bare.startswith("{") and bare.endswith("}"))


def decoded(data: bytes) -> str:
    """UTF-8 where it is valid, else Latin-1."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def comment(value: bytes) -> str:
    """The text of an EXIF UserComment, whose eight bytes of encoding may be missing, padded or wrong."""
    name = value[:_LENGTH_OF_NAME].rstrip(b"\0 ").upper()
    named = name in _NAMED
    data = value[_LENGTH_OF_NAME:] if named else value
    for mark, encoding in _MARKS.items():
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace").rstrip("\0")
    texts = [_CHARSET.sub("", _read(data, encoding)) for encoding in _NAMED[name if named else b""]]
    return next((text for text in texts if is_settings(text) and "\0" not in text), texts[0])


def _read(data: bytes, encoding: str) -> str:
    """The text without zeros at its end; what the encoding does not allow is U+FFFD, and half a character is none."""
    if encoding == "utf-8":
        return decoded(data).rstrip("\0")
    whole = data[: len(data) // 2 * 2] if encoding.startswith("utf-16") else data
    return whole.decode(encoding, "replace").rstrip("\0")
