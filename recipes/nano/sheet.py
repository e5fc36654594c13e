"""The README's contact sheet: fixed prompts down, seeds 0, 1, 2 ... across; nothing is chosen.

python -m recipes.nano.sheet nano docs/pictures/nano.png
"""

import argparse
from pathlib import Path

from sfumato import Studio
from sfumato.images import contact_sheet

PROMPTS = (
    "flat cartoon portrait, blonde curly hair, round glasses, smile, green hoodie, light blue background",
    "flat cartoon portrait, black afro, brown skin, big smile, red sweater with a collar, yellow background",
    "a person with long straight red hair and sunglasses, wearing a black shirt, white background",
    "minimal portrait, dark skin, pink bob hair, glasses, purple shirt, orange background",
    "minimal portrait, bald head, full beard, smile, blue shirt, mint green background",
    "toon portrait, brown spiky hair, wide eyes, laughing, orange t-shirt, teal background",
    "toon portrait, blonde hair in a bun, winking, red turtleneck, lavender background",
    "a person with a moustache and a hat",
    "emoji art of a red apple, white background",
    "emoji art of a sunflower, light blue background",
)


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
