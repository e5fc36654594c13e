"""A ControlNet that holds nano to edges: the pictures that it learns from, and how well it keeps to new ones.

    python -m recipes.teach.edges pictures runs/edges-pictures
    sfumato train recipes/teach/edges.toml --run runs/edges
    python -m recipes.teach.edges measure runs/edges/export --sheet edges.jpg

Pictures are the recipe's portraits, of which captions say no more than that and the background: where they say all,
the edges add nothing, and nothing is learned of them (tried: the F1 was 0.90 with and without). Measured is the F1 of
edges (canny) of a portrait that was not among them and of what nano paints of its caption, with the ControlNet and
without; edges within two pixels agree.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from PIL import Image

from recipes.nano.data.emoji import rasterise_rgba
from recipes.nano.data.portraits import draw as draw_portrait
from recipes.nano.data.portraits import svg
from recipes.teach.pictures import write
from sfumato import Studio
from sfumato.images import PAGE, contact_sheet
from sfumato.preprocess import preprocessed
from sfumato.requests import Control
from sfumato.training.control import edge_agreement

STYLES = ("micah", "adventurer", "avataaars", "personas")
STEPS = 12


def draw(count: int, size: int = 256, seed: int = 0) -> Iterator[tuple[Image.Image, str]]:
    """Portraits with their captions; the same for the same seed."""
    for number in range(count):
        drawn = draw_portrait(STYLES[number % len(STYLES)], Random(f"edges {seed} {number}"))
        picture = Image.fromarray(rasterise_rgba(svg(drawn), size), "RGBa").convert("RGB")
        yield picture, f"portrait, {drawn.attributes['background']} background"


def measure(control: str, count: int, sheet: Path | None) -> dict[str, float]:
    """The mean F1 with the ControlNet and without it, of new portraits."""
    studio = Studio("nano")
    found: dict[str, list[float]] = {"without": [], "with": []}
    shown: list[list[Image.Image]] = []
    with TemporaryDirectory() as folder:
        for number, (picture, caption) in enumerate(draw(count, seed=1)):
            edges = Path(folder) / f"{number}.png"
            preprocessed(picture, "canny").save(edges)
            row = [picture, Image.open(edges).convert("RGB")]
            held = Control.build(model=control, image=str(edges), preprocess="none")
            for name, controls in (("without", ()), ("with", (held,))):
                painted = studio.txt2img(caption, seed=100 + number, steps=STEPS, controls=controls, as_written=True)
                image = painted.images[0]
                found[name].append(edge_agreement(picture, image.convert("RGB")))
                row.append(image.convert("RGB"))
            shown.append(row)
    if sheet is not None:
        cells = [row[place].resize((128, 128)) for place in range(4) for row in shown[:8]]
        contact_sheet(cells, min(8, len(shown))).save(sheet, **PAGE)
    return {name: sum(values) / len(values) for name, values in found.items()}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    pictures = commands.add_parser("pictures", help="write what it learns from")
    pictures.add_argument("folder", type=Path)
    pictures.add_argument("--count", type=int, default=800)
    measured = commands.add_parser("measure", help="print the figures as JSON")
    measured.add_argument("control")
    measured.add_argument("--count", type=int, default=24)
    measured.add_argument("--sheet", type=Path, help="pictures, their edges, without, with; eight of each")
    given = parser.parse_args()
    if given.command == "pictures":
        write(given.folder, draw(given.count))
    else:
        found = measure(given.control, given.count, given.sheet)
        print(json.dumps({"count": given.count, "steps": STEPS, "f1": found}, indent=1))


if __name__ == "__main__":
    main()
