"""Image to image (SDEdit, Meng et al. 2021, arXiv:2108.01073): noise is added to a picture, and taken away again."""

from collections.abc import Iterator

from sfumato.adapters.applied import Applied
from sfumato.images import to_tensor
from sfumato.requests import Img2Img
from sfumato.results import Progress, Result
from sfumato.tasks.paint import Canvas, paint
from sfumato.tasks.pictures import open_picture
from sfumato.tasks.session import prepare, takes_latents_alone


def img2img(applied: Applied, request: Img2Img, load: float = 0.0) -> Iterator[Progress | Result]:
    """Paint a request. Raises as `open_picture`, `resolve` and `prepare`."""
    model = applied.model
    takes_latents_alone(model, "img2img")
    exact, picture = open_picture(model, request)
    clean = model.encode_pixels(to_tensor(picture.padded))
    session = prepare(applied, exact, picture.padded.size, load=load, strength=exact.strength)
    yield from paint(session, Canvas(picture.padded.size, clean, finish=picture.cropped))
