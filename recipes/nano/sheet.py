"""The README's contact sheet: fixed prompts down, seeds 0, 1, 2 ... across; nothing is chosen.

python -m recipes.nano.sheet nano docs/pictures/nano.jpg
"""

import argparse
from pathlib import Path

from sfumato import Studio
from sfumato.images import PAGE, contact_sheet

PROMPTS = (
    "flat cartoon portrait, blonde curly hair, round glasses, smile, green hoodie, light blue background",
    "minimal portrait, bald head, full beard, smile, blue shirt, mint green background",
    "toon portrait, blonde hair in a bun, winking, red turtleneck, lavender background",
    "一个微笑的红发女孩，戴眼镜，蓝色背景",
    "comic portrait, blonde long hair, blue round glasses, smile, teal background",
    "hand-drawn portrait, orange mohawk, tan skin, laugh, black sweater, blue background",
    "voxel game character, green bob hair, blue shirt, black trousers, light grey background",
    "cute monster, lime green body, orange horns, big eyes, pink background",
    "a robot with a teal body and a round head, yellow background",
    "potted plant cartoon, pink tulip, blue pot, smile, white background",
    "a purple planet with a wide ring and stars, black background",
    "landscape illustration, sunset, orange sky, sun, purple mountains, lake",
    "3d emoji of a sunflower, light blue background",
    "红色汽车，浅灰色背景",
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
    contact_sheet(images, arguments.seeds).save(arguments.target, **PAGE)


if __name__ == "__main__":
    main()
