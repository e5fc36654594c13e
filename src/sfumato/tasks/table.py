"""Which function carries out which request. By convention it is that of the task's name in the module of that name.

A `Painting` is handed its model with all adapters, ``(applied, request, seconds that loading took)``; any other request
the studio itself, ``(studio, request)``, since it needs a checkpoint only in some cases, or several.
"""

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Protocol

import torch

from sfumato.model import Model
from sfumato.requests import Request
from sfumato.results import Progress, Result

Run = Callable[..., Iterator[Progress | Result]]
"""The request is made exact inside."""


class Studio(Protocol):
    """What a task that does not paint by itself may ask of the studio that runs it."""

    @property
    def device(self) -> torch.device:
        """Where networks are to run."""
        ...

    def load(self, model: str | Path | None = None) -> Model:
        """A checkpoint, by name or path."""
        ...

    def events(self, request: Request) -> Iterator[Progress | Result]:
        """Carry out another request, such as one that paints."""
        ...


def runner(task: str) -> Run:
    """The function of a task of `sfumato.requests.REQUESTS`, from ``sfumato.tasks.<task>``."""
    run: Run = getattr(import_module(f"sfumato.tasks.{task}"), task)
    return run
