"""How torch's threads wait for one another. Must not import torch: its OpenMP reads the environment once, when loaded.

At the end of every parallel operator a thread waits for the slowest. GNU's OpenMP, which torch brings along on Linux,
lets it spin for about a millisecond before it sleeps. While another process has one of the cores, the thread that is
waited for is not running, so that the others spin their whole time slice away and everybody is ten times as slow. A
short spin keeps the speed of a machine at rest (docs/decisions/0020-waiting-threads.md).
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

SPINS = "2000"
"""Turns of the loop in which a thread waits before it sleeps: some 30 microseconds."""
CHOSEN = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
"""Environment variables by which a user has chosen otherwise."""


def wait_briefly() -> bool:
    """Let this process's OpenMP threads spin only briefly. False, and nothing done, where torch is loaded already or
    the user has chosen otherwise. Child processes inherit it."""
    if "torch" in sys.modules or any(name in os.environ for name in CHOSEN):
        return False
    os.environ["GOMP_SPINCOUNT"] = SPINS
    return True


@contextmanager
def waiting_briefly() -> Iterator[None]:
    """Processes started within the context wait briefly, where the user has not chosen otherwise; for this one nothing
    changes."""
    if any(name in os.environ for name in CHOSEN):
        yield
        return
    os.environ["GOMP_SPINCOUNT"] = SPINS
    try:
        yield
    finally:
        del os.environ["GOMP_SPINCOUNT"]
