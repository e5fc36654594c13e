"""Pictures that requests begin from: opened within limits, and padded to what the model can paint."""

import logging
from dataclasses import dataclass
from typing import TypeVar

from PIL import Image

from sfumato.errors import RequestError
from sfumato.model import Model
from sfumato.requests import Edit
from sfumato.tasks.session import resolve
from sfumato.tasks.sources import MAX_SIDE, padded_to, read

Asked = TypeVar("Asked", bound=Edit)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Opened:
    """A picture to begin from.

    Attributes:
        image: RGB, at the size of the request.
        padded: the same, its sides grown to multiples of the model's grain by repeating the edge.
        alpha: how opaque it is, 0 to 255, at the size of the request; None where it is so everywhere.
    """

    image: Image.Image
    padded: Image.Image
    alpha: Image.Image | None = None

    def cropped(self, painted: Image.Image) -> Image.Image:
        """A painted picture without the padding."""
        return painted if painted.size == self.image.size else painted.crop((0, 0, *self.image.size))


def open_picture(model: Model, request: Asked) -> tuple[Asked, Opened]:
    """The exact request, and the picture that it begins from. Raises as `read` and `fitted`."""
    known = request.changed(image=request.image.known())
    found = read(known.image)
    return fitted(model, known, found.image, found.alpha)


def fitted(model: Model, request: Asked, image: Image.Image, alpha: Image.Image | None = None) -> tuple[Asked, Opened]:
    """The exact request, and a picture at the size that it asks for.

    Raises:
        RequestError: as `resolve`; a picture with a side too long to paint.
    """
    size = (request.width or image.width, request.height or image.height)
    if max(size) > MAX_SIDE:
        raise RequestError(
            f"{request.image.name} is {size[0]}x{size[1]}, and sides of up to {MAX_SIDE} pixels are painted; "
            "give --size to paint it smaller"
        )
    exact = resolve(model, request, size)
    if size != image.size:
        image = image.resize(size, Image.Resampling.LANCZOS)
        alpha = None if alpha is None else alpha.resize(size, Image.Resampling.BILINEAR)
    padded = padded_to(image, model.grain)
    if padded is not image and request.tileable:
        raise RequestError(
            f"{request.image.name} is {size[0]}x{size[1]}, and what is cut back to that has seams; for --tileable give "
            f"--size {padded.width}x{padded.height}"
        )
    if padded is not image:
        log.warning("%s is %dx%d; it is painted at %dx%d and cut back", request.image.name, *size, *padded.size)
    return exact, Opened(image, padded, alpha)
