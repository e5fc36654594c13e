"""The commands ``sheet`` and ``tileset``: subjects, or tiles, on one picture with a description beside it; and
``parallax``, a picture as layers.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from sfumato import parallax
from sfumato.cli.terminal import note
from sfumato.errors import RequestError
from sfumato.images import seam
from sfumato.output import check_writable, encode, rewrite
from sfumato.requests import Source
from sfumato.sprites import cut_out, sheet, tileset
from sfumato.tasks.sources import read

MOST_LAYERS = 16


def make_sheet(files: Sequence[Path], output: Path) -> None:
    """Cut the subjects out, write the sheet and its atlas, and print the path of the sheet."""
    atlas = _checked(files, output, ".json")
    sprites: dict[str, Image.Image] = {}
    for file in files:
        found = read(Source.of(file))
        try:
            sprites[file.stem] = cut_out(found.image) if found.alpha is None else found.with_alpha
        except RequestError as error:
            raise RequestError(f"{file}: {error}") from None
    _write(*sheet(sprites, output.name), output, atlas)


def make_tileset(files: Sequence[Path], output: Path) -> None:
    """Lay tiles on one picture with its description, say which show a seam, and print the path of the picture."""
    facts = _checked(files, output, ".tsj")
    tiles: dict[str, Image.Image] = {}
    for file in files:
        tiles[file.stem] = read(Source.of(file)).with_alpha
    page, described = tileset(tiles, output.name)
    axes: tuple[Literal["x", "y"], ...] = ("x", "y")
    for name, tile in tiles.items():
        if shows := [axis for axis in axes if min(tile.size) > 1 and not seam(tile, axis).passes]:
            note(f"{name}: a seam shows along {' and '.join(shows)}; paint it with --tileable both")
    _write(page, described, output, facts)


def make_parallax(file: Path, count: int, depth: Path | None, moving: Sequence[float], output: Path) -> None:
    """Cut a picture into layers beside a map that says how fast each moves, and print the path of the map."""
    if not 2 <= count <= MOST_LAYERS:
        raise RequestError(f"layers {count} must be 2 to {MOST_LAYERS}; for example 3")
    if moving and len(moving) != count:
        raise RequestError(f"{len(moving)} speeds for {count} layers; give one for each, the farthest first")
    if output.suffix.lower() not in (".tmj", ".json"):
        raise RequestError(f"{str(output)!r} must end in .tmj, or .json")
    image = read(Source.of(file)).image
    near = None if depth is None else read(Source.of(depth)).image
    if near is not None and near.size != image.size:
        raise RequestError(f"{depth} is {near.width}x{near.height}, and {file} {image.width}x{image.height}")
    names = [f"{output.stem}-{index}.png" for index in range(1, count + 1)]
    for path in (output, *map(output.with_name, names)):
        check_writable(path)
    layers = parallax.bands(image, count) if near is None else parallax.depths(near, count)
    pictures = parallax.cut(image, layers)
    if len(pictures) < count:
        raise RequestError(f"{depth} has {len(pictures)} depths, which makes no {count} layers; give fewer")
    output.parent.mkdir(parents=True, exist_ok=True)
    for name, picture in zip(names, pictures, strict=True):
        rewrite(output.with_name(name), encode(picture, {}, "png"))
    facts = parallax.tiled_map(names, image.size, moving or parallax.speeds(count))
    rewrite(output, (json.dumps(facts, ensure_ascii=False, indent=1) + "\n").encode())
    print(output)


def _checked(files: Sequence[Path], output: Path, ending: str) -> Path:
    """The file beside the picture. Raises RequestError and OutputError before the work."""
    if output.suffix.lower() != ".png":
        raise RequestError(f"{str(output)!r} must end in .png, which keeps transparency")
    if twice := next((file.stem for file in files if [f.stem for f in files].count(file.stem) > 1), None):
        raise RequestError(f"two pictures are called {twice!r}, which is their name beside it; rename one")
    beside = output.with_suffix(ending)
    for path in (output, beside):
        check_writable(path)
    return beside


def _write(page: Image.Image, facts: Mapping[str, Any], output: Path, beside: Path) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    rewrite(output, encode(page, {}, "png"))
    rewrite(beside, (json.dumps(facts, ensure_ascii=False, indent=1) + "\n").encode())
    print(output)
