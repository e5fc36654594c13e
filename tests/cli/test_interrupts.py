"""Ctrl-C arrives, whoever swallows it on the way."""

import contextlib
import signal
from collections.abc import Iterator

import pytest

from sfumato.cli import interrupts


@pytest.fixture(autouse=True)
def _python_handles_interrupts() -> Iterator[None]:
    """Also where the tests run in the background, where they are ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_is_raised_at_once() -> None:
    with pytest.raises(KeyboardInterrupt), interrupts.remembered():
        signal.raise_signal(signal.SIGINT)


def test_a_swallowed_interrupt_is_raised_again() -> None:
    with interrupts.remembered() as check:
        check()
        with contextlib.suppress(BaseException):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            check()


def test_an_interrupt_in_disguise_is_one() -> None:
    def broken_import() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise ImportError("half of a library") from None

    with pytest.raises(KeyboardInterrupt), interrupts.remembered():
        broken_import()


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(ImportError), interrupts.remembered():
        raise ImportError("half of a library")


@pytest.mark.parametrize(("interrupted", "done"), [(1, ["the work"]), (2, [])])
def test_a_deferred_interrupt_comes_at_the_end_and_a_second_one_at_once(interrupted: int, done: list[str]) -> None:
    did: list[str] = []

    def work() -> None:
        with interrupts.remembered(), interrupts.deferred():
            for _ in range(interrupted):
                signal.raise_signal(signal.SIGINT)
            did.append("the work")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert did == done
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_handlers_of_others_are_left_alone() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with interrupts.remembered() as check:
        signal.raise_signal(signal.SIGINT)
        check()
        with interrupts.deferred():
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with interrupts.remembered():
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
