"""Emoji art: which pictures are taken, what they are called in English and Chinese, and how one is placed.

Pictures come from the npm package `@iconify-json/fluent-emoji-flat`, names from `emojibase-data`; the two
meet by the emoji's code points. Which ones are taken stands in `emoji.toml`.
"""

import json
import subprocess
import tarfile
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Final

from .words import BACKGROUNDS

PICTURES: Final = ("@iconify-json/fluent-emoji-flat", "1.2.6")
NAMES: Final = ("emojibase-data", "17.0.0")
PACKAGES: Final = Path("runs/nano/packages")
SELECTION: Final = Path(__file__).with_name("emoji.toml")
SCALES: Final = (0.62, 0.86)


@dataclass(frozen=True)
class Emoji:
    """One emoji: its names and its drawing, SVG elements in a square of `view` units."""

    name: str
    name_zh: str
    group: str
    body: str
    view: int


@dataclass(frozen=True)
class Placement:
    """Where and on what an emoji is drawn: lengths as shares of the canvas, from its top left corner."""

    background: str
    scale: float
    left: float
    top: float


@cache
def load(packages: Path = PACKAGES) -> tuple[Emoji, ...]:
    """The chosen emoji, in the standard's order; the packages are fetched when they are not there."""
    selection = tomllib.loads(SELECTION.read_text(encoding="utf-8"))
    pictures, names = fetch(packages, *PICTURES), fetch(packages, *NAMES)
    icons = _read(pictures, "icons.json")
    icon_of = _read(pictures, "chars.json")
    structure = _read(names, "meta/groups.json")
    chinese = {entry["hexcode"]: entry["label"] for entry in _read(names, "zh/data.json")}
    chosen: list[Emoji] = []
    for entry in sorted(_read(names, "en/data.json"), key=lambda entry: int(entry.get("order", 0))):
        label, subgroup = entry["label"], structure["subgroups"].get(str(entry.get("subgroup")))
        in_whole = subgroup in selection["whole_subgroups"] and label not in selection["left_out"]
        if not in_whole and label not in selection["picked"]:
            continue
        code = entry["hexcode"].lower()
        icon = icon_of.get(code) or icon_of.get(code.removesuffix("-fe0f"))
        if icon not in icons["icons"]:
            continue  # newer in the standard than in the picture set
        chosen.append(
            Emoji(
                name=selection["renamed"].get(label, label.lower()),
                name_zh=chinese[entry["hexcode"]],
                group=structure["groups"][str(entry["group"])],
                body=icons["icons"][icon]["body"],
                view=icons.get("width", 32),
            )
        )
    return tuple(chosen)


def fetch(packages: Path, package: str, version: str) -> Path:
    """The tarball of an npm package, by `npm pack` unless it is already in the folder."""
    tarball = packages / f"{package.removeprefix('@').replace('/', '-')}-{version}.tgz"
    if not tarball.exists():
        packages.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["npm", "pack", f"{package}@{version}", "--pack-destination", str(packages), "--silent"],
            check=True,
        )
    return tarball


def place(emoji: Emoji, rng: Random, looks: int) -> list[Placement]:
    """`looks` placements on different backgrounds, none of which is a colour in the emoji's name."""
    usable = [value for value, name in BACKGROUNDS.items() if name not in emoji.name]
    backgrounds = rng.sample(usable, min(looks, len(usable)))
    backgrounds += rng.choices(usable, k=looks - len(backgrounds))
    placements: list[Placement] = []
    for background in backgrounds:
        scale = rng.uniform(*SCALES)
        room = (1 - scale) / 2
        left, top = (room * (1 + rng.uniform(-0.5, 0.5)) for _ in range(2))
        placements.append(Placement(background, scale, left, top))
    return placements


def svg(emoji: Emoji, placement: Placement) -> str:
    """The placed emoji as an SVG document, a canvas of one unit."""
    scale = placement.scale / emoji.view
    move = f"translate({placement.left:.4f} {placement.top:.4f}) scale({scale:.6f})"
    ground = f'<rect width="1" height="1" fill="{placement.background}"/>'
    space = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return f'<svg {space} viewBox="0 0 1 1">{ground}<g transform="{move}">{emoji.body}</g></svg>'


def _read(tarball: Path, name: str) -> Any:
    with tarfile.open(tarball) as archive:
        member = archive.extractfile(f"package/{name}")
        if member is None:
            raise FileNotFoundError(f"{name} is not in {tarball}: delete the tarball to fetch it again")
        return json.load(member)
