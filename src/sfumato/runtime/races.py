"""Which of several ways to compute one thing is the fastest here: raced once for each shape, and remembered.

A file for each CPU, torch and number of threads lies in the user's cache folder. One that is damaged, foreign or cannot
be written costs a race anew, and changes no picture but by rounding.
"""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path

from sfumato.files import write_atomic
from sfumato.runtime.precision import cache_folder, cpu_flags, cpu_name

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
        self.path = path
        self._lock = threading.Lock()
        self._known: dict[str, str] | None = None

    def winner(self, race: str, ways: Mapping[str, Callable[[], object]]) -> str:
        """The name of the fastest of `ways`: remembered, or found out now. The first wins near ties."""
        with self._lock:
            if self._known is None:
                self._known = self._read()
            known = self._known.get(race)
            if known is None or known not in ways:
                known = self._known[race] = _fastest(ways)
                self._remember()
            return known

    def _read(self) -> dict[str, str]:
        try:
            found = json.loads(self.path.read_bytes()) if self.path else {}
        except (OSError, ValueError, RecursionError):
            return {}
        if not isinstance(found, dict):
            return {}
        return {race: way for race, way in found.items() if isinstance(race, str) and isinstance(way, str)}

    def _remember(self) -> None:
        if self.path is None or self._known is None:
            return
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._known = self._read() | self._known  # what another process has found out meanwhile stays
            write_atomic(self.path, json.dumps(self._known, indent=0, sort_keys=True).encode())


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
        folder = cache_folder()
        facts = "\n".join([cpu_name(), *sorted(cpu_flags()), torch.__version__, str(threads)])
        name = f"races-{sha256(facts.encode()).hexdigest()[:16]}.json"
        _RACES[threads] = Races(None if folder is None else folder / name)
    return _RACES[threads]
