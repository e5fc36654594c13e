"""How many of the things that a model is asked for, in the recipe's words, a judge names right:

    python -m recipes.nano.language.things nano

Some of its things, by the judge that knows the short list; the first name, and the first five. With ``--fast`` its
student is asked: ``--fast --count 240 --seeds 1 --seed 5``.
"""

import argparse
from pathlib import Path
from random import Random
from typing import Final

import numpy as np
import torch

from recipes.nano.data.captions import full_caption
from recipes.nano.language.card import JUDGE_OF_SCENES
from sfumato import Studio
from sfumato.checkpoints.classifiers import load_classifier
from sfumato.evaluation.judge import tensor_of
from sfumato.prompts.vocabulary import Vocabulary

GROUNDS: Final = ("white", "light blue", "green", "yellow", "lavender")


@torch.inference_mode()
def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--judge", type=Path, default=JUDGE_OF_SCENES, help="the export of a classifier")
    parser.add_argument("--count", type=int, default=60, help="things")
    parser.add_argument("--seeds", type=int, default=2, help="pictures of each")
    parser.add_argument("--seed", type=int, default=0, help="the first")
    parser.add_argument("--fast", action="store_true")
    given = parser.parse_args()
    studio, judge = Studio(given.model), load_classifier(given.judge)
    vocabulary = Vocabulary.read(studio.load().path)
    if vocabulary is None:
        raise SystemExit(f"things: {given.model} does not say what it knows")
    about, names = vocabulary.about["emoji"], judge.config.classes["name"]
    both = list(zip(about["name"], about["name_zh"], strict=True))
    first = fifth = 0
    for number, (name, chinese) in enumerate(Random(7).sample(both, given.count)):
        asked = {"kind": "emoji", "name": name, "name_zh": chinese, "background": GROUNDS[number % len(GROUNDS)]}
        asked |= {"style": ("emoji", "fluent-emoji")[number % 2]} | ({"size": "large"} if "size" in about else {})
        how = {"seed": given.seed, "count": given.seeds, "batch": given.seeds, "fast": given.fast}
        images = studio.txt2img(full_caption(asked), as_written=True, **how).images
        answers = judge(tensor_of([np.asarray(image) for image in images]))["name"]
        ranks = (answers > answers[:, [names.index(name)]]).sum(1)
        first, fifth = first + int((ranks == 0).sum()), fifth + int((ranks < 5).sum())
    painted = given.count * given.seeds
    print(f"first {first / painted:.0%}, among five {fifth / painted:.0%} of {painted} pictures")


if __name__ == "__main__":
    main()
