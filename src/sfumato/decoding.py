"""A picture file of unknown origin as an upright 8-bit sRGB picture, and as a square of the training size.

For data sets, and for the pictures that requests begin from. Nothing here is fatal: what cannot be used is a
`RejectedPicture` with a reason.
"""

import math
import warnings
from dataclasses import dataclass, replace
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError

Reason = Literal[
    "other format",
    "unreadable",
    "truncated",
    "too small",
    "too large",
    "duplicate",
    "near duplicate",
    "no caption",
    "bad caption",
    "bad metadata",
    "missing",
]
"""Why a picture is left out."""

Change = Literal["turned", "cmyk", "16-bit", "transparent", "profile", "profile ignored", "first frame", "enlarged"]
"""What was done to a picture that is kept."""

Crop = Literal["centre", "smart"]

FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM")
"""Pillow's decoders that foreign bytes may reach; those that start other programs are not among them."""

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif"})
"""How files of these are named, in lower case."""

MAX_PIXELS = 100_000_000


class RejectedPicture(Exception):  # noqa: N818 - a verdict, not an error
    """A picture that is left out."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


@cache
def _formats() -> list[str]:
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


@dataclass(frozen=True)
class Decoded:
    """A picture as it can be worked with.

    Attributes:
        image: RGB, upright, in sRGB, on white where it is transparent.
        alpha: how opaque it is, 0 to 255; None where it is so everywhere.
        changes: what was done to it.
    """

    image: Image.Image
    alpha: Image.Image | None
    changes: list[Change]

    @property
    def with_alpha(self) -> Image.Image:
        """The picture, RGBA where it is transparent somewhere: the colours as on white, and `alpha`."""
        if self.alpha is None:
            return self.image
        image = self.image.convert("RGBA")
        image.putalpha(self.alpha)
        return image


def pictures_in(folder: Path) -> list[Path]:
    """The files of a folder that are pictures by their names, sorted."""
    return sorted(each for each in folder.iterdir() if each.suffix.lower() in SUFFIXES and each.is_file())


def upright(data: Path | bytes, *, shortest: int, max_pixels: int = MAX_PIXELS) -> tuple[Image.Image, list[Change]]:
    """The picture of `decoded`, and what was done to it."""
    found = decoded(data, shortest=shortest, max_pixels=max_pixels)
    return found.image, found.changes


def decoded(data: Path | bytes, *, shortest: int = 1, max_pixels: int = MAX_PIXELS) -> Decoded:
    """The first frame, turned as EXIF says, in sRGB by the embedded ICC profile, on white where it is transparent.

    Args:
        shortest: pixels that the shorter side must have.
        max_pixels: width times height above which nothing is decoded.

    Raises:
        RejectedPicture: unreadable, truncated, too small or too large.
    """
    try:
        with (
            warnings.catch_warnings(action="ignore"),  # what Pillow says of what it can read all the same
            Image.open(data if isinstance(data, Path) else BytesIO(data), formats=_formats()) as image,
        ):
            width, height = image.size
            if width * height > max_pixels:
                raise RejectedPicture("too large", f"{width}x{height}, more than {max_pixels} pixels")
            if min(width, height) < shortest:
                raise RejectedPicture("too small", f"{width}x{height}, a side under {shortest}")
            deep = image.mode in ("RGB", "RGBA") and ";16" in str(image.tile)
            image.load()
            found = _converted(image)
            return replace(found, changes=[*found.changes, "16-bit"]) if deep else found
    except RejectedPicture:
        raise
    except (Image.DecompressionBombError, MemoryError) as error:
        raise RejectedPicture("too large", f"more than {max_pixels} pixels, or than memory holds") from error
    except UnidentifiedImageError as error:
        with data.open("rb") if isinstance(data, Path) else BytesIO(data) as file:
            tiff = file.read(4) in (b"II*\0", b"MM\0*")
        what = "a TIFF of colours in floats, or of another form that Pillow does not read" if tiff else ""
        raise RejectedPicture("unreadable", what or "not a picture of a known format") from error
    except Exception as error:  # decoders of damaged files raise whatever they stumble over
        reason: Reason = "truncated" if "truncated" in str(error).lower() else "unreadable"
        raise RejectedPicture(reason, " ".join(str(error).split())[:120]) from error


def _converted(image: Image.Image) -> Decoded:
    changes: list[Change] = []
    profile = image.info.get("icc_profile")
    if getattr(image, "is_animated", False) and image.format != "MPO":
        changes.append("first frame")
    if image.getexif().get(ExifTags.Base.Orientation, 1) in range(2, 9):
        image = ImageOps.exif_transpose(image)
        changes.append("turned")
    if image.mode.startswith("I"):  # also the mode "I", in which 16-bit PNM arrives
        grey = np.asarray(image).astype(np.int64).clip(0, 65535)
        image = Image.fromarray(((grey * 255 + 32767) // 65535).astype(np.uint8))
        changes.append("16-bit")
    elif image.mode == "F":
        raise ValueError("pixels are floating-point numbers without a range")
    alpha = None
    if image.has_transparency_data:
        alpha = image.convert("RGBA").getchannel("A")
        image = image.convert("RGBA").convert("RGB")
    if image.mode == "CMYK":
        changes.append("cmyk")
    if profile:
        image, change = _by_profile(image, profile)
        changes += change
    image = image.convert("RGB")
    if alpha is None or alpha.getextrema() == (255, 255):
        return Decoded(image, None, changes)
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=alpha)
    return Decoded(white, alpha, [*changes, "transparent"])


def _by_profile(image: Image.Image, profile: bytes) -> tuple[Image.Image, list[Change]]:
    """In sRGB as the ICC profile says; as it is, when the profile is damaged or of another kind of picture."""
    try:
        own = ImageCms.ImageCmsProfile(BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(own).lower():
            return image, []
        if own.profile.xcolor_space.strip() == "RGB" and image.mode != "CMYK":
            image = image.convert("RGB")
        converted = ImageCms.profileToProfile(image, own, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image, ["profile ignored"]
    assert converted is not None  # in place only when asked for
    return converted, ["profile"]


def squared(image: Image.Image, size: int, crop: Crop = "centre") -> Image.Image:
    """Cropped to a square and resized (Lanczos); a square of that size stays as it is, to the bit.

    "smart" crops where neighbouring pixels differ most along the long side; ties go to the centre.
    """
    place = (0.5, 0.5) if crop == "centre" else _busiest(image)
    return ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS, centering=place)


def _busiest(image: Image.Image, side: int = 64) -> tuple[float, float]:
    """Where the square with the most detail begins, as a share (x, y) of the room there is for it."""
    scale = side / min(image.size)
    width, height = (max(side, round(scale * length)) for length in image.size)
    grey = np.asarray(image.convert("L").resize((width, height), Image.Resampling.BOX)).astype(np.int64)
    detail = np.zeros_like(grey)
    detail[:, 1:] += np.abs(np.diff(grey, axis=1))
    detail[1:] += np.abs(np.diff(grey, axis=0))
    room = max(width, height) - side
    if room == 0:
        return 0.5, 0.5
    total = np.concatenate([[0], np.cumsum(detail.sum(axis=0 if width > height else 1))])
    windows = total[side:] - total[:-side]
    best = np.flatnonzero(windows == windows.max())
    start = float(best[np.abs(best - room / 2).argmin()]) / room
    return (start, 0.5) if width > height else (0.5, start)


@cache
def _cosines(kept: int, points: int) -> np.ndarray:
    k, x = np.arange(kept)[:, None], np.arange(points)[None]
    return np.cos(math.pi * k * (2 * x + 1) / (2 * points))


def fingerprint(image: Image.Image) -> int:
    """64 bits that copies of other sizes and qualities nearly share: the signs of the lowest 8 x 8 cosine terms of
    the luminance at 32 x 32, about their median (pHash, Zauner 2010)."""
    grey = np.asarray(image.convert("L").resize((32, 32), Image.Resampling.LANCZOS), np.float64)
    terms = (_cosines(8, 32) @ grey @ _cosines(8, 32).T).ravel()
    bits = terms > np.median(terms[1:])
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def in_eight_bits(image: Image.Image) -> Image.Image:
    """RGB or RGBA, as formats of 8 bits have it; 16 bits are scaled down, and floats over their range."""
    if image.mode not in ("I;16", "F"):
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    values = np.asarray(image).astype(np.float32)
    low, high = (0.0, 65535.0) if image.mode == "I;16" else (float(values.min()), float(values.max()))
    scaled = (values - low) / max(high - low, 1e-12) * 255
    return Image.fromarray((scaled + 0.5).astype(np.uint8)).convert("RGB")
