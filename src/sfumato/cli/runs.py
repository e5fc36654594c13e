"""``sfumato runs``: the store of runs for people and, as JSON, for programs."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfumato.cli.reports import columns
from sfumato.cli.terminal import note
from sfumato.errors import RequestError

if TYPE_CHECKING:
    from sfumato.training.runs import Run


def listed(store: Path, *, as_json: bool) -> None:
    """All runs."""
    from sfumato.training.runs import all_runs

    found = all_runs(store)
    if as_json:
        print(json.dumps({"runs": [_facts(run) for run in found]}))
    elif found:
        head = ("run", "task", "state", "steps", "lowest loss", "begun")
        print(columns([head, *((r.name, r.task, r.state, _steps(r), _number(r.best), r.begun) for r in found)]))
    else:
        note(f"there are no runs below {store}; sfumato teach and sfumato train make them")


def shown(name: str, store: Path, *, as_json: bool) -> None:
    """One run."""
    from sfumato.training.runs import find_run

    run = find_run(store, name)
    if as_json:
        print(json.dumps({**_facts(run), "losses": list(run.losses), "settings": run.settings}))
        return
    rows = [
        ("run", run.name),
        ("task", run.task),
        ("state", run.state),
        ("begun", run.begun),
        ("git", run.git or ""),
        ("steps", _steps(run)),
        ("seconds", f"{run.seconds:.0f}"),
        ("lowest loss", _number(run.best)),
        ("sheet", str(run.sheets[-1]) if run.sheets else ""),
        *(("file", f"{path}{_hash(run, path)}") for path in run.files),
    ]
    print(columns([row for row in rows if row[1]]))


def compared(names: Sequence[str], store: Path, output: Path) -> None:
    """Several runs."""
    from sfumato.training.runs import compare_plot, differences, find_run

    if len(names) < 2:
        raise RequestError(f"{len(names)} run cannot be compared; name two or more")
    if output.suffix not in (".png", ".svg"):
        raise RequestError(f"{str(output)!r} is no picture; name it {output.stem}.png or {output.stem}.svg")
    found = [find_run(store, name) for name in names]
    if not any(run.losses for run in found):
        raise RequestError(f"{', '.join(names)} have no losses yet")
    compare_plot(found, output)
    rows = [("", *(run.name for run in found)), ("lowest loss", *(_number(run.best) for run in found))]
    rows += [(key, *map(str, values)) for key, values in differences(found).items()]
    note(f"{len(rows) - 2} settings differ")
    print(columns(rows))
    print(output)


def _facts(run: "Run") -> dict[str, Any]:
    return {
        "name": run.name,
        "folder": str(run.folder),
        "task": run.task,
        "state": run.state,
        "begun": run.begun,
        "git": run.git,
        "step": run.step,
        "steps": run.steps,
        "seconds": run.seconds,
        "lowest_loss": run.best,
        "files": [str(path) for path in run.files],
        "hashes": dict(run.hashes),
    }


def _steps(run: "Run") -> str:
    return f"{run.step} of {run.steps}" if run.steps else str(run.step)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _hash(run: "Run", path: Path) -> str:
    return f" ({run.hashes[path.name]})" if path.name in run.hashes else ""
