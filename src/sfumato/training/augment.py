"""Augmentation in pixels: flips, crops, colour, sizes. Off unless asked for, and then no random number is drawn.

Left and right are exchanged by a flip: leave it off where captions name them, or where writing is seen.
"""

from typing import Annotated

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, field_validator
from torch import Tensor

from sfumato.training.data import generator_for

LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601


class Augment(BaseModel):
    """The table `[augment]` of a training TOML."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    flip: float = Field(0.0, ge=0, le=1)
    """Share of the pictures that are mirrored."""
    crop: tuple[float, float] = (1.0, 1.0)
    """Least and greatest share of the area that a random square shows, resized to the whole."""
    colour: float = Field(0.0, ge=0, lt=1)
    """Brightness, contrast and saturation are each multiplied by 1 - colour to 1 + colour."""
    sizes: tuple[Annotated[int, Field(ge=8)], ...] = ()
    """Pixels a side, of which one is drawn for each batch; of its own size when empty."""

    @field_validator("crop")
    @classmethod
    def _ordered(cls, crop: tuple[float, float]) -> tuple[float, float]:
        if not 0 < crop[0] <= crop[1] <= 1:
            raise ValueError("must be two shares of the area, the lesser first, above 0 and at most 1")
        return crop

    @property
    def on(self) -> bool:
        """Whether it changes anything."""
        return self != Augment()


def augment(
    pixels: Float[Tensor, "b 3 h h"], options: Augment, generator: torch.Generator
) -> Float[Tensor, "b 3 size size"]:
    """Pixels in [-1, 1], each picture changed on its own, at one size for all; a function of the generator alone."""
    if not options.on:
        return pixels
    size = pixels.shape[-1]
    if options.sizes:
        size = options.sizes[int(torch.randint(len(options.sizes), (), generator=generator))]
    pictures = [_cropped(picture[None], options.crop, size, generator) for picture in pixels]
    changed = torch.cat(pictures)
    if options.flip:
        mirrored = torch.rand(len(changed), 1, 1, 1, generator=generator) < options.flip
        changed = torch.where(mirrored, changed.flip(-1), changed)
    if options.colour:
        changed = _coloured(changed, options.colour, generator)
    return changed


def _cropped(
    picture: Float[Tensor, "1 3 h h"], shares: tuple[float, float], size: int, generator: torch.Generator
) -> Float[Tensor, "1 3 size size"]:
    whole = picture.shape[-1]
    if shares != (1.0, 1.0):
        low, high = shares
        share = low + (high - low) * float(torch.rand((), generator=generator))
        side = max(1, round(share**0.5 * whole))
        y, x = torch.randint(whole - side + 1, (2,), generator=generator).tolist()
        picture = picture[..., y : y + side, x : x + side]
    if picture.shape[-1] == size:
        return picture
    return F.interpolate(picture, (size, size), mode="bicubic", antialias=True).clamp(-1, 1)


def _coloured(x: Float[Tensor, "b 3 h w"], strength: float, generator: torch.Generator) -> Float[Tensor, "b 3 h w"]:
    """Brightness about black, contrast about the mean grey, saturation about each pixel's grey."""
    brightness, contrast, saturation = 1 + strength * (2 * torch.rand(3, len(x), 1, 1, 1, generator=generator) - 1)
    weights = torch.tensor(LUMINANCE).view(1, 3, 1, 1)
    x = (x + 1) * brightness - 1
    mean = (x * weights).sum(1, keepdim=True).mean((2, 3), keepdim=True)
    x = mean + (x - mean) * contrast
    grey = (x * weights).sum(1, keepdim=True)
    return (grey + (x - grey) * saturation).clamp(-1, 1)


def view(pixels: Float[Tensor, "3 h h"], options: Augment, seed: int, picture: int, number: int) -> Tensor:
    """View `number` of picture number `picture`: always the same. View 0 is the picture as it is."""
    return pixels if number == 0 else augment(pixels[None], options, generator_for(seed, 2, picture, number))[0]
