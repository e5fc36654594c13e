"""Parts of a picture that have prompts of their own."""

from collections.abc import Callable

from sfumato.diffusion.denoiser import Denoise
from sfumato.diffusion.regions import Box, Part, covered, regional
from sfumato.errors import RequestError
from sfumato.model import Model
from sfumato.requests import Txt2Img
from sfumato.requests.fields import region_of

FEATHER = 1 / 8
"""Of the side that a model was trained on: how wide the edges of regions are."""


def boxes_of(model: Model, request: Txt2Img, size: tuple[int, int]) -> list[Box]:
    """Where the regions of an exact request are, in the latents of a picture of width and height `size`, to which the
    request's own is enlarged (hires).

    Raises:
        RequestError: a region reaches outside of the picture.
    """
    width, height = request.settled.size
    across, down = (now / own / model.autoencoder.factor for now, own in zip(size, (width, height), strict=True))
    found = []
    for text in request.regions:
        (left, top, wide, high), _ = region_of(text)
        if left + wide > width or top + high > height:
            raise RequestError(f"region {text[:60]!r} reaches outside of {width}x{height}")
        found.append((top * down, left * across, (top + high) * down, (left + wide) * across))
    return found


def leave_nothing(model: Model, request: Txt2Img, size: tuple[int, int]) -> bool:
    """Whether regions are all of the picture, so that the prompt itself paints nothing. Raises as `boxes_of`."""
    latents = size[1] // model.autoencoder.factor, size[0] // model.autoencoder.factor
    return bool(request.regions) and covered(boxes_of(model, request, size), latents, _feather(model))


def with_regions(
    model: Model,
    request: Txt2Img,
    size: tuple[int, int],
    base: Denoise,
    guided: Callable[[Txt2Img], Denoise],
) -> Denoise:
    """The denoiser, in whose place stand in each region those of its prompt.

    Args:
        size: as in `boxes_of`.
        guided: the guided denoiser of a request.

    Raises:
        RequestError: a region reaches outside of the picture, or there is what looks at the whole of it.
    """
    if request.controls or request.like is not None:
        raise RequestError("regions do not go with control and like, which look at the whole picture; leave them out")
    prompts = [region_of(text)[1] for text in request.regions]
    parts = [
        Part(guided(request.changed(prompt=prompt, regions=())), box)
        for prompt, box in zip(prompts, boxes_of(model, request, size), strict=True)
    ]
    factor = model.autoencoder.factor
    trained = model.size[1] // factor, model.size[0] // factor
    return regional(base, parts, trained, feather=_feather(model), step=model.grain // factor)


def _feather(model: Model) -> float:
    return FEATHER * min(model.size) / model.autoencoder.factor
