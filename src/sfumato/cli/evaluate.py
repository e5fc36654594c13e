"""``sfumato evaluate``: a model's paintings judged, as a page, a sheet and JSON."""

import contextlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sfumato.cli.options import check_precision
from sfumato.cli.painting import require_model
from sfumato.cli.terminal import console, narrating
from sfumato.errors import RequestError, UnknownNameError
from sfumato.files import write_atomic
from sfumato.output import check_writable
from sfumato.requests import Txt2Img

if TYPE_CHECKING:
    from sfumato.evaluation.evaluate import OnStage

LANGUAGES = ("en", "zh")


@dataclass(frozen=True)
class Sources:
    """What a model is judged by: the data's folder, the classifier's export, captions as "module:function"."""

    data: Path
    classifier: Path
    captions: str


def evaluate(
    model: str,
    sources: Sources,
    output: Path,
    *,
    work: Path,
    per_kind: int,
    seeds: int,
    languages: str,
    options: Mapping[str, object],
    device: str,
    precision: str,
    quiet: bool,
) -> None:
    """Check what can be checked, then evaluate and print the paths of the page, its sheet and its figures."""
    require_model(model)
    chosen = tuple(languages.split(","))
    for language in chosen:
        if language not in LANGUAGES:
            raise UnknownNameError("language", language, LANGUAGES)
    if not 1 <= seeds <= 64:
        raise RequestError(f"seeds is {seeds}; 1 to 64 can be painted of each prompt, 2 is the default")
    if output.suffix != ".md":
        raise RequestError(f"the page {str(output)!r} must end in .md; its sheet and figures are put beside it")
    checked = check_precision(precision)
    Txt2Img.build(prompt="", model=model, **options)
    check_writable(output)
    if not (sources.data / "pictures.npy").is_file():
        raise RequestError(
            f"{sources.data} has no pictures.npy; render it: python -m recipes.nano.data.render --out {sources.data}"
        )
    if not (sources.classifier / "classifier" / "config.json").is_file():
        raise RequestError(
            f"{sources.classifier} has no classifier; give the export of one with --classifier: recipes/nano/judge "
            "of the repository, or your own of sfumato train recipes/nano/classifier.toml"
        )
    with narrating(quiet=quiet), contextlib.redirect_stdout(sys.stderr), _bar(quiet) as tell:
        from sfumato.checkpoints.catalogue import find
        from sfumato.checkpoints.classifiers import load_classifier
        from sfumato.evaluation.card import card, relative, sheet
        from sfumato.evaluation.evaluate import Plan, evaluate
        from sfumato.images import PAGE
        from sfumato.studio import Studio
        from sfumato.training.data import Pictures, imported

        caption, plan = imported(sources.captions), Plan(per_kind, seeds, chosen, options=options)
        studio = Studio(model, device=device, precision=checked)
        pictures, classifier = Pictures(sources.data), load_classifier(sources.classifier)
        report = evaluate(studio, pictures, classifier, caption, work, plan, tell)
        shown = sheet(studio, pictures, classifier, caption, work, plan)
        picture, figures = output.with_suffix(".jpg"), output.with_suffix(".json")
        origins = find(model) / "SOURCES.md"
        page = card(report, shown.prompts, picture.name, relative(origins, output) if origins.is_file() else None)
        output.parent.mkdir(parents=True, exist_ok=True)
        shown.image.save(picture, **PAGE)
        write_atomic(figures, report.to_json().encode())
        write_atomic(output, page.encode())
    print(output, picture, figures, sep="\n")


@contextmanager
def _bar(quiet: bool) -> "Iterator[OnStage]":
    """Draws how far each stage is, where someone looks."""
    screen = None if quiet or sys.stderr is None else console()
    if screen is None or not screen.is_terminal:
        yield lambda stage, done, total: None
        return
    from rich.progress import Progress, TaskID

    with Progress(console=screen, transient=True) as progress:
        stages: dict[str, TaskID] = {}

        def tell(stage: str, done: int, total: int) -> None:
            if stage not in stages:
                stages[stage] = progress.add_task(stage, total=total)
            progress.update(stages[stage], completed=done)

        yield tell
