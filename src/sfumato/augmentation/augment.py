"""A labelled set of pictures made larger: each class is painted on until it has as many pictures as wanted.

A painted picture is kept if a classifier of the classes sees its class in it and it is no copy of one that is there;
how far a picture may be changed is chosen by the same classifier. What was tried stands in `LOG` in the target, so that
an interrupted run goes on, and every file holds the request that painted it.

>>> plan = Plan(per_class=20, method="img2img")
>>> for attempt in augment(Studio(), read_classes(Path("photos")), Path("more"), plan):
...     print(attempt)
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from sfumato.augmentation import agreement
from sfumato.augmentation.agreement import Agreement
from sfumato.augmentation.classes import Classes
from sfumato.augmentation.log import Attempt, Log
from sfumato.augmentation.plan import METHODS, Plan
from sfumato.decoding import RejectedPicture, decoded, fingerprint
from sfumato.errors import RequestError
from sfumato.files import cannot_write, write_atomic
from sfumato.recognition import judge, zero_shot
from sfumato.requests import MAX_SEED, Img2Img, Painting, Txt2Img
from sfumato.validation import brief

if TYPE_CHECKING:
    from sfumato.studio import Studio

STRENGTHS = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
"""What is tried, the largest first; the first at which the classes are kept is taken."""
PROBES = 8
"""Pictures that are painted to try a strength, of different classes in turn."""
KEPT = 0.75
"""Share of the probes whose class must be kept."""
TRIES = 4
"""Attempts for each picture that is wanted, after which a class stays short."""
NEAR_BITS, NEAR_PIXELS = 7, 4.0
"""Near duplicates differ in so many bits of 64 of their fingerprints and so much of 255 at 32 pixels at most."""


@dataclass
class _Seen:
    """What is kept of a class, to know copies by."""

    prints: list[int]
    thumbnails: list[np.ndarray]

    def has(self, image: Image.Image) -> bool:
        print_, small = fingerprint(image), _thumbnail(image)
        return any(
            (print_ ^ other).bit_count() <= NEAR_BITS and float(np.abs(small - theirs).mean()) <= NEAR_PIXELS
            for other, theirs in zip(self.prints, self.thumbnails, strict=True)
        )

    def add(self, image: Image.Image) -> None:
        self.prints.append(fingerprint(image))
        self.thumbnails.append(_thumbnail(image))


def _thumbnail(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB").resize((32, 32), Image.Resampling.BOX), np.float32)


def augment(studio: "Studio", classes: Classes, out: Path, plan: Plan) -> Iterator[Attempt]:
    """Copy the pictures that are there, and paint more of each class until it has enough; an `Attempt` for each, those
    of an interrupted run first.

    Raises:
        RequestError: the target was made of something else, or no picture can be read.
        OutputError: it cannot be written.
    """
    for label, files in classes.items():
        if not any(map(_readable, files)):
            raise RequestError(f"class {brief(label)} has no picture that can be read; give sound pictures")
    log = Log.open(out, classes, plan)
    yield from log.attempts
    images: dict[str, list[tuple[Path, Image.Image]]] = {label: [] for label in classes}
    seen = {label: _Seen([], []) for label in classes}
    for label, files in classes.items():
        known = {each.source: each for each in log.attempts if each.label == label and each.number < 0}
        for file in files:
            attempt, image = _original(file, label, seen[label], out, known.get(str(file)))
            if image is not None:
                images[label].append((file, image))
                seen[label].add(image)
            if str(file) not in known:
                yield log.add(attempt)
    labels = list(classes)
    agree = agreement.chosen(studio, {label: [image for _, image in each] for label, each in images.items()}, plan)
    strength = log.strength
    if strength is None and plan.method in ("img2img", "mix") and _short(images, plan):
        strength = _chosen_strength(studio, images, labels, agree, plan)
        log.set_strength(strength)
    painter = _Painter(studio, plan, 1.0 if strength is None else strength)
    for place, label in enumerate(labels):
        mine = [each for each in log.attempts if each.label == label]
        kept = sum(each.file is not None for each in mine)
        number = 1 + max((each.number for each in mine), default=-1)
        for each in mine:
            if each.number >= 0 and each.file is not None:
                seen[label].add(Image.open(out / each.file).convert("RGB"))
        limit = TRIES * max(plan.per_class - len(images[label]), 0)
        while kept < plan.per_class and number < limit:
            attempt, painted = painter.attempt(label, number, images[label])
            if painted is not None:
                likely = agree([painted])[0]
                attempt = replace(attempt, agreement=round(float(likely[place]), 4))
                if int(likely.argmax()) != place:
                    attempt = replace(attempt, reason="disagrees")
                elif seen[label].has(painted):
                    attempt = replace(attempt, reason="near duplicate")
                else:
                    target = _target(out, label, f"painted-{number:05d}.png")
                    painted.save(target)  # a Painted keeps its request
                    attempt = replace(attempt, file=target.relative_to(out).as_posix())
                    seen[label].add(painted)
                    kept += 1
            number += 1
            yield log.add(attempt)
    log.finish()


def _readable(file: Path) -> bool:
    try:
        decoded(file)
    except RejectedPicture:
        return False
    return True


def _original(
    file: Path, label: str, seen: _Seen, out: Path, known: Attempt | None
) -> tuple[Attempt, Image.Image | None]:
    """A picture of the source, copied byte by byte."""
    attempt = Attempt(label, -1, None, source=str(file))
    try:
        image = decoded(file).image
    except RejectedPicture:
        return replace(attempt, reason="unreadable"), None
    if known is not None:
        return known, image if known.file else None
    if seen.has(image):
        return replace(attempt, reason="near duplicate"), None
    target = _target(out, label, file.name)
    try:
        write_atomic(target, file.read_bytes())
    except OSError as error:
        raise cannot_write(target, error) from error
    return replace(attempt, file=target.relative_to(out).as_posix()), image


def folder_of(label: str) -> str:
    """A folder's name for a label, which may be a whole caption."""
    plain = "".join(c if c.isalnum() or c in " -_." else "_" for c in label)[:60].strip(" .")
    return plain if plain == label else f"{plain}-{sha256(label.encode()).hexdigest()[:8]}"


def _target(out: Path, label: str, name: str) -> Path:
    """The file of a class in the target, its folder made."""
    target = out / folder_of(label) / name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(target, error) from error
    return target


def _short(images: Mapping[str, Sequence[object]], plan: Plan) -> bool:
    return any(len(each) < plan.per_class for each in images.values())


@dataclass(frozen=True)
class _Painter:
    studio: "Studio"
    plan: Plan
    strength: float

    def attempt(
        self, label: str, number: int, images: Sequence[tuple[Path, Image.Image]]
    ) -> tuple[Attempt, Image.Image | None]:
        """Paint one; None where it cannot be."""
        method = METHODS[number % len(METHODS)] if self.plan.method == "mix" else self.plan.method
        file, image = images[Random(f"{self.plan.seed} {label} {number}").randrange(len(images))]
        seed = (self.plan.seed + number) % MAX_SEED
        attempt = Attempt(label, number, None, "", method, "" if method == "txt2img" else str(file), seed)
        model = self.studio.load()
        options = {"model": self.studio.default, "seed": seed, "prompt_syntax": "plain", **self.plan.options}
        said = zero_shot.worded(label, model, self.plan.template)
        request: Painting
        if method == "img2img":
            source: object = str(file) if image.size == model.size else zero_shot.squared(image, model)
            request = Img2Img.build(**{**options, "image": source, "prompt": said, "strength": self.strength})
        elif method == "variations":
            [shown] = judge.bundled().recognise([image])
            if not shown.known:
                return replace(attempt, reason="outside nano's domain"), None
            request = Txt2Img.build(**{**options, "prompt": shown.caption()})
        else:
            request = Txt2Img.build(**{**options, "prompt": said})
        return attempt, self.studio.run(request)[0]


def _chosen_strength(
    studio: "Studio",
    images: Mapping[str, Sequence[tuple[Path, Image.Image]]],
    labels: Sequence[str],
    agree: Agreement,
    plan: Plan,
) -> float:
    """The largest of `STRENGTHS` at which probes keep their classes; the smallest if none does."""
    if plan.strength is not None:
        return plan.strength
    places = [k % len(labels) for k in range(PROBES)]
    for strength in STRENGTHS:
        painter = _Painter(studio, replace(plan, method="img2img", seed=plan.seed + 1_000_000), strength)
        right = 0
        for number, place in enumerate(places):
            _, painted = painter.attempt(labels[place], number, images[labels[place]])
            assert painted is not None
            right += int(agree([painted])[0].argmax()) == place
        if right >= KEPT * len(places):
            return strength
    return STRENGTHS[-1]
