"""Pictures side by side under their names, each with a crop enlarged: what a restoration changed, seen."""

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_SIDE = 320
_CROP = 64
_GAP = 8


def side_by_side(views: Mapping[str, Image.Image]) -> Image.Image:
    """A sheet: a row of the whole pictures, at most 320 px a side, and a row of the crop with most detail, enlarged.

    Args:
        views: of one size, the first being that whose detail chooses the crop.
    """
    images = {name: image.convert("RGB") for name, image in views.items()}
    first = next(iter(images.values()))
    scale = min(1.0, _SIDE / max(first.size))
    whole = max(1, round(first.width * scale)), max(1, round(first.height * scale))
    box = _detailed(first)
    font = ImageFont.load_default(14)
    line = 22
    width = max(whole[0], _SIDE)
    sheet = Image.new("RGB", (len(images) * (width + _GAP) - _GAP, line + whole[1] + _GAP + _SIDE), "white")
    draw = ImageDraw.Draw(sheet)
    for k, (name, image) in enumerate(images.items()):
        left = k * (width + _GAP)
        draw.text((left + 2, 2), name, "black", font=font)
        sheet.paste(image.resize(whole, Image.Resampling.LANCZOS), (left, line))
        left_, top, right, bottom = (round(side * image.width / first.width) for side in box)
        crop = image.crop((left_, top, right, bottom))
        sheet.paste(crop.resize((_SIDE, _SIDE), Image.Resampling.NEAREST), (left, line + whole[1] + _GAP))
    return sheet


def _detailed(image: Image.Image) -> tuple[int, int, int, int]:
    """The square whose brightness varies most, of those on a grid of halves."""
    grey = np.asarray(image.convert("L"), np.float32)
    side = min(_CROP, *grey.shape)
    places = [
        (top, left)
        for top in range(0, grey.shape[0] - side + 1, max(1, side // 2))
        for left in range(0, grey.shape[1] - side + 1, max(1, side // 2))
    ]
    top, left = max(places, key=lambda place: float(grey[place[0] : place[0] + side, place[1] : place[1] + side].std()))
    return left, top, left + side, top + side
