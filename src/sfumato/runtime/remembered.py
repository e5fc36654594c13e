"""What this machine has measured, kept in the user's cache folder: by name, a value that JSON has.

One that is damaged, foreign or cannot be written costs a measurement anew, and no more.
"""

import contextlib
import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from sfumato.files import write_atomic
from sfumato.runtime.precision import cache_folder, cpu_flags, cpu_name

MOST = 1024
"""Entries of a file; the oldest go first."""


class Remembered:
    """Values by name.

    Args:
        path: where they are kept; None: only here.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._known: dict[str, Any] | None = None

    @classmethod
    def of_machine(cls, kind: str) -> "Remembered":
        """Those of this CPU and torch, at the present number of threads."""
        import torch

        folder = cache_folder()
        facts = "\n".join([cpu_name(), *sorted(cpu_flags()), torch.__version__, str(torch.get_num_threads())])
        name = f"{kind}-{sha256(facts.encode()).hexdigest()[:16]}.json"
        return cls(None if folder is None else folder / name)

    def get(self, name: str) -> Any:
        """The value, or None."""
        if self._known is None:
            self._known = self._read()
        return self._known.get(name)

    def keep(self, name: str, value: Any) -> None:
        """Remember a value; what another process has kept meanwhile stays."""
        known = {**self._read(), **(self._known or {})}
        known.pop(name, None)  # the newest stand last
        known[name] = value
        self._known = dict(list(known.items())[-MOST:])
        if self.path is not None:
            with contextlib.suppress(OSError):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(self.path, json.dumps(self._known, indent=0).encode())

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(self.path.read_bytes()) if self.path else {}
        except (OSError, ValueError, RecursionError):
            return {}
        return dict(found) if isinstance(found, Mapping) else {}
