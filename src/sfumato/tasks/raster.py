"""Pictures as numbers, at the depth that they have, and back."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from PIL import Image

from sfumato.requests import Source
from sfumato.tasks.sources import read as opened

Pixels = Float[np.ndarray, "h w *c"]


@dataclass(frozen=True)
class Raster:
    """A picture to be restored.

    Attributes:
        pixels: float32 in [0, 1], (h, w) of grey or (h, w, 3) of colour.
        alpha: how opaque it is; None where it is so everywhere.
    """

    pixels: Pixels
    alpha: Image.Image | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.pixels.shape[1], self.pixels.shape[0]

    def image_of(self, pixels: Pixels) -> Image.Image:
        """Pixels as a picture of the same kind."""
        image = Image.fromarray((np.clip(pixels, 0, 1) * 255 + 0.5).astype(np.uint8))
        if self.alpha is not None:
            image = image.convert("RGB")
            image.putalpha(self.alpha)
        return image


def read(source: Source) -> Raster:
    """The picture of a source. Raises as `sfumato.tasks.sources.read`."""
    found = opened(source)
    array = np.asarray(found.image, np.float32) / 255
    grey = bool((array[..., 0] == array[..., 1]).all() and (array[..., 1] == array[..., 2]).all())
    return Raster(np.ascontiguousarray(array[..., 0]) if grey else array, found.alpha)
