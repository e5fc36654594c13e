"""Ctrl-C that does not get lost.

Python turns it into an exception wherever the program happens to be. Inside a library's bare ``except``, as there are
in the import of torch, it would vanish, and the work go on.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def remembered() -> Iterator[Callable[[], None]]:
    """While the context lasts, an interrupt is raised at once, and again by each call of what is yielded.

    Where interrupts are ignored, or handled by someone else, they stay so.
    """
    seen = threading.Event()

    def check() -> None:
        if seen.is_set():
            raise KeyboardInterrupt

    def handle(number: int, frame: FrameType | None) -> None:
        seen.set()
        raise KeyboardInterrupt

    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield check
        return
    signal.signal(signal.SIGINT, handle)
    try:
        yield check
    except Exception:
        check()  # an import that is interrupted may fail as if something were missing
        raise
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
