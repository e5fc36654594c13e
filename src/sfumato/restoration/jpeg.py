"""Blocks and ripples of JPEG taken out of a picture, by the tables of its own file."""

import io

import numpy as np
from jaxtyping import Float
from PIL import Image, JpegImagePlugin

from sfumato.errors import RequestError

Pixels = Float[np.ndarray, "h w *c"]
_BLOCK = 8


def unblocked(pixels: Pixels, data: bytes, name: str) -> Pixels:
    """The mean of the picture compressed once more at each of the 64 places of its blocks, by its file's own tables:
    what depends on where blocks lie goes (re-application of JPEG, Nosratinia 2001).

    Args:
        pixels: of that file, perhaps turned.
        data: the file's bytes.
        name: what errors call it.

    Raises:
        RequestError: it is no JPEG.
    """
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as file:
            assert isinstance(file, JpegImagePlugin.JpegImageFile)
            tables, sampling = file.quantization, JpegImagePlugin.get_sampling(file)
    except OSError:
        raise RequestError(
            f"{name} is no JPEG, whose tables --jpeg needs; give the file as it was, or leave it out"
        ) from None
    whole = (pixels.clip(0, 1) * 255 + 0.5).astype(np.uint8)
    h, w = whole.shape[:2]
    total = np.zeros(whole.shape, np.float32)
    rest = [(0, 0)] * (whole.ndim - 2)
    for down in range(_BLOCK):
        for right in range(_BLOCK):
            shifted = Image.fromarray(np.pad(whole, [(down, 0), (right, 0), *rest], mode="edge"))
            buffer = io.BytesIO()
            options = {} if whole.ndim == 2 or sampling < 0 else {"subsampling": sampling}
            shifted.save(buffer, "JPEG", qtables=tables, **options)
            total += np.asarray(Image.open(buffer))[down : down + h, right : right + w]
    return total / (255 * _BLOCK**2)
