"""Freed memory stays with the process: shown by the page faults of a fresh one."""

import platform
import subprocess
import sys

import pytest

from sfumato.runtime.memory import CHOSEN, keep_freed_memory

FAULTS = """
import resource, sys
import numpy as np
from sfumato.runtime.memory import keep_freed_memory
kept = keep_freed_memory() if sys.argv[1] == "kept" else False
def work():
    blocks = [np.ones(4_500_000) for _ in range(3)]
work(); work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    work()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def run(how: str) -> tuple[bool, int]:
    done = subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True)
    kept, faults = done.stdout.split()
    return kept == "True", int(faults)


def test_blocks_are_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CHOSEN:
        monkeypatch.delenv(name, raising=False)
    if platform.libc_ver()[0] != "glibc":
        assert not keep_freed_memory(), "nothing is asked of another C library"
        return
    kept, few = run("kept")
    assert kept
    assert few < 1000 < run("given back")[1]


@pytest.mark.parametrize("name", CHOSEN)
def test_the_users_choice_stays(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "131072")
    assert not keep_freed_memory()
