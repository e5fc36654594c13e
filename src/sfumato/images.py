"""Tensors as pictures, and sheets of pictures."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor


def to_pil(pixels: Float[Tensor, "3 h w"]) -> Image.Image:
    """Pixels in [-1, 1] (clamped) to an 8-bit RGB picture, rounded to nearest."""
    array = ((pixels.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return Image.fromarray(array.permute(1, 2, 0).cpu().numpy())


PAGE: dict[str, Any] = {"quality": 85, "subsampling": 0, "optimize": True}
"""How `Image.save` writes a sheet that a page shows: JPEG is a quarter of PNG there, PNG stays what it is."""


def contact_sheet(images: Sequence[Image.Image], columns: int | None = None, gap: int = 4) -> Image.Image:
    """All pictures in rows on white; `columns` defaults to a square layout.

    Raises:
        ValueError: for no pictures.
    """
    if not images:
        raise ValueError("a contact sheet needs at least one picture")
    columns = columns if columns is not None else math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    width, height = max(i.width for i in images), max(i.height for i in images)
    sheet = Image.new("RGB", (columns * (width + gap) - gap, rows * (height + gap) - gap), "white")
    for k, image in enumerate(images):
        place = (k % columns) * (width + gap), (k // columns) * (height + gap)
        sheet.paste(image, place, image.convert("RGBA") if image.has_transparency_data else None)
    return sheet


def repeated(image: Image.Image, axes: str, times: int = 3) -> Image.Image:
    """A tile laid `times` in a row, in a column or both."""
    columns, rows = (times if axes in (axis, "both") else 1 for axis in ("x", "y"))
    sheet = Image.new(image.mode, (columns * image.width, rows * image.height))
    for place in range(columns * rows):
        sheet.paste(image, (place % columns * image.width, place // columns * image.height))
    return sheet


@dataclass(frozen=True)
class Seam:
    """How a tile meets its copy along an axis, in mean absolute differences of adjacent columns or rows, 0 to 255.

    Attributes:
        across: of the last and the first.
        inside: the mean of all pairs within the tile.
        most: the largest of them.
    """

    across: float
    inside: float
    most: float

    @property
    def passes(self) -> bool:
        """Whether the edges differ by no more than some neighbours within the tile do."""
        return self.across <= self.most


def seam(image: Image.Image, axis: Literal["x", "y"]) -> Seam:
    """The seam between a tile and its copy on the right ("x") or below ("y").

    Raises:
        ValueError: the tile has a single column or row.
    """
    pixels = np.asarray(image.convert("RGB")).astype(np.float32)
    lines = pixels.swapaxes(0, 1) if axis == "x" else pixels
    if len(lines) < 2:
        raise ValueError(f"a picture of {image.width}x{image.height} has no neighbours along {axis}")
    within = np.abs(np.diff(lines, axis=0)).mean((1, 2))
    return Seam(float(np.abs(lines[-1] - lines[0]).mean()), float(within.mean()), float(within.max()))


def tile_seam(image: Image.Image, columns: Sequence[int], rows: Sequence[int], grain: int = 1) -> float:
    """How much neighbours differ across the borders of tiles, by how much they do on average: 1 is no seam.

    Args:
        columns, rows: the first pixels behind the borders, multiples of `grain`.
        grain: the average is that of neighbours so many pixels apart, since a latent's edges may show everywhere.
    """
    pixels = np.asarray(image.convert("RGB")).astype(np.float32)
    at, everywhere = list[float](), list[float]()
    for lines, places in ((pixels.swapaxes(0, 1), columns), (pixels, rows)):
        differences = np.abs(np.diff(lines, axis=0)).mean((1, 2))
        at += differences[[place - 1 for place in places]].tolist()
        everywhere += differences[grain - 1 :: grain].tolist() if places else []
    return float(np.mean(at)) / max(float(np.mean(everywhere)), 1e-6) if at else 1.0


def to_tensor(image: Image.Image) -> Float[Tensor, "1 3 h w"]:
    """An RGB picture as pixels in [-1, 1]."""
    array = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)
    return (array.float() / 127.5 - 1).unsqueeze(0)
