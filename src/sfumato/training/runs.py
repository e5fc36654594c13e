"""The local store of runs: folders that `train` made, what was set in them, how their losses went, what came of them.

A run is any folder with a `run.json` or `log.jsonl`. Nothing else is kept anywhere: a folder that is moved or copied
takes its history along.
"""

import datetime
import io
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sfumato.errors import TrainingError, UnknownNameError
from sfumato.files import write_atomic
from sfumato.training.checkpoint import latest_facts
from sfumato.training.tracking import read_log

FACTS = "run.json"
ADAPTERS = ("adapter",)
"""Tasks that export adapters."""
MOST_LEVELS = 3
"""Folders below the store in which runs are looked for."""


def note_begin(folder: Path, settings: Mapping[str, Any]) -> None:
    """Keep what a run was begun with, once: settings, time, torch's version and the state of the working folder.

    Raises:
        OSError: it cannot be written.
    """
    import torch

    if not (folder / FACTS).is_file():
        begun = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        facts = {"begun": begun, "torch": torch.__version__, "git": _git_state(), "settings": dict(settings)}
        write_atomic(folder / FACTS, json.dumps(facts, indent=1, ensure_ascii=False).encode())


def _git_state() -> str | None:
    """The commit of the working folder, and whether files differ from it; None where there is none."""
    try:
        said = [
            subprocess.run(["git", *command], capture_output=True, text=True, timeout=5, check=True).stdout.strip()
            for command in (["rev-parse", "--short=12", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        ]
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{said[0]}{' and changes' if said[1] else ''}"


@dataclass(frozen=True)
class Run:
    """What is known of a run.

    Attributes:
        losses: (step, loss) of the validation; of training where there is none.
        seconds: in all processes that trained it.
        files: what was exported.
        hashes: those files that are adapters, by the hash that pictures keep of them.
    """

    name: str
    folder: Path
    task: str
    begun: str
    git: str | None
    step: int
    steps: int | None
    seconds: float
    losses: Sequence[tuple[int, float]]
    settings: Mapping[str, Any]
    files: Sequence[Path] = ()
    sheets: Sequence[Path] = ()
    hashes: Mapping[str, str] = field(default_factory=dict)

    @property
    def best(self) -> float | None:
        """The lowest loss."""
        return min((loss for _, loss in self.losses), default=None)

    @property
    def state(self) -> str:
        """Whether it is done."""
        return "done" if self.files else "unfinished"


def read_run(folder: Path, name: str | None = None) -> Run:
    """A run's folder.

    Raises:
        TrainingError: it is none.
    """
    if not (folder / FACTS).is_file() and not (folder / "log.jsonl").is_file():
        raise TrainingError(f"{folder} is no folder of a run; sfumato runs list names them")
    facts: dict[str, Any] = {}
    if (folder / FACTS).is_file():
        try:
            facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        except ValueError as error:
            raise TrainingError(f"{folder / FACTS} is damaged: {error}") from error
    settings = facts.get("settings") or (latest_facts(folder) or {}).get("config", {})
    log = read_log(folder)
    key = "validation/loss" if any("validation/loss" in record for record in log) else "train/loss"
    losses = [(int(r["step"]), float(r[key])) for r in log if key in r]
    export = folder / "export"
    files = sorted(path for path in export.rglob("*") if path.is_file()) if export.is_dir() else []
    return Run(
        folder.name if name is None else name,
        folder,
        str(settings.get("task", "unknown")),
        str(facts.get("begun", "")),
        facts.get("git"),
        int(log[-1]["step"]) if log else 0,
        (settings.get("loop") or {}).get("steps"),
        _seconds(log),
        losses,
        settings,
        files,
        sorted((folder / "sheets").glob("*.png")),
        _hashes(files) if settings.get("task") in ADAPTERS else {},
    )


def _seconds(log: Sequence[Mapping[str, Any]]) -> float:
    """Seconds of all sittings: a clock that goes back began anew."""
    total = last = 0.0
    for record in log:
        now = float(record.get("elapsed", 0.0))
        if now < last:
            total += last
        last = now
    return total + last


def _hashes(files: Sequence[Path]) -> dict[str, str]:
    from sfumato.adapters.applied import lora_hash

    return {path.name: lora_hash(path) for path in files if path.suffix == ".safetensors"}


def all_runs(store: Path) -> list[Run]:
    """The runs below a folder, the latest begun last."""
    found = [read_run(folder, str(folder.relative_to(store))) for folder in _folders(store, MOST_LEVELS)]
    return sorted(found, key=lambda run: (run.begun, run.name))


def _folders(folder: Path, levels: int) -> Iterator[Path]:
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not path.is_dir() or path.name.startswith("."):
            continue
        if (path / FACTS).is_file() or (path / "log.jsonl").is_file():
            yield path
        elif levels > 1:
            yield from _folders(path, levels - 1)


def find_run(store: Path, name: str) -> Run:
    """A run by its name below the store, by its folder, or by the hash that a picture keeps of its adapter.

    Raises:
        UnknownNameError: there is none; near names are offered.
    """
    for folder in (store / name, Path(name)):
        if folder.is_dir():
            return read_run(folder, name)
    runs = all_runs(store)
    for run in runs:
        if len(name) >= 8 and any(own.startswith(name.lower()) for own in run.hashes.values()):
            return run
    raise UnknownNameError("run", name[:64], [run.name for run in runs])


def differences(runs: Sequence[Run]) -> dict[str, tuple[Any, ...]]:
    """Settings in which runs differ, by name, with the value of each."""
    flat = [_flat(run.settings) for run in runs]
    names = sorted({name for each in flat for name in each})
    values = {name: tuple(each.get(name) for each in flat) for name in names}
    return {name: own for name, own in values.items() if any(value != own[0] for value in own)}


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if name == "content":
            continue
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return flat


def compare_plot(runs: Sequence[Run], target: Path) -> None:
    """Draw the losses of runs over their steps into one picture (PNG or SVG)."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.5), constrained_layout=True)
    for run in runs:
        if run.losses:
            axes.plot(*zip(*run.losses, strict=True), marker=".", label=run.name)
    axes.set(xlabel="step", ylabel="loss")
    axes.legend()
    axes.grid(alpha=0.3, which="both")
    data = io.BytesIO()
    figure.savefig(data, dpi=120, format=target.suffix.lstrip("."))
    write_atomic(target, data.getvalue())
    plt.close(figure)
