"""SHA-256 of large files, remembered in the user's cache folder: to read 2 GB takes longer than to load them."""

import contextlib
import os
import re
import time
from hashlib import sha256 as sha256_of_bytes
from pathlib import Path

from sfumato.files import sha256, write_atomic
from sfumato.runtime.precision import cache_folder

SMALL = 2**24
"""Bytes below which a file is read each time."""
_SETTLED = 2.0  # seconds: a file changed later than that may change again without a trace in its time


def remembered_sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, read once as long as its place, size and time of change stay as they are.

    Raises:
        OSError: when it cannot be read.
    """
    folder, before = cache_folder(), path.stat()
    if folder is None or before.st_size < SMALL or time.time() - before.st_mtime < _SETTLED:
        return sha256(path)
    facts = (os.path.realpath(path), before.st_dev, before.st_ino, before.st_size, before.st_mtime_ns)
    kept = folder / "sha256" / sha256_of_bytes(repr(facts).encode()).hexdigest()[:32]
    with contextlib.suppress(OSError, ValueError):
        known = kept.read_text(encoding="ascii")
        if re.fullmatch("[0-9a-f]{64}", known):
            return known
    digest = sha256(path)
    after = path.stat()
    if (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns):
        with contextlib.suppress(OSError):  # a cache that cannot be kept costs a second the next time
            kept.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(kept, digest.encode("ascii"))
    return digest
