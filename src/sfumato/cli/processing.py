"""Commands of tasks that are not painted from a prompt: pictures made of others, and answers about them."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfumato.cli import interrupts
from sfumato.cli.painting import Machine, OutputMode, Stdout, as_json, destination_of, paint, require_pictures
from sfumato.cli.tasks import read_fields
from sfumato.cli.terminal import note
from sfumato.output import check_writable, rewrite
from sfumato.requests import Request

if TYPE_CHECKING:
    from sfumato.results import Report


def run(kind: type[Request], given: Mapping[str, Any]) -> None:
    """Check everything that can be checked, then do it; on stdout the pictures' paths, or else the answer.

    Args:
        given: what the command line has, by name: fields of the request, and of the tables in `cli.tasks`.
    """
    mode = OutputMode(as_json=given["as_json"], quiet=given["quiet"])
    request = kind.build(**read_fields(kind, given))
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


def plotted(report: "Report") -> bytes:
    """The bytes of a PNG with the views of a report side by side."""
    from sfumato.comparison import side_by_side
    from sfumato.output import encode

    return encode(side_by_side(report.views), {}, "png")
