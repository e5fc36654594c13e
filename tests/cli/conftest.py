"""The command line with a Studio that paints gradients, in a folder of its own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli import fake_studio

HERE = Path(__file__).parent

Process = subprocess.CompletedProcess[str]
Command = Callable[..., Process]


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder and the stand-ins."""
    monkeypatch.chdir(tmp_path)
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    for name, module in fake_studio.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    return tmp_path


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Run ``sfumato`` with the stand-ins in a process of its own: ``command(*arguments, **environment)``."""

    def run(*arguments: str, **environment: str) -> Process:
        return subprocess.run(
            [sys.executable, str(HERE / "fake_studio.py"), *arguments],
            cwd=tmp_path,
            env={**os.environ, "TERM": "xterm-256color", **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run
