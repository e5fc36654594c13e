"""Grids: one request with its fields varied along up to three axes, as a sheet with labels and the facts beside it.

>>> x, y = Axis.parse(Txt2Img, "guidance=1,3,7"), Axis.parse(Txt2Img, "sampler=euler,heun")
>>> cells = list(paint(studio, Txt2Img(prompt="a fox"), x, y))
>>> sheet(cells, x, y).save("grid.png")
"""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Protocol, Self

from PIL import Image, ImageDraw, ImageFont

from sfumato.errors import RequestError
from sfumato.lettering import broken, font_for, font_size, keys
from sfumato.metadata.names import understood
from sfumato.requests import Painting, draw_seed
from sfumato.requests.written import read_value

if TYPE_CHECKING:
    from sfumato.results import Progress, Result

MAX_CELLS = 2500
COSTLY = ("model", "vae", "loras", "embeddings")
"""What takes time to change: cells that have these in common are painted one after the other."""


@dataclass(frozen=True)
class Axis:
    """What varies along one side of a grid.

    Attributes:
        name: a field of the request, or ``size``.
        texts: its values as they are written, for the labels.
        values: the fields that each sets.
    """

    name: str
    texts: tuple[str, ...]
    values: tuple[Mapping[str, object], ...]

    @classmethod
    def parse(cls, kind: type[Painting], text: str) -> Self:
        """``FIELD=V,V``; a value that holds a comma stands in double quotes.

        Raises:
            UnknownNameError: a field that requests of this kind do not have.
            RequestError: no values, or one that is none of the field's.
        """
        name, equals, rest = text.partition("=")
        texts = tuple(next(csv.reader([rest], skipinitialspace=True), [])) if equals else ()
        if not texts or not name:
            raise RequestError(f"axis {text[:60]!r} must be FIELD=VALUE,VALUE; for example steps=4,8")
        field = name.strip().replace("-", "_")
        field = {"lora": "loras", "embedding": "embeddings"}.get(field, field)
        return cls(field, texts, tuple(understood(read_value(kind, field, each)) for each in texts))

    def labels(self) -> tuple[str, ...]:
        """What stands beside the pictures."""
        return tuple(text if self.name == "prompt" else f"{self.name}: {text or '-'}" for text in self.texts)


NONE = Axis("", ("",), ({},))
"""An axis along which nothing varies."""


@dataclass(frozen=True)
class Cell:
    """One picture of a grid, at its places along the axes."""

    place: tuple[int, int, int]
    result: "Result"

    @property
    def image(self) -> Image.Image:
        """The picture, which is the one that its request paints alone."""
        return self.result.images[0]


class Runner(Protocol):
    """What paints: a `Studio`."""

    def run(self, request: Painting, on_step: "Callable[[Progress], None]" = ...) -> "Result":
        """Carry out a request."""
        ...


def requests(request: Painting, x: Axis, y: Axis = NONE, z: Axis = NONE) -> dict[tuple[int, int, int], Painting]:
    """The request of each cell, by its place. All have one seed, unless an axis varies it.

    Raises:
        RequestError: a value that is not allowed, a field on two axes, several pictures a cell, or too many cells.
    """
    named = [field for axis in (x, y, z) for field in (axis.values[0] if axis.values else ())]
    if twice := next((field for field in named if named.count(field) > 1), None):
        raise RequestError(f"{twice} is on two axes of the grid; leave one of them out")
    if request.count != 1:
        raise RequestError(f"a grid has one picture a cell, and count is {request.count}; vary the seed on an axis")
    cells = len(x.values) * len(y.values) * len(z.values)
    if cells > MAX_CELLS:
        raise RequestError(f"a grid of {cells} pictures is too large; at most {MAX_CELLS} are painted")
    if request.seed is None:
        request = request.changed(seed=draw_seed())
    found = {}
    for k, j, i in product(range(len(z.values)), range(len(y.values)), range(len(x.values))):
        found[i, j, k] = request.changed(**x.values[i], **y.values[j], **z.values[k])
    return found


def paint(
    studio: Runner,
    request: Painting,
    x: Axis,
    y: Axis = NONE,
    z: Axis = NONE,
    on_step: "Callable[[Progress], None]" = lambda progress: None,
) -> Iterator[Cell]:
    """Paint the cells, those first that need the same model. Raises as `requests` and `Studio.run`."""
    cells = requests(request, x, y, z)
    seen: list[tuple[object, ...]] = []

    def order(place: tuple[int, int, int]) -> int:
        key = tuple(getattr(cells[place], name) for name in COSTLY)
        if key not in seen:
            seen.append(key)
        return seen.index(key)

    for place in sorted(cells, key=order):
        yield Cell(place, studio.run(cells[place], on_step))


def facts(cells: Sequence[Cell], x: Axis, y: Axis = NONE, z: Axis = NONE) -> dict[str, Any]:
    """What a grid holds, for JSON: the axes, and each cell's place, seed, seconds and exact request."""
    axes = [(letter, axis) for letter, axis in zip("xyz", (x, y, z), strict=True) if axis is not NONE]
    return {
        "axes": {letter: {"field": axis.name, "values": list(axis.texts)} for letter, axis in axes},
        "keys": {key: text for axis in (x, y, z) for text, key in keys(axis.labels()).items()},
        "cells": [
            {
                **{letter: cell.place[i] for i, letter in enumerate("xyz") if letter in dict(axes)},
                "seed": cell.result.seeds[0],
                "seconds": round(sum(cell.result.timings.get(lap, 0.0) for lap in ("encode", "sample", "decode")), 3),
                "model_hash": cell.result.provenance.model_hash,
                "request": cell.result.request.model_dump(mode="json"),
            }
            for cell in sorted(cells, key=lambda cell: cell.place[::-1])
        ],
    }


# ------------------------------------------------------------------------------------------------------------- sheet

GAP = 6


def sheet(cells: Sequence[Cell], x: Axis, y: Axis = NONE, z: Axis = NONE) -> Image.Image:
    """All cells with their labels: columns are x, rows y, and blocks one below another z.

    A label that no font at hand can write is a key such as ``(1)``; `facts` says which is which.
    """
    images = {cell.place: cell.image for cell in cells}
    width, height = max(i.width for i in images.values()), max(i.height for i in images.values())
    size = font_size(width)
    across, down, deep = (_Labels.of(axis, size, width) for axis in (x, y, z))
    margin = down.width + 2 * GAP if y is not NONE else 0
    head = across.height + GAP if x is not NONE else 0
    title = deep.height + GAP if z is not NONE else 0
    columns, rows = len(x.values), len(y.values)
    block = title + head + rows * (height + GAP)
    page = Image.new("RGB", (margin + columns * (width + GAP) + GAP, len(z.values) * block + GAP), "white")
    pen = ImageDraw.Draw(page)
    for k in range(len(z.values)):
        top = GAP + k * block
        if title:
            deep.write(pen, k, (page.width // 2, top + deep.height // 2))
        for i in range(columns if head else 0):
            across.write(pen, i, (margin + i * (width + GAP) + GAP + width // 2, top + title + across.height // 2))
        for j in range(rows):
            below = top + title + head + j * (height + GAP)
            if margin:
                down.write(pen, j, (GAP + down.width // 2, below + height // 2))
            for i in range(columns):
                if (i, j, k) in images:
                    page.paste(images[i, j, k], (margin + i * (width + GAP) + GAP, below))
    return page


@dataclass(frozen=True)
class _Labels:
    """Labels of one axis, broken into lines."""

    texts: tuple[str, ...]
    fonts: tuple[Any, ...]
    width: int
    height: int

    @classmethod
    def of(cls, axis: Axis, size: int, width: int) -> Self:
        known = keys(axis.labels())
        written = [known.get(text, text) for text in axis.labels()]
        fonts = [font_for(text, size) or ImageFont.load_default(size) for text in written]
        texts = tuple(broken(text, font, width) for text, font in zip(written, fonts, strict=True))
        pen = ImageDraw.Draw(Image.new("L", (1, 1)))
        boxes = [pen.multiline_textbbox((0, 0), text, font=font) for text, font in zip(texts, fonts, strict=True)]
        wide, high = max(box[2] for box in boxes), max(box[3] for box in boxes)
        return cls(texts, tuple(fonts), int(wide) + 1, int(high) + 2)

    def write(self, pen: ImageDraw.ImageDraw, index: int, centre: tuple[int, int]) -> None:
        pen.multiline_text(centre, self.texts[index], "black", self.fonts[index], anchor="mm", align="center")
