"""Named texts inside picture files.

Three texts are ours: ``parameters``, the infotext, ``sfumato``, the exact request, and ``sfumatosteps``, digests of the
steps. In PNG each is a text chunk of its name. In JPEG, WebP and AVIF the infotext is the EXIF UserComment, where
everybody looks for it, and the others are in the XMP packet. That packet also says, in every format, what made the
picture: a trained algorithm, unless the text `xmp.SOURCE` names another of IPTC's source types.

PNG, JPEG and WebP files are edited without decoding the picture. Nothing here believes a length in a file: every fault
is a `RequestError` of one line.
"""

import io
import re
import unicodedata
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from sfumato.errors import RequestError, printable
from sfumato.files import read_regular
from sfumato.metadata import encodings, exif, jpeg, png, stealth, webp, xmp

if TYPE_CHECKING:
    from PIL.Image import Image

PARAMETERS = "parameters"
REQUEST = "sfumato"
STEPS = "sfumatosteps"
LOSSLESS = ("png", "jpeg", "webp")
"""Formats whose metadata is changed without touching the picture."""

MAX_FILE = 2**29
_XMP_TAG = 700  # of TIFF, as Adobe's specification of XMP has it
_PROFILES = tuple(f"Raw profile type {name}" for name in ("exif", "APP1", "xmp"))
MAX_TEXT = 2**23  # of all texts in a file; graphs of ComfyUI have a few 2^20
_MAX_COMMENT = jpeg.LARGEST - 4096  # of a JPEG's UserComment; the rest is for other tags of the EXIF block


@dataclass(frozen=True)
class Carried:
    """What a file carries.

    Attributes:
        format: ``png``, ``jpeg``, ``webp``, ``avif``, or another that Pillow knows.
        texts: by their names; `PARAMETERS` and `REQUEST` are the same in every format.
        generated: it says that a trained algorithm made the picture.
    """

    format: str
    texts: Mapping[str, str] = field(default_factory=dict)
    generated: bool = False


def load(path: Path) -> bytes:
    """A file's bytes.

    Raises:
        RequestError: there is no such file, or it is over 512 MiB.
    """
    try:
        data = read_regular(path, MAX_FILE + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RequestError(f"cannot read {str(path)!r}: {reason}; give a picture's file") from None
    if len(data) > MAX_FILE:
        raise RequestError(f"cannot read {str(path)!r}: it has over {MAX_FILE >> 20} MiB; give a picture's file")
    return data


@contextmanager
def about(path: Path) -> Iterator[None]:
    """Names the file in errors of what is done to its bytes."""
    try:
        yield
    except RequestError as error:
        raise RequestError(f"cannot use {str(path)!r}: {error}") from None


def read(data: bytes) -> Carried:
    """All texts in a file's bytes.

    Raises:
        RequestError: it is no picture, is damaged, or carries more text than 8 MiB.
    """
    if data.startswith(png.SIGNATURE):
        return _read_png(data)
    if data.startswith(jpeg.SIGNATURE):
        found = _carried("jpeg", *jpeg.read(data))
        return _with_comment(found, jpeg.comment(data))
    if webp.recognises(data):
        return _or_hidden(_carried("webp", *webp.read(data)), data)
    with opened(data) as image:
        info = image.info
        format = (image.format or "").lower()
        comment = info.get("comment")
        block, packet = (value if isinstance(value := info.get(name), bytes) else None for name in ("exif", "xmp"))
    found = _carried(format, block, packet)
    return _with_comment(found, comment if isinstance(comment, bytes) else None)


def kind(data: bytes) -> str | None:
    """One of `LOSSLESS` by the file's first bytes, or None."""
    if data.startswith(png.SIGNATURE):
        return "png"
    if data.startswith(jpeg.SIGNATURE):
        return "jpeg"
    return "webp" if webp.recognises(data) else None


def put(data: bytes, texts: Mapping[str, str]) -> bytes:
    """The file with these texts and the source type. Those of ours that it had before are gone; all else stays.
    AVIF is compressed again, at the best quality.

    Args:
        texts: by names, which are lower-case ASCII letters.

    Raises:
        RequestError: not a format that we write, a damaged file, or texts that do not fit into a JPEG.
    """
    _check(texts)
    if data.startswith(png.SIGNATURE):
        return _put_png(data, texts)
    if data.startswith(jpeg.SIGNATURE):
        return jpeg.put(data, *_blocks(texts, *jpeg.read(data), limit=_MAX_COMMENT))
    if webp.recognises(data):
        block, packet = _blocks(texts, *webp.read(data))
        return webp.put(data, None if block is None else block.removeprefix(exif.HEADER), packet)
    with _avif(data) as image:
        old = (image.info.get("exif"), image.info.get("xmp"))
        return encode_avif(image, 100, _blocks(texts, *old))


def strip(data: bytes) -> bytes:
    """The file without anything that does not change how the picture looks; orientation and colour profile stay, and
    so does what is hidden in the pixels (`sfumato.metadata.stealth`). AVIF is compressed again, at the best quality.

    Raises:
        RequestError: not a format that we write, or a damaged file.
    """
    if data.startswith(png.SIGNATURE):
        return png.strip(data)
    if data.startswith(jpeg.SIGNATURE):
        return jpeg.strip(data)
    if webp.recognises(data):
        return webp.strip(data)
    with _avif(data) as image:
        block = image.info.get("exif")
        return encode_avif(image, 100, (None if block is None else exif.turned(block), None))


def check_jpeg(texts: Mapping[str, str], *, spare: int = 0) -> None:
    """Find out whether texts, and `spare` bytes more, fit into a JPEG.

    Raises:
        RequestError: they do not.
    """
    if not fits_jpeg(texts, spare=spare):
        count = sum(map(len, texts.values()))
        raise RequestError(
            f"{count} characters of text do not fit into a JPEG file; save as png or webp, or shorten the prompt"
        )


def fits_jpeg(texts: Mapping[str, str], *, spare: int = 0) -> bool:
    """Whether texts, and `spare` bytes more, fit into a JPEG."""
    block, packet = _blocks(texts, None, None, limit=_MAX_COMMENT - spare)
    return len(block or b"") <= jpeg.LARGEST and len(xmp.JPEG_HEADER) + len(packet) + spare <= jpeg.LARGEST


def check_avif() -> None:
    """Find out whether AVIF can be written.

    Raises:
        RequestError: this Pillow was built without it.
    """
    from PIL import features

    if not features.check("avif"):
        raise RequestError("this Pillow cannot write AVIF; take webp, or install pillow 11.3 or newer")


def encode_avif(image: "Image", quality: int, blocks: tuple[bytes | None, bytes | None]) -> bytes:
    """An AVIF file with an EXIF block and an XMP packet; in one thread, so that it is the same bytes everywhere."""
    block, packet = blocks
    options = {"exif": block or b"", "xmp": packet or b"", "icc_profile": image.info.get("icc_profile")}
    buffer = io.BytesIO()
    image.save(buffer, "AVIF", quality=quality, max_threads=1, autotiling=False, **options)
    return buffer.getvalue()


def encode_tiff(image: "Image", texts: Mapping[str, str]) -> bytes:
    """A TIFF file, losslessly compressed, of the picture's own mode, with the texts in its XMP packet."""
    buffer = io.BytesIO()
    options = {} if image.mode == "F" else {"compression": "tiff_adobe_deflate"}
    image.save(buffer, "TIFF", tiffinfo={_XMP_TAG: xmp.write(texts)}, **options)
    return buffer.getvalue()


def blocks(texts: Mapping[str, str]) -> tuple[bytes | None, bytes]:
    """Texts as an EXIF block and an XMP packet."""
    return _blocks(texts, None, None)


@contextmanager
def opened(data: bytes) -> "Iterator[Image]":
    """A picture by Pillow, whose faults are ours; so are those of what is done to it in the context.

    Raises:
        RequestError: it is no picture, is damaged, or has more pixels than Pillow thinks safe.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as image:
                yield image
    except RequestError:
        raise
    except UnidentifiedImageError:
        raise RequestError("it is no picture; give a PNG, JPEG, WebP or AVIF file") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise RequestError(f"the picture is too large: {_line(error)}") from None
    except (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, OverflowError, RuntimeError) as error:
        raise RequestError(f"the picture is damaged: {_line(error)}") from None


def pixels(data: bytes) -> "Image":
    """The picture, decoded, as RGB; as RGBA where it has transparency.

    Raises:
        RequestError: as `opened`.
    """
    from sfumato.decoding import in_eight_bits

    with opened(data) as image:
        return in_eight_bits(image)


def _line(error: Warning | Exception) -> str:
    return " ".join(printable(error).split()) or type(error).__name__


# ---------------------------------------------------------------------------------------------------------- formats


def _read_png(data: bytes) -> Carried:
    texts, block = png.read(data, MAX_TEXT)
    packet = texts.pop(xmp.PNG_KEYWORD, "").encode("utf-8", "replace")
    for name in _PROFILES:
        profile = png.profile(texts.pop(name, ""))
        if profile.startswith((xmp.JPEG_HEADER, b"<")):
            packet = packet or profile.removeprefix(xmp.JPEG_HEADER)
        else:
            block = block or profile
    return _or_hidden(_carried("png", None if PARAMETERS in texts else block, packet, texts), data)


def _or_hidden(found: Carried, data: bytes) -> Carried:
    """With the text in the pixels of a lossless picture, if it has no other."""
    if found.texts:
        return found
    try:
        with opened(data) as image:
            text = stealth.read(image, MAX_TEXT)
    except RequestError:  # texts can be read where the picture cannot
        return found
    return found if text is None else replace(found, texts={PARAMETERS: text})


def _with_comment(found: Carried, comment: bytes | None) -> Carried:
    """With the comment of a GIF or JPEG, if it is all the text there is."""
    if comment is None or found.texts.get(PARAMETERS, "").strip() or len(comment) > MAX_TEXT:
        return found
    return replace(found, texts={**found.texts, PARAMETERS: encodings.decoded(comment).rstrip("\0")})


def _put_png(data: bytes, texts: Mapping[str, str]) -> bytes:
    found, _ = png.read(data, MAX_TEXT)
    old = found.get(xmp.PNG_KEYWORD)
    chunks = {name: text for name, text in texts.items() if name != xmp.SOURCE}
    in_packet = {name: text for name, text in texts.items() if name == xmp.SOURCE}
    packet = xmp.write(in_packet, None if old is None else old.encode("utf-8", "replace"))
    return png.put(data, {**chunks, xmp.PNG_KEYWORD: packet.decode("utf-8")}, without=(PARAMETERS, REQUEST, STEPS))


@contextmanager
def _avif(data: bytes) -> "Iterator[Image]":
    """A still AVIF picture."""
    with opened(data) as image:
        if image.format != "AVIF" or getattr(image, "n_frames", 1) > 1:
            kind = "moving AVIF" if image.format == "AVIF" else str(image.format)
            raise RequestError(f"metadata of {kind} files cannot be changed here; give PNG, JPEG, WebP or still AVIF")
        yield image


def _carried(
    format: str, block: bytes | None, packet: bytes | None, others: Mapping[str, str] = MappingProxyType({})
) -> Carried:
    """The texts in EXIF and XMP, and `others`, which count for more."""
    if max(len(block or b""), len(packet or b"")) > MAX_TEXT:
        raise RequestError(f"its texts are too long: over {MAX_TEXT} bytes")
    texts = {} if packet is None else xmp.read(packet)
    comment = None if packet is None else xmp.comment(packet)
    if comment is not None and encodings.is_settings(comment):
        texts.setdefault(PARAMETERS, comment)
    try:
        texts |= _tagged(block)
    except RequestError:
        if not texts and not others:
            raise
    return Carried(format, {**texts, **others}, packet is not None and xmp.says_generated(packet))


def _tagged(block: bytes | None) -> dict[str, str]:
    """The texts in an EXIF block."""
    tags = exif.Exif() if not block else exif.read(block)
    texts: dict[str, str] = {}
    for name, text in tags.texts.items():  # ComfyUI's WebP: "prompt:{...}"
        key, _, rest = text.partition(":")
        if rest.lstrip().startswith("{") and re.fullmatch(r"\s*\w{1,32}\s*", key):
            texts[key.strip().lower()] = rest
        elif encodings.is_settings(text):
            texts[name] = text
    if tags.comment is not None:
        texts[PARAMETERS] = tags.comment
    return texts


def _blocks(
    texts: Mapping[str, str], block: bytes | None, packet: bytes | None, *, limit: int | None = None
) -> tuple[bytes | None, bytes]:
    """An EXIF block and an XMP packet with the texts, from those that were there.

    Args:
        limit: bytes of a UserComment; a longer one goes into the packet.
    """
    comment = texts.get(PARAMETERS)
    in_exif = comment is not None and (limit is None or len(comment.encode("utf-16-be")) <= limit)
    in_packet = {name: text for name, text in texts.items() if name != PARAMETERS or not in_exif}
    written = exif.write(comment if in_exif else None, block) if in_exif or block else None
    return written, xmp.write(in_packet, packet)


def _check(texts: Mapping[str, str]) -> None:
    for name, text in texts.items():
        assert re.fullmatch("[a-z]+", name), name
        bad = next((c for c in text if c not in "\t\n\r" and unicodedata.category(c) in ("Cc", "Cs")), None)
        if bad is not None or "\ufffe" in text or "\uffff" in text:
            code = ord(bad) if bad is not None else 0xFFFE
            raise RequestError(f"the text {name} holds the character U+{code:04X}, which files cannot carry; remove it")
        if len(text) > MAX_TEXT // 4:
            raise RequestError(f"the text {name} has {len(text)} characters; at most {MAX_TEXT // 4} are written")
