"""Which of several ways to compute one thing is the fastest here: raced once for each shape, and remembered.

A cache that cannot be used costs a race anew, and changes no picture but by rounding.
"""

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from sfumato.runtime.remembered import Remembered

CLEARLY = 1.1
"""The first way keeps the job unless another is so many times as fast: near ties must not depend on chance."""
ROUNDS = 3
DECIDED = 1.6
"""A way that is so many times as slow after its first counted round runs no more."""


class Races:
    """The winners by name of the race.

    Args:
        path: where they are remembered; None: only here.
    """

    def __init__(self, path: Path | None) -> None:
        self._kept = Remembered(path)
        self._lock = threading.Lock()

    def winner(self, race: str, ways: Mapping[str, Callable[[], object]]) -> str:
        """The name of the fastest of `ways`: remembered, or found out now. The first wins near ties."""
        with self._lock:
            known = self._kept.get(race)
            if not isinstance(known, str) or known not in ways:
                known = _fastest(ways)
                self._kept.keep(race, known)
            return known


def _fastest(ways: Mapping[str, Callable[[], object]]) -> str:
    best = dict.fromkeys(ways, float("inf"))
    for way in ways.values():
        way()  # prepares, and fills the caches
    for number in range(ROUNDS):
        leading = min(best.values())
        for name, way in ways.items():
            if number and best[name] > DECIDED * leading:
                continue
            begun = time.perf_counter()
            way()
            best[name] = min(best[name], time.perf_counter() - begun)
    first = next(iter(ways))
    name = min(best, key=lambda name: best[name])
    return name if best[name] * CLEARLY < best[first] else first


_RACES: dict[int, Races] = {}


def races() -> Races:
    """Those of this machine, at the present number of threads."""
    import torch

    threads = torch.get_num_threads()
    if threads not in _RACES:
        _RACES[threads] = Races(Remembered.of_machine("races").path)
    return _RACES[threads]
