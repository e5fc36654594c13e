"""Memory that one step frees is kept for the next.

glibc gives large freed blocks back to the kernel at once, which zeroes each page anew when the next step asks for it:
30,000 pages and a tenth of the time in a training step of nano (docs/decisions/0010-freed-memory.md).
"""

import contextlib
import ctypes
import os
import sys
from pathlib import Path

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3
"""Parameters of `mallopt`, from malloc.h."""
KEPT = {MMAP_THRESHOLD: 1 << 30, TRIM_THRESHOLD: (1 << 31) - 1, TOP_PAD: 1 << 26}
CHOSEN = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "GLIBC_TUNABLES")
"""Environment variables by which a user has chosen otherwise."""


def available_memory() -> int:
    """Bytes that a process can still have without swapping, as far as a container lets it."""
    import psutil

    free, limit = int(psutil.virtual_memory().available), container_limit()
    return free if limit is None else min(free, limit)


def total_memory() -> int:
    """Bytes of the machine, as far as a container lets a process have them."""
    import psutil

    total, limit = int(psutil.virtual_memory().total), container_limit()
    return total if limit is None else min(total, limit)


def resident_memory() -> int:
    """Bytes that this process has."""
    import psutil

    return int(psutil.Process().memory_info().rss)


def container_limit() -> int | None:
    """What a container may use, where it says so (cgroup 2, then 1)."""
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):  # "max" is no number and no limit
            limit = int(Path(path).read_text())
            return limit if limit < 2**60 else None
    return None


def keep_freed_memory() -> bool:
    """Let this process keep up to 2 GiB that it has freed. False, and nothing done, where the user has chosen otherwise
    or the C library is not glibc."""
    if not sys.platform.startswith("linux") or any(name in os.environ for name in CHOSEN):
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        return False
    return [libc.mallopt(option, value) for option, value in KEPT.items()] == [1, 1, 1]
