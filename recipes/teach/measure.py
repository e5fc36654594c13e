"""How near a taught nano is to its style, and what it has forgotten: ``python -m recipes.teach.measure ADAPTER WORD``.

style      Frechet distance, in the judge's features, from new people of the style (other seeds) to what is painted
           of their captions, before and after
memory     share of the attributes that the judge sees in portraits of nano's own kinds, asked for without the word
"""

import argparse
import json
from pathlib import Path
from random import Random

import numpy as np
import torch

from recipes.nano.data.captions import full_caption
from recipes.nano.data.portraits import draw as draw_portrait
from recipes.teach.pictures import draw
from sfumato import Studio
from sfumato.checkpoints.classifiers import load_classifier
from sfumato.evaluation.distances import frechet
from sfumato.evaluation.judge import tensor_of

STYLES = ("avataaars", "personas", "micah", "adventurer")
STEPS = 12


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("adapter", type=Path)
    parser.add_argument("word")
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--judge", type=Path, default=Path("recipes/nano/judge"))
    given = parser.parse_args()
    judge, studio = load_classifier(given.judge), Studio("nano")

    def painted(prompts: list[str], **adapter: object) -> torch.Tensor:
        pictures = [
            studio.txt2img(prompt, seed=100 + k, steps=STEPS, **adapter).images[0]  # type: ignore[arg-type]
            for k, prompt in enumerate(prompts)
        ]
        with torch.inference_mode():
            return judge.embed(tensor_of([np.asarray(picture) for picture in pictures]))

    adapter = {"loras": [str(given.adapter)]}
    new = list(draw(given.count, seed=1))
    with torch.inference_mode():
        real = judge.embed(tensor_of([np.asarray(picture) for picture, _ in new]))
    captions = [f"{given.word}, {caption}" for _, caption in new]
    figures = {"before": frechet(real, painted(captions)), "after": frechet(real, painted(captions, **adapter))}

    rng = Random(0)
    asked = [draw_portrait(STYLES[k % len(STYLES)], rng).attributes for k in range(given.count)]
    prompts = [full_caption(attributes) for attributes in asked]
    memory = {}
    for name, options in (("before", {}), ("after", adapter)):
        answers = judge.logits(painted(prompts, **options))
        right = [
            words[int(answers[head][row].argmax())] == attributes[head]
            for row, attributes in enumerate(asked)
            for head, words in judge.config.classes.items()
            if attributes.get(head) in words
        ]
        memory[name] = sum(right) / len(right)
    print(json.dumps({"count": given.count, "steps": STEPS, "style": figures, "memory": memory}, indent=1))


if __name__ == "__main__":
    main()
