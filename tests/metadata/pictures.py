"""Pictures as other tools write them, put together by hand from the descriptions of their formats."""

import gzip
import io
import struct
import zlib
from typing import Any

from PIL import Image

from sfumato.metadata.carriers import read
from sfumato.metadata.readers import Restored, restore
from sfumato.requests import Txt2Img

PICTURE = Image.linear_gradient("L").resize((16, 16)).convert("RGB")


def encoded(format: str, **options: object) -> bytes:
    """The picture by Pillow, without any text."""
    buffer = io.BytesIO()
    PICTURE.save(buffer, format.upper(), **options)
    return buffer.getvalue()


def chunk(kind: bytes, content: bytes, length: int | None = None) -> bytes:
    """A PNG chunk; `length` lies about it."""
    size = len(content) if length is None else length
    return struct.pack(">I", size) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(*chunks: bytes) -> bytes:
    """A PNG with more chunks after its header."""
    plain = encoded("png")
    return plain[:33] + b"".join(chunks) + plain[33:]


def text_png(**texts: str) -> bytes:
    """A PNG with texts, in Latin-1 where that suffices."""
    parts = []
    for name, text in texts.items():
        try:
            parts.append(chunk(b"tEXt", name.encode() + b"\0" + text.encode("latin-1")))
        except UnicodeEncodeError:
            parts.append(chunk(b"iTXt", name.encode() + bytes(5) + text.encode()))
    return png(*parts)


def segment(marker: int, content: bytes) -> bytes:
    """A JPEG segment."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def jpeg(*segments: bytes) -> bytes:
    """A JPEG with more segments after its first."""
    plain = encoded("jpeg")
    return plain[:20] + b"".join(segments) + plain[20:]


def tiff(comment: bytes, *, order: str = ">", orientation: int | None = None) -> bytes:
    """An EXIF block with a UserComment, without its header."""
    mark = b"MM\0*" if order == ">" else b"II*\0"
    entries = 1 if orientation is None else 2
    inner = 8 + 2 + 12 * entries + 4
    outer = struct.pack(order + "H", entries)
    if orientation is not None:
        outer += struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    outer += struct.pack(order + "HHII", 0x8769, 4, 1, inner) + bytes(4)
    folder = struct.pack(order + "HHHII", 1, 0x9286, 7, len(comment), inner + 18) + bytes(4)
    return mark + struct.pack(order + "I", 8) + outer + folder + comment


def exif_jpeg(block: bytes) -> bytes:
    """A JPEG with an EXIF block."""
    return jpeg(segment(0xE1, b"Exif\0\0" + block))


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    """A WebP file of these chunks."""
    body = b"".join(name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) for name, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def camera(tag: int, text: str) -> bytes:
    """An EXIF block with one text of a camera, with its header."""
    tags = Image.Exif()
    tags[tag] = text
    return tags.tobytes()


def hidden(text: str, kind: bytes) -> bytes:
    """A PNG with a text in the lowest bits of its alpha, or of its colours, down the columns."""
    content = gzip.compress(text.encode()) if kind.endswith(b"comp") else text.encode()
    content = kind + struct.pack(">I", 8 * len(content)) + content
    bits = "".join(f"{byte:08b}" for byte in content)
    colours = b"rgb" in kind
    values = iter(bits)
    side = 96
    picture = Image.new("RGBA", (side, side), (10, 20, 30, 255))
    for x in range(side):
        for y in range(side):
            pixel = list(picture.getpixel((x, y)))
            for channel in range(3) if colours else [3]:
                pixel[channel] = pixel[channel] & 0xFE | int(next(values, "0"))
            picture.putpixel((x, y), tuple(pixel))
    buffer = io.BytesIO()
    (picture.convert("RGB") if colours else picture).save(buffer, "PNG")
    return buffer.getvalue()


def restored(**texts: str) -> Restored:
    """What is read from a PNG with these texts."""
    return restore(read(text_png(**texts)))


def options(found: Restored) -> dict[str, Any]:
    """What a request says, without what it leaves to the model."""
    return {
        name: value
        for name, value in found.request.model_dump().items()
        if value is not None and value != Txt2Img.model_fields[name].default
    }


def node(kind: str, **inputs: object) -> dict[str, object]:
    """A node of a graph of ComfyUI."""
    return {"class_type": kind, "inputs": inputs}
