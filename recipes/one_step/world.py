"""Pictures of all that nano knows, for a student of nano: ``python -m recipes.one_step.world --out runs/turbo``.

A share of each style and each object once in each of its looks, as nano's recipe draws them; two captions each.
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
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    counts = {style: round(count * given.scale) for style, count in COUNTS.items()}
    render(given.out / "data", counts, placements=1, size=256, seed=0, processes=given.processes)
    pictures = Pictures.for_training(given.out / "data")
    write(given.out / "photos", described(pictures, len(pictures)))


if __name__ == "__main__":
    main()
