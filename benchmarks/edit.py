"""How well pictures are edited by words alone: `python -m benchmarks.edit`, from the repository root.

Portraits that are held out of training are rendered twice, and differ in one attribute: the colour of the hair, the
clothes, the mouth, the background ... The first is edited by nano, told the caption of the second. The judge, a
classifier, says whether what was asked for is there and what else it saw before is still there; the pixels that differ
between the renders are where a change belongs, and outside of them the edited picture is compared with the first one.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from recipes.nano.data import captions, portraits
from recipes.nano.data.render import Renderer
from recipes.nano.data.words import BACKGROUNDS, COLOURS, HEADWEAR, VARIANTS

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
        colours = BACKGROUNDS if attribute == "background" else None
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


@dataclass(frozen=True)
class Found:
    """What the judge says of one edit by one method, as a line of the log."""

    number: int
    method: str
    attribute: str
    seen: bool
    kept: list[bool]
    """Of the other attributes that it saw before."""
    outside: float


def edited(studio: Studio, classifier: PictureClassifier, method: str, number: int, case: Wanted, steps: int) -> Found:
    """One edit, made and judged."""
    seen = verdict(classifier, case.before, case.picture)
    others = [name for name, rank in seen.ranks.items() if rank == 0 and case.after.get(name) == case.before[name]]
    picture = painted(studio, method, case, steps)
    now = verdict(classifier, case.after, picture)
    kept = [now.right(name) is True for name in others]
    outside = psnr(picture, case.picture, case.outside)
    return Found(number, method, case.attribute, now.right(case.attribute) is True, kept, outside)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=list(METHODS))
    parser.add_argument("--log", type=Path, help="a JSON line for each edit; those that are in it are not made again")
    options = parser.parse_args()
    studio, classifier = Studio(device="cpu", precision="fp32"), load_classifier(JUDGE).eval()
    lines = options.log.read_text().splitlines() if options.log is not None and options.log.exists() else []
    found = {(each.number, each.method): each for each in (Found(**json.loads(line)) for line in lines)}
    for number, case in zip(range(options.count), wanted(options.seed, classifier), strict=False):
        for method in options.methods:
            if (number, method) in found:
                continue
            found[number, method] = made = edited(studio, classifier, method, number, case, options.steps)
            if options.log is not None:
                with options.log.open("a") as log:
                    log.write(json.dumps(asdict(made)) + "\n")
    for method in options.methods:
        own = [found[number, method] for number in range(options.count)]
        by = defaultdict[str, list[bool]](list)
        for each in own:
            by[each.attribute].append(each.seen)
        parts = ", ".join(f"{name} {sum(some)} of {len(some)}" for name, some in by.items())
        kept, seen = [answer for each in own for answer in each.kept], sum(each.seen for each in own)
        print(
            f"{method}: seen {seen} of {len(own)} ({parts}); others kept {np.mean(kept):.3f} of {len(kept)}; outside "
            f"{np.mean([each.outside for each in own]):.1f} dB",
            flush=True,
        )


if __name__ == "__main__":
    main()
