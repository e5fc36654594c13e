"""What a taught nano has learned and what it has forgotten: ``python -m recipes.teach.measure FILE WORD``.

style      Frechet distance, in the judge's features, from new people of the style (other seeds) to what is painted
           of their captions, before and after
memory     share of the attributes that the judge sees in portraits of nano's own kinds, asked for without the word

With ``--person``, where the word is the person of `recipes.teach.person`, in place of the style:

recognised share of what is painted whose nearest picture, in the judge's features, is another one of that person, of
           eight among forty other people in the same style
traits     share of the person's hair, skin, glasses and earrings that the judge sees
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from random import Random

import torch
from PIL import Image

from recipes.judged import Features, embedded, seen
from recipes.nano.data.captions import full_caption
from recipes.nano.data.portraits import draw as draw_portrait
from recipes.teach import person, pictures
from sfumato import Studio
from sfumato.checkpoints.classifiers import load_classifier
from sfumato.evaluation.distances import frechet
from sfumato.images import PAGE, contact_sheet
from sfumato.models.picture_classifier import PictureClassifier

STYLES = ("avataaars", "personas", "micah", "adventurer")
STEPS = 12
OTHERS = 40


def recognised(judge: PictureClassifier, painted: Features) -> float:
    """The share of the features whose nearest picture is of the person, by the cosine from the mean of all."""
    own = [image for image, _ in person.draw(8, seed=1)]
    others = [next(person.draw(1, seed=k, person=100 + k))[0] for k in range(OTHERS)]
    known = embedded(judge, [*own, *others])
    known, painted = known - known.mean(0), painted - known.mean(0)
    cosines = torch.nn.functional.normalize(painted, dim=1) @ torch.nn.functional.normalize(known, dim=1).T
    return float((cosines.argmax(1) < len(own)).float().mean())


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="an adapter, or with --embedding an embedding, whose word is its name")
    parser.add_argument("word")
    parser.add_argument("--embedding", action="store_true")
    parser.add_argument("--person", action="store_true", help="the word is a person")
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--judge", type=Path, default=Path("recipes/nano/judge"))
    parser.add_argument("--sheet", type=Path, help="write the first of what is painted, before above after")
    given = parser.parse_args()
    judge, studio = load_classifier(given.judge), Studio("nano")
    taught = {"embeddings" if given.embedding else "loras": [str(given.file)]}

    def painted(prompts: Sequence[str], **options: object) -> list[Image.Image]:
        return [
            studio.txt2img(prompt, seed=100 + k, steps=STEPS, **options).images[0]  # type: ignore[arg-type]
            for k, prompt in enumerate(prompts)
        ]

    examples = list((person if given.person else pictures).draw(given.count, seed=2 if given.person else 1))
    prompts = [f"{given.word}, {caption}" for _, caption in examples]
    rng = Random(0)
    asked = [draw_portrait(STYLES[k % len(STYLES)], rng).attributes for k in range(given.count)]
    shown: list[Image.Image] = []
    figures: dict[str, dict[str, float]] = {}
    for when, options in (("before", {}), ("after", taught)):
        images = painted(prompts, **options)
        shown += images[:8]
        features = embedded(judge, images)
        if given.person:
            found = {
                "recognised": recognised(judge, features),
                "traits": seen(judge, features, [person.traits()] * len(images)),
            }
        else:
            found = {"style": frechet(embedded(judge, [image for image, _ in examples]), features)}
        own = embedded(judge, painted([full_caption(attributes) for attributes in asked], **options))
        for name, value in (found | {"memory": seen(judge, own, asked)}).items():
            figures.setdefault(name, {})[when] = value
    if given.sheet is not None:
        contact_sheet([image.resize((128, 128)) for image in shown], 8).save(given.sheet, **PAGE)
    print(json.dumps({"count": given.count, "steps": STEPS, **figures}, indent=1))


if __name__ == "__main__":
    main()
