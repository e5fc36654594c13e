"""A labelled set of pictures made larger: each class is painted on until it has as many pictures as wanted.

A painted picture is kept if a classifier of the classes sees its class in it and it is no copy of one that is there;
how far a picture may be changed is chosen by the same classifier. What was tried stands in `LOG` in the target, so that
an interrupted run goes on, and every file holds the request that painted it.

>>> plan = Plan(per_class=20, method="img2img")
>>> for attempt in augment(Studio(), read_classes(Path("photos")), Path("more"), plan):
...     print(attempt)
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from PIL import Image

from sfumato.decoding import RejectedPicture, decoded, fingerprint
from sfumato.errors import RequestError
from sfumato.files import cannot_write, write_atomic
from sfumato.images import PAGE, contact_sheet
from sfumato.recognition import judge, zero_shot
from sfumato.requests import MAX_SEED, Img2Img, Painting, Txt2Img
from sfumato.requests.fields import checked_labels
from sfumato.validation import brief

if TYPE_CHECKING:
    from sfumato.studio import Studio

Method = Literal["img2img", "variations", "txt2img", "mix"]
"""How a picture is made: of one that is there; of the caption of one that is there, by the bundled judge; of the name
of the class; or the three in turn."""
Classifier = Literal["auto", "features", "model"]
"""Whose agreement counts: the nearest class in the judge's features, which learns from the pictures themselves, or the
model's own zero-shot classifier; auto takes the first where it tells the pictures apart that are there."""

METHODS: tuple[Literal["img2img", "variations", "txt2img"], ...] = ("img2img", "variations", "txt2img")
LOG = "augment.jsonl"
STRENGTHS = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
"""What is tried, the largest first; the first at which the classes are kept is taken."""
PROBES = 8
"""Pictures that are painted to try a strength, of different classes in turn."""
KEPT = 0.75
"""Share of the probes whose class must be kept, and of the pictures that are there which `features` must tell apart."""
TRIES = 4
"""Attempts for each picture that is wanted, after which a class stays short."""
NEAR_BITS, NEAR_PIXELS = 7, 4.0
"""Near duplicates differ in so many bits of 64 of their fingerprints and so much of 255 at 32 pixels at most."""
ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif")
SHOWN = 4
"""Pictures of each class and of each origin on the contact sheet."""
CELL = 96


@dataclass(frozen=True)
class Plan:
    """How much is painted, and how.

    Attributes:
        per_class: how many pictures each class is to have, those that are there included.
        method: see `Method`.
        strength: of img2img, 0 to 1; chosen by agreement when None.
        classifier: see `Classifier`.
        template: a text with {} in the place of the class's name; by default the model's own.
        seed: of the first attempt of each class.
        options: into every request, as ``{"steps": 8}``.
    """

    per_class: int
    method: Method = "mix"
    strength: float | None = None
    classifier: Classifier = "auto"
    template: str | None = None
    seed: int = 0
    options: Mapping[str, object] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if not 1 <= self.per_class <= 100_000:
            raise RequestError(f"per_class is {self.per_class}; give 1 to 100000 pictures of each class")
        if self.method not in (*METHODS, "mix"):
            raise RequestError(f"method {brief(self.method)} must be one of {', '.join((*METHODS, 'mix'))}")
        if self.classifier not in ("auto", "features", "model"):
            raise RequestError(f"classifier {brief(self.classifier)} must be one of auto, features, model")
        if self.strength is not None and not 0 < self.strength <= 1:
            raise RequestError(f"strength is {self.strength:g}; give more than 0 and at most 1, for example 0.5")
        object.__setattr__(self, "options", dict(self.options or {}))

    def facts(self) -> dict[str, Any]:
        """All of it, as JSON has it."""
        return asdict(self)


@dataclass(frozen=True)
class Attempt:
    """A picture that was painted, or copied from the source.

    Attributes:
        label: its class.
        number: of the attempts of the class, from 0; -1 for one of the source.
        file: where it lies in the target; None where it was left out.
        reason: why it was left out.
        origin: "source" or how it was painted.
        source: the picture it was made of.
        seed: of the painting.
        agreement: the probability of its class by the classifier.
    """

    label: str
    number: int
    file: str | None
    reason: Literal["", "disagrees", "near duplicate", "unreadable", "outside nano's domain"] = ""
    origin: str = "source"
    source: str = ""
    seed: int | None = None
    agreement: float | None = None

    def facts(self) -> dict[str, Any]:
        """The attempt as JSON."""
        return asdict(self)


Classes = Mapping[str, Sequence[Path]]
"""Label -> its pictures."""


def read_classes(folder: Path) -> Classes:
    """The pictures of a folder by class: a folder a class, or beside each picture a ``.txt`` with its label.

    Raises:
        RequestError: no such folder, no pictures, or fewer than two classes.
    """
    if not folder.is_dir():
        raise RequestError(f"there is no folder {folder}; give one with a folder of pictures for each class")
    found: dict[str, list[Path]] = {}
    inside = sorted(each for each in folder.iterdir() if each.is_dir() and not each.name.startswith("."))
    for each in inside:
        if pictures := pictures_in(each):
            found[each.name] = pictures
    if not found:
        for picture in pictures_in(folder):
            caption = picture.with_suffix(".txt")
            if caption.is_file():
                found.setdefault(caption.read_text(encoding="utf-8").strip(), []).append(picture)
    if len(found) < 2:
        raise RequestError(
            f"{folder} has {len(found)} classes of pictures; two or more are needed to tell whether a label is kept: a "
            "folder for each, or a .txt with the label beside each picture"
        )
    checked_labels(list(found))
    return found


def pictures_in(folder: Path) -> list[Path]:
    """The files of a folder that are pictures by their names, sorted."""
    return sorted(each for each in folder.iterdir() if each.suffix.lower() in ENDINGS and each.is_file())


# ------------------------------------------------------------------------------------------- agreement

Agreement = Callable[[Sequence[Image.Image]], torch.Tensor]
"""Pictures -> the probability of each class, (n, classes)."""


def nearest_mean(pictures: Sequence[Sequence[Image.Image]]) -> tuple[Agreement, float]:
    """The nearest class in the judge's features, and the share of its own pictures that it tells apart without each.

    Args:
        pictures: of each class.
    """
    own = judge.bundled()
    features = [own.embed(each) for each in pictures]
    means = torch.stack([each.mean(0) for each in features])
    right = total = 0
    for place, each in enumerate(features):
        for k in range(len(each)):
            if len(each) < 2:
                continue
            without = means.clone()
            without[place] = torch.cat([each[:k], each[k + 1 :]]).mean(0)
            right += int(torch.cdist(each[k : k + 1], without).argmin()) == place
            total += 1
    spread = torch.stack([(each - mean).square().sum(1).mean() for each, mean in zip(features, means, strict=True)])
    temperature = spread.mean().clamp_min(1e-6)

    def agreement(painted: Sequence[Image.Image]) -> torch.Tensor:
        seen = own.embed(painted)
        return (-torch.cdist(seen, means).square() / temperature).softmax(1)

    return agreement, right / total if total else 0.0


def by_model(studio: "Studio", labels: Sequence[str], template: str | None) -> Agreement:
    """The zero-shot classifier of the studio's model."""

    def agreement(painted: Sequence[Image.Image]) -> torch.Tensor:
        found = zero_shot.classify(studio.load(), painted, labels, zero_shot.Settings(template=template))
        return torch.tensor([[dict(each.ranked)[label] for label in labels] for each in found])

    return agreement


# ----------------------------------------------------------------------------------------------- painting


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
    log = _Log.open(out, classes, plan)
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
    agreement = _agreement(studio, images, plan)
    strength = log.strength
    if strength is None and plan.method in ("img2img", "mix") and _short(images, plan):
        strength = _chosen(studio, images, labels, agreement, plan)
        log.set_strength(strength)
    painter = _Augmenter(studio, plan, 1.0 if strength is None else strength)
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
                likely = agreement([painted])[0]
                attempt = replace(attempt, agreement=round(float(likely[place]), 4))
                if int(likely.argmax()) != place:
                    attempt = replace(attempt, reason="disagrees")
                elif seen[label].has(painted):
                    attempt = replace(attempt, reason="near duplicate")
                else:
                    attempt = replace(attempt, file=_saved(painted, out, label, f"{number:05d}"))
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
    target = out / folder_of(label) / file.name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(target, file.read_bytes())
    except OSError as error:
        raise cannot_write(target, error) from error
    return replace(attempt, file=target.relative_to(out).as_posix()), image


def folder_of(label: str) -> str:
    """A folder's name for a label, which may be a whole caption."""
    plain = "".join(c if c.isalnum() or c in " -_." else "_" for c in label)[:60].strip(" .")
    return plain if plain == label else f"{plain}-{sha256(label.encode()).hexdigest()[:8]}"


def _saved(painted: Image.Image, out: Path, label: str, name: str) -> str:
    target = out / folder_of(label) / f"painted-{name}.png"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(target, error) from error
    painted.save(target)  # a Painted keeps its request
    return target.relative_to(out).as_posix()


def _short(images: Mapping[str, Sequence[object]], plan: Plan) -> bool:
    return any(len(each) < plan.per_class for each in images.values())


def _agreement(studio: "Studio", images: Mapping[str, Sequence[tuple[Path, Image.Image]]], plan: Plan) -> Agreement:
    if plan.classifier != "model":
        found, share = nearest_mean([[image for _, image in each] for each in images.values()])
        if plan.classifier == "features" or share >= KEPT:
            return found
    return by_model(studio, list(images), plan.template)


@dataclass(frozen=True)
class _Augmenter:
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


def _chosen(
    studio: "Studio",
    images: Mapping[str, Sequence[tuple[Path, Image.Image]]],
    labels: Sequence[str],
    agreement: Agreement,
    plan: Plan,
) -> float:
    """The largest of `STRENGTHS` at which probes keep their classes; the smallest if none does."""
    if plan.strength is not None:
        return plan.strength
    places = [k % len(labels) for k in range(max(PROBES, 2))][:PROBES]
    for strength in STRENGTHS:
        painter = _Augmenter(studio, replace(plan, method="img2img", seed=plan.seed + 1_000_000), strength)
        right = 0
        for number, place in enumerate(places):
            _, painted = painter.attempt(labels[place], number, images[labels[place]])
            assert painted is not None
            right += int(agreement([painted])[0].argmax()) == place
        if right >= KEPT * len(places):
            return strength
    return STRENGTHS[-1]


# -------------------------------------------------------------------------------------- what was done


@dataclass
class _Log:
    """The lines of `LOG`: first what was asked for, then the strength and each attempt."""

    out: Path
    classes: Classes
    attempts: list[Attempt]
    strength: float | None = None

    @classmethod
    def open(cls, out: Path, classes: Classes, plan: Plan) -> "_Log":
        file = out / LOG
        asked = {"plan": plan.facts(), "classes": {label: [str(f) for f in files] for label, files in classes.items()}}
        asked = json.loads(json.dumps(asked))
        if not file.is_file():
            if out.exists() and (not out.is_dir() or any(out.iterdir())):
                raise RequestError(f"{out} is there already and was not made by augment; give a new folder")
            try:
                out.mkdir(parents=True, exist_ok=True)
                write_atomic(file, (json.dumps(asked, ensure_ascii=False) + "\n").encode())
            except OSError as error:
                raise cannot_write(out, error) from error
            return cls(out, classes, [])
        lines = []
        for line in file.read_text(encoding="utf-8").splitlines():
            try:
                lines.append(json.loads(line))
            except ValueError:
                break  # cut off in the middle of its writing
        if not lines or lines[0] != asked:
            raise RequestError(f"{out} was made of other pictures or settings; give a new folder, or the same command")
        log = cls(out, classes, [])
        whole = [lines[0]]
        for line in lines[1:]:
            if "strength" in line:
                log.strength = line["strength"]
            else:
                attempt = Attempt(**line)
                if attempt.file is not None and not (out / attempt.file).is_file():
                    continue  # lost: it is made again
                log.attempts.append(attempt)
            whole.append(line)
        write_atomic(file, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in whole).encode())
        return log

    def _write(self, line: Mapping[str, Any]) -> None:
        try:
            with (self.out / LOG).open("a", encoding="utf-8") as file:
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
        except OSError as error:
            raise cannot_write(self.out / LOG, error) from error

    def add(self, attempt: Attempt) -> Attempt:
        self.attempts.append(attempt)
        self._write(asdict(attempt))
        return attempt

    def set_strength(self, strength: float) -> None:
        self.strength = strength
        self._write({"strength": strength})

    def finish(self) -> None:
        """Write `augment.json` and the contact sheet `augment.jpg`."""
        facts = summary(self.attempts, list(self.classes), self.strength)
        write_atomic(self.out / "augment.json", (json.dumps(facts, ensure_ascii=False, indent=1) + "\n").encode())
        _sheet(self.out, self.attempts, list(self.classes)).save(self.out / "augment.jpg", **PAGE)


def summary(attempts: Sequence[Attempt], labels: Sequence[str], strength: float | None) -> dict[str, Any]:
    """What came of it: counts by class, of what was kept and of what was left out, and why."""
    classes = {}
    for label in labels:
        mine = [each for each in attempts if each.label == label]
        classes[label] = {
            "source": sum(each.file is not None and each.number < 0 for each in mine),
            "painted": sum(each.file is not None and each.number >= 0 for each in mine),
            "left_out": dict(Counter(each.reason for each in mine if each.reason)),
        }
    return {"strength": strength, "classes": classes}


def _sheet(out: Path, attempts: Sequence[Attempt], labels: Sequence[str]) -> Image.Image:
    """A row a class: first pictures of the source, then painted ones; white where there are no more."""
    cells = []
    for label in labels:
        for of_source in (True, False):
            files = [a.file for a in attempts if a.label == label and a.file and (a.number < 0) is of_source][:SHOWN]
            for file in files:
                with Image.open(out / file) as image:
                    small = image.convert("RGB")
                    small.thumbnail((CELL, CELL))
                    cells.append(small)
            cells += [Image.new("RGB", (CELL, CELL), "white")] * (SHOWN - len(files))
    return contact_sheet(cells, 2 * SHOWN)
