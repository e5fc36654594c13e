"""Zero-shot classification by nano's denoiser on held-out renders of objects: accuracy, evaluations, calibration.

    python -m benchmarks.classify objects-10 --pictures 30
    python -m benchmarks.classify objects-100 --pictures 20
    python -m benchmarks.classify mouths --pictures 33
    python -m benchmarks.classify --report runs/classify --out docs/guide/images/reliability.png

Every label's error is evaluated with every draw, once, and kept in `--work`, so that the command goes on where it was
stopped; races with and without pruning are run on these errors, which are the ones that they would ask for. Beside them
stand the judge, a network trained on labelled renders, and the nearest neighbour of eight labelled renders a class.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice, product
from pathlib import Path
from random import Random

import numpy as np
import torch
from PIL import Image
from recipes.nano.data import emoji
from recipes.nano.data.render import Job, drawings
from recipes.nano.data.words import STYLES, VARIANTS
from recipes.nano.language.card import JUDGE_OF_SCENES

from sfumato import Studio
from sfumato.checkpoints.catalogue import bundled_folder
from sfumato.checkpoints.classifiers import load_classifier
from sfumato.diffusion.classifier import Race, race
from sfumato.evaluation.judge import small, tensor_of
from sfumato.files import write_atomic
from sfumato.prompts.vocabulary import Vocabulary
from sfumato.recognition.zero_shot import DRAWS, TEMPERATURE, Settings, raced

SIZE = 256
SEED = 1
"""Another than the data set's: placements that nobody has trained on."""
RISKS = (0.0, 0.1, 0.05, 0.01, 0.001)
TOGETHER = 4
"""Pictures that are raced together: labels are encoded once for all of them."""
NEIGHBOURS = 8
"""Labelled renders a class that the nearest neighbour is looked for among; the fewest of them that have both looks."""


@dataclass(frozen=True)
class Question:
    """Labels that are told apart.

    Attributes:
        head: of the judge that knows them, and its word for each label.
        labels: what the denoiser is told.
        render: (label, seed, count) -> renders that show it.
    """

    head: str
    words: Sequence[str]
    labels: Sequence[str]
    render: Callable[[int, int, int], list[np.ndarray]]


def objects(classes: int) -> Question:
    """Objects by name, drawn at random of those that nano is asked for in both looks; the looks take turns."""
    vocabulary = Vocabulary.read(bundled_folder("nano"))
    assert vocabulary is not None
    known, everything = set(vocabulary.about["emoji"]["name"]), emoji.load()
    both = [k for k, each in enumerate(everything) if len(each.bodies) == 2 and each.name in known]
    places = Random(classes).sample(both, classes)
    names = [everything[place].name for place in places]

    def render(label: int, seed: int, count: int) -> list[np.ndarray]:
        return [
            rendered(Job(look, places[label]), seed, place)
            for place, look in islice(product(range(count), emoji.PICTURES), count)
        ]

    return Question("name", names, names, render)


def rendered(job: Job, seed: int, place: int) -> np.ndarray:
    """A placement of an object, those that are held out first."""
    drawing = sorted(drawings(job, 12, seed), key=lambda each: each.attributes["split"] != "validation")[place]
    assert drawing.placement is not None
    return emoji.composite(emoji.rasterise_rgba(drawing.svg, SIZE), drawing.placement, SIZE)


def mouths() -> Question:
    """The mouths of a style of portraits: a small part of the picture, which nano itself paints right by 86 %."""
    style = "avataaars"
    words = sorted({word for word in VARIANTS[style]["mouth"].values() if word})

    def render(label: int, seed: int, count: int) -> list[np.ndarray]:
        each = (next(drawings(Job(style, k), 0, seed)) for k in range(10_000))
        fitting = (drawing for drawing in each if drawing.attributes.get("mouth") == words[label])
        return [
            np.ascontiguousarray(emoji.rasterise_rgba(drawing.svg, SIZE)[..., :3]) for drawing in islice(fitting, count)
        ]

    return Question("mouth", words, [f"{STYLES[style]}, {word}" for word in words], render)


QUESTIONS: Mapping[str, Callable[[], Question]] = {
    "objects-10": partial(objects, 10),
    "objects-100": partial(objects, 100),
    "mouths": mouths,
}


def measure(name: str, pictures: int, work: Path, model: str) -> None:
    """Evaluate the pictures that are not in `work` yet, one file each."""
    question = QUESTIONS[name]()
    classes = len(question.labels)
    loaded, judge = Studio(model, device="cpu", precision="fp32").load(), load_classifier(JUDGE_OF_SCENES)
    known = [small(array, 32) for label in range(classes) for array in question.render(label, 0, NEIGHBOURS)]
    answers = torch.tensor([judge.config.classes[question.head].index(word) for word in question.words])
    work.mkdir(parents=True, exist_ok=True)
    left = [number for number in range(pictures) if not _file(work, name, number).is_file()]
    for first in range(0, len(left), TOGETHER):
        numbers = left[first : first + TOGETHER]
        arrays = [question.render(number % classes, SEED, number // classes + 1)[-1] for number in numbers]
        settings = Settings(draws=DRAWS, risk=0)
        images = [Image.fromarray(array) for array in arrays]
        errors = raced(loaded, images, question.labels, settings, lambda done, most: None).errors
        for number, array, table in zip(numbers, arrays, errors.tolist(), strict=True):
            with torch.inference_mode():
                judged = int(judge(tensor_of([array]))[question.head][0, answers].argmax())
            mine = small(array, 32).astype(float)
            nearest = int(np.argmin([np.abs(mine - each).mean() for each in known])) // NEIGHBOURS
            facts = {"truth": number % classes, "judge": judged, "nearest": nearest, "errors": table}
            write_atomic(_file(work, name, number), json.dumps(facts).encode())
            print(f"{name}, picture {number + 1} of {pictures}", flush=True)


def _file(work: Path, name: str, number: int) -> Path:
    return work / f"{name}-{number}.json"


def replayed(tables: torch.Tensor, risk: float) -> Race:
    """The race of errors that are known."""
    pictures, labels, draws = tables.shape
    return race(
        lambda cells: torch.stack([tables[c.picture, c.label, c.draw] for c in cells]), pictures, labels, draws, risk
    )


def interval(right: int, n: int) -> str:
    """A share with its Wilson interval of 95 %."""
    z, share = 1.96, right / n
    middle, half = share + z * z / 2 / n, z * (share * (1 - share) / n + z * z / 4 / n / n) ** 0.5
    low, high = ((middle + sign * half) / (1 + z * z / n) for sign in (-1, 1))
    return f"{100 * share:.0f} % ({100 * low:.0f} to {100 * high:.0f})"


def fitted(races: Sequence[tuple[Race, torch.Tensor]]) -> float:
    """The temperature at which the right labels are most likely."""
    grid = torch.logspace(-4, 0, 161).tolist()

    def loss(temperature: float) -> float:
        return sum(
            -float(found.probabilities(temperature)[torch.arange(len(truth)), truth].clamp_min(1e-12).log().mean())
            for found, truth in races
        )

    return min(grid, key=loss)


def report(work: Path, out: Path | None) -> None:
    """Print the tables, and draw the reliability."""
    races = []
    print(
        "| question | n | pruning | accuracy (95 %) | evaluations a picture | share |",
        "| --- | --- | --- | --- | --- | --- |",
        sep="\n",
    )
    for question in QUESTIONS:
        rows = [json.loads(file.read_text()) for file in sorted(work.glob(f"{question}-*.json"))]
        if not rows:
            continue
        truth, tables = torch.tensor([row["truth"] for row in rows]), torch.tensor([row["errors"] for row in rows])
        for risk in RISKS:
            found = replayed(tables, risk)
            right = int((found.best == truth).sum())
            print(
                f"| {question} | {len(rows)} | {f'risk {risk:g}' if risk else 'none'} | {interval(right, len(rows))} | "
                f"{found.evaluations / len(rows):.0f} | {found.evaluations / tables.numel():.2f} |"
            )
        for name in ("judge", "nearest"):
            right = sum(row[name] == row["truth"] for row in rows)
            print(f"| {question} | {len(rows)} | *{name}* | {interval(right, len(rows))} | | |")
        races.append((replayed(tables, Settings().risk), truth))
    halves = [
        [(replace(found, errors=found.errors[part::2]), truth[part::2]) for found, truth in races] for part in (0, 1)
    ]
    every, first, second = map(fitted, (races, *halves))
    print(f"temperature: all {every:.4f}, halves {first:.4f} and {second:.4f}, in use {TEMPERATURE}")
    likely = torch.cat([found.probabilities(TEMPERATURE).max(1).values for found, _ in races])
    right_ones = torch.cat([found.best == truth for found, truth in races]).float()
    edges = torch.linspace(0, 1, 6)
    bins = torch.bucketize(likely, edges[1:-1])
    points = [
        (float(likely[bins == k].mean()), float(right_ones[bins == k].mean()), int((bins == k).sum()))
        for k in range(5)
        if (bins == k).any()
    ]
    error = sum(abs(p - a) * n for p, a, n in points) / len(likely)
    print(f"expected calibration error {error:.3f} over n = {len(likely)}: {points}")
    if out is not None:
        draw(points, out)


def draw(points: Sequence[tuple[float, float, int]], out: Path) -> None:
    """The reliability plot: how often the first label is right, by how likely it was said to be."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    axes.plot([p for p, _, _ in points], [a for _, a, _ in points], "o-")
    for p, a, n in points:
        below = a > 0.1  # else it would lie on the axis
        axes.annotate(f"n = {n}", (p, a), textcoords="offset points", xytext=(-6, -14 if below else 6), ha="right")
    axes.set(xlabel="probability of the first label", ylabel="share that is right", xlim=(0, 1.02), ylim=(0, 1.02))
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=90)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("question", choices=QUESTIONS, nargs="?")
    parser.add_argument("--pictures", type=int, default=30)
    parser.add_argument("--work", type=Path, default=Path("runs/classify"))
    parser.add_argument("--model", default="nano")
    parser.add_argument("--report", type=Path)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    if given.report:
        report(given.report, given.out)
    elif given.question:
        measure(given.question, given.pictures, given.work, given.model)
    else:
        parser.error("name a question, or give --report")


if __name__ == "__main__":
    main()
