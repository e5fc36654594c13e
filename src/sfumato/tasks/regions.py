"""Parts of a picture that have prompts of their own."""

from collections.abc import Callable

from sfumato.diffusion.denoiser import Denoise
from sfumato.diffusion.regions import Part, regional
from sfumato.errors import RequestError
from sfumato.model import Model
from sfumato.requests import Txt2Img
from sfumato.requests.fields import region_of

FEATHER = 1 / 8
"""Of the side that a model was trained on: how wide the edges of regions are."""


def with_regions(
    model: Model,
    request: Txt2Img,
    size: tuple[int, int],
    base: Denoise,
    guided: Callable[[Txt2Img], Denoise],
) -> Denoise:
    """The denoiser, in whose place stand in each region those of its prompt.

    Args:
        size: width and height in pixels of what is painted, to which the request's own is enlarged (hires).
        guided: the guided denoiser of a request.

    Raises:
        RequestError: a region lies outside of the picture, or there is what looks at the whole of it.
    """
    if request.controls or request.like is not None:
        raise RequestError("regions do not go with control and like, which look at the whole picture; leave them out")
    (width, height), factor = request.settled.size, model.autoencoder.factor
    across, down = size[0] / width / factor, size[1] / height / factor
    parts = []
    for text in request.regions:
        (left, top, wide, high), prompt = region_of(text)
        if left + wide > width or top + high > height:
            raise RequestError(f"region {text[:60]!r} reaches outside of {width}x{height}")
        box = top * down, left * across, (top + high) * down, (left + wide) * across
        parts.append(Part(guided(request.changed(prompt=prompt, regions=())), box))
    trained = model.size[1] // factor, model.size[0] // factor
    return regional(base, parts, trained, feather=FEATHER * min(trained), step=model.grain // factor)
