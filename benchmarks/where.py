"""How well words are found in pictures: `python -m benchmarks.where`, from the repository root.

Portraits that are held out of training are rendered with and without a part (hair, hats, glasses, clothes); the pixels
that differ are where it is.
The intersection over union with the mask that `sfumato.tasks.where` finds for the words of the part, with the caption
as the prompt; and how many words that are not in the picture are found in it all the same.
"""

import argparse
from collections import Counter, defaultdict
from collections.abc import Iterator
from copy import deepcopy
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from recipes.nano.data import captions, portraits
from recipes.nano.data.render import Renderer

from sfumato import Studio
from sfumato.adapters.applied import Applied
from sfumato.errors import RequestError
from sfumato.requests import Inpaint
from sfumato.tasks.where import located

PARTS = {
    "hair": ("hair", ("hair", "top")),
    "hats": ("headwear", ("top", "hair")),
    "glasses": ("accessory", ("accessories", "glasses")),
    "clothes": ("clothing", ("clothes",)),
}
"""Kinds of parts: the attribute that names them, and the components of the drawings that show them."""
ABSENT = ("sunglasses", "wide hat", "full beard", "hoop earring", "eye patch")
DIFFERENT, LEAST = 24, 0.01
"""Levels by which a pixel differs, and the share of pixels below which a part is not counted."""

Case = tuple[portraits.Portrait, str, str, Image.Image, NDArray[np.bool_]]


def cases(seed: int, each: int, size: int = 256) -> Iterator[Case]:
    """Held-out portraits, as many of each kind of part: the kind, its words, the picture, and where the part is."""
    rng, made = Random(seed), Counter[str]()
    with Renderer(size) as render:
        while len(made) < len(PARTS) or min(made.values()) < each:
            portrait = portraits.draw(rng.choice(list(portraits.DRAWERS)), rng)
            if portrait.attributes["split"] != "validation":
                continue
            for kind, (attribute, components) in PARTS.items():
                words = portrait.attributes.get(attribute, "")
                component = next((c for c in components if f"{c}Variant" in portrait.options), None)
                if kind == "glasses" and portrait.style == "personas":
                    component = "eyes"
                if made[kind] == each or not words or component is None or (kind == "glasses" and kind not in words):
                    continue
                bare = deepcopy(portrait)
                bare.show(component, "open" if component == "eyes" else None)
                if component == "hair":
                    bare.show("rearHair", None)
                whole, other = render(portraits.svg(portrait)), render(portraits.svg(bare))
                if whole is None or other is None:
                    continue
                there = np.abs(whole[..., :3].astype(int) - other[..., :3]).max(-1) > DIFFERENT
                if there.mean() > LEAST:
                    made[kind] += 1
                    yield portrait, kind, words, Image.fromarray(whole[..., :3]), there


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=12, help="portraits of each kind of part")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    model = Studio(device="cpu", precision="fp32").load()
    overlaps, found, missed = defaultdict[str, list[float]](list), 0, 0
    rng, count = Random(options.seed), 0
    for portrait, kind, words, picture, there in cases(options.seed, options.each):
        count += 1
        prompt = captions.full_caption(portrait.attributes)
        request = Inpaint.build(prompt=prompt, image=picture)
        try:
            mask = located(Applied(model, model), request, picture, words, prompt)
            inside = np.asarray(mask) > 0
            overlaps[kind].append(float((inside & there).sum() / (inside | there).sum()))
            print(f"{kind:8} {overlaps[kind][-1]:.2f} {portrait.style}, {words}", flush=True)
        except RequestError:
            missed += 1
            overlaps[kind].append(0.0)
        absent = rng.choice([each for each in ABSENT if each not in prompt])
        try:
            located(Applied(model, model), request, picture, absent, prompt.partition(",")[0])
            found += 1
        except RequestError:
            pass
    for kind, values in overlaps.items():
        print(f"{kind:8} IoU {np.mean(values):.2f} of {len(values)}, the median {np.median(values):.2f}")
    print(f"not found {missed} of {count}; words that are not there, found {found} of {count}")


if __name__ == "__main__":
    main()
