"""Answers of a denoiser, kept in a file, from which a painting that was cut off goes on.

A sampler is arithmetic on the denoiser's answers and on draws that follow from seeds. So its state (x, its history, its
generators) need not be written down: run from the beginning on the answers that are there, it is in a moment where it
was, to the bit; and so is each sampler, each batch, each pass of a painting, with nothing done for it.

An answer is found by a digest of what was asked. What was cut short, or asked of another model, is not found, and is
computed as if it never had been.
"""

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from .denoiser import Denoise

LIMIT = 2**29
"""Bytes of answers that are kept at most; what comes after them would be computed again."""
_DIGEST = 16
_HEAD = 2 * _DIGEST + 8


class Saved:
    """The answers that one piece of work got.

    Args:
        file: where they are kept; None: nowhere, as where it cannot be written.
    """

    def __init__(self, file: Path | None = None) -> None:
        self.found = False
        """Whether the last answer was one that was kept."""
        self._places: dict[bytes, tuple[int, int]] = {}
        self._denoisers = 0
        self._stream: BinaryIO | None = None
        if file is not None:
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.touch()
                self._stream = file.open("r+b", buffering=0)
                self._end = self._scanned(self._stream)
            except OSError:  # a full disk: what is painted matters more
                self.close()

    def close(self) -> None:
        """Keep no more."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def around(self, denoise: Denoise, of: str, levels: Sequence[float] = (), every: int = 1) -> Denoise:
        """The denoiser, which is asked only where no answer is kept.

        Args:
            of: says all that answers depend on, beside x and sigma.
            levels: where the steps begin, falling.
            every: what the denoiser keeps to itself serves so many steps, see `sfumato.models.deep_cache`.
        """
        if self._stream is None:
            return denoise
        self._denoisers += 1
        start = hashlib.blake2b(f"{self._denoisers} {of}".encode(), digest_size=_DIGEST).digest()
        period, asked = -1, list[tuple[Tensor, Tensor]]()

        def answer(x: Tensor, sigma: Tensor) -> Tensor:
            nonlocal period
            key = _digest(start, _bytes(sigma), _bytes(x))
            now = (sum(level >= float(sigma) for level in levels) - 1) // every
            if now != period:
                period = now
                asked.clear()
            kept = self._read(key, x)
            self.found = kept is not None
            if kept is not None:
                if every > 1:
                    asked.append((x, sigma))
                return kept
            for earlier in asked:  # for what it keeps to itself
                denoise(*earlier)
            asked.clear()
            made = denoise(x, sigma)
            self._write(key, made)
            return made

        return answer

    def _scanned(self, stream: BinaryIO) -> int:
        """Note where each answer is; where the whole ones end."""
        at, size = 0, stream.seek(0, io.SEEK_END)
        while at + _HEAD <= size:
            stream.seek(at)
            head = stream.read(_HEAD)
            length = int.from_bytes(head[2 * _DIGEST :], "little")
            if length > size - at - _HEAD or _digest(stream.read(length)) != head[_DIGEST : 2 * _DIGEST]:
                break
            self._places[head[:_DIGEST]] = at + _HEAD, length
            at += _HEAD + length
        stream.truncate(at)
        return at

    def _read(self, key: bytes, like: Tensor) -> Tensor | None:
        place, length = self._places.get(key, (0, 0))
        if self._stream is None or length != like.numel() * like.element_size():
            return None
        self._stream.seek(place)
        data = bytearray(self._stream.read(length))
        return torch.frombuffer(data, dtype=like.dtype).view(like.shape).to(like.device)

    def _write(self, key: bytes, answer: Tensor) -> None:
        if self._stream is None or self._end > LIMIT:
            return
        data = _bytes(answer)
        record = key + _digest(data) + len(data).to_bytes(8, "little") + data
        try:
            self._stream.seek(self._end)
            written = self._stream.write(record)
        except OSError:  # as above
            self.close()
            return
        if written == len(record):
            self._places[key] = self._end + _HEAD, len(data)
            self._end += len(record)
        else:
            self.close()


UNSAVED = Saved()
"""Keeps nothing."""


def _bytes(value: Tensor) -> bytes:
    return value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()


def _digest(*parts: bytes) -> bytes:
    made = hashlib.blake2b(digest_size=_DIGEST)
    for part in parts:
        made.update(part)
    return made.digest()
