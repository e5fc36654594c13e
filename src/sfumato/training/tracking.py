"""What a run writes for people: a JSON line a record, sheets as PNG, a loss plot, and boards: TensorBoard, W&B."""

import io
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from sfumato.errors import TrainingError
from sfumato.files import write_atomic


class Board(Protocol):
    """A place where a run's numbers and pictures can be watched."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers at a step, by name."""
        ...

    def text(self, step: int, name: str, text: str) -> None:
        """A line for people."""
        ...

    def picture(self, step: int, name: str, image: Image.Image) -> None:
        """A picture of the state."""
        ...

    def close(self) -> None:
        """Write what is left to write."""
        ...


class TensorBoard:
    """Event files in a folder: `tensorboard --logdir FOLDER`."""

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter  # heavy: only a running trainer needs it

        self.writer = SummaryWriter(str(folder))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def text(self, step: int, name: str, text: str) -> None:
        self.writer.add_text(name, text, step)

    def picture(self, step: int, name: str, image: Image.Image) -> None:
        self.writer.add_image(name, np.asarray(image), step, dataformats="HWC")

    def close(self) -> None:
        self.writer.close()


@contextmanager
def silent_threads() -> Iterator[None]:
    """Where a disk is full, TensorBoard's thread says so by a traceback of its own, besides raising it in ours."""
    before = threading.excepthook
    threading.excepthook = lambda given: None if isinstance(given.exc_value, OSError) else before(given)
    try:
        yield
    finally:
        threading.excepthook = before


class WeightsAndBiases:
    """A run of a Weights & Biases project; asked for by `wandb` in the configuration, since it talks to a network.

    The run's folder names it, so that a resumed run goes on where it was. WANDB_MODE=offline keeps it here.
    """

    def __init__(self, folder: Path, project: str) -> None:
        try:
            import wandb
        except ImportError as error:
            raise TrainingError(f"wandb={project!r} needs the package: pip install wandb, or leave it out") from error
        self.wandb = wandb
        name = "-".join(folder.absolute().parts[-2:])
        self.run = wandb.init(project=project, name=name, id=name, dir=str(folder), resume="allow")

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self.run.log(dict(values), step=step)

    def text(self, step: int, name: str, text: str) -> None:
        self.run.log({name: text}, step=step)

    def picture(self, step: int, name: str, image: Image.Image) -> None:
        self.run.log({name: self.wandb.Image(image)}, step=step)

    def close(self) -> None:
        self.run.finish()


class Tracker:
    """One run's record in `folder`: `log.jsonl`, `sheets/*.png`, and boards to watch it on.

    Args:
        step: where the run goes on; what a process that died logged of later steps is dropped, as they come again.

    Raises:
        TrainingError: Weights & Biases is asked for and not installed.
    """

    def __init__(self, folder: Path, wandb: str | None = None, step: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        records = [record for record in _records(folder) if record["step"] <= step]
        self.validated = any(r["step"] == step and any(name.startswith("validation/") for name in r) for r in records)
        """Whether the log has a validation of the step where the run goes on."""
        if records or (folder / "log.jsonl").is_file():
            write_atomic(folder / "log.jsonl", "".join(json.dumps(record) + "\n" for record in records).encode())
        self.boards: list[Board] = [TensorBoard(folder / "tensorboard")]
        if wandb is not None:
            self.boards.append(WeightsAndBiases(folder, wandb))
        self.started = time.monotonic()

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Record numbers at `step`."""
        for board in self.boards:
            board.scalars(step, values)
        self._log(step, values)

    def _log(self, step: int, values: Mapping[str, float | str]) -> None:
        record = {"step": step, "elapsed": round(time.monotonic() - self.started, 1), **values}
        with (self.folder / "log.jsonl").open("a") as log:
            log.write(json.dumps(record) + "\n")

    def warning(self, step: int, text: str) -> None:
        """Record a line that a person should read."""
        for board in self.boards:
            board.text(step, "warning", text)
        self._log(step, {"warning": text})

    def sheet_file(self, step: int) -> Path:
        """Where the picture of the state at `step` is kept."""
        return self.folder / "sheets" / f"{step:08d}.png"

    def sheet(self, step: int, image: Image.Image) -> Path:
        """Keep a picture of the state at `step`."""
        path = self.sheet_file(step)
        path.parent.mkdir(exist_ok=True)
        write_atomic(path, _encoded(image))
        for board in self.boards:
            board.picture(step, "sheet", image)
        return path

    def close(self) -> None:
        """Flush the boards."""
        for board in self.boards:
            board.close()


def _encoded(image: Image.Image) -> bytes:
    data = io.BytesIO()
    image.save(data, "PNG")
    return data.getvalue()


def _records(folder: Path) -> Iterator[dict[str, Any]]:
    """The lines of a log that are whole: a process may have died, or a disk been full, in the middle of the last."""
    file = folder / "log.jsonl"
    for line in file.read_text().splitlines() if file.is_file() else ():
        with suppress(ValueError):
            yield json.loads(line)


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The records of a run, one a step, in the order of the steps."""
    records: dict[int, dict[str, Any]] = {}
    for record in _records(folder):
        records[record["step"]] = records.get(record["step"], {}) | record
    return [records[step] for step in sorted(records)]


def plot(folder: Path, target: Path) -> None:
    """Draw the run's losses over its steps into `target` (PNG or SVG)."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    records = read_log(folder)
    names = sorted({n for r in records for n in r if n.startswith(("train/", "validation/")) and "loss" in n})
    signed = any(r[name] <= 0 for r in records for name in names if name in r)  # as an adversarial loss may be
    figure, axes = plt.subplots(figsize=(8, 4.5), constrained_layout=True)
    for name in names:
        points = [(r["step"], r[name]) for r in records if name in r]
        axes.plot(*zip(*points, strict=True), label=name, lw=1.2, alpha=0.6 if name.startswith("train") else 1.0)
    axes.set(xlabel="step", ylabel="loss", yscale="linear" if signed else "log", title=folder.name)
    axes.legend()
    axes.grid(alpha=0.3, which="both")
    data = io.BytesIO()
    figure.savefig(data, dpi=120, format=target.suffix.lstrip("."))
    write_atomic(target, data.getvalue())
    plt.close(figure)
