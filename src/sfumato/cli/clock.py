"""When this command began, as `time.perf_counter` has it: with its process, where it is the only one there."""

import time

alone = False
"""Whether the process is the command's own; `main` says so."""
_FIRST = time.perf_counter()


def begun() -> float:
    """The beginning of the process, or now where it belongs to others."""
    if not alone:
        return time.perf_counter()
    import psutil

    return min(_FIRST, time.perf_counter() - (time.time() - psutil.Process().create_time()))
