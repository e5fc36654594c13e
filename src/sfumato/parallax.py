"""Layers of a picture that move past each other, the far ones slower: parallax scrolling.

Each pixel belongs to a layer, 0 the farthest: by its depth where there is a depth map, else by bands from the top down,
whose borders follow the strongest edges near where they would be. A layer has what is nearer behind it filled from its
own colours, so that no hole shows when another moves.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from PIL import Image

FEATHER = 1
"""Pixels within which a layer's edge fades."""
REACH = 0.5
"""How far a border may be from the middle between its neighbours, in shares of a band's height."""
STEEPEST = 2
"""Rows that a border may rise or fall from a column to the next."""
STRAIGHT = 0.5
"""What a border of no edge at all costs less than one of the strongest for each share of `REACH` that it is off."""
TILE = 16
"""Pixels a side of the tiles that the map of Tiled counts in; it must have some."""

Rows = Int[np.ndarray, " w"]
Layers = Int[np.ndarray, "h w"]


def bands(image: Image.Image, count: int) -> Layers:
    """Layers of a landscape, from the top down."""
    height = image.height
    rows = np.arange(height)[:, None]
    found = np.zeros((height, image.width), int)
    for index in range(1, count):
        found += rows >= border(image, index * height / count, REACH * height / count)
    return found


def border(image: Image.Image, middle: float, reach: float) -> Rows:
    """A line from left to right along the strongest edges: of each column the first row below it.

    Args:
        middle: the row that it is near.
        reach: rows that it may be above or below.
    """
    grey = np.asarray(image.convert("L")).astype(float)
    rows = np.arange(max(1, round(middle - reach)), min(len(grey), round(middle + reach) + 1))
    edges = np.abs(grey[rows] - grey[rows - 1])
    off = np.abs(rows - middle)[:, None] / max(reach, 1)
    cost = STRAIGHT * off - edges / max(edges.max(), 1.0)
    # The cheapest way to each row of a column, from that of the column before: dynamic programming, as seams are found.
    total, came = cost[:, 0], []
    for column in cost.T[1:]:
        padded = np.pad(total, STEEPEST, constant_values=np.inf)
        near = np.stack([padded[shift : shift + len(total)] for shift in range(2 * STEEPEST + 1)])
        came.append(near.argmin(0) - STEEPEST + np.arange(len(total)))
        total = column + near.min(0)
    way = [int(total.argmin())]
    for previous in reversed(came):
        way.append(int(previous[way[-1]]))
    return rows[np.array(way[::-1])]


def depths(depth: Image.Image, count: int) -> Layers:
    """Layers by a depth map, white the nearest: of as many levels as there are layers, each pixel the nearest one's
    (k-means in one dimension).
    """
    values = np.asarray(depth.convert("L")).astype(float)
    centres = np.quantile(values, (np.arange(count) + 0.5) / count)
    for _ in range(50):
        found = np.abs(values[..., None] - centres).argmin(-1)
        moved = [values[found == k].mean() if (found == k).any() else centres[k] for k in range(count)]
        if np.allclose(moved, centres):
            break
        centres = np.array(moved)
    return found


def cut(image: Image.Image, layers: Layers) -> list[Image.Image]:
    """The layers as pictures with transparency, the farthest first; it is opaque everywhere."""
    pixels = np.asarray(image.convert("RGB")).astype(float)
    pictures = []
    for layer in range(int(layers.max()) + 1):
        alpha = np.full(layers.shape, 1.0) if layer == 0 else _averaged((layers >= layer).astype(float), FEATHER)
        colours = _filled(pixels, layers == layer)
        found = np.dstack([colours, alpha * 255]).round().clip(0, 255).astype(np.uint8)
        pictures.append(Image.fromarray(found, "RGBA"))
    return pictures


def _filled(pixels: Float[np.ndarray, "h w 3"], known: np.ndarray) -> Float[np.ndarray, "h w 3"]:
    """The pixels where they are known, and elsewhere the mean of those known within as short a distance as has any."""
    found, reached, radius = pixels * known[..., None], known.copy(), 2
    while known.any() and not reached.all():
        share = _averaged(known.astype(float), radius)
        near = _averaged(pixels * known[..., None], radius) / np.maximum(share, 1e-9)[..., None]
        new = (share > 1e-9) & ~reached
        found[new], reached, radius = near[new], reached | new, radius * 2
    return found if known.any() else pixels


def _averaged(values: np.ndarray, radius: int) -> np.ndarray:
    """The mean over squares, as far as they are inside, by sums of rows and columns."""
    for axis in (0, 1):
        length = values.shape[axis]
        sums = np.insert(np.cumsum(values, axis), 0, 0, axis)
        places = np.arange(length)
        ends, starts = np.minimum(places + radius + 1, length), np.maximum(places - radius, 0)
        counts = np.expand_dims(ends - starts, tuple(k for k in range(values.ndim) if k != axis))
        values = (sums.take(ends, axis) - sums.take(starts, axis)) / counts
    return values


def speeds(count: int) -> list[float]:
    """Speeds of layers, the farthest first: shares of the camera's way, the nearest goes with it."""
    return [round((layer + 1) / count, 3) for layer in range(count)]


def tiled_map(files: Sequence[str], size: tuple[int, int], moving: Sequence[float]) -> dict[str, Any]:
    """A map of Tiled (its JSON format 1.10) of image layers with their speeds, as ``parallaxx``."""
    layers = [
        {
            "type": "imagelayer",
            "id": index + 1,
            "name": name.rpartition(".")[0],
            "image": name,
            "parallaxx": speed,
            "parallaxy": 1,
            "repeatx": True,
            "opacity": 1,
            "visible": True,
            "x": 0,
            "y": 0,
        }
        for index, (name, speed) in enumerate(zip(files, moving, strict=True))
    ]
    return {
        "type": "map",
        "version": "1.10",
        "orientation": "orthogonal",
        "renderorder": "right-down",
        "infinite": False,
        "width": -(-size[0] // TILE),
        "height": -(-size[1] // TILE),
        "tilewidth": TILE,
        "tileheight": TILE,
        "layers": layers,
        "tilesets": [],
        "nextlayerid": len(layers) + 1,
        "nextobjectid": 1,
    }
