"""Which function carries out which request. By convention it is that of the task's name in the module of that name."""

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from sfumato.adapters.applied import Applied
from sfumato.results import Progress, Result

Run = Callable[[Applied, Any, float], Iterator[Progress | Result]]
"""``(model with the request's adapters, request, seconds that loading took)``; the request is made exact inside."""


def runner(task: str) -> Run:
    """The function of a task of `sfumato.requests.REQUESTS`, from ``sfumato.tasks.<task>``."""
    run: Run = getattr(import_module(f"sfumato.tasks.{task}"), task)
    return run
