"""How well pictures are edited by words alone: `python -m benchmarks.edit`, from the repository root.

Portraits that are held out of training are rendered twice, and differ in one attribute: the colour of the hair, the
clothes, the mouth, the background ... The first is edited by nano, told the caption of the second. The judge, a
classifier, says whether what was asked for is there and what else it saw before is still there; the pixels that differ
between the renders are where a change belongs, and outside of them the edited picture is compared with the first one.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from recipes.nano.data import captions, portraits
from recipes.nano.data.render import Renderer
from recipes.nano.data.words import COLOURS, HEADWEAR, VARIANTS

from sfumato import Studio
from sfumato.checkpoints.classifiers import load_classifier
from sfumato.evaluation.judge import Verdict, judge
from sfumato.evaluation.plan import Case
from sfumato.models.picture_classifier import PictureClassifier
from sfumato.tasks.inpaint import grown

JUDGE = Path("recipes/nano/judge")
SHOWN = {
    "hair": ("hair", "top"),
    "clothing": ("clothes",),
    "mouth": ("mouth",),
    "accessory": ("accessories", "glasses"),
}
"""Attributes, and the components of the drawings that show them."""
PAINTED = {"hair_color": ("hair",), "clothing_color": ("clothes", "clothing"), "background": ("background",)}
"""Attributes that are colours, and what is painted with them."""
DIFFERENT, LEAST, NEAR = 24, 0.01, 8
"""Levels by which a pixel differs, the share of pixels below which an edit is not counted, and the pixels around it
that are not counted as outside."""

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Wanted:
    """A picture, what is to be changed in it, and how it then looks."""

    attribute: str
    before: dict[str, str]
    after: dict[str, str]
    picture: Picture
    target: Picture

    @property
    def outside(self) -> NDArray[np.bool_]:
        """Where the two renders are the same, away from where they are not."""
        differ = np.abs(self.picture.astype(int) - self.target).max(-1) > DIFFERENT
        return np.asarray(grown(Image.fromarray(differ.astype(np.uint8) * 255), NEAR)) == 0


def wanted(seed: int, classifier: PictureClassifier, size: int = 256) -> Iterator[Wanted]:
    """Edits of held-out portraits, one attribute after the other; the judge sees both words in the renders."""
    rng = Random(seed)
    names = [*PAINTED, *SHOWN]
    with Renderer(size) as render:
        k = 0
        while True:
            portrait = portraits.draw(rng.choice(list(portraits.DRAWERS)), rng)
            attribute = names[k % len(names)]
            other = changed(portrait, attribute, rng)
            if portrait.attributes["split"] != "validation" or other is None:
                continue
            pictures = [render(portraits.svg(each)) for each in (portrait, other)]
            if any(each is None for each in pictures):
                continue
            found = Wanted(
                attribute,
                portrait.attributes,
                other.attributes,
                *(np.ascontiguousarray(p[..., :3]) for p in pictures),  # type: ignore[index]
            )
            seen = [verdict(classifier, *pair) for pair in ((found.before, found.picture), (found.after, found.target))]
            if (~found.outside).mean() > LEAST and seen[1].ranks.get(attribute) == 0:
                if attribute in found.before and seen[0].ranks.get(attribute) != 0:
                    continue
                k += 1
                yield found


def changed(portrait: portraits.Portrait, attribute: str, rng: Random) -> portraits.Portrait | None:
    """The portrait with another word for an attribute; None where it has none, or hides it."""
    other = deepcopy(portrait)
    taken = {portrait.attributes.get(name) for name in (*PAINTED, *SHOWN)}
    if attribute in PAINTED:
        colours = portraits.BACKGROUNDS if attribute == "background" else None
        known = PAINTED[attribute] if colours else COLOURS[portrait.style]
        key = next((key for key in PAINTED[attribute] if key in known), None)
        if key is None:
            return None
        colours = portraits.palette(portrait.style, key) if colours is None else colours
        words = sorted({word for word in colours.values() if word not in taken})
        if attribute not in portrait.attributes or not words or "facial_hair" in portrait.attributes:
            return None
        word = rng.choice(words)
        other.paint(key, next(value for value, name in colours.items() if name == word))
    else:
        table: dict[str, Any] = {}
        component = next((c for c in SHOWN[attribute] if c in VARIANTS[portrait.style]), None)
        if component is not None:
            table = {k: w for k, w in VARIANTS[portrait.style][component].items() if w not in taken and "{" not in w}
        table = {variant: word for variant, word in table.items() if word and variant not in HEADWEAR}
        if (
            not table
            or "headwear" in portrait.attributes
            or (attribute != "accessory" and attribute not in portrait.attributes)
        ):
            return None
        assert component is not None
        variant = rng.choice(sorted(table))
        word = table[variant]
        other.show(component, variant)
    other.attributes[attribute] = word
    return other


def verdict(classifier: PictureClassifier, attributes: dict[str, str], picture: Picture) -> Verdict:
    """The judge's, on one picture."""
    return judge(classifier, [Case(0, attributes["kind"], attributes, ())], [picture])[0]


def psnr(a: Picture, b: Picture, where: NDArray[np.bool_]) -> float:
    """Of the pixels there, in dB."""
    error = ((a.astype(float) - b) ** 2)[where].mean()
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


METHODS: dict[str, dict[str, Any]] = {
    "edit": {},
    "edit --everywhere": {"everywhere": True},
    "img2img": {"strength": 0.7},
}
"""What is compared, and its options."""


def painted(studio: Studio, method: str, case: Wanted, steps: int) -> Picture:
    """The first picture, made like the second."""
    prompt, image = captions.full_caption(case.after), Image.fromarray(case.picture)
    options = {"steps": steps, "seed": 5, **METHODS[method]}
    if method == "img2img":
        return np.asarray(studio.img2img(image, prompt, **options)[0])
    return np.asarray(studio.edit(image, prompt, before=captions.full_caption(case.before), **options)[0])


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=list(METHODS))
    options = parser.parse_args()
    studio, classifier = Studio(device="cpu", precision="fp32"), load_classifier(JUDGE).eval()
    found = defaultdict[str, dict[str, list[bool]]](lambda: defaultdict(list))
    kept, outside = defaultdict[str, list[bool]](list), defaultdict[str, list[float]](list)
    edits = wanted(options.seed, classifier)
    for _ in range(options.count):
        case = next(edits)
        seen = verdict(classifier, case.before, case.picture)
        others = [name for name, rank in seen.ranks.items() if rank == 0 and case.after.get(name) == case.before[name]]
        for method in options.methods:
            picture = painted(studio, method, case, options.steps)
            now = verdict(classifier, case.after, picture)
            found[method][case.attribute].append(now.right(case.attribute))
            kept[method] += [now.right(name) for name in others]
            outside[method].append(psnr(picture, case.picture, case.outside))
    for method in options.methods:
        answers = [answer for some in found[method].values() for answer in some]
        parts = ", ".join(f"{name} {sum(some)} of {len(some)}" for name, some in found[method].items())
        print(
            f"{method}: seen {sum(answers)} of {len(answers)} ({parts}); others kept {np.mean(kept[method]):.3f} of "
            f"{len(kept[method])}; outside {np.mean(outside[method]):.1f} dB",
            flush=True,
        )


if __name__ == "__main__":
    main()
