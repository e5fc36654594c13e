"""How fast pictures come, as a user meets it: from a cold process, and again in a warm one; and how models load."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sfumato.errors import SfumatoError

if TYPE_CHECKING:
    from sfumato.requests import Painting
    from sfumato.results import Result

Paint = Callable[["Painting"], "Result"]


@dataclass(frozen=True)
class Cold:
    """Fresh processes, from the command to the finished file.

    Attributes:
        seconds: of each process.
        peak_bytes: the most resident memory that any of them had; None where the system does not say.
    """

    seconds: list[float]
    peak_bytes: int | None


@dataclass(frozen=True)
class Warm:
    """One process with the model loaded and one picture painted before the clock started.

    Attributes:
        step_seconds: a sampling step of one picture, the median.
        images_per_second: one at a time, from request to picture.
        batch: how many at a time for `batch_images_per_second`.
        request: what ran.
    """

    step_seconds: float
    images_per_second: float
    batch: int
    batch_images_per_second: float
    request: "Painting"


@dataclass(frozen=True)
class Load:
    """Fresh processes that load one model, whose file is in the system's memory already.

    Attributes:
        ready_seconds: from the start of each process until its model can paint.
        load_seconds: of that, the load itself.
        cpu_seconds: of all threads of each process, which a busy machine changes less.
        peak_bytes: the most resident memory that any had, mapped files counted; None where the system does not say.
        file_bytes: of the model.
    """

    ready_seconds: list[float]
    load_seconds: list[float]
    cpu_seconds: list[float]
    peak_bytes: int | None
    file_bytes: int

    @property
    def peak_ratio(self) -> float | None:
        """Peak memory as a multiple of the file's size."""
        return None if self.peak_bytes is None else self.peak_bytes / self.file_bytes


def load(path: Path, *, device: str = "auto", precision: str = "auto", repeat: int = 3) -> Load:
    """Load a model in `repeat` fresh processes, after one that brings it into memory and is not counted.

    Raises:
        SfumatoError: when one fails; its last line says why.
    """
    files = [path] if path.is_file() else list(path.rglob("*.safetensors"))
    command = [sys.executable, "-m", "sfumato.cli.loading", str(path), device, precision]
    ready, loads, cpu, peaks = [], [], [], []
    for _ in range(1 + repeat):
        started = time.time()
        said, _, peak = ran(command)
        facts = json.loads(said)
        ready.append(facts["until"] - started)
        loads.append(facts["load"])
        cpu.append(facts["cpu"])
        peaks += [] if peak is None else [peak]
    size = sum(file.stat().st_size for file in files)
    return Load(ready[1:], loads[1:], cpu[1:], max(peaks[1:], default=None), size)


def cold(command: Sequence[str], repeat: int = 3) -> Cold:
    """Run ``python -m sfumato COMMAND`` in `repeat` fresh processes, one after the other.

    Raises:
        SfumatoError: when one fails; its last line says why.
    """
    runs = [ran([sys.executable, "-m", "sfumato", *command]) for _ in range(repeat)]
    peaks = [peak for _, _, peak in runs if peak is not None]
    return Cold([seconds for _, seconds, _ in runs], max(peaks, default=None))


def warm(paint: Paint, request: "Painting", *, repeat: int = 3, batch: int = 4) -> Warm:
    """Time a loaded model: `repeat` pictures one by one, then as many batches."""
    one, many = request.changed(count=1, batch=1), request.changed(count=batch, batch=batch)
    paint(one)
    singles = [_clocked(paint, one) for _ in range(repeat)]
    batches = [_clocked(paint, many)[0] for _ in range(repeat)]
    executed = singles[0][1].request
    assert isinstance(executed, type(request))
    steps = executed.steps if executed.steps is not None else 1
    return Warm(
        step_seconds=statistics.median(result.timings["sample"] / steps for _, result in singles),
        images_per_second=1 / statistics.median(seconds for seconds, _ in singles),
        batch=batch,
        batch_images_per_second=batch / statistics.median(batches),
        request=executed,
    )


def _clocked(paint: Paint, request: "Painting") -> "tuple[float, Result]":
    start = time.perf_counter()
    result = paint(request)
    return time.perf_counter() - start, result


def ran(command: Sequence[str]) -> tuple[str, float, int | None]:
    """What a process prints, its wall seconds and its peak resident bytes.

    Raises:
        SfumatoError: it fails; its last line says why.
    """
    start = time.perf_counter()
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as printed,
        subprocess.Popen(command, stdout=printed, stderr=subprocess.PIPE, text=True) as process,
    ):
        assert process.stderr is not None
        said = process.stderr.read()  # until it closes its end, which is when it is done
        peak = _reap(process)
        seconds = time.perf_counter() - start
        printed.seek(0)
        answer = printed.read()
    if process.returncode != 0:
        last = (said.strip().splitlines() or ["it said nothing"])[-1].removeprefix("sfumato: ")
        raise SfumatoError(f"the cold run failed with exit code {process.returncode}: {last}")
    return answer, seconds, peak


def _reap(process: "subprocess.Popen[str]") -> int | None:
    """Wait for a process and read the most memory it had, which only the one who waits is told."""
    if not hasattr(os, "wait4"):
        process.wait()
        return None
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
