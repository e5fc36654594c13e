"""A child process that takes orders on its stdin and reports on its stdout, see `wire`."""

import asyncio
import contextlib
import sys
from collections.abc import Sequence
from typing import Self

from sfumato.service import wire

WORKER = (sys.executable, "-m", "sfumato.service.worker")
"""Starts the process that paints."""
_PATIENCE = 5.0  # seconds that a child has to end


class Process:
    """A child that runs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def started(cls, command: Sequence[str]) -> Self:
        """A new one."""
        pipe = asyncio.subprocess.PIPE
        return cls(await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=2**20))

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it is not known to have ended."""
        return self._process.returncode is None

    async def send(self, message: wire.Message) -> None:
        """Send an order; to a dead child it is lost, which reading tells."""
        assert self._process.stdin is not None
        with contextlib.suppress(ConnectionError):
            self._process.stdin.write(wire.packed(message))
            await self._process.stdin.drain()

    async def receive(self) -> wire.Message | None:
        """The next report; None when there will be none."""
        assert self._process.stdout is not None
        return await wire.receive(self._process.stdout)

    async def end(self) -> int:
        """Its exit code, after it was told to end and had time to."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._process.communicate()
        except TimeoutError:
            self._process.kill()
            await self._process.communicate()
        with contextlib.suppress(ConnectionError):
            await self._process.stdin.wait_closed()
        assert self._process.returncode is not None
        return self._process.returncode
