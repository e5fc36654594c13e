"""The front door for safetensors files: the header is checked in full before any byte is mapped.

Format: https://huggingface.co/docs/safetensors (8 bytes of header length, a JSON header, the tensors' bytes).
"""

import json
import math
import mmap
import threading
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sfumato.checkpoints.scaled import unscaled
from sfumato.checkpoints.sniff import first_bytes, not_weights
from sfumato.errors import CheckpointError

TYPES = {
    "BOOL": torch.bool, "U8": torch.uint8, "I8": torch.int8, "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2, "F8_E8M0": torch.float8_e8m0fnu, "I16": torch.int16, "U16": torch.uint16,
    "F16": torch.float16, "BF16": torch.bfloat16, "I32": torch.int32, "U32": torch.uint32, "F32": torch.float32,
    "F64": torch.float64, "I64": torch.int64, "U64": torch.uint64,
}  # fmt: skip
MAX_HEADER = 100_000_000
MAX_TENSORS = 100_000
MAX_NAME = 512
MAX_RANK = 8


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice")
    return found


def read_header(path: Path) -> dict[str, Any]:
    """The checked header: name -> {"dtype", "shape", "data_offsets"}, and "__metadata__" where there is one.

    Raises:
        CheckpointError: not a safetensors file, truncated, or a header that does not describe the file's bytes.
    """
    start = first_bytes(path)
    length = int.from_bytes(start[:8], "little")
    if not 2 <= length <= MAX_HEADER or start[8:9] != b"{":
        raise not_weights(path, start)
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            file.seek(8)
            raw = file.read(length)
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}; check the path") from error
    if len(raw) < length:
        raise CheckpointError(f"{path} is truncated in its header ({size} bytes); download or copy it again")
    try:
        header: dict[str, Any] = json.loads(raw, object_pairs_hook=_no_duplicates)
        end = _check_spans({name: entry for name, entry in header.items() if name != "__metadata__"})
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path} has a broken header ({error}); download or copy it again") from error
    expected = 8 + length + end
    if size != expected:
        state = "truncated" if size < expected else "longer than its header says"
        raise CheckpointError(f"{path} is {state}: {size} bytes, not {expected}; download or copy it again")
    return header


def _check_spans(entries: Mapping[str, Any]) -> int:
    """Each span fits its shape, and together they cover the data without a gap; returns the number of bytes."""
    if len(entries) > MAX_TENSORS:
        raise ValueError(f"{len(entries)} tensors, at most {MAX_TENSORS}")
    position = 0
    for name, entry in sorted(entries.items(), key=lambda item: (item[1]["data_offsets"], item[0])):
        begin, end = entry["data_offsets"]
        shape = entry["shape"]
        if not isinstance(shape, list):
            raise TypeError(f"{name!r} has no list of sizes for a shape")
        if len(name.encode()) > MAX_NAME or len(shape) > MAX_RANK:
            raise ValueError(f"{name[:60]!r} has a name or shape beyond the limits")
        if entry["dtype"] not in TYPES:
            raise ValueError(f"{name!r} has the unknown dtype {entry['dtype']!r}")
        if any(type(n) is not int or n < 0 for n in (*shape, begin, end)):
            raise ValueError(f"{name!r} has a negative or fractional size")
        if math.prod(max(n, 1) for n in shape) >= 2**62:
            raise ValueError(f"{name!r} has a size beyond all memory")
        if begin != position or end - begin != math.prod(shape) * TYPES[entry["dtype"]].itemsize:
            raise ValueError(f"{name!r} spans {begin} to {end}, which does not fit its shape {shape}")
        position = end
    return position


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors, mapped rather than copied but for `scaled` ones; what is written into them stays in memory.

    Raises:
        CheckpointError: see `read_header` and `scaled.unscaled`.
    """
    entries = read_header(path)
    metadata = entries.pop("__metadata__", {})
    try:
        with path.open("rb") as file:
            first = 8 + int.from_bytes(file.read(8), "little")
            mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot read {path}: {error}") from error
    with _mapped_lock:
        _mapped.add(mapping)
    stored = {name: _viewed(mapping, first, entry) for name, entry in entries.items()}
    return unscaled(stored, entries, metadata, str(path))


def _viewed(mapping: mmap.mmap, first: int, entry: Mapping[str, Any]) -> Tensor:
    dtype, shape = TYPES[entry["dtype"]], entry["shape"]
    if math.prod(shape) == 0:
        return torch.empty(shape, dtype=dtype)
    place = first + entry["data_offsets"][0]
    if place % dtype.itemsize:  # of a writer that does not align its header
        data = bytearray(mapping[place : first + entry["data_offsets"][1]])
        return torch.frombuffer(data, dtype=dtype).view(shape)
    return torch.frombuffer(mapping, dtype=dtype, count=math.prod(shape), offset=place).view(shape)


_mapped: "weakref.WeakSet[mmap.mmap]" = weakref.WeakSet()
_mapped_lock = threading.Lock()
"""Held while `_mapped` changes or is looked through: models are loaded in several threads."""


def release(tensor: Tensor) -> None:
    """Give the memory of a tensor from `read_tensors` back to the system, which reads it from the file when it is
    looked at again. Only for tensors that nobody has written into. Others than mapped ones are left as they are.
    """
    begin = tensor.data_ptr()
    end = begin + tensor.numel() * tensor.itemsize
    if not hasattr(mmap, "MADV_DONTNEED") or tensor.device.type != "cpu":
        return
    with _mapped_lock:
        mappings = list(_mapped)
    for mapping in mappings:
        base = torch.frombuffer(mapping, dtype=torch.uint8).data_ptr()
        if base <= begin and end <= base + len(mapping):
            start = (begin - base + mmap.PAGESIZE - 1) // mmap.PAGESIZE * mmap.PAGESIZE  # whole pages of its own
            length = (end - base) // mmap.PAGESIZE * mmap.PAGESIZE - start
            if length > 0:
                mapping.madvise(mmap.MADV_DONTNEED, start, length)


def is_mapped(tensor: Tensor) -> bool:
    """Whether a tensor lies in a file that `read_tensors` has mapped, so that `release` gives its memory back."""
    begin = tensor.data_ptr()
    with _mapped_lock:
        mappings = list(_mapped)
    bases = ((torch.frombuffer(mapping, dtype=torch.uint8).data_ptr(), len(mapping)) for mapping in mappings)
    return any(base <= begin < base + length for base, length in bases)
