"""How well words are found in pictures: `python -m benchmarks.where`, from the repository root.

Portraits are rendered with and without a part (hair, hats, glasses, clothes); the pixels that differ are where it is.
The intersection over union with the mask that `sfumato.tasks.where` finds for the words of the part, with the caption
as the prompt; and how many words that are not in the picture are found in it all the same.
"""

import argparse
from collections import defaultdict
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
    "hair": ("hair", "top"),
    "headwear": ("top", "hair"),
    "accessory": ("accessories", "glasses"),
    "clothing": ("clothes",),
}
"""Attributes, and the components of the drawings that show them."""
ABSENT = ("sunglasses", "wide hat", "full beard", "hoop earring", "eye patch")
DIFFERENT, LEAST = 24, 0.01
"""Levels by which a pixel differs, and the share of pixels below which a part is not counted."""

Case = tuple[portraits.Portrait, str, Image.Image, NDArray[np.bool_]]


def cases(seed: int, size: int = 256) -> Iterator[Case]:
    """Portraits that are held out of training, an attribute, the picture, and where the attribute is."""
    rng = Random(seed)
    with Renderer(size) as render:
        while True:
            portrait = portraits.draw(rng.choice(list(portraits.DRAWERS)), rng)
            if portrait.attributes["split"] != "validation":
                continue
            whole = render(portraits.svg(portrait))
            for attribute, components in PARTS.items():
                component = next((c for c in components if f"{c}Variant" in portrait.options), None)
                if attribute not in portrait.attributes or component is None or whole is None:
                    continue
                bare = deepcopy(portrait)
                bare.show(component, None)
                if component == "hair":
                    bare.show("rearHair", None)
                other = render(portraits.svg(bare))
                if other is None:
                    continue
                there = np.abs(whole[..., :3].astype(int) - other[..., :3]).max(-1) > DIFFERENT
                if there.mean() > LEAST:
                    yield portrait, attribute, Image.fromarray(whole[..., :3]), there


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    model = Studio(device="cpu", precision="fp32").load()
    overlaps, found, missed = defaultdict[str, list[float]](list), 0, 0
    rng, made = Random(options.seed), cases(options.seed)
    for _ in range(options.count):
        portrait, attribute, picture, there = next(made)
        prompt = captions.full_caption(portrait.attributes)
        request = Inpaint(prompt=prompt, image=picture)
        try:
            mask = located(Applied(model, model), request, picture, portrait.attributes[attribute], prompt)
            inside = np.asarray(mask) > 0
            overlaps[attribute].append(float((inside & there).sum() / (inside | there).sum()))
        except RequestError:
            missed += 1
        absent = rng.choice([words for words in ABSENT if words not in prompt])
        try:
            located(Applied(model, model), request, picture, absent, prompt.partition(",")[0])
            found += 1
        except RequestError:
            pass
    for attribute, values in overlaps.items():
        print(f"{attribute:10} IoU {np.mean(values):.2f} of {len(values)}")
    print(f"not found {missed} of {options.count}; words that are not there, found {found} of {options.count}")


if __name__ == "__main__":
    main()
