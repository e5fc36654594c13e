"""Tensors as pictures, and sheets of pictures."""

import math
from collections.abc import Sequence
from typing import Any

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
        sheet.paste(image, ((k % columns) * (width + gap), (k // columns) * (height + gap)))
    return sheet


def to_tensor(image: Image.Image) -> Float[Tensor, "1 3 h w"]:
    """An RGB picture as pixels in [-1, 1]."""
    array = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)
    return (array.float() / 127.5 - 1).unsqueeze(0)
