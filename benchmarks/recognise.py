"""How certain the bundled judge is of pictures of nano's domain and of others, from which its thresholds come:

    python -m benchmarks.recognise

Fresh renders, what nano paints of their captions, and whatever pictures scikit-image and scikit-learn bring along, all
of these in quarters as well. Of each: how many are known (`Recognised.known`), the least and the middle of both
measures, and of renders and paintings how much of what they show is said.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import skimage
import sklearn
from PIL import Image
from recipes.nano.data.captions import full_caption
from recipes.nano.recognition.features import STYLES, renders

from sfumato import Studio
from sfumato.recognition.judge import Recognised, bundled

SEED = 7
"""Another than those of the data set and of what the judge's words were made from."""
FOLDERS = (Path(skimage.__file__).parent / "data", Path(sklearn.__file__).parent / "datasets" / "images")
SUFFIXES = {".png", ".jpg", ".jpeg", ".gif", ".tif", ".tiff"}
SIDE = 32
"""Pixels a side, of which what is smaller is no picture."""


def others() -> Iterator[Image.Image]:
    """Pictures that are none of nano's, and their quarters."""
    for file in sorted(each for folder in FOLDERS for each in folder.iterdir() if each.suffix in SUFFIXES):
        try:
            with Image.open(file) as opened:
                picture = opened.convert("RGB")
        except OSError:  # stacks of microscopes
            continue
        if min(picture.size) < SIDE:
            continue
        yield picture
        width, height = (side // 2 for side in picture.size)
        for left, top in ((0, 0), (width, 0), (0, height), (width, height)):
            yield picture.crop((left, top, left + width, top + height))


def row(name: str, found: Sequence[Recognised], shown: Sequence[dict[str, str]] = ()) -> str:
    """A line of the table."""
    right = [
        each.answers[key].word == word
        for each, attributes in zip(found, shown, strict=False)
        for key, word in attributes.items()
        if key in each.answers and key != "kind"
    ]
    said = f"{sum(right) / len(right):.0%}" if right else ""
    sure, flat = ([getattr(each, key) for each in found] for key in ("certainty", "flat"))
    cells = [f"{len(found)}", f"{sum(each.known for each in found)}"]
    cells += [f"{value(each):.2f}" for each in (sure, flat) for value in (min, median)]
    return f"| {name} | {' | '.join(cells)} | {said} |"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=20, help="renders of each style")
    parser.add_argument("--painted", type=int, default=4, help="of these how many are painted as well")
    given = parser.parse_args()
    studio, judge = Studio("nano"), bundled()
    print("| pictures | number | known | certainty, least | middle | flat, least | middle | said rightly |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for style in STYLES:
        drawn = list(renders(style, given.each, SEED))
        pictures, shown = [Image.fromarray(array) for array, _ in drawn], [attributes for _, attributes in drawn]
        print(row(f"renders, {style}", judge.recognise(pictures), shown))
        asked = shown[: given.painted]
        painted = [studio.txt2img(full_caption(each), seed=SEED, as_written=True)[0] for each in asked]
        print(row(f"painted, {style}", judge.recognise(painted), asked), flush=True)
    print(row("others", judge.recognise(list(others()))))


if __name__ == "__main__":
    main()
