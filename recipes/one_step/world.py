"""Pictures of all that nano knows, for a student of nano: ``python -m recipes.one_step.world --out runs/turbo``.

A share of each style that the model itself paints, and each object of the short list in some of its large settings, as
nano's recipe draws them; two captions each.
"""

import argparse
from pathlib import Path

from recipes.nano.data.render import COUNTS, render
from recipes.one_step.faces import described
from recipes.teach.pictures import write
from sfumato.training.data import Pictures


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/turbo"))
    parser.add_argument("--scale", type=float, default=0.1, help="share of the recipe's pictures of each style")
    parser.add_argument("--settings", type=int, default=8, help="of an object; those in which it is large are kept")
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    counts = {style: round(count * given.scale) for style, count in COUNTS.items() if style != "landscape"}
    render(
        given.out / "data",
        counts,
        placements=0,
        size=256,
        seed=0,
        settings=given.settings,
        processes=given.processes,
    )
    pictures = Pictures.for_training(given.out / "data")
    large = [i for i in pictures.train.tolist() if pictures.attributes[i].get("size", "large") == "large"]
    write(given.out / "photos", described(pictures, large))


if __name__ == "__main__":
    main()
