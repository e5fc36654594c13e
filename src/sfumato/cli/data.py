"""``sfumato data``: pictures for training, looked at, brought in and handed on."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from sfumato.cli.terminal import console, note

if TYPE_CHECKING:
    from rich.console import Console

    from sfumato.training.prepare import PrepareConfig, Report
    from sfumato.training.sources import Candidate

LISTED = 20  # pictures that are named in a report on the screen


def check(source: Path, choices: dict[str, Any], *, as_json: bool) -> None:
    """Say what would be brought in, and change nothing."""
    from rich.console import Console

    from sfumato.training import prepare as preparing

    report = preparing.check(source, _intake(choices), track=_tracked)
    if as_json:
        print(json.dumps(report.as_json()))
    else:
        _show(report, Console())
        _remark(report)


def prepare(source: Path, out: Path, choices: dict[str, Any], *, as_json: bool) -> None:
    """Bring pictures in and print the folder of the result."""
    from sfumato.training import prepare as preparing

    report = preparing.prepare(source, out, _intake(choices), track=_tracked)
    if as_json:
        print(json.dumps({"folder": str(out), **report.as_json()}))
    else:
        _show(report, console())
        _remark(report)
        if not report.held_out:
            note(
                "no picture is held out, and training judges itself by such; see --validation, for two pictures or more"
            )
        print(out)


def shards(folder: Path, out: Path, *, per_shard: int) -> None:
    """Hand training data on as tars and print their paths."""
    from sfumato.training.data import Pictures
    from sfumato.training.shards import write_shards

    print(*write_shards(Pictures(folder), out, per_shard=per_shard), sep="\n")


def _intake(choices: dict[str, Any]) -> "PrepareConfig":
    """The options that are given, checked."""
    from sfumato.training.prepare import PrepareConfig
    from sfumato.validation import explained

    try:
        return PrepareConfig.model_validate({name: value for name, value in choices.items() if value is not None})
    except ValidationError as error:
        raise explained(PrepareConfig, error)[0] from None


def _tracked(found: "Iterable[Candidate]") -> "Iterator[Candidate]":
    """The pictures, counted on the screen as they pass."""
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    screen = console()
    columns = SpinnerColumn(), TextColumn("{task.completed:.0f} pictures"), TimeElapsedColumn()
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task("reading", total=None)
        for candidate in found:
            yield candidate
            bar.advance(task)


def _remark(report: "Report") -> None:
    """What may not be as it is meant."""
    if report.several_lines and report.options["caption_lines"] == "each":
        note(
            f"the captions of {report.several_lines} pictures have several lines, each taken as a caption of its own "
            "(one is drawn at a time); --caption-lines join makes one caption of them"
        )


def _show(report: "Report", screen: "Console") -> None:
    """How many, and why the others are left out."""
    from rich.table import Table

    table = Table("", "pictures", box=None, pad_edge=False, show_header=False)
    table.columns[1].justify = "right"
    table.add_row("read", str(report.read))
    table.add_row("kept", str(report.kept))
    for kind, counts in (("left out", report.reasons), ("of the kept", report.changes)):
        for name, count in counts.most_common():
            table.add_row(f"  {kind}: {name}", str(count))
    table.add_row("captions", str(report.captions))
    screen.print(table)
    for entry in report.left_out[:LISTED]:
        note(f"{entry['name']}: {entry['reason']}, {entry['detail']}")
    if len(report.left_out) > LISTED:
        note(f"... and {len(report.left_out) - LISTED} more; all are in report.json, or printed with --json")
