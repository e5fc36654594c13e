"""Pictures as numbers, at the depth that they have, and back: 8 and 16 bits, floats of TIFF, DICOM."""

import io
import logging
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

import numpy as np
from jaxtyping import Float
from PIL import Image

from sfumato import dicom
from sfumato.errors import RequestError
from sfumato.requests import Source
from sfumato.tasks.sources import MAX_PIXELS
from sfumato.tasks.sources import read as opened

Pixels = Float[np.ndarray, "h w *c"]
Depth = Literal["8", "16", "float", "dicom"]

NOT_FOR_DIAGNOSIS = "not for diagnosis: what is taken out, left or added may be what matters"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Raster:
    """A picture to be restored.

    Attributes:
        pixels: float32 in [0, 1], (h, w) of grey or (h, w, 3) of colour.
        depth: of what it was read from.
        low, high: the stored values that 0 and 1 stand for.
        alpha: how opaque it is, 0 to 255; None where it is so everywhere.
        file: the bytes that a DICOM picture came in.
    """

    pixels: Pixels
    depth: Depth = "8"
    low: float = 0.0
    high: float = 255.0
    alpha: Image.Image | None = None
    file: bytes = b""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.pixels.shape[1], self.pixels.shape[0]

    def image_of(self, pixels: Pixels) -> Image.Image:
        """Pixels as a picture of the same depth, which `sfumato.output` can write: modes L, RGB, RGBA, I;16 and F.

        A DICOM picture has 16 bits and the bytes of its file with it, to be written into.
        """
        stored = pixels * (self.high - self.low) + self.low
        if self.depth == "float":
            return Image.fromarray(stored.astype(np.float32))
        if self.depth == "dicom":
            image = eight_bit(pixels) if pixels.ndim == 3 else _sixteen(pixels)
            image.info["dicom"] = (self.file, stored)
            return image
        if self.depth == "16":
            return _sixteen(pixels)
        image = eight_bit(pixels)
        if self.alpha is not None:
            alpha = self.alpha if self.alpha.size == image.size else self.alpha.resize(image.size, _SMOOTH)
            image = image.convert("RGB")
            image.putalpha(alpha)
        return image

    def view(self, pixels: Pixels) -> Image.Image:
        """Pixels as an 8-bit picture, to be looked at."""
        return eight_bit(pixels)


_SMOOTH = Image.Resampling.BICUBIC


def eight_bit(pixels: Pixels) -> Image.Image:
    """Pixels in [0, 1], clipped, as an 8-bit picture."""
    return Image.fromarray((np.clip(pixels, 0, 1) * 255 + 0.5).astype(np.uint8))


def _sixteen(pixels: Pixels) -> Image.Image:
    return Image.fromarray((np.clip(pixels, 0, 1) * 65535 + 0.5).astype(np.uint16))


def read(source: Source) -> Raster:
    """The picture of a source, of which no depth is lost, but for that of 16-bit colour.

    Raises:
        RequestError: as `sfumato.tasks.sources.read` and `sfumato.dicom.read`; a float picture with NaN or infinity.
    """
    data = source.read()
    if dicom.is_dicom(data) or PurePath(source.path).suffix.lower() in (".dcm", ".dicom"):
        return _scan(data, source)
    deep = _deep(data, source)
    if deep is not None:
        return deep
    found = opened(source)
    if "16-bit" in found.changes:
        log.warning("%s has 16 bits a colour, and is read with 8", source.name)
    array = np.asarray(found.image, np.float32) / 255
    grey = bool((array[..., 0] == array[..., 1]).all() and (array[..., 1] == array[..., 2]).all())
    return Raster(np.ascontiguousarray(array[..., 0]) if grey else array, alpha=found.alpha)


def reference(source: Source, of: Source, raster: Raster) -> Pixels:
    """The pixels of a reference, in the units and the channels of the picture that it is a reference of.

    Args:
        of: the source of that picture, `raster`.

    Raises:
        RequestError: as `read`; or it is of another size.
    """
    clean = read(source)
    if clean.size != raster.size:
        raise RequestError(
            f"{source.name} is {clean.size[0]}x{clean.size[1]} and {of.name} {raster.size[0]}x{raster.size[1]}; "
            "a reference shows the same, pixel by pixel"
        )
    same = (clean.pixels * (clean.high - clean.low) + clean.low - raster.low) / (raster.high - raster.low)
    pixels = same if clean.depth == raster.depth else clean.pixels
    if pixels.ndim == raster.pixels.ndim:
        return pixels
    return pixels.mean(2) if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, 2)


def _scan(data: bytes, source: Source) -> Raster:
    scan = dicom.read(data, source.name)
    values = scan.values.astype(np.float32)
    if values.shape[0] * values.shape[1] > MAX_PIXELS:
        raise RequestError(f"{source.name} is {values.shape[1]}x{values.shape[0]}, more than {MAX_PIXELS} pixels")
    low, high = float(values.min()), float(values.max())
    high = high if high > low else low + 1
    return Raster((values - low) / (high - low), "dicom", low, high, file=data)


def _deep(data: bytes, source: Source) -> Raster | None:
    """A grey picture of more than 8 bits; None for another."""
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "TIFF", "PPM")) as image:
            if image.mode not in ("I;16", "I;16B", "I", "F") or image.width * image.height > MAX_PIXELS:
                return None
            values = np.asarray(image).astype(np.float32)
            floats = image.mode == "F" or not 0 <= values.min() <= values.max() <= 65535  # of TIFF, 32 bits
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None  # what is wrong with it is told as of any other picture
    if not floats:
        return Raster(values.clip(0, 65535) / 65535, "16", 0.0, 65535.0)
    if not np.isfinite(values).all():
        raise RequestError(f"{source.name} holds NaN or infinity; give a picture of finite numbers")
    low, high = float(values.min()), float(values.max())
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    return Raster((values - low) / (high - low), "float", low, high)
