"""Pictures from outside. A child with limits decodes them, see `sfumato.service.decoder`; what is kept is their pixels
alone, as a PNG by its digest.
"""

import asyncio
import hashlib
import json
import signal
import struct
import sys
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from sfumato.errors import RequestError
from sfumato.files import write_atomic
from sfumato.service.decoder import MAX_SECONDS, Doing

_PATIENCE = 4 * MAX_SECONDS  # the limit is of CPU time, which a busy machine gives late
_AT_ONCE = 2  # children; further pictures wait, since the clock of a child is not to run while others decode
_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


async def handled(data: bytes, doing: Doing) -> bytes:
    """What the child makes of a picture.

    Raises:
        RequestError: it is none, is damaged or too large.
    """
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-m", "sfumato.service.decoder", doing)
    slow = RequestError("the picture takes too long to decode; save it anew, or smaller")
    async with _turns.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(_AT_ONCE)):
        child = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)
        try:
            async with asyncio.timeout(_PATIENCE):
                out, said = await child.communicate(data)
        except TimeoutError:
            raise slow from None
        finally:
            if child.returncode is None:  # also where nobody waits any more
                child.kill()
    if child.returncode == 0 and out:
        return out
    if child.returncode == 2:
        raise RequestError(said.decode(errors="replace").strip())
    if child.returncode == -getattr(signal, "SIGXCPU", 0):
        raise slow
    raise RequestError("the picture cannot be decoded; save it anew")


async def keep(data: bytes, folder: Path, doing: Doing = "pixels") -> str:
    """Keep a picture, and its digest, by which requests name it. Raises as `handled`."""
    pixels = await handled(data, doing)
    digest = hashlib.sha256(pixels).hexdigest()
    path = folder / f"{digest}.png"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(write_atomic, path, pixels)
    return digest


async def texts(data: bytes) -> dict[str, str]:
    """What a picture says of itself. Raises as `handled`."""
    found: dict[str, Any] = json.loads(await handled(data, "texts"))
    return found


def pair(image: bytes, mask: bytes) -> bytes:
    """A picture and one that says how transparent it is, for ``masked``: the length of the first, and both."""
    return struct.pack(">I", len(image)) + image + mask
