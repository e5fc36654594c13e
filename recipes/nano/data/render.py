"""Renders the data set: `python -m recipes.nano.data.render --out runs/nano/data`, from the repository root.

The folder gets `pictures.npy`, uint8 (pictures, size, size, 3), to be opened as a memory map, and
`attributes.jsonl`, whose line i describes picture i. The same arguments give the same bytes, with any number of
processes. A folder is either complete or not there.
"""

import argparse
import json
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Final, Self

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from . import characters, emoji, objects, portraits, scenes, views
from .words import BACKGROUNDS
from .words.objects import names

NICENESS = 5
SOURCES: Final[Mapping[str, Callable[[str, Random], portraits.Portrait | views.View]]] = {
    **dict.fromkeys(portraits.PORTRAIT_STYLES, portraits.draw),
    **dict.fromkeys(characters.CHARACTER_STYLES, characters.draw),
    **dict.fromkeys(scenes.SCENE_STYLES, scenes.draw),
    **dict.fromkeys(views.VIEW_LOOKS, views.draw),
}
"""Style -> what draws it."""

COUNTS: Final[Mapping[str, int]] = {
    "avataaars": 5000,
    "personas": 4000,
    "toon-head": 3500,
    "adventurer": 3500,
    "big-smile": 3000,
    "micah": 3000,
    "voxel-art": 2500,
    "critters": 2500,
    "bottts": 2500,
    "sprouts": 2000,
    "planets": 1500,
    "landscape": 2000,
}
MORE: Final[Mapping[str, int]] = {"sprouts": 2000, "planets": 4500, "landscape": 2000}
"""Further ones, which come last: all others keep the place by which a judge was lent every other held-out picture."""

EMOJI_PLACEMENTS: Final = 6


@dataclass(frozen=True)
class Job:
    """What is drawn together: a picture of a style, or all placements of an emoji in one look.

    Attributes:
        settings: if not 0, of so many settings of an object of the short list, or a view in which one stands.
    """

    style: str
    index: int
    settings: int = 0


@dataclass(frozen=True)
class Drawing:
    """A picture to be rendered: its SVG, where it is placed if it does not fill the picture, and what it shows."""

    svg: str
    attributes: dict[str, str]
    placement: emoji.Placement | None = None


def jobs(
    counts: Mapping[str, int],
    placements: int,
    more: Mapping[str, int] | None = None,
    *,
    settings: int = 0,
    staged: int = 0,
) -> list[Job]:
    """All jobs of the data set in its order: styles, emoji, and `more` of some of the styles; then `settings` of each
    object in each look, and `staged` views in each look in which one stands."""
    drawn = [Job(style, index) for style, count in counts.items() for index in range(count)]
    if placements:
        drawn += [Job(look, index) for look in emoji.PICTURES for index in range(len(emoji.load()))]
    further = ((style, counts.get(style, 0), count) for style, count in (more or {}).items())
    drawn += [Job(style, index) for style, first, count in further for index in range(first, first + count)]
    if settings:
        drawn += [Job(look, index, settings) for look in emoji.PICTURES for index in range(len(names()))]
    return drawn + [Job(look, index, 1) for look in views.VIEW_LOOKS for index in range(staged)]


def drawings(job: Job, placements: int, seed: int) -> Iterator[Drawing]:
    """A job's drawings. Each job has a generator of its own, so counts do not change the pictures."""
    if job.settings and job.style in SOURCES:
        rng = Random(f"{seed} staged {job.style} {job.index}")
        thing = objects.load()[job.index % len(objects.load())]
        staged = views.stage(job.style, thing.name, rng)
        look = portraits.pick(rng, thing.bodies)
        shown = staged.attributes
        if look == emoji.held_out(thing.name):
            shown = {**shown, "split": "validation"}
        yield Drawing(views.svg(staged, standing=emoji.svg(thing, look)), shown)
        return
    if job.style in SOURCES:
        drawn = SOURCES[job.style](job.style, Random(f"{seed} {job.style} {job.index}"))
        painted = views.svg(drawn) if isinstance(drawn, views.View) else portraits.svg(drawn)
        yield Drawing(painted, drawn.attributes)
        return
    each = (objects.load() if job.settings else emoji.load())[job.index]
    if job.style not in each.bodies:
        return
    if job.settings:
        settings = objects.show(each, Random(f"{seed} object {job.style} {each.name}"), job.settings)
    else:
        placed = emoji.place(each, Random(f"{seed} {job.style} {each.name}"), placements)
        settings = [objects.Setting(placement, {}) for placement in placed]
    for setting in settings:
        attributes = {
            "kind": "emoji",
            "style": job.style,
            "name": each.name,
            "name_zh": each.name_zh,
            "tags": each.tags,
            "tags_zh": each.tags_zh,
            "group": each.group,
            "background": BACKGROUNDS[setting.placement.background],
            **setting.attributes,
            "split": emoji.split(each, job.style, setting.placement),
        }
        yield Drawing(emoji.svg(each, job.style), attributes, setting.placement)


class Renderer:
    """A child process which rasterises: a drawing on which the SVG library dies costs only itself."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._last: tuple[str, NDArray[np.uint8] | None] = ("", None)
        self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def __call__(self, svg: str) -> NDArray[np.uint8] | None:
        """The picture, size x size x 4 with premultiplied opacity, or None if the child died of it."""
        if svg != self._last[0]:
            self._last = (svg, self._rasterised(svg))
        return self._last[1]

    def _rasterised(self, svg: str) -> NDArray[np.uint8] | None:
        try:
            self._pipe.send(svg)
            raw = self._pipe.recv_bytes()
        except (EOFError, OSError):
            self._stop()
            self._start()
            return None
        return np.frombuffer(raw, np.uint8).reshape(self.size, self.size, 4)

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
    while True:
        try:
            svg = pipe.recv()
        except EOFError:
            return
        pipe.send_bytes(emoji.rasterise_rgba(svg, size).tobytes())


@cache
def _renderer(size: int) -> Renderer:
    """This process's own."""
    os.nice(NICENESS)
    return Renderer(size)


def paint(job: Job, *, placements: int, size: int, seed: int) -> list[tuple[NDArray[np.uint8] | None, dict[str, str]]]:
    """A job's pictures, size x size x 3, and what they show; None for one that could not be rasterised."""
    return [
        (shown(drawing, _renderer(size)(drawing.svg), size), drawing.attributes)
        for drawing in drawings(job, placements, seed)
    ]


def shown(drawing: Drawing, rgba: NDArray[np.uint8] | None, size: int) -> NDArray[np.uint8] | None:
    """The finished picture of a rasterised drawing."""
    if rgba is None or drawing.placement is None:
        return None if rgba is None else rgba[..., :3]
    return emoji.composite(rgba, drawing.placement, size)


def render(
    out: Path,
    counts: Mapping[str, int],
    *,
    placements: int,
    size: int,
    seed: int,
    more: Mapping[str, int] | None = None,
    settings: int = 0,
    staged: int = 0,
    processes: int = 1,
) -> int:
    """Write the data set into the folder `out`, which must not exist; returns how many drawings failed."""
    if out.exists():
        raise FileExistsError(f"{out} already exists: remove it, or give another --out")
    partial_folder = out.with_name(f"{out.name}.partial")
    shutil.rmtree(partial_folder, ignore_errors=True)
    partial_folder.mkdir(parents=True)

    todo = jobs(counts, placements, more, settings=settings, staged=staged)
    planned = sum(1 if job.style in SOURCES else job.settings or placements for job in todo)
    pictures = open_memmap(partial_folder / "pictures.npy", mode="w+", dtype=np.uint8, shape=(planned, size, size, 3))
    written = failed = 0
    painted = partial(paint, placements=placements, size=size, seed=seed)
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(processes, context) as pool,
        (partial_folder / "attributes.jsonl").open("w", encoding="utf-8") as lines,
    ):
        done = pool.map(painted, todo, chunksize=16)
        for batch in track(done, "rendering", len(todo), console=Console(stderr=True)):
            for picture, attributes in batch:
                if picture is None:
                    failed += 1
                    continue
                pictures[written] = picture
                lines.write(json.dumps(attributes, ensure_ascii=False) + "\n")
                written += 1
    if written < planned:
        _shorten(partial_folder / "pictures.npy", written)
    pictures.flush()
    partial_folder.rename(out)
    return failed


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
    parser.add_argument("--scale", type=float, default=1.0, help="share of the usual number of pictures of each style")
    parser.add_argument("--placements", type=int, default=EMOJI_PLACEMENTS, help="of each emoji; 0 needs no npm")
    parser.add_argument("--views", type=int, default=0, help="painted scenes in each of the four looks; they come last")
    parser.add_argument("--objects", type=int, default=0, help="settings of each object of the short list in each look")
    parser.add_argument("--staged", type=int, default=0, help="painted scenes in each look in which an object stands")
    parser.add_argument("--size", type=int, default=256, help="pixels a side")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    counts, more = ({style: round(n * arguments.scale) for style, n in each.items()} for each in (COUNTS, MORE))
    more |= dict.fromkeys(views.VIEW_LOOKS, arguments.views)
    failed = render(
        arguments.out,
        counts,
        more=more,
        placements=arguments.placements,
        settings=arguments.objects,
        staged=arguments.staged,
        size=arguments.size,
        seed=arguments.seed,
        processes=arguments.processes,
    )
    print(f"{arguments.out}: complete, {failed} drawings failed")


if __name__ == "__main__":
    main()
