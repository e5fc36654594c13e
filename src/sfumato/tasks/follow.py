"""The frame that follows from another: that one as a camera that moves sees it, and painted anew from there by img2img.

The moves are those of Deforum's 2D mode (github.com/deforum-art/deforum-stable-diffusion), by its names.
"""

import math
from collections.abc import Iterator

import torch
from PIL import Image

from sfumato.adapters.applied import Applied
from sfumato.images import to_pil, to_tensor
from sfumato.requests import Follow
from sfumato.results import Progress, Result
from sfumato.tasks.between import on_the_way
from sfumato.tasks.paint import Canvas, paint
from sfumato.tasks.pictures import open_picture
from sfumato.tasks.session import prepare, takes_latents_alone
from sfumato.tasks.sources import padded_to


def follow(applied: Applied, request: Follow, load: float = 0.0) -> Iterator[Progress | Result]:
    """Paint a request. Raises as `open_picture`, `resolve`, `prepare` and `mixed`."""
    model = applied.model
    takes_latents_alone(model, "follow")
    exact, picture = open_picture(model, request)
    seen = moved(picture.image, exact.zoom, exact.angle, (exact.translation_x, exact.translation_y))
    clean = model.encode_pixels(to_tensor(padded_to(seen, model.grain)))
    said = None if exact.to is None else on_the_way(applied, exact, exact.to, exact.share)
    session = prepare(applied, exact, picture.padded.size, load=load, strength=exact.strength, said=said)
    yield from paint(session, Canvas(picture.padded.size, clean, finish=picture.cropped))


def moved(
    image: Image.Image, zoom: float = 1.0, angle: float = 0.0, translation: tuple[float, float] = (0.0, 0.0)
) -> Image.Image:
    """A picture shifted, then turned and enlarged about its middle; what comes into it repeats the edge.

    Args:
        zoom: above 1 nearer.
        angle: degrees, anticlockwise.
        translation: pixels to the right and downwards.
    """
    if (zoom, angle, *translation) == (1.0, 0.0, 0.0, 0.0):
        return image
    width, height = image.size
    cos, sin = math.cos(math.radians(angle)) / zoom, math.sin(math.radians(angle)) / zoom
    x, y = torch.meshgrid(torch.arange(width) + 0.5 - width / 2, torch.arange(height) + 0.5 - height / 2, indexing="xy")
    # Backwards: where in the old picture each pixel of the new one comes from, in -1 to 1.
    across = (cos * x - sin * y - translation[0]) * 2 / width
    down = (sin * x + cos * y - translation[1]) * 2 / height
    grid = torch.stack([across, down], dim=-1)[None]
    seen = torch.nn.functional.grid_sample(
        to_tensor(image), grid, mode="bicubic", padding_mode="border", align_corners=False
    )
    return to_pil(seen[0])
