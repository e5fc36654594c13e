"""The front door for safetensors files: the header is checked in full before any byte is mapped.

Format: https://huggingface.co/docs/safetensors (8 bytes of header length, a JSON header, the tensors' bytes).
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from sfumato.errors import CheckpointError

BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "I16": 16, "U16": 16, "F16": 16,
    "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "F64": 64, "I64": 64, "U64": 64,
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
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            first = file.read(8)
            length = int.from_bytes(first, "little")
            if len(first) < 8 or not 2 <= length <= MAX_HEADER:
                raise CheckpointError(f"{path} is not a safetensors file; give a .safetensors file")
            raw = file.read(length)
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}; check the path") from error
    if not raw.startswith(b"{"):
        raise CheckpointError(f"{path} is not a safetensors file; give a .safetensors file")
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
        if len(name.encode()) > MAX_NAME or len(shape) > MAX_RANK:
            raise ValueError(f"{name[:60]!r} has a name or shape beyond the limits")
        if entry["dtype"] not in BITS:
            raise ValueError(f"{name!r} has the unknown dtype {entry['dtype']!r}")
        if any(not isinstance(n, int) or n < 0 for n in (*shape, begin, end)):
            raise ValueError(f"{name!r} has a negative or fractional size")
        if begin != position or end - begin != math.prod(shape) * BITS[entry["dtype"]] // 8:
            raise ValueError(f"{name!r} spans {begin} to {end}, which does not fit its shape {shape}")
        position = end
    return position


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors, mapped rather than copied.

    Raises:
        CheckpointError: see `read_header`.
    """
    names = [name for name in read_header(path) if name != "__metadata__"]
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"cannot read {path}: {error}") from error
