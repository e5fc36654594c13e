"""The page about a model: an evaluation's tables, how they were made, and pictures that nobody chose."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from sfumato.evaluation.colour import NEAR
from sfumato.evaluation.evaluate import Caption, Plan, asked, paint
from sfumato.evaluation.plan import Case, choose
from sfumato.evaluation.report import Report, table
from sfumato.images import contact_sheet
from sfumato.models.picture_classifier import PictureClassifier
from sfumato.studio import Studio
from sfumato.training.data import Pictures

CELL = 128
"""Pixels a side of each picture on a sheet."""

READING = f"""\
Each row's prompts are the captions of held-out renders, which say all their attributes. A classifier that was trained
on renders alone says what the paintings show; its score on the held-out renders themselves, in brackets, is the
ceiling. It has learned from others that were held out from the model, so it knows what is new to the model.
Combinations are *new* where no training picture of the style has two of the attributes together: of portraits two
parts, of objects a name in that look. Backgrounds, of which each kind has some that training never shows, count for
themselves: they are compared with the render's in CIE L*a*b*; {NEAR:.0f} is about the distance between colours of
different names.
The Fréchet distance (to the held-out renders), diversity (1 - cosine between seeds of a prompt) and cosines are in the
features of that classifier, named below, and comparable with nothing else; pixels are mean absolute differences at
64 px, in 8-bit steps, to the nearest of five neighbours. In the row of the renders, the distance is that of as many
training renders, and the diversity that between renders of a style."""


@dataclass(frozen=True, eq=False)
class Sheet:
    """Pictures in rows, each a prompt's; `prompts` in the order of the rows."""

    image: Image.Image
    prompts: tuple[str, ...]


def sheet(
    studio: Studio, pictures: Pictures, classifier: PictureClassifier, caption: Caption, work: Path, plan: Plan,
    seeds: int = 6,
) -> Sheet:  # fmt: skip
    """A held-out render of each kind and sort of combination, then its caption's first seeds; a row a language."""
    cases: dict[tuple[str, str], Case] = {}
    for case in choose(pictures, asked(classifier), plan.per_kind, plan.seed):
        cases.setdefault((case.kind, case.combinations), case)
    images, prompts = [], []
    for case in cases.values():
        for language in plan.languages:
            request = plan.request(studio.default, caption(case.attributes, language), seeds)
            render = Image.fromarray(np.asarray(pictures.array[case.index]))
            images += [i.resize((CELL, CELL), Image.Resampling.BOX) for i in (render, *paint(studio, request, work))]
            prompts.append(request.prompt)
    return Sheet(contact_sheet(images, seeds + 1), tuple(prompts))


def card(report: Report, prompts: Sequence[str], picture: str, sources: str | None) -> str:
    """The page in Markdown, for a sheet in the file `picture` and the training pictures' sources at `sources`."""
    parts = [
        f"# Model card: {report.settings['model']}",
        "*Written by `sfumato evaluate`; do not edit.*",
        report.markdown(),
        READING,
        f"![Held-out renders and what is painted of their captions]({picture})",
        "A held-out render, then what is painted of its caption with the first seeds; drawn at random, nothing chosen:",
        "\n".join(f"{row}. {prompt}" for row, prompt in enumerate(prompts, 1)),
        "## Settings",
        table(("setting", "value"), _settings(report.settings)),
    ]
    if sources is not None:
        parts.append(f"Sources and licences of all training pictures: [{Path(sources).name}]({sources}).")
    return "\n\n".join(parts) + "\n"


def _settings(settings: Mapping[str, str | int | float]) -> list[tuple[str, str]]:
    return [(name.replace("_", " "), f"`{value}`") for name, value in settings.items()]


def relative(file: Path, page: Path) -> str:
    """A link from a page to a file."""
    return Path(os.path.relpath(file, page.parent)).as_posix()
