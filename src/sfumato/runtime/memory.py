"""Memory that one step frees is kept for the next.

glibc gives large freed blocks back to the kernel at once, which zeroes each page anew when the next step asks for it:
30,000 pages and a tenth of the time in a training step of nano (docs/decisions/0010-freed-memory.md).
"""

import ctypes
import os
import sys

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3
"""Of `mallopt`, from malloc.h."""
KEPT = {MMAP_THRESHOLD: 1 << 30, TRIM_THRESHOLD: (1 << 31) - 1, TOP_PAD: 1 << 26}
CHOSEN = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "GLIBC_TUNABLES")
"""Environment variables by which a user has chosen otherwise."""


def keep_freed_memory() -> bool:
    """Let this process keep up to 2 GiB that it has freed. False, and nothing done, where the user has chosen otherwise
    or the C library is not glibc."""
    if not sys.platform.startswith("linux") or any(name in os.environ for name in CHOSEN):
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        return False
    return [libc.mallopt(option, value) for option, value in KEPT.items()] == [1, 1, 1]
