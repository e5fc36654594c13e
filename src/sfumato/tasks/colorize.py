"""Colorizing: what a model paints gives a grey picture its colours, and the picture's luminance is held.

At each level the clean estimate is decoded, given the luminance of the picture, and encoded again, so that what is
painted has its forms from the picture, and its colours from the prompt. At the end luminance is set once more.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from sfumato.adapters.applied import Applied
from sfumato.diffusion.denoiser import Denoise
from sfumato.images import to_pil, to_tensor
from sfumato.model import Model
from sfumato.requests import Colorize
from sfumato.results import Progress, Result
from sfumato.tasks.paint import Canvas, paint
from sfumato.tasks.pictures import open_picture
from sfumato.tasks.session import prepare, takes_latents_alone

LUMA = (0.299, 0.587, 0.114)
"""Luminance of red, green and blue (ITU-R BT.601), as Pillow's ``convert("L")`` has it."""


def colorize(applied: Applied, request: Colorize, load: float = 0.0) -> Iterator[Progress | Result]:
    """Paint a request. A `Result` says by how much of 255 the luminance of each picture is off, on average.

    Raises:
        RequestError: as `open_picture`, `resolve` and `prepare`.
    """
    model = applied.model
    takes_latents_alone(model, "colorize")
    exact, picture = open_picture(model, request)
    grey = picture.padded.convert("L")
    light = to_tensor(grey.convert("RGB"))[:, :1]
    clean = model.encode_pixels(to_tensor(grey.convert("RGB")))
    session = prepare(applied, exact, picture.padded.size, load=load, strength=exact.strength)

    def finish(painted: Image.Image) -> Image.Image:
        return picture.cropped(to_pil(lit(to_tensor(painted), light)[0]))

    canvas = Canvas(picture.padded.size, clean, partial(held, model=model, light=light), finish=finish)
    for event in paint(session, canvas):
        if isinstance(event, Result):
            event = replace(event, measures={"luminance_error": [off(each, picture.image) for each in event]})
        yield event


def held(denoise: Denoise, *, model: Model, light: Float[Tensor, "1 1 h w"]) -> Denoise:
    """D whose estimates have a picture's luminance."""

    def lighted(x: Tensor, sigma: Tensor) -> Tensor:
        pixels = torch.cat([model.decode(each) for each in denoise(x, sigma).split(1)])
        return model.encode_pixels(lit(pixels.float(), light.to(pixels.device)))

    return lighted


def lit(pixels: Float[Tensor, "b 3 h w"], light: Float[Tensor, "1 1 h w"]) -> Float[Tensor, "b 3 h w"]:
    """The colours of pixels at another luminance, all in [-1, 1]; they are made paler where they would leave that."""
    weights = torch.tensor(LUMA, device=pixels.device)[:, None, None]
    colour = pixels - (pixels * weights).sum(1, keepdim=True)
    room = torch.where(colour > 0, 1 - light, 1 + light) / colour.abs().clamp_min(1e-6)
    return light + colour * room.amin(1, keepdim=True).clamp(max=1)


def off(painted: Image.Image, picture: Image.Image) -> float:
    """How much of 255 two pictures differ in luminance, on average."""
    ours, theirs = (np.asarray(each.convert("L"), np.int16) for each in (painted, picture))
    return float(np.abs(ours - theirs).mean())
