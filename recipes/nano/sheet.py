"""The README's contact sheet: fixed prompts, put as people put them, down, seeds 0, 1, 2 ... across; nothing is chosen.

python -m recipes.nano.sheet nano docs/pictures/nano.jpg --seeds 6
python -m recipes.nano.sheet nano docs/pictures/first.jpg --seeds 1 --columns 9
"""

import argparse
from pathlib import Path

from sfumato import Studio
from sfumato.images import PAGE, contact_sheet

PROMPTS = (
    "a beautiful beach at sunset",
    "夕阳下的海边",
    "snowy mountains at night under a full moon",
    "a tropical island",
    "mountains by a lake at sunrise",
    "海底世界，有鱼",
    "一个留胡子的男人，戴墨镜，黑色西装，灰色背景",
    "my granny, smiling, light blue background",
    "一个微笑的红发女孩，戴眼镜，蓝色背景",
    "a punk with a pink mohawk, laughing",
    "a cute blue monster with three eyes, orange background",
    "一个友好的机器人，黄色背景",
    "a green planet with rings and two moons",
    "红花盆里的郁金香，微笑",
    "a cute puppy on a green background",
    "一辆城市公交车",
    "a slice of pizza",
)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("target", type=Path)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--columns", type=int, help="pictures a row; as many as there are seeds unless given")
    parser.add_argument("--size", type=int, default=128, help="pixels a side of each picture on the sheet")
    arguments = parser.parse_args()
    studio = Studio(arguments.model)
    images = [i for p in PROMPTS for i in studio.txt2img(p, seed=0, count=arguments.seeds, batch=arguments.seeds)]
    for image in images:
        image.thumbnail((arguments.size, arguments.size))
    arguments.target.parent.mkdir(parents=True, exist_ok=True)
    contact_sheet(images, arguments.columns or arguments.seeds).save(arguments.target, **PAGE)


if __name__ == "__main__":
    main()
