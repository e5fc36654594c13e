"""What a run writes for people: TensorBoard scalars and pictures, a JSON line a record, sheets as PNG, a loss plot."""

import json
import time
from pathlib import Path

import numpy as np
from PIL import Image


class Tracker:
    """One run's record in `folder`: `log.jsonl`, `sheets/*.png` and TensorBoard events."""

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter  # heavy: only a running trainer needs it

        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.writer = SummaryWriter(str(folder / "tensorboard"))
        self.started = time.monotonic()

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Record numbers at `step`."""
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)
        record = {"step": step, "elapsed": round(time.monotonic() - self.started, 1), **values}
        with (self.folder / "log.jsonl").open("a") as log:
            log.write(json.dumps(record) + "\n")

    def sheet(self, step: int, image: Image.Image) -> Path:
        """Keep a picture of the state at `step`."""
        path = self.folder / "sheets" / f"{step:08d}.png"
        path.parent.mkdir(exist_ok=True)
        image.save(path)
        self.writer.add_image("sheet", np.asarray(image), step, dataformats="HWC")
        return path

    def close(self) -> None:
        """Flush TensorBoard."""
        self.writer.close()


def read_log(folder: Path) -> list[dict[str, float]]:
    """The records of a run in the order of their steps; a step run twice (after a resume) counts once, the later."""
    records: dict[int, dict[str, float]] = {}
    for line in (folder / "log.jsonl").read_text().splitlines():
        record = json.loads(line)
        records[record["step"]] = records.get(record["step"], {}) | record
    return [records[step] for step in sorted(records)]


def plot(folder: Path, target: Path) -> None:
    """Draw the run's losses over its steps into `target` (PNG or SVG)."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    records = read_log(folder)
    names = sorted({n for r in records for n in r if n.startswith(("train/", "validation/")) and "loss" in n})
    figure, axes = plt.subplots(figsize=(8, 4.5), constrained_layout=True)
    for name in names:
        points = [(r["step"], r[name]) for r in records if name in r]
        axes.plot(*zip(*points, strict=True), label=name, lw=1.2, alpha=0.6 if name.startswith("train") else 1.0)
    axes.set(xlabel="step", ylabel="loss", yscale="log", title=folder.name)
    axes.legend()
    axes.grid(alpha=0.3, which="both")
    figure.savefig(target, dpi=120)
    plt.close(figure)
