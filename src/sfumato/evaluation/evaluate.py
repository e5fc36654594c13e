"""The evaluation itself: paint the captions of held-out renders, and measure paintings and renders alike."""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from sfumato.evaluation.colour import NEAR, background_error
from sfumato.evaluation.distances import diversity, frechet, neighbours
from sfumato.evaluation.judge import Picture, Verdict, judge, pixel_distance
from sfumato.evaluation.plan import OBJECT, Case, choose
from sfumato.evaluation.report import RENDER, Attribute, Report, Row, Whole
from sfumato.files import write_atomic
from sfumato.model import Model
from sfumato.models.picture_classifier import PictureClassifier
from sfumato.prompts.lexicon import FILE as LEXICON
from sfumato.requests import Txt2Img
from sfumato.runtime.digests import remembered_sha256
from sfumato.studio import Studio
from sfumato.training.data import Attributes, Pictures

APART = ("kind", "style", "background", OBJECT)
"""Attributes with a column of their own, or that hardly a picture fails: they are not in the mean of attributes."""

BATCH = 32


class Caption(Protocol):
    """All that `attributes` say, in words of that language; the same each time."""

    def __call__(self, attributes: Attributes, language: str) -> str: ...


@dataclass(frozen=True)
class Plan:
    """How much is painted: each chosen caption in each language with the seeds 0, 1 ...

    `options` go into every request: steps, guidance ...
    """

    per_kind: int = 40
    seeds: int = 2
    languages: tuple[str, ...] = ("en", "zh")
    seed: int = 0
    options: Mapping[str, object] = field(default_factory=dict)

    def request(self, model: str, prompt: str, count: int) -> Txt2Img:
        """The first `count` seeds of a prompt, in one batch."""
        given = {"prompt_syntax": "plain", "seed": self.seed, **self.options}
        return Txt2Img.build(**{**given, "model": model, "prompt": prompt, "count": count, "batch": count})


OnStage = Callable[[str, int, int], None]
"""Called with a stage, how much of it is done, and of how much."""


def evaluate(
    studio: Studio,
    pictures: Pictures,
    classifier: PictureClassifier,
    caption: Caption,
    work: Path,
    plan: Plan,
    tell: OnStage = lambda stage, done, total: None,
) -> Report:
    """Paint and measure.

    Args:
        work: a folder for what takes long, paintings and features of training pictures; an evaluation that was
            stopped goes on from there.

    Raises:
        SfumatoError: no held-out pictures, a plan too small, or as painting and writing do.
    """
    cases = choose(pictures, asked(classifier), plan.per_kind, plan.seed)
    work.mkdir(parents=True, exist_ok=True)
    renders = [np.asarray(pictures.array[case.index]) for case in cases]
    training = training_features(pictures, classifier, work, tell)
    everything = {RENDER: _verdicts(classifier, cases, renders)}
    measured = {RENDER: renders}
    for language in plan.languages:
        painted: list[Picture] = []
        for done, case in enumerate(cases):
            tell(f"painting {language}", done, len(cases))
            request = plan.request(studio.default, caption(case.attributes, language), plan.seeds)
            painted += [_of_size(image, pictures.size) for image in paint(studio, request, work)]
        measured[language] = painted
        everything[language] = _verdicts(classifier, [case for case in cases for _ in range(plan.seeds)], painted)

    reference = torch.stack([v.embedded for v in everything[RENDER]])
    rows: list[Row] = []
    for kind, which in sorted({(case.kind, case.combinations) for case in cases}):
        for source, verdicts in everything.items():
            some = [k for k, v in enumerate(verdicts) if (v.case.kind, v.case.combinations) == (kind, which)]
            errors = [
                background_error(measured[source][k], pictures.array[verdicts[k].case.index])
                for k in some
                if "background" in verdicts[k].case.attributes and source != RENDER
            ]
            rows.append(_row(kind, which, source, [verdicts[k] for k in some], errors))
    similar = _of_same_style(pictures, cases, plan)
    whole: list[Whole] = []
    for source, verdicts in everything.items():
        embedded = torch.stack([v.embedded for v in verdicts])
        if source == RENDER:
            distance = frechet(reference, torch.from_numpy(training[similar].astype(np.float32)))
            variety = _between_renders(verdicts)
        else:
            distance = frechet(reference, embedded)
            variety = diversity(embedded.unflatten(0, (-1, plan.seeds))) if plan.seeds > 1 else None
        cosine, pixels = _nearest(pictures, training, embedded, measured[source])
        whole.append(Whole(source, len(verdicts), distance, variety, cosine, float(np.mean(pixels)), min(pixels)))
    settings: dict[str, str | int | float] = {
        "model": studio.default, "model_hash": studio.load().hash, "data": pictures.digest,
        "classifier": digest(classifier), "per_kind": plan.per_kind, "seeds": plan.seeds, "seed": plan.seed,
        "precision": str(studio.choice.dtype).removeprefix("torch."), **{k: str(v) for k, v in plan.options.items()},
    }  # fmt: skip
    return Report(settings, tuple(rows), tuple(whole), tuple(_by_attribute(everything)))


def asked(classifier: PictureClassifier) -> list[str]:
    """The attributes whose combinations count: all that the classifier knows, but the kind, which the style implies,
    and the background, which is measured as a colour: with one of its own nearly every picture would be new."""
    return [name for name in classifier.config.classes if name not in ("kind", "background")]


def paint(studio: Studio, request: Txt2Img, work: Path) -> list[Image.Image]:
    """The request's pictures, from `work` where they are there already."""
    model = studio.load(request.model)
    key = sha256(f"{_weights(model)} {model.dtype} {request.to_json()}".encode()).hexdigest()[:24]
    files = [work / f"{key}-{k}.png" for k in range(request.count)]
    if not all(file.is_file() for file in files):
        for file, image in zip(files, studio.run(request), strict=True):
            buffer = io.BytesIO()
            image.save(buffer, "PNG")
            write_atomic(file, buffer.getvalue())
    return [Image.open(file).convert("RGB") for file in files]


def _weights(model: Model) -> str:
    """Digests of all that a model is made of: its own hash says nothing of its text encoder, nor of its lexicon."""
    files = [model.path]
    if model.path.is_dir():
        files = [file for form in ("*.safetensors", LEXICON) for file in sorted(model.path.rglob(form))]
    return " ".join(map(remembered_sha256, files))


def digest(classifier: PictureClassifier) -> str:
    """The feature network's name: SHA-256 of its weights, the first 12 digits."""
    total = sha256()
    for name, value in sorted(classifier.state_dict().items()):
        total.update(name.encode() + value.contiguous().numpy().tobytes())
    return total.hexdigest()[:12]


@torch.inference_mode()
def training_features(pictures: Pictures, classifier: PictureClassifier, work: Path, tell: OnStage) -> np.ndarray:
    """Features of every picture of the training split, float16, made once for each data and classifier."""
    file = work / f"features-{pictures.digest[:12]}-{digest(classifier)}.npy"
    if not file.is_file():
        parts: list[np.ndarray] = []
        for some in pictures.train.split(BATCH):
            tell("features", len(parts) * BATCH, len(pictures.train))
            pixels = pictures.pixels(some).to(memory_format=torch.channels_last)
            parts.append(classifier.embed(pixels).numpy().astype(np.float16))
        buffer = io.BytesIO()
        np.save(buffer, np.concatenate(parts))
        write_atomic(file, buffer.getvalue())
    return np.load(file)


def _verdicts(classifier: PictureClassifier, cases: Sequence[Case], pictures: Sequence[Picture]) -> list[Verdict]:
    verdicts: list[Verdict] = []
    for start in range(0, len(cases), BATCH):
        verdicts += judge(classifier, cases[start : start + BATCH], pictures[start : start + BATCH])
    return verdicts


def _of_size(image: Image.Image, size: int) -> Picture:
    return np.asarray(image if image.size == (size, size) else image.resize((size, size), Image.Resampling.LANCZOS))


def _share(found: Sequence[bool]) -> float | None:
    return sum(found) / len(found) if found else None


def _row(kind: str, which: str, source: str, verdicts: Sequence[Verdict], errors: Sequence[float]) -> Row:
    both = [v.has(pair) for v in verdicts for pair in v.case.new]
    return Row(
        kind,
        "new" if which == "new" else "seen",
        source,
        len(verdicts),
        attributes=_share([v.right(name) for v in verdicts for name in v.ranks if name not in APART]),
        pairs=_share([here for here in both if here is not None]),
        top1=_share([v.right(OBJECT) for v in verdicts if OBJECT in v.ranks]),
        top5=_share([v.ranks[OBJECT] < 5 for v in verdicts if OBJECT in v.ranks]),
        background_error=float(np.mean(errors)) if errors else None,
        background_near=_share([error < NEAR for error in errors]),
    )


def _by_attribute(everything: Mapping[str, Sequence[Verdict]]) -> list[Attribute]:
    names = sorted({name for verdicts in everything.values() for v in verdicts for name in v.ranks})
    found = []
    for name in names:
        for source, verdicts in everything.items():
            answers = [v.right(name) for v in verdicts if name in v.ranks]
            found.append(Attribute(name, source, sum(answers), len(answers)))
    return found


def _of_same_style(pictures: Pictures, cases: Sequence[Case], plan: Plan) -> list[int]:
    """A place among the training pictures for each painting of a language, of its case's style, at random."""
    rng = Random(plan.seed)
    places: dict[str, list[int]] = {}
    for place, i in enumerate(pictures.train.tolist()):
        places.setdefault(pictures.attributes[i]["style"], []).append(place)
    everywhere = range(len(pictures.train))
    return [rng.choice(places.get(c.attributes["style"], everywhere)) for c in cases for _ in range(plan.seeds)]


def _between_renders(verdicts: Sequence[Verdict]) -> float | None:
    """What `diversity` is between different renders of a style: each and the next."""
    pairs = []
    for style in sorted({v.case.attributes["style"] for v in verdicts}):
        same = [v.embedded for v in verdicts if v.case.attributes["style"] == style]
        pairs += [torch.stack(pair) for pair in pairwise(same)]
    return diversity(torch.stack(pairs)) if pairs else None


def _nearest(
    pictures: Pictures, training: np.ndarray, embedded: Float[Tensor, "n c"], shown: Sequence[Picture]
) -> tuple[float, list[float]]:
    """The mean cosine to the nearest training picture, and of each picture the least pixel distance to five."""
    found = neighbours(embedded, torch.from_numpy(training))
    pixels = [
        pixel_distance(picture, [pictures.array[i] for i in pictures.train[places].tolist()])
        for picture, places in zip(shown, found.index, strict=True)
    ]
    return float(found.cosine[:, 0].mean()), pixels
