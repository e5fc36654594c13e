"""Painting anew in the shapes of a depth map, which Stable Diffusion 2 depth takes beside the latents."""

from collections.abc import Iterator

import torch
from PIL import Image
from torch import Tensor

from sfumato.adapters.applied import Applied
from sfumato.errors import RequestError
from sfumato.families import DEPTH
from sfumato.images import to_tensor
from sfumato.requests import Depth2Img
from sfumato.results import Progress, Result
from sfumato.tasks.paint import Canvas, paint
from sfumato.tasks.pictures import open_picture
from sfumato.tasks.session import prepare
from sfumato.tasks.sources import padded_to, read


def depth2img(applied: Applied, request: Depth2Img, load: float = 0.0) -> Iterator[Progress | Result]:
    """Paint a request.

    Raises:
        RequestError: a model made for something else, no depth map, or one without depth; as `open_picture`, `resolve`
            and `prepare`.
    """
    model = applied.model
    if model.task != DEPTH:
        raise RequestError(
            f"{model.name} takes no depth map; depth2img needs Stable Diffusion 2 depth, and img2img --control takes a "
            "ControlNet of depth for any other model"
        )
    if request.depth is None:
        raise RequestError("depth2img paints in the shapes of a depth map; give --depth FILE, white the nearest")
    depth = request.depth.known()
    exact, picture = open_picture(model, request.changed(depth=depth))
    near = read(depth).image.convert("L")
    if near.getextrema()[0] == near.getextrema()[1]:
        raise RequestError(f"{depth.name} is of one depth; give a map, white the nearest and black the farthest")
    if near.size != picture.image.size:
        near = near.resize(picture.image.size, Image.Resampling.BICUBIC)
    session = prepare(
        applied,
        exact,
        picture.padded.size,
        load=load,
        strength=exact.strength,
        channels=to_latents(padded_to(near, model.grain), model.autoencoder.factor).to(model.device),
    )
    clean = model.encode_pixels(to_tensor(picture.padded))
    yield from paint(session, Canvas(picture.padded.size, clean, finish=picture.cropped))


def to_latents(near: Image.Image, factor: int) -> Tensor:
    """A depth map as (1, 1, h, w) at the latents' size, from -1, the farthest, to 1, the nearest."""
    pixels = to_tensor(near.convert("RGB"))[:, :1]
    sides = near.height // factor, near.width // factor
    small = torch.nn.functional.interpolate(pixels, sides, mode="bicubic", align_corners=False)
    low, high = small.amin(), small.amax()
    return 2 * (small - low) / (high - low).clamp_min(1e-6) - 1
