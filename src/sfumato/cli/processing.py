"""Commands of tasks that are not painted from a prompt: pictures made of others, and answers about them."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfumato.cli import interrupts
from sfumato.cli.painting import Machine, OutputMode, Stdout, as_json, destination_of, paint, require_pictures
from sfumato.cli.tasks import read_fields
from sfumato.cli.terminal import note
from sfumato.errors import RequestError
from sfumato.files import read_text
from sfumato.output import check_writable, rewrite
from sfumato.requests import Request

if TYPE_CHECKING:
    from sfumato.results import Report


MAX_FILE = 2**24
"""Bytes of a file of labels."""


def run(kind: type[Request], given: Mapping[str, Any]) -> None:
    """Check everything that can be checked, then do it; on stdout the pictures' paths, or else the answer.

    Args:
        given: what the command line has, by name: fields of the request, and of the tables in `cli.tasks`.
    """
    mode = OutputMode(as_json=given["as_json"], quiet=given["quiet"])
    request = kind.build(**read_fields(kind, given), **labels_of(given))
    require_pictures(request)
    destination = destination_of(given) if request.pictures else None
    if isinstance(destination, Stdout):
        destination.check_alone([request], mode)
    if destination is not None:
        destination.check(request)
    plot: Path | None = given.get("plot")
    if plot is not None:
        check_writable(plot)
    start = time.perf_counter()
    [result] = paint([request], Machine.read(given), mode)
    files: list[Path] = []
    if destination is not None:
        with interrupts.deferred():
            files = destination.save(result.images, result.request, result.provenance, result.traces)
    report = result.report
    if plot is not None and report is not None:
        rewrite(plot, plotted(report))
    if report is not None and not mode.quiet:
        for line in (report.answer, *(str(report).splitlines() if files and report.rows else ()), *report.remarks):
            note(line, spaced=True)
        note(f"done in {time.perf_counter() - start:.1f} s")
    if mode.as_json:
        print(as_json(result, files))
    elif files:
        print("\n".join(map(str, files)))
    elif report is not None and destination is None:
        print(report)


def labels_of(given: Mapping[str, Any]) -> dict[str, object]:
    """The labels of ``--labels-file``, where it is given.

    Raises:
        RequestError: it cannot be read, or there are ``--labels`` too.
    """
    file: Path | None = given.get("labels_file")
    if file is None:
        return {}
    if given["labels"] is not None:
        raise RequestError("--labels and --labels-file both say what the pictures may show; give one of them")
    text = read_text(file, MAX_FILE, "a text file, a label a line")
    return {"labels": [line.strip() for line in text.splitlines() if line.strip()]}


def plotted(report: "Report") -> bytes:
    """The bytes of a PNG with the views of a report side by side."""
    from sfumato.comparison import side_by_side
    from sfumato.output import encode

    return encode(side_by_side(report.views), {}, "png")
