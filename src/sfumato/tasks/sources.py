"""The pictures that requests name: read within limits, and padded to what a model can paint."""

import logging

import numpy as np
from PIL import Image

from sfumato.decoding import Decoded, RejectedPicture, decoded
from sfumato.errors import RequestError
from sfumato.requests import Source

MAX_SIDE = 8192
MAX_PIXELS = MAX_SIDE**2  # before it is resized

log = logging.getLogger(__name__)


def read(source: Source) -> Decoded:
    """The picture of a source: upright, in sRGB, the first frame of several.

    Raises:
        RequestError: no picture, a broken one, or one of too many pixels, which is known before it is decoded.
    """
    data = source.read()
    try:
        found = decoded(data, max_pixels=MAX_PIXELS)
    except RejectedPicture as error:
        raise RequestError(f"{source.name} cannot be opened, {error}; give a sound PNG, JPEG or WebP") from None
    if "first frame" in found.changes:
        log.warning("%s is animated; its first frame is taken", source.name)
    return found


def padded_to(image: Image.Image, grain: int) -> Image.Image:
    """Its sides grown to multiples of `grain`, by repeating the last column and row."""
    width, height = (-(-side // grain) * grain for side in image.size)
    if (width, height) == image.size:
        return image
    array = np.asarray(image)
    edges = [(0, height - image.height), (0, width - image.width), *([(0, 0)] * (array.ndim - 2))]
    return Image.fromarray(np.pad(array, edges, mode="edge"))
