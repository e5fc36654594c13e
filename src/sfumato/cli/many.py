"""Commands that paint many pictures of a request or of a file: ``grid`` and ``batch``."""

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfumato.cli import interrupts
from sfumato.cli.painting import Machine, OutputMode, build, require_adapters, require_model
from sfumato.cli.tasks import parsed
from sfumato.cli.terminal import narrating, note, watching
from sfumato.errors import RequestError
from sfumato.files import cannot_write
from sfumato.output import Destination, check_writable, rewrite
from sfumato.requests import REQUESTS

if TYPE_CHECKING:
    from sfumato.studio import Studio


@contextlib.contextmanager
def studio_for(model: str, machine: Machine, mode: OutputMode, count: int) -> "Iterator[tuple[Studio, Any]]":
    """A studio and what it tells its progress to, watched and interrupted as `painting.paint` is."""
    with (
        narrating(quiet=mode.quiet),
        watching(count, preview=mode.preview, quiet=mode.quiet) as on_step,
        contextlib.redirect_stdout(sys.stderr),
        interrupts.remembered() as check,
    ):
        from sfumato.studio import Studio

        check()
        studio = Studio(model, **asdict(machine))

        def watched(progress: Any) -> None:
            check()
            on_step(progress)

        yield studio, watched


def grid(axes: Mapping[str, str | None], words: Sequence[str], pictures: Path | None) -> None:
    """Paint a grid of the request that the words of a task's command are, and print the path of its sheet."""
    from sfumato import grid as grids

    kind, given = parsed(words)
    request = build(kind, given)
    x, y, z = (grids.NONE if axes[n] is None else grids.Axis.parse(type(request), axes[n] or "") for n in "xyz")
    if x is grids.NONE:
        raise RequestError("a grid needs --x FIELD=VALUE,VALUE; for example --x steps=4,8")
    cells = grids.requests(request, x, y, z)
    for each in cells.values():
        require_model(each.model)
        require_adapters(each)
    one = next(iter(cells.values()))
    mode = OutputMode(given["preview"], given["as_json"], given["quiet"])
    destination = Destination.parse(given["output"], format=given["format"], quality=given["quality"])
    destination.check(one)
    [file] = destination.paths(one)
    beside = file.with_suffix(".json")
    check_writable(beside)
    kept = None if pictures is None else Destination.parse(f"{pictures}/")
    painted = []
    with studio_for(one.model, Machine.read(given), mode, len(cells)) as (studio, watched):
        for cell in grids.paint(
            studio, request.changed(seed=one.seed) if request.seed is None else request, x, y, z, watched
        ):
            painted.append(cell)
            if kept is not None:
                result = cell.result
                kept.save(result.images, result.request, result.provenance, result.traces)
    facts = {"sheet": file.name, **grids.facts(painted, x, y, z)}
    for key, text in facts["keys"].items():
        note(f"no font here can write {text!r}; on the sheet it is {key}")
    from sfumato.output import encode

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(file.parent, error) from error
    rewrite(file, encode(grids.sheet(painted, x, y, z), {}, destination.format, destination.quality))
    rewrite(beside, (json.dumps(facts, ensure_ascii=False, indent=1) + "\n").encode())
    print(json.dumps({**facts, "sheet": str(file), "json": str(beside)}) if mode.as_json else file)


def batch(file: Path, folder: Path, task: str, common: Sequence[str], machine: Machine, *, quiet: bool) -> int:
    """Carry out the requests of a file, print a line of JSON for each; 2 if one of them failed."""
    from sfumato import batches
    from sfumato.checkpoints.catalogue import BUNDLED

    settings = dict(setting(text) for text in common)
    if task not in REQUESTS:
        raise RequestError(f"task {task[:64]!r} must be one of {', '.join(REQUESTS)}")
    entries = batches.read_batch(file, settings, task)
    models = list(dict.fromkeys(getattr(entry.request, "model", BUNDLED[0]) for entry in entries))
    for model in models:
        require_model(model)
    check_writable(folder / batches.SIDECAR)
    failed, left = 0, len(entries)
    stdout = sys.stdout
    try:
        with studio_for(models[0], machine, OutputMode(quiet=quiet), len(entries)) as (studio, watched):
            for line in batches.paint(studio, entries, folder, watched):
                failed += line["state"] == "failed"
                left -= 1
                print(json.dumps(line, ensure_ascii=False), file=stdout, flush=True)
    except KeyboardInterrupt as interrupt:
        interrupt.args = (f"{left} of {len(entries)} requests are left; the same command goes on with them",)
        raise
    return 2 if failed else 0


def setting(text: str) -> tuple[str, str]:
    """A field and its text, of ``FIELD=VALUE``. Raises RequestError for anything else."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise RequestError(f"--set {text[:60]!r} must be FIELD=VALUE; for example --set steps=8")
    return name.strip().replace("-", "_"), value
