"""The README's contact sheet: fixed prompts down, seeds 0, 1, 2 ... across; nothing is chosen.

python -m recipes.nano.sheet nano docs/pictures/nano.png
"""

import argparse
import tomllib
from pathlib import Path

from sfumato import Studio
from sfumato.images import contact_sheet

PROMPTS = tomllib.loads((Path(__file__).parent / "denoiser.toml").read_text())["prompts"]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("target", type=Path)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--size", type=int, default=128, help="pixels a side of each picture on the sheet")
    arguments = parser.parse_args()
    studio = Studio(arguments.model)
    images = [i for p in PROMPTS for i in studio.txt2img(p, seed=0, count=arguments.seeds, batch=arguments.seeds)]
    for image in images:
        image.thumbnail((arguments.size, arguments.size))
    arguments.target.parent.mkdir(parents=True, exist_ok=True)
    contact_sheet(images, arguments.seeds).save(arguments.target, optimize=True)


if __name__ == "__main__":
    main()
