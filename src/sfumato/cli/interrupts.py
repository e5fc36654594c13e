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


@contextmanager
def deferred() -> Iterator[None]:
    """An interrupt within the context takes effect at its end; a second one at once."""
    handler, seen = signal.getsignal(signal.SIGINT), threading.Event()

    def hold(number: int, frame: FrameType | None) -> None:
        if seen.is_set():
            raise KeyboardInterrupt
        seen.set()

    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    signal.signal(signal.SIGINT, hold)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if seen.is_set():
        signal.raise_signal(signal.SIGINT)
