"""Sprites: a subject without its flat background, its palette and outline, and sheets of them with an atlas that game
engines read.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from PIL import Image

from sfumato.colours import oklab, shown
from sfumato.decoding import RejectedPicture, decoded
from sfumato.errors import RequestError

NEAR = 0.03
"""A distance in OKLab: what is nearer to the background's colour belongs to it. Where a third of the border is farther
off, there is no background of one colour; where that third spreads wider than half of it, twice as far is near as well.
"""
BORDER = 2
"""Pixels of the border by which the background is known."""
EDGE = 4
"""Pixels from the background within which a subject may be mixed with it."""
UNMIXED = 0.12
"""A colour farther than this from all mixtures of background and subject (RGB, 0 to 1) is the subject's own."""
CRUMB = 0.05
"""Share of the largest part of a subject below which another is a crumb."""


def cut_out(image: Image.Image, background: Sequence[int] | None = None) -> Image.Image:
    """The picture as RGBA, transparent where its flat background is reached from the border.

    What the subject encloses, such as the white of an eye, stays; crumbs apart from it go. Pixels at its edge are
    mixtures: how opaque each is follows from the background's colour and from the colour within `EDGE` pixels that
    differs most from it, and the background's part is taken out of its colour.

    Args:
        background: its colour, 0 to 255; the most frequent one of the border by default.

    Raises:
        RequestError: the border has no one colour, or nothing would be left.
    """
    rgb = np.asarray(image.convert("RGB")).astype(np.float64) / 255
    border = np.concatenate([part.reshape(-1, 3) for part in _edges(rgb, BORDER)])
    ground = _colour(border) if background is None else np.asarray(background) / 255
    distance = np.linalg.norm(oklab(rgb) - oklab(ground), axis=-1)
    spread = np.quantile(np.concatenate([part.ravel() for part in _edges(distance, BORDER)]), 1 / 3)
    if spread > NEAR:
        raise RequestError("the background is not of one colour; paint it with 'white background', for example")
    labels = components(distance < max(NEAR, 2 * spread))
    reached = np.unique(np.concatenate([part.ravel() for part in _edges(labels, 1)]))
    outside = np.isin(labels, reached[reached > 0])
    parts = components(~outside)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    if not sizes.any():
        raise RequestError("the picture is all background; there is no subject to cut out")
    outside |= (sizes < CRUMB * sizes.max())[parts]
    alpha, own = _unmixed(rgb, ground, distance, outside)
    return Image.fromarray((np.concatenate([own, alpha[..., None]], -1) * 255).round().astype(np.uint8), "RGBA")


def _edges(values: np.ndarray, width: int) -> list[np.ndarray]:
    return [values[:width], values[-width:], values[:, :width], values[:, -width:]]


def _colour(border: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "3"]:
    """The middle of the colours around the most frequent one."""
    cells, counts = np.unique((border * 15.99).astype(int), axis=0, return_counts=True)
    middle = (cells[counts.argmax()] + 0.5) / 16
    for _ in range(3):
        close = np.abs(border - middle).max(-1) < 1 / 12
        middle = np.median(border[close], axis=0) if close.any() else middle
    return middle


def components(mask: Bool[np.ndarray, "h w"]) -> Int[np.ndarray, "h w"]:
    """The number, from 1, of the connected part that each pixel of a mask is in, by its four neighbours; 0 outside.

    Rows are runs, and runs of two rows that touch are joined (Rosenfeld and Pfaltz 1966).
    """
    height, width = mask.shape
    steps = np.diff(np.pad(mask.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    begins, ends = np.argwhere(steps == 1), np.argwhere(steps == -1)[:, 1]
    rows, starts = begins[:, 0], begins[:, 1]
    parent = list(range(len(rows)))

    def root(run: int) -> int:
        while parent[run] != run:
            parent[run] = parent[parent[run]]
            run = parent[run]
        return run

    firsts = np.searchsorted(rows, np.arange(height + 1)).tolist()
    left, right = starts.tolist(), ends.tolist()
    for above, here, below in zip(firsts, firsts[1:], firsts[2:], strict=False):
        one, other = above, here
        while one < here and other < below:
            if left[one] < right[other] and left[other] < right[one]:
                parent[root(other)] = root(one)
            if right[one] < right[other]:
                one += 1
            else:
                other += 1
    numbers = np.unique(np.array([root(run) for run in range(len(parent))], int), return_inverse=True)[1] + 1
    labels = np.zeros((height, width), np.int64)
    for row, begin, end, number in zip(rows, left, right, numbers, strict=True):
        labels[row, begin:end] = number
    return labels


def _shifted(values: np.ndarray, radius: int) -> Any:
    """The array as each place within a radius sees it, its edge repeated."""
    padded = np.pad(values, [(radius, radius)] * 2 + [(0, 0)] * (values.ndim - 2), mode="edge")
    for y in range(2 * radius + 1):
        for x in range(2 * radius + 1):
            if (y - radius) ** 2 + (x - radius) ** 2 <= radius**2 + 1:
                yield padded[y : y + values.shape[0], x : x + values.shape[1]]


def _unmixed(
    rgb: Float[np.ndarray, "h w 3"],
    ground: Float[np.ndarray, "3"],
    distance: Float[np.ndarray, "h w"],
    outside: Bool[np.ndarray, "h w"],
) -> tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w 3"]]:
    """How opaque each pixel is, and its colour without the background's."""
    edge = np.any(list(_shifted(outside, EDGE)), axis=0) & ~outside
    apart, subject = np.full(distance.shape, -1.0), rgb
    for far, colour in zip(_shifted(np.where(outside, -1, distance), EDGE), _shifted(rgb, EDGE), strict=True):
        subject = np.where((far > apart)[..., None], colour, subject)
        apart = np.maximum(far, apart)
    away = subject - ground
    share = (((rgb - ground) * away).sum(-1) / np.maximum((away**2).sum(-1), 1e-9)).clip(0, 1)
    beside = np.linalg.norm(rgb - ground - share[..., None] * away, axis=-1) > UNMIXED
    alpha = np.where(outside, 0.0, np.where(edge & ~beside, share, 1.0))
    whole = np.maximum(alpha, 1 / 255)[..., None]
    own = np.where(alpha[..., None] < 1, (rgb - (1 - whole) * ground) / whole, rgb).clip(0, 1)
    return alpha, np.where(alpha[..., None] > 0, own, 0)


def trimmed(sprite: Image.Image) -> tuple[Image.Image, tuple[int, int]]:
    """Without empty rows and columns around, and where its corner was. An empty picture is one pixel."""
    left, top, right, bottom = sprite.getchannel("A").getbbox() or (0, 0, 1, 1)
    return sprite.crop((left, top, right, bottom)), (left, top)


def outlined(sprite: Image.Image, pixels: int, colour: Sequence[int] = (0, 0, 0)) -> Image.Image:
    """With a line of a colour around all that is opaque; the picture grows by so many pixels on each side."""
    wide = Image.new("RGBA", (sprite.width + 2 * pixels, sprite.height + 2 * pixels))
    wide.paste(sprite, (pixels, pixels))
    reach = np.max(list(_shifted(np.asarray(wide.getchannel("A")), pixels)), axis=0)
    line = Image.new("RGBA", wide.size, (*colour, 255))
    line.putalpha(Image.fromarray(reach))
    return Image.alpha_composite(line, wide)


def palette_of(sprite: Image.Image, colours: int) -> list[tuple[int, int, int]]:
    """The few colours that all opaque ones are nearest to, by k-means in OKLab from those of the median cut."""
    pixels = np.asarray(sprite.convert("RGBA"))
    seen = pixels[pixels[..., 3] > 127][:, :3] if (pixels[..., 3] > 127).any() else pixels[..., :3].reshape(-1, 3)
    cut = Image.fromarray(seen[None]).quantize(colours, Image.Quantize.MEDIANCUT).getpalette() or []
    lab = oklab(seen / 255)
    centres = oklab(np.array(cut[: 3 * colours]).reshape(-1, 3) / 255)
    for _ in range(10):
        nearest = _nearest(lab, centres)
        counts = np.bincount(nearest, minlength=len(centres))
        sums = np.stack([np.bincount(nearest, lab[:, k], len(centres)) for k in range(3)], -1)
        centres = sums[counts > 0] / counts[counts > 0, None]
    return [(int(r), int(g), int(b)) for r, g, b in (shown(centres) * 255).round()]


def reduced(sprite: Image.Image, palette: Sequence[Sequence[int]]) -> Image.Image:
    """Each colour replaced by the nearest of a palette, in OKLab; how opaque it is stays."""
    pixels = np.asarray(sprite.convert("RGBA"))
    colours = np.array(palette, np.uint8)
    found = colours[_nearest(oklab(pixels[..., :3].reshape(-1, 3) / 255), oklab(colours / 255))]
    found = np.where(pixels[..., 3:] > 0, found.reshape(pixels[..., :3].shape), 0)
    return Image.fromarray(np.concatenate([found, pixels[..., 3:]], -1).astype(np.uint8), "RGBA")


def _nearest(lab: Float[np.ndarray, "n 3"], centres: Float[np.ndarray, "k 3"]) -> Int[np.ndarray, " n"]:
    return ((centres**2).sum(-1) - 2 * lab @ centres.T).argmin(-1)


def read_palette(data: bytes, name: str) -> list[tuple[int, int, int]]:
    """The colours of a palette: GIMP's (.gpl), JASC's (.pal), a colour a line in hex, or those of a picture.

    Raises:
        RequestError: it is none of these, or a picture of more than 256 colours.
    """
    text = data[:65536].decode("utf-8", "replace") if b"\0" not in data[:64] else ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if lines and lines[0] in ("GIMP Palette", "JASC-PAL"):
        found = [re.match(r"(\d{1,3})\s+(\d{1,3})\s+(\d{1,3})(?!\S)", line) for line in lines[1:]]
        colours = [(int(each[1]), int(each[2]), int(each[3])) for each in found if each is not None]
    elif lines and all(re.fullmatch(r"#?[0-9a-fA-F]{6}", line) for line in lines):
        colours = [rgb(line) for line in lines]
    else:
        colours = _colours_of_picture(data, name)
    if not colours or max(map(max, colours)) > 255:
        raise RequestError(f"{name} has no colours; give a .gpl or .pal palette, a colour a line in hex, or a picture")
    return list(dict.fromkeys(colours))


def _colours_of_picture(data: bytes, name: str) -> list[tuple[int, int, int]]:
    try:
        picture = decoded(data, max_pixels=2**22).image
    except RejectedPicture:
        return []
    counted = picture.getcolors(256)
    if counted is None:
        raise RequestError(f"{name} has over 256 colours; give one of the palette's colours alone, or --palette N")
    return [(int(colour[0]), int(colour[1]), int(colour[2])) for _, colour in counted if isinstance(colour, tuple)]


def rgb(text: str) -> tuple[int, int, int]:
    """Red, green and blue, 0 to 255, of six hexadecimal digits with or without a ``#`` before them."""
    red, green, blue = bytes.fromhex(text.removeprefix("#"))
    return red, green, blue


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


def tileset(tiles: Mapping[str, Image.Image], file: str, extrude: int = 1) -> tuple[Image.Image, dict[str, Any]]:
    """Tiles of one size in rows on one picture, and its description as Tiled's JSON tileset has it (version 1.10), for
    which Godot and Unity have importers.

    Args:
        tiles: by name, which each has as a property; their numbers follow the order.
        file: the name of the picture, for the description.
        extrude: so many pixels of each tile's edge are repeated around it, against bleeding between tiles.

    Raises:
        RequestError: tiles of several sizes.
    """
    sizes = {tile.size for tile in tiles.values()}
    if len(sizes) != 1:
        found = ", ".join(f"{width}x{height}" for width, height in sorted(sizes))
        raise RequestError(f"tiles are of one size, not of {found or 'none'}; resize them")
    [(width, height)] = sizes
    columns = math.ceil(math.sqrt(len(tiles)))
    rows = math.ceil(len(tiles) / columns)
    across, down = width + 2 * extrude, height + 2 * extrude
    page = Image.new("RGBA", (columns * across, rows * down))
    for number, tile in enumerate(tiles.values()):
        around = np.pad(np.asarray(tile.convert("RGBA")), [(extrude, extrude)] * 2 + [(0, 0)], mode="edge")
        page.paste(Image.fromarray(around, "RGBA"), (number % columns * across, number // columns * down))
    named = [
        {"id": number, "properties": [{"name": "name", "type": "string", "value": name}]}
        for number, name in enumerate(tiles)
    ]
    return page, {
        "type": "tileset",
        "version": "1.10",
        "tiledversion": "1.10.2",
        "name": file.rpartition(".")[0] or file,
        "image": file,
        "imagewidth": page.width,
        "imageheight": page.height,
        "tilewidth": width,
        "tileheight": height,
        "tilecount": len(tiles),
        "columns": columns,
        "margin": extrude,
        "spacing": 2 * extrude,
        "tiles": named,
    }
