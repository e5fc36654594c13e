"""Renders the data set: `python -m recipes.nano.data.render --out runs/nano/data`, from the repository root.

The folder gets `pictures.npy`, uint8 (pictures, size, size, 3), to be opened as a memory map, and
`attributes.jsonl`, whose line i describes picture i. The same arguments give the same bytes. A folder is
either complete or not there.
"""

import argparse
import json
import multiprocessing
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Self

import numpy as np
import resvg_py
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import track

from . import emoji, portraits
from .words import BACKGROUNDS

NICENESS = 5
PORTRAIT_STYLES = ("avataaars", "personas", "toon-head")


@dataclass(frozen=True)
class Drawing:
    """A picture to be rendered, and what it shows."""

    svg: str
    attributes: dict[str, str]


def drawings(counts: dict[str, int], emoji_looks: int, seed: int) -> Iterator[Drawing]:
    """All drawings of the data set. Each has a generator of its own, so counts do not change the pictures."""
    for style, count in counts.items():
        for index in range(count):
            portrait = portraits.draw(style, Random(f"{seed} {style} {index}"))
            yield Drawing(portraits.svg(portrait), portrait.attributes)
    for each in emoji.load() if emoji_looks else ():
        rng = Random(f"{seed} emoji {each.name}")
        validation = rng.randrange(10)
        for look, placement in enumerate(emoji.place(each, rng, emoji_looks)):
            attributes = {
                "kind": "emoji",
                "style": "emoji",
                "name": each.name,
                "name_zh": each.name_zh,
                "group": each.group,
                "background": BACKGROUNDS[placement.background],
                "split": "validation" if look % 10 == validation else "train",
            }
            yield Drawing(emoji.svg(each, placement), attributes)


def rasterise(svg: str, size: int) -> NDArray[np.uint8]:
    """An SVG document as a picture of size x size x 3."""
    png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size))
    with Image.open(BytesIO(png)) as picture:
        return np.asarray(picture.convert("RGB"))


class Renderer:
    """A child process which rasterises: a drawing on which the SVG library dies costs only itself."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def __call__(self, svg: str) -> NDArray[np.uint8] | None:
        """The picture, or None if the child died of it."""
        try:
            self._pipe.send(svg)
            raw = self._pipe.recv_bytes()
        except (EOFError, OSError):
            self._stop()
            self._start()
            return None
        return np.frombuffer(raw, np.uint8).reshape(self.size, self.size, 3)

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, far_end = context.Pipe()
        self._process = context.Process(target=_serve, args=(far_end, self.size), daemon=True)
        self._process.start()
        far_end.close()

    def _stop(self) -> None:
        self._pipe.close()
        self._process.join(timeout=10)
        if self._process.is_alive():
            self._process.kill()


def _serve(pipe: Connection, size: int) -> None:
    os.nice(NICENESS)
    while True:
        try:
            svg = pipe.recv()
        except EOFError:
            return
        pipe.send_bytes(rasterise(svg, size).tobytes())


def render(out: Path, counts: dict[str, int], *, emoji_looks: int, size: int, seed: int) -> int:
    """Write the data set into the folder `out`, which must not exist; returns how many drawings failed."""
    if out.exists():
        raise FileExistsError(f"{out} already exists: remove it, or give another --out")
    partial = out.with_name(f"{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)

    planned = sum(counts.values()) + emoji_looks * (len(emoji.load()) if emoji_looks else 0)
    pictures = open_memmap(partial / "pictures.npy", mode="w+", dtype=np.uint8, shape=(planned, size, size, 3))
    written = 0
    progress = track(drawings(counts, emoji_looks, seed), "rendering", planned, console=Console(stderr=True))
    with Renderer(size) as rasterised, (partial / "attributes.jsonl").open("w", encoding="utf-8") as lines:
        for drawing in progress:
            picture = rasterised(drawing.svg)
            if picture is None:
                continue
            pictures[written] = picture
            lines.write(json.dumps(drawing.attributes, ensure_ascii=False) + "\n")
            written += 1
    if written < planned:
        _shorten(partial / "pictures.npy", written)
    pictures.flush()
    partial.rename(out)
    return planned - written


def _shorten(path: Path, count: int) -> None:
    whole = np.load(path, mmap_mode="r")
    short = path.with_suffix(".short")
    kept = open_memmap(short, mode="w+", dtype=np.uint8, shape=(count, *whole.shape[1:]))
    kept[:] = whole[:count]
    kept.flush()
    short.replace(path)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Render the pictures nano learns from.")
    parser.add_argument("--out", type=Path, required=True, help="a folder which does not exist yet")
    parser.add_argument(
        "--portraits",
        type=int,
        nargs=3,
        default=[5000, 4000, 4000],
        metavar=PORTRAIT_STYLES,
        help="how many of each",
    )
    parser.add_argument("--emoji-looks", type=int, default=10, help="pictures of each emoji; 0 needs no npm")
    parser.add_argument("--size", type=int, default=256, help="pixels a side")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    counts = dict(zip(PORTRAIT_STYLES, arguments.portraits, strict=True))
    failed = render(arguments.out, counts, emoji_looks=arguments.emoji_looks, size=arguments.size, seed=arguments.seed)
    print(f"{arguments.out}: complete, {failed} drawings failed")


if __name__ == "__main__":
    main()
