"""GGUF files: a header of facts and tensors, checked in full, and tensors in blocks of few bits.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3, little-endian. So denoisers are
published for little memory, under the names of LDM's checkpoints, and T5 under those of llama.cpp.
"""

import math
import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from sfumato.checkpoints.blocks import TYPES, Type, undone
from sfumato.errors import CheckpointError

MAGIC: Final = b"GGUF"
VERSIONS: Final = (2, 3)
MOST_FACTS: Final = 10_000
MOST_TENSORS: Final = 100_000
MOST_BYTES: Final = 1 << 27
"""Of a text or a list in the header; a vocabulary has a few million."""
MOST_AXES: Final = 8
ORIGINAL: Final = "comfy.gguf.orig_shape."
"""Facts with the shapes of tensors that were flattened to be made of whole blocks."""

_NUMBERS: Final = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_TEXT, _LIST = 8, 9


@dataclass(frozen=True)
class Entry:
    """A tensor: its type, its shape as PyTorch has it, and where its bytes are in the file."""

    type: Type
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Header:
    """What is known of a file before any tensor is read: facts by name, and tensors by name."""

    facts: Mapping[str, Any]
    entries: Mapping[str, Entry]


class _Reader:
    """What follows in the bytes. Raises ValueError where they end before it, or it is beyond all measure."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data, self.at = data, 0

    def bytes(self, count: int) -> bytes:
        if count > MOST_BYTES or self.at + count > len(self.data):
            raise ValueError("it ends within its header")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, kind: int) -> Any:
        form = "<" + _NUMBERS[kind]
        return struct.unpack(form, self.bytes(struct.calcsize(form)))[0]

    def count(self, most: int, what: str) -> int:
        found = int(self.number(10))
        if found > most:
            raise ValueError(f"it has {found} {what}, at most {most}")
        return found

    def text(self) -> str:
        return self.bytes(self.count(MOST_BYTES, "bytes of text")).decode("utf-8")

    def fact(self, kind: int) -> Any:
        if kind == _TEXT:
            return self.text()
        if kind != _LIST:
            return self.number(kind)
        inner, count = int(self.number(4)), self.count(MOST_BYTES, "values in a list")
        if inner == _TEXT:
            return [self.text() for _ in range(count)]
        if inner == _LIST:
            raise ValueError("it has lists of lists")
        form = f"<{count}{_NUMBERS[inner]}"
        return list(struct.unpack(form, self.bytes(struct.calcsize(form))))


def read_header(path: Path) -> Header:
    """The checked header.

    Raises:
        CheckpointError: truncated, damaged, of another version, or with tensors of types that are not read here.
    """
    return _parsed(_mapped(path), path)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors, in the types that `blocks.undone` gives; plain ones are mapped. Raises as `read_header`."""
    data = _mapped(path)
    found = {}
    for name, entry in _parsed(data, path).entries.items():
        count = entry.end - entry.begin
        if count == 0:
            found[name] = torch.empty(entry.shape)
            continue
        raw = torch.frombuffer(data, dtype=torch.uint8, count=count, offset=entry.begin)
        if entry.type.plain is not None and entry.begin % entry.type.plain.itemsize:
            raw = raw.clone()  # of a writer that does not align
        found[name] = undone(raw, entry.type, entry.shape)
    return found


def _mapped(path: Path) -> mmap.mmap:
    try:
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot read {path}: {error}") from error


def _parsed(data: mmap.mmap, path: Path) -> Header:
    try:
        return _header(data)
    except (ValueError, KeyError, struct.error, UnicodeDecodeError) as error:
        why = f"{error} is no type of a value" if isinstance(error, KeyError) else str(error)
        raise CheckpointError(
            f"{path} is a GGUF file with a broken header ({why}); download or copy it again"
        ) from error


def _header(data: mmap.mmap) -> Header:
    reader = _Reader(data)
    if reader.bytes(4) != MAGIC:
        raise ValueError("it does not begin with GGUF")
    version = reader.number(4)
    if version not in VERSIONS:
        raise ValueError(f"version {version}; {' and '.join(map(str, VERSIONS))} are read")
    tensors, facts = reader.count(MOST_TENSORS, "tensors"), reader.count(MOST_FACTS, "facts")
    said = {reader.text(): reader.fact(int(reader.number(4))) for _ in range(facts)}
    placed: dict[str, tuple[Type, tuple[int, ...], int]] = {}
    for _ in range(tensors):
        name, axes = reader.text(), int(reader.number(4))
        if axes > MOST_AXES or name in placed:
            raise ValueError(f"{name[:60]!r} has {axes} axes, or stands twice")
        shape = tuple(reader.number(10) for _ in range(axes))[::-1]  # the last axis comes first
        kind, begin = int(reader.number(4)), int(reader.number(10))
        if kind not in TYPES:
            known = ", ".join(type.name for type in TYPES.values())
            raise ValueError(f"{name[:60]!r} is stored as type {kind}; {known} are read")
        placed[name] = TYPES[kind], shape, begin
    aligned = said.get("general.alignment", 32)
    if type(aligned) is not int or not 1 <= aligned <= 1 << 20:
        raise ValueError(f"an alignment of {aligned!r}")
    start = -(-reader.at // aligned) * aligned
    return Header(said, {name: _entry(name, start, *place, said, len(data)) for name, place in placed.items()})


def _entry(
    name: str, start: int, type: Type, shape: tuple[int, ...], begin: int, facts: Mapping[str, Any], size: int
) -> Entry:
    """A tensor's place, its whole blocks inside of the file."""
    count = math.prod(shape)
    if any(side >= 1 << 62 for side in shape) or count >= 1 << 62 or (shape and shape[-1] % type.size):
        raise ValueError(f"{name[:60]!r} of shape {list(shape)} is not made of blocks of {type.size}")
    first, last = start + begin, start + begin + count // type.size * type.bytes
    if last > size:
        raise ValueError(f"{name[:60]!r} ends at byte {last} of {size}")
    original = facts.get(ORIGINAL + name)
    if original is not None:
        if not isinstance(original, list) or math.prod(original) != count:
            raise ValueError(f"{name[:60]!r} has not the shape {original!r} that is said of it")
        shape = tuple(original)
    return Entry(type, shape, first, last)
