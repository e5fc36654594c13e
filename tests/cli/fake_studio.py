"""A Studio that paints gradients, for tests of what is around it. As a script it is ``sfumato`` with that Studio.

In a subprocess the environment steers it: FAKE_STEP_SECONDS slows it down, FAKE_NOISE makes it print to stdout,
FAKE_ERROR names an exception to raise, FAKE_SIGNAL a signal that it gets at a picture: SIGINT@2.
"""

import logging
import os
import signal
import sys
import time
import types
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from sfumato.asking import Asking, Running
from sfumato.errors import UnknownNameError
from sfumato.metadata.provenance import Provenance
from sfumato.requests import Painting
from sfumato.results import Progress, Result

OPEN: dict[str, Any] = {
    **{"seed": 7, "batch": 1, "steps": 3, "sampler": "euler", "schedule": "normal", "guidance": 1.0},
    **{"width": 16, "height": 16},
}


class Studio(Running, Asking):
    """The real one's `run` and methods on painting of its own; what is left open is `OPEN`, sizes 16x16."""

    def __init__(
        self,
        model: str | Path = "nano",
        *,
        device: str = "auto",
        precision: str = "auto",
        allow_nonfinite: bool = False,
        engine: str = "auto",
    ) -> None:
        self.default = str(model)

    def events(self, request: Painting, *, since: float | None = None) -> Iterator[Progress | Result]:
        if os.environ.get("FAKE_NOISE"):
            logging.getLogger("sfumato.tasks").warning("the prompt is cut")
            print("a library talks on stdout")
        if name := os.environ.get("FAKE_ERROR"):
            raise {"memory": MemoryError, "bug": ZeroDivisionError, "interrupt": KeyboardInterrupt}[name]()
        request = request.changed(**{k: v for k, v in OPEN.items() if getattr(request, k) is None})
        assert request.seed is not None
        assert request.batch is not None
        assert request.steps is not None
        seeds = list(range(request.seed, request.seed + request.count))
        for first in range(0, request.count, request.batch):
            if os.environ.get("FAKE_SIGNAL", "").endswith(f"@{first}"):
                signal.raise_signal(signal.Signals[os.environ["FAKE_SIGNAL"].partition("@")[0]])
            some = seeds[first : first + request.batch]
            for index in range(request.steps):
                time.sleep(float(os.environ.get("FAKE_STEP_SECONDS", "0")))
                yield Progress(
                    first,
                    len(some),
                    index,
                    request.steps,
                    1.0 - index / request.steps,
                    partial(self.pictures, request, some),
                )
            yield self.painted(request, some)

    def painted(self, request: Painting, seeds: list[int]) -> Result:
        timings = {"load": 0.1, "encode": 0.1, "sample": 0.3, "decode": 0.1, "steps_per_second": 10.0}
        return Result(self.pictures(request, seeds), request, seeds, timings, Provenance("ab" * 32, torch="2.9.0"))

    def pictures(self, request: Painting, seeds: list[int]) -> list[Image.Image]:
        return [self.picture(request, seed) for seed in seeds]

    @staticmethod
    def picture(request: Painting, seed: int) -> Image.Image:
        size = (request.width or 16, request.height or 16)
        return Image.linear_gradient("L").resize(size).convert("RGB").point(lambda v: (v + 31 * seed) % 256)


@dataclass(frozen=True)
class ModelInfo:
    name: str
    family: str
    path: Path
    size_bytes: int
    description: str


def find(model: str) -> Path:
    if model not in ("nano", "micro"):
        raise UnknownNameError("model", model, ["nano", "micro"])
    return Path("/models") / model


def modules() -> dict[str, types.ModuleType]:
    """Stand-ins for what the commands import when they run."""
    studio: Any = types.ModuleType("sfumato.studio")
    studio.Studio = Studio
    catalogue: Any = types.ModuleType("sfumato.checkpoints.catalogue")
    catalogue.bundled_folder = lambda name: Path("/models") / name
    catalogue.available = lambda: [ModelInfo("nano", "nano", Path("/models/nano"), 40 * 2**20, "bundled")]
    catalogue.find = find
    catalogue.MAX_PATH, catalogue.SUFFIXES = 4000, (".safetensors", ".pt")
    training: Any = types.ModuleType("sfumato.training.run")
    training.train = lambda path, run: (run or Path("runs") / path.stem) / "export"
    return {module.__name__: module for module in (studio, catalogue, training)}


if __name__ == "__main__":
    sys.modules.update(modules())
    from sfumato.cli import main

    raise SystemExit(main())
