"""The pictures that restorers learn from: `python -m recipes.restore.data --out runs/restore/data`.

Photographs and renderings of Debian's wallpaper packages, each under CC0, CC BY or CC BY-SA (SOURCES.md has the list,
written by `--sources`), reduced by 2, 3 and 4 (or more), which removes what JPEG did to them, and cut into squares; and
radiographs of bodies that are drawn, since none is packaged: line integrals and Beer-Lambert's law. Nothing is
installed: the packages are fetched by ``apt-get download`` and unpacked by ``dpkg -x``. Pictures that the product is
tested with (scikit-image's, scikit-learn's) are not among them.
"""

import argparse
import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from PIL import Image

from recipes.nano.data.render import COUNTS, jobs, paint
from sfumato import Studio
from sfumato.model import Model
from sfumato.training.restorer import PAINTED

SIDE = 160
SCALES = "2,3,4"
FLAT = 1.5
"""Mean difference of neighbours, of 255, below which little happens in a square."""
RADIOGRAPHS = 300
DRAWN = 1024
"""Pixels a side of drawings: 4 times what nano paints."""
FACTOR = 4
OFF = 0.2
"""How far latents are off at most, of their deviation."""
PLACES = tuple(range(0, DRAWN - SIDE + 1, SIDE - 16))
HELD_OUT = ("Dragonfly_by_Bolly.jpg", "Wine_by_Jakkub_Mede.jpg", "goldfish.png")
"""Whole pictures by which training is judged."""

SOURCES: dict[str, dict[str, str]] = {
    "lomiri-wallpapers-16.04": {
        "aitzgorri_by_Aitzol_Berasategi.jpg": "CC BY 4.0, Aitzol Berasategi",
        "analogpattern_by_Peter_Nerlich.jpg": "CC BY-SA 4.0, Peter Nerlich",
        "Bridge_by_Sander_Klootwijk.jpg": "CC BY-SA 4.0, Sander Klootwijk",
        "Dragonfly_by_Bolly.jpg": "CC BY-SA 4.0, Bolly",
        "free_by_Peter_Nerlich.jpg": "CC BY-SA 4.0, Peter Nerlich",
        "friends_by_Aitzol_Berasategi.jpg": "CC BY 4.0, Aitzol Berasategi",
        "greentock_by_Peter_Nerlich.jpg": "CC BY-SA 4.0, Peter Nerlich",
        "life_by_Aitzol_Berasategi.jpg": "CC BY 4.0, Aitzol Berasategi",
        "picosdeeuropa_by_Aitzol_Berasategi.jpg": "CC BY 4.0, Aitzol Berasategi",
        "Picture_0B_by_freespace.jpg": "CC BY 4.0, Trevor 'Freespace'",
        "Picture_1A_by_freespace.jpg": "CC BY 4.0, Trevor 'Freespace'",
        "seeding_by_Clements_Engelhardt.jpg": "CC0 1.0, Clemens Engelhardt",
        "sunset_by_Aitzol_Berasategi.jpg": "CC BY 4.0, Aitzol Berasategi",
        "umang_by_Abhishek_Mudgal.jpg": "CC BY 4.0, Abhishek Mudgal",
        "Wine_by_Jakkub_Mede.jpg": "CC BY 4.0, Jakub Mede",
    },
    "lomiri-wallpapers-20.04": {
        "Fossa_by_Jasper_Roks.jpg": "CC BY-SA 3.0, Jasper Roks",
        "Infinite-Sea_by_Aury88.jpg": "CC BY-SA 3.0, Aury88",
        "Kleiber_by_Lukas_Baubkus.jpg": "CC BY-SA 3.0, Lukas Baubkus",
        "Painting-Colors_by__herobrine7gamer.jpg": "CC BY-SA 3.0, HEROBRINE7GAMER",
    },
    "ukui-wallpapers": dict.fromkeys(
        ("2004default.jpg", "calla.png", "city.png", "desert.png", "firstgeneration.jpg", "fluent-color.png",
         "goldfish.png", "rhythm.jpg", "rollpaper.png", "string.jpg", "the-mouse.jpg"),
        "CC BY-SA 3.0, Ubuntu Kylin community contributors",
    ),
    "plasma-workspace-wallpapers": dict.fromkeys(
        ("Altai/contents/images/5120x2880.png", "Flow/contents/images/5120x2880.jpg",
         "Honeywave/contents/images/5120x2880.jpg", "IceCold/contents/images/5120x2880.png",
         "Kay/contents/images/5120x2880.png", "MilkyWay/contents/images/5120x2880.png",
         "Patak/contents/images/5120x2880.png", "SafeLanding/contents/images/5120x2880.jpg",
         "Shell/contents/images/5120x2880.jpg", "Volna/contents/images/5120x2880.jpg"),
        "CC BY-SA 4.0, as the wallpaper's own metadata says, KDE Visual Design Group",
    ),
}  # fmt: skip
"""By package and end of the path: licence and author, as the package's copyright file or the picture's metadata say."""

Square = UInt8[np.ndarray, "s s 3"]
Row = tuple[Square, dict[str, str], Square | None]
"""A square, its attributes, and where it is drawn the same as nano might paint it."""


def fetch(packages: Path) -> dict[str, Path]:
    """Each picture's file by its name, its package fetched and unpacked where it is not there."""
    found = {}
    for package, pictures in SOURCES.items():
        folder = packages / "x" / package
        if not folder.is_dir():
            packages.mkdir(parents=True, exist_ok=True)
            if not list(packages.glob(f"{package}_*.deb")):
                subprocess.run(["apt-get", "download", package], cwd=packages, check=True)
            folder.mkdir(parents=True)
            subprocess.run(["dpkg", "-x", str(next(packages.glob(f"{package}_*.deb"))), str(folder)], check=True)
        for name in pictures:
            found[name] = next(path for path in sorted(folder.rglob(Path(name).name)) if str(path).endswith(name))
    return found


def squares(file: Path, scales: Sequence[int], least: float) -> Iterator[Square]:
    """A picture at each scale, cut into squares; those where less happens are left out but for one in twelve."""
    with Image.open(file) as image:
        whole = image.convert("RGB")
    flat = 0
    for scale in scales:
        array = np.asarray(whole.reduce(scale))
        for top in range(0, array.shape[0] - SIDE + 1, SIDE):
            for left in range(0, array.shape[1] - SIDE + 1, SIDE):
                square = array[top : top + SIDE, left : left + SIDE]
                steps = np.abs(np.diff(square.astype(np.int16), axis=0)).mean()
                flat += steps < least
                if steps >= least or flat % 12 == 0:
                    yield square


def drawn(count: int) -> Iterator[Row]:
    """Squares of nano's drawings, rendered at `DRAWN` pixels: where most happens, but for one in eight. Beside each its
    part of the picture at nano's size, as nano's autoencoder gives it back of latents that are a little off, as painted
    ones are.
    """
    every = jobs(COUNTS, 1)
    coder = Studio("nano", device="cpu", precision="fp32").load()
    rng = torch.Generator().manual_seed(0)
    for job in Random(0).sample(every, count):
        for picture, shown in paint(job, placements=1, size=DRAWN, seed=0):
            if picture is None:
                continue
            coded = painted(coder, picture, rng)
            places = [(y, x) for y in PLACES for x in PLACES]
            cut = {(y, x): picture[y : y + SIDE, x : x + SIDE] for y, x in places}
            places.sort(key=lambda place: -float(np.abs(np.diff(cut[place].astype(np.int16), axis=0)).mean()))
            split = "validation" if shown["split"] == "validation" else "train"
            for y, x in (*places[:7], places[len(places) // 2]):
                attributes = {"kind": "drawing", "name": f"{job.style} {job.index}", "split": split}
                part = coded[y // FACTOR : (y + SIDE) // FACTOR, x // FACTOR : (x + SIDE) // FACTOR]
                yield cut[y, x], attributes, part


@torch.inference_mode()
def painted(coder: Model, picture: Square, rng: torch.Generator) -> Square:
    """A picture made `FACTOR` times smaller, and through the model's autoencoder."""
    pixels = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    latents = coder.encode_pixels(F.avg_pool2d(pixels, FACTOR))
    off = OFF * torch.rand((), generator=rng) * latents.std()
    decoded = coder.decode(latents + off * torch.randn(latents.shape, generator=rng))
    return np.asarray(((decoded[0].clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0))


def radiograph(seed: int, side: int = 256) -> Float[np.ndarray, "s s"]:
    """A simulated radiograph without noise, bright where much gets through: bodies, bones and tubes that absorb.

    The thickness of an ellipsoid along the ray is 2 c sqrt(1 - r^2), that of a tube likewise across it; what gets
    through is exp(-sum of coefficient times thickness).
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    absorbed = np.zeros((side, side))
    for _ in range(int(rng.integers(3, 9))):
        cx, cy, turn = rng.uniform(-0.7, 0.7), rng.uniform(-0.7, 0.7), rng.uniform(0, np.pi)
        u = (x - cx) * np.cos(turn) + (y - cy) * np.sin(turn)
        v = (y - cy) * np.cos(turn) - (x - cx) * np.sin(turn)
        a, b = rng.uniform(0.1, 0.9, 2)
        absorbed += rng.uniform(0.1, 0.8) * np.sqrt(np.clip(1 - (u / a) ** 2 - (v / b) ** 2, 0, None))
    for _ in range(int(rng.integers(4, 16))):
        turn, place, width = rng.uniform(0, np.pi), rng.uniform(-0.9, 0.9), rng.uniform(0.01, 0.12)
        bend = rng.uniform(-0.4, 0.4)
        u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
        across = np.clip(1 - ((v - place - bend * u**2) / width) ** 2, 0, None)
        wall = np.clip(1 - ((v - place - bend * u**2) / (width * 0.6)) ** 2, 0, None)
        density = rng.uniform(0.1, 0.9)
        absorbed += density * (np.sqrt(across) - rng.uniform(0, 0.6) * np.sqrt(wall))
    grain = rng.standard_normal((side // 4, side // 4))
    texture = np.asarray(Image.fromarray(grain.astype(np.float32)).resize((side, side), Image.Resampling.BICUBIC))
    absorbed *= 1 + 0.05 * texture
    through = np.exp(-absorbed * rng.uniform(0.6, 1.6))
    return np.asarray((through - through.min()) / np.ptp(through), np.float32)


def rows(packages: Path, scale: float, drawings: int, scales: Sequence[int], least: float) -> Iterator[Row]:
    """All squares with their attributes; `scale` is the share of them, and `drawings` are cut up beside them."""
    for name, file in fetch(packages).items():
        split = "validation" if name in HELD_OUT else "train"
        for k, square in enumerate(squares(file, scales, least)):
            if k * scale % 1 < scale:
                yield square, {"kind": "photograph", "name": name, "split": split}, None
    yield from radiographs(max(2, round(RADIOGRAPHS * scale)))
    if drawings:
        yield from drawn(drawings)


def radiographs(count: int) -> Iterator[Row]:
    """Simulated ones, every tenth held out."""
    for k in range(count):
        grey = (radiograph(k)[:SIDE, :SIDE] * 255 + 0.5).astype(np.uint8)
        split = "validation" if k % 10 == 9 else "train"
        yield np.repeat(grey[..., None], 3, 2), {"kind": "radiograph", "name": str(k), "split": split}, None


def write(found: Iterator[Row], out: Path) -> int:
    """`pictures.npy`, `attributes.jsonl` and, where some are drawn, `painted.npy`; how many there are."""
    out.mkdir(parents=True, exist_ok=True)
    pictures, attributes, small = zip(*found, strict=True)
    np.save(out / "pictures.npy", np.stack(pictures))
    if any(each is not None for each in small):
        none = np.zeros((SIDE // FACTOR, SIDE // FACTOR, 3), np.uint8)
        np.save(out / PAINTED, np.stack([none if each is None else each for each in small]))
    facts = [row if each is None else {**row, "painted": True} for row, each in zip(attributes, small, strict=True)]
    (out / "attributes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in facts), encoding="utf-8")
    return len(pictures)


def sources() -> str:
    """The page of sources."""
    lines = ["# Sources of the restorers' pictures", "", "Debian packages (bookworm), of which these files are used."]
    for package, pictures in SOURCES.items():
        lines += ["", f"## {package}", "", *(f"- `{name}`: {licence}" for name, licence in pictures.items())]
    lines += ["", "Radiographs are simulated by `data.py`; no patient's picture is used.", ""]
    nano = (Path(__file__).parents[1] / "nano" / "SOURCES.md").read_text(encoding="utf-8")
    drawings = nano.partition("## Pictures\n")[2].partition("## Names\n")[0].strip()
    lines += ["## Drawings", "", "The enlarger has learned from nano's as well.", "", drawings, ""]
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/restore/data"))
    parser.add_argument("--packages", type=Path, default=Path("runs/restore/deb"))
    parser.add_argument("--share", type=float, default=1.0, help="of all squares")
    parser.add_argument("--scales", default=SCALES, help="by which pictures are reduced")
    parser.add_argument(
        "--least", type=float, default=FLAT, help="mean difference of neighbours, of 255, in most squares"
    )
    parser.add_argument("--drawings", type=int, default=0, help="of nano's, to learn enlarging from as well")
    parser.add_argument("--sources", action="store_true", help="write SOURCES.md instead")
    options = parser.parse_args()
    if options.sources:
        Path(__file__).with_name("SOURCES.md").write_text(sources(), encoding="utf-8")
    else:
        scales = [int(scale) for scale in options.scales.split(",")]
        found = rows(options.packages, options.share, options.drawings, scales, options.least)
        print(write(found, options.out), "squares in", options.out)
