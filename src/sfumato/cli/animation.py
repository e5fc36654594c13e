"""Commands that make pictures move: ``animate`` and ``interpolate``."""

import itertools
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from sfumato import batches
from sfumato.animation import CAMERA, Key, check_name, flicker, following, in_between, save
from sfumato.cli.many import setting, studio_for
from sfumato.cli.painting import Machine, OutputMode, require_adapters, require_model, require_pictures
from sfumato.cli.terminal import note
from sfumato.errors import RequestError
from sfumato.metadata.names import understood
from sfumato.output import check_writable
from sfumato.requests import Between, Follow, Painting
from sfumato.requests.written import read_values

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sfumato.results import Progress


def animate(
    keys: Sequence[Key],
    file: Path,
    common: Sequence[str],
    machine: Machine,
    *,
    loop: int = 0,
    pingpong: bool = False,
    fps: float = 12.0,
    as_json: bool = False,
    quiet: bool = False,
) -> None:
    """Paint what lies between keys, frame by frame into a folder beside, and then the file.

    Args:
        loop: so many frames more lead back to the first key.
        pingpong: the file shows the frames there and back.
    """
    if not 0 < fps <= 100:
        raise RequestError(f"fps {fps:g} must be above 0 and at most 100; for example 12")
    check_name(file)
    settings: Mapping[str, str] = dict(setting(text) for text in common)
    paths: list[Path] = []
    frames: Iterator[Painting]
    if any(key.moves for key in keys) or {"image", *CAMERA} & settings.keys():
        if loop:
            raise RequestError(
                "what follows from the last frame leads nowhere back; take --pingpong in place of --loop"
            )
        frames = following(keys, understood(read_values(Follow, settings)), lambda: paths[-1])
    else:
        request = Between.build(prompt="", to="", **understood(read_values(Between, settings)))
        frames = iter(in_between(keys, request, loop))
    first = next(frames)
    count = max(key.frame for key in keys) - min(key.frame for key in keys) + (loop or 1)
    require_model(first.model)
    require_adapters(first)
    require_pictures(first)
    check_writable(file)
    folder = file.with_name(f"{file.stem}.frames")

    def counted(progress: "Progress") -> None:
        watched(replace(progress, image=len(paths)))

    try:
        with studio_for(first.model, machine, OutputMode(quiet=quiet), count) as (studio, watched):
            for said in batches.paint(
                studio, batches.entries(enumerate(itertools.chain([first], frames), 1)), folder, counted
            ):
                if said["state"] == "failed":
                    raise RequestError(f"frame {len(paths)}: {said['error']}")
                paths += map(Path, said["files"])
    except KeyboardInterrupt as interrupt:
        interrupt.args = (f"{len(paths)} of {count} frames are in {folder}; the same command goes on with them",)
        raise
    pictures = []
    for path in [*paths, *paths[-2:0:-1]] if pingpong else paths:
        with Image.open(path) as picture:
            pictures.append(picture.convert("RGB"))
    save(pictures, file, fps)
    found = flicker(pictures, loop=bool(loop or pingpong))
    if not quiet:
        note(
            f"{len(paths)} frames; neighbours differ by {sum(found) / len(found):.1f} of 255 on average, at most "
            f"{max(found):.1f} after frame {found.index(max(found))}"
        )
    answer = {"file": str(file), "frames": [str(path) for path in paths], "flicker": found}
    print(json.dumps(answer) if as_json else file, file=sys.stdout)
