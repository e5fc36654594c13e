"""Messages between the service and its worker: four bytes of length, big-endian, then that much JSON."""

import asyncio
import json
import struct
from typing import Any, BinaryIO

MAX_MESSAGE = 2**23
"""Bytes of one message: a request of 2^20 characters, or a preview."""

Message = dict[str, Any]


class WireError(Exception):
    """What came is no message; the other side is broken."""


def packed(message: Message) -> bytes:
    """A message as bytes.

    Raises:
        WireError: it is too long.
    """
    data = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
    if len(data) > MAX_MESSAGE:
        raise WireError(f"a message of {len(data)} bytes; at most {MAX_MESSAGE} are sent")
    return struct.pack(">I", len(data)) + data


def write(stream: BinaryIO, message: Message) -> None:
    """Send a message at once."""
    stream.write(packed(message))
    stream.flush()


def read(stream: BinaryIO) -> Message | None:
    """The next message; None at the end.

    Raises:
        WireError: it is cut short, too long or no JSON object.
    """
    head = stream.read(4)
    if not head:
        return None
    return _opened(stream.read(_length(head)), _length(head))


async def receive(reader: asyncio.StreamReader) -> Message | None:
    """`read` of an asynchronous stream; one that is cut short has ended."""
    try:
        head = await reader.readexactly(4)
        return _opened(await reader.readexactly(_length(head)), _length(head))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


def _length(head: bytes) -> int:
    if len(head) < 4:
        raise WireError("a message is cut short in its length")
    (length,) = struct.unpack(">I", head)
    if length > MAX_MESSAGE:
        raise WireError(f"a message of {length} bytes is announced; at most {MAX_MESSAGE} are read")
    return int(length)


def _opened(data: bytes, length: int) -> Message:
    if len(data) < length:
        raise WireError(f"a message of {length} bytes is cut short after {len(data)}")
    try:
        message = json.loads(data)
    except (ValueError, RecursionError):
        raise WireError("a message is no JSON") from None
    if not isinstance(message, dict):
        raise WireError("a message is no object")
    return message
