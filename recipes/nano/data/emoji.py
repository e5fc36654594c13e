"""Emoji art: which pictures are taken, what they are called in English and Chinese, and how one is placed.

Pictures come in two looks from the npm packages `PICTURES`, names and tags from `emojibase-data`; they meet
by the emoji's code points. Which ones are taken stands in `emoji.toml`. A picture is rasterised once for each
look, with a transparent ground, and then set on as many backgrounds as wanted.
"""

import json
import re
import subprocess
import tarfile
import tomllib
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any, Final

import numpy as np
import resvg_py
from numpy.typing import NDArray
from PIL import Image, ImageColor

from . import words

# look -> npm package and version; both hold the same icons by the same names
PICTURES: Final[Mapping[str, tuple[str, str]]] = {
    "emoji": ("@iconify-json/fluent-emoji-flat", "1.2.6"),
    "fluent-emoji": ("@iconify-json/fluent-emoji", "1.2.7"),
}
NAMES: Final = ("emojibase-data", "17.0.0")
PACKAGES: Final = Path("runs/nano/packages")
SELECTION: Final = Path(__file__).with_name("emoji.toml")
CHARACTERS: Final = Path(__file__).parents[1] / "language/characters.json"
SCALES: Final = (0.62, 0.86)
HELD_OUT_SHARE: Final = 0.05  # of the emoji of a look, and of the other placements


@dataclass(frozen=True)
class Emoji:
    """One emoji: its names, tags ("a|b|c"), the character itself and, by look, its drawing: SVG elements in a square of
    so many units."""

    name: str
    name_zh: str
    tags: str
    tags_zh: str
    group: str
    character: str
    bodies: Mapping[str, tuple[str, int]]


@dataclass(frozen=True)
class Placement:
    """Where and on what an emoji is drawn: lengths as shares of the canvas, from its top left corner."""

    background: str
    scale: float
    left: float
    top: float
    mirrored: bool = field(default=False, repr=False)  # the split depends on the rest


@cache
def load(packages: Path = PACKAGES) -> tuple[Emoji, ...]:
    """The chosen emoji, in the standard's order; the packages are fetched when they are not there.

    Raises ValueError if two emoji get the same name.
    """
    selection = tomllib.loads(SELECTION.read_text(encoding="utf-8"))
    names = fetch(packages, *NAMES)
    structure = _read(names, "meta/groups.json")
    chinese = {entry["hexcode"]: entry for entry in _read(names, "zh/data.json")}
    pictures = {look: fetch(packages, *package) for look, package in PICTURES.items()}
    icon_of = _read(pictures["emoji"], "chars.json")  # the other package has none
    drawn = {look: _read(tarball, "icons.json") for look, tarball in pictures.items()}

    chosen: dict[str, Emoji] = {}
    for entry in sorted(_read(names, "en/data.json"), key=lambda entry: int(entry.get("order", 0))):
        label, subgroup = entry["label"], structure["subgroups"].get(str(entry.get("subgroup")))
        if subgroup is None or not _is_chosen(label, subgroup, selection):
            continue
        code = entry["hexcode"].lower()
        icon = icon_of.get(code) or icon_of.get(code.replace("-fe0f", ""))
        bodies = {
            look: (icons["icons"][icon]["body"], icons.get("width", 32))
            for look, icons in drawn.items()
            if icon in icons["icons"]
        }
        if not bodies:
            continue  # newer in the standard than in the picture sets
        name = selection["renamed"].get(label, label.lower().replace("’", "'"))
        if name in chosen:
            raise ValueError(f"{SELECTION.name}: {label!r} is not the only emoji called {name!r}")
        translation = chinese[entry["hexcode"]]
        name_zh = translation["label"]
        if subgroup in selection["faces"] and not name_zh.endswith("脸"):
            name_zh += "表情"
        name_zh = selection["renamed_zh"].get(label, name_zh)
        chosen[name] = Emoji(
            name=name,
            name_zh=name_zh,
            tags="|".join(_tags(entry, {name, *selection["left_out_tags"]})),
            tags_zh="|".join(_tags(translation, {name_zh, *selection["left_out_tags"]})),
            group=structure["groups"][str(entry["group"])],
            character="".join(chr(int(point, 16)) for point in code.split("-")),
            bodies=bodies,
        )
    return tuple(chosen.values())


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


def place(emoji: Emoji, rng: Random, count: int) -> list[Placement]:
    """`count` placements, on different backgrounds while they last; none is a colour in the emoji's name."""
    usable = backgrounds_of(emoji)
    backgrounds = rng.sample(usable, min(count, len(usable)))
    backgrounds += rng.choices(usable, k=count - len(backgrounds))
    placements: list[Placement] = []
    for background in backgrounds:
        scale = rng.uniform(*SCALES)
        room = (1 - scale) / 2
        left, top = (room * (1 + rng.uniform(-0.5, 0.5)) for _ in range(2))
        placements.append(Placement(background, scale, left, top))
    return placements


def backgrounds_of(emoji: Emoji) -> list[str]:
    """Those whose colour is not in the emoji's name."""
    return [value for value, name in words.BACKGROUNDS.items() if not re.search(rf"\b{name}\b", emoji.name)]


def held_out(name: str) -> str | None:
    """The look, if any, in which no training picture shows the emoji of this name; the other is trained on."""
    drawn = int(_share(name) / HELD_OUT_SHARE)
    return list(PICTURES)[drawn] if drawn < len(PICTURES) else None


def split(emoji: Emoji, look: str, placement: Placement) -> str:
    """Validation, if the look or the background is held out, and for some of the rest; else train."""
    unseen = words.BACKGROUNDS[placement.background] in words.HELD_OUT_BACKGROUNDS["emoji"]
    if unseen or look == held_out(emoji.name):
        return "validation"
    return "validation" if _share(f"{emoji.name} {look} {placement}") < HELD_OUT_SHARE else "train"


def svg(emoji: Emoji, look: str) -> str:
    """The emoji in one look as an SVG document which it fills, without a ground."""
    body, view = emoji.bodies[look]
    space = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return f'<svg {space} viewBox="0 0 {view} {view}">{body}</svg>'


def rasterise_rgba(svg: str, width: int, height: int | None = None) -> NDArray[np.uint8]:
    """An SVG document as a picture of height x width x 4: colours multiplied by the last channel, the opacity."""
    png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=width, height=width if height is None else height))
    with Image.open(BytesIO(png)) as picture:
        return np.asarray(picture.convert("RGBA").convert("RGBa"))


def composite(rgba: NDArray[np.uint8], placement: Placement, size: int) -> NDArray[np.uint8]:
    """A picture of `rasterise_rgba` set on its background: size x size x 3."""
    side = round(placement.scale * size)
    left, top = (min(round(edge * size), size - side) for edge in (placement.left, placement.top))
    drawn = np.ascontiguousarray(rgba[:, ::-1]) if placement.mirrored else rgba
    scaled = Image.fromarray(drawn, "RGBa").resize((side, side), Image.Resampling.LANCZOS)
    pixels = np.asarray(scaled, dtype=np.float32)
    canvas = np.empty((size, size, 3), dtype=np.uint8)
    canvas[:] = ImageColor.getrgb(placement.background)
    below = canvas[top : top + side, left : left + side]
    below[:] = np.rint(np.clip(pixels[..., :3] + below * (1 - pixels[..., 3:] / 255), 0, 255))
    return canvas


def _is_chosen(label: str, subgroup: str, selection: Mapping[str, Any]) -> bool:
    return (
        subgroup not in selection["left_out_subgroups"]
        and label not in selection["left_out"]
        and not label.endswith(tuple(selection["left_out_endings"]))
    )


def _tags(entry: Mapping[str, Any], left_out: Set[str]) -> Iterator[str]:
    """The entry's tags which are made of words."""
    for tag in entry.get("tags", ()):
        if tag not in left_out and re.fullmatch(r"[^\W\d_]+([ '-][^\W\d_]+)*", tag):
            yield tag


def _share(text: str) -> float:
    """A number in [0, 1) which depends on the text alone."""
    return int.from_bytes(sha256(text.encode()).digest()[:6]) / 2**48


def _read(tarball: Path, name: str) -> Any:
    with tarfile.open(tarball) as archive:
        member = archive.extractfile(f"package/{name}")
        if member is None:
            raise FileNotFoundError(f"{name} is not in {tarball}: delete the tarball to fetch it again")
        return json.load(member)


def main() -> None:
    """Write which character each name stands for, as the lexicon has it."""
    characters = {emoji.name: emoji.character for emoji in load()}
    CHARACTERS.write_text(json.dumps(characters, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
