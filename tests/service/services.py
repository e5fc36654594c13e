"""Whole services in processes of their own, for tests that kill them and ask them over HTTP.

They are forked from a process that has imported everything, so that one is there in a moment.
"""

import contextlib
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from sfumato import Client
from sfumato.errors import SfumatoError

ROOT = Path(__file__).parents[2]
_forking = multiprocessing.get_context("forkserver")
_forking.set_forkserver_preload(["uvicorn", "sfumato.cli", "sfumato.service.app", "tests.service.fake_service"])


def free_port() -> int:
    """A port of loopback that nobody listens at."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def fake(folder: Path, port: int, *more: str) -> None:
    """Be a service whose worker paints one colour."""
    from tests.service import fake_service

    fake_service.main(str(folder), str(port), *more)


def real(*options: str) -> None:
    """Be ``sfumato serve``."""
    from sfumato.cli import main

    main(["serve", *options])


def _being(run: Callable[..., None], arguments: tuple[object, ...]) -> None:
    # One thread, as the tests' own studio has, so that digests of steps say the same of the machine.
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    os.environ |= {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    run(*arguments)


class Service:
    """A process."""

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """Its number."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it is there."""
        return self._process.is_alive()

    def kill(self) -> None:
        """End it at once, as ``kill -9`` does."""
        self._process.kill()
        self._process.join()

    def terminate(self, seconds: float = 30) -> int:
        """Tell it to end, and wait: its exit code."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)
        self._process.join(seconds)
        assert self._process.exitcode is not None
        return self._process.exitcode


@contextlib.contextmanager
def running(run: Callable[..., None], *arguments: object, port: int) -> Iterator[tuple[Service, Client]]:
    """A service that answers at a port.

    Args:
        run: `fake` or `real`, with its arguments.
    """
    process = _forking.Process(target=_being, args=(run, arguments))
    process.start()
    service, client = Service(process), Client(f"http://127.0.0.1:{port}")
    try:
        until = time.monotonic() + 60
        while True:
            with contextlib.suppress(SfumatoError):
                client.call("GET", "/api/v1/health")
                break
            assert service.alive
            assert time.monotonic() < until
            time.sleep(0.02)
        yield service, client
    finally:
        service.terminate()


@contextlib.contextmanager
def running_fake(folder: Path, *more: str, port: int | None = None) -> Iterator[tuple[Service, Client]]:
    """A service whose worker paints one colour, at a free port unless one is given."""
    port = free_port() if port is None else port
    with running(fake, folder, port, *more, port=port) as found:
        yield found
