"""Sprites: a subject without its flat background, and sheets of them with an atlas that game engines read."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from sfumato.errors import RequestError

NEAR, FAR = 0.04, 0.16
"""Distances in OKLab: what is nearer to the background's colour belongs to it, what is farther is opaque."""


def oklab(rgb: np.ndarray) -> np.ndarray:
    """OKLab (Ottosson 2020) of sRGB values 0 to 1, in the last axis."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    cones = linear @ np.array(
        [
            [0.4122214708, 0.2119034982, 0.0883024619],
            [0.5363325363, 0.6806995451, 0.2817188376],
            [0.0514459929, 0.1073969566, 0.6299787005],
        ]
    )
    return np.cbrt(cones) @ np.array(
        [
            [0.2104542553, 1.9779984951, 0.0259040371],
            [0.7936177850, -2.4285922050, 0.7827717662],
            [-0.0040720468, 0.4505937099, -0.8086757660],
        ]
    )


def cut_out(image: Image.Image) -> Image.Image:
    """The picture as RGBA, transparent where its flat background is reached from the border.

    The background is the median colour of the border. What it encloses, such as the white of an eye, stays. Pixels at
    the edge are mixtures: they are made transparent by how near they are to it, and its colour is taken out of them.

    Raises:
        RequestError: the border has no one colour, or nothing would be left.
    """
    rgb = np.asarray(image.convert("RGB")).astype(np.float64) / 255
    border = np.concatenate([rgb[0], rgb[-1], rgb[:, 0], rgb[:, -1]])
    background = np.median(border, axis=0)
    distance = np.linalg.norm(oklab(rgb) - oklab(background), axis=-1)
    edges = np.concatenate([distance[0], distance[-1], distance[:, 0], distance[:, -1]])
    if (edges < NEAR).mean() < 0.5:
        raise RequestError("the background is not of one colour; paint it with 'white background', for example")
    mask = Image.new("L", (rgb.shape[1] + 2, rgb.shape[0] + 2), 255)
    mask.paste(Image.fromarray((distance < NEAR).astype(np.uint8) * 255), (1, 1))
    ImageDraw.floodfill(mask, (0, 0), 128)
    outside = np.array(mask)[1:-1, 1:-1] == 128
    if outside.all():
        raise RequestError("the picture is all background; there is no subject to cut out")
    reach = Image.fromarray(outside.astype(np.uint8) * 255).filter(ImageFilter.MaxFilter(5))
    edge = (np.asarray(reach) > 0) & ~outside
    alpha = np.where(outside, 0.0, np.where(edge, np.clip((distance - NEAR) / (FAR - NEAR), 0, 1), 1.0))
    share = np.maximum(alpha, 1 / 255)[..., None]
    own = np.where(edge[..., None], np.clip((rgb - (1 - share) * background) / share, 0, 1), rgb)
    own = np.where(alpha[..., None] > 0, own, 0)
    return Image.fromarray((np.concatenate([own, alpha[..., None]], -1) * 255).round().astype(np.uint8), "RGBA")


def trimmed(sprite: Image.Image) -> tuple[Image.Image, tuple[int, int]]:
    """Without empty rows and columns around, and where its corner was. An empty picture is one pixel."""
    left, top, right, bottom = sprite.getchannel("A").getbbox() or (0, 0, 1, 1)
    return sprite.crop((left, top, right, bottom)), (left, top)


def sheet(sprites: Mapping[str, Image.Image], file: str, gap: int = 2) -> tuple[Image.Image, dict[str, Any]]:
    """All sprites, trimmed, on one picture, and its atlas in TexturePacker's "JSON hash", which Phaser and others read.

    Args:
        file: the name of the sheet, for the atlas.
        gap: empty pixels between sprites, against bleeding.
    """
    cut = {name: trimmed(sprite.convert("RGBA")) for name, sprite in sprites.items()}
    order = sorted(cut, key=lambda name: (-cut[name][0].height, name))
    area = sum((one.width + gap) * (one.height + gap) for one, _ in cut.values())
    width = max(math.ceil(math.sqrt(area)), max(one.width for one, _ in cut.values())) + gap
    places: dict[str, tuple[int, int]] = {}
    x = y = shelf = 0
    for name in order:  # shelves of falling height
        one = cut[name][0]
        if x and x + one.width > width:
            x, y, shelf = 0, y + shelf + gap, 0
        places[name] = x, y
        x, shelf = x + one.width + gap, max(shelf, one.height)
    page = Image.new("RGBA", (width, y + shelf))
    frames = {}
    for name, sprite in sprites.items():
        (one, (left, top)), (x, y) = cut[name], places[name]
        page.paste(one, (x, y))
        frames[name] = {
            "frame": {"x": x, "y": y, "w": one.width, "h": one.height},
            "rotated": False,
            "trimmed": one.size != sprite.size,
            "spriteSourceSize": {"x": left, "y": top, "w": one.width, "h": one.height},
            "sourceSize": {"w": sprite.width, "h": sprite.height},
        }
    size = {"w": page.width, "h": page.height}
    return page, {
        "frames": frames,
        "meta": {"app": "sfumato", "image": file, "format": "RGBA8888", "size": size, "scale": "1"},
    }
