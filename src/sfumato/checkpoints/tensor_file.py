"""A file of tensors, safetensors, GGUF or pickled, through one window: names and shapes first, values when asked."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from sfumato.checkpoints import gguf
from sfumato.checkpoints.header import T5_TOKENIZER
from sfumato.checkpoints.pickles import ZIP_MAGIC, is_old_pickle, read_pickle
from sfumato.checkpoints.scaled import aside
from sfumato.checkpoints.sniff import first_bytes
from sfumato.checkpoints.tables import llama_t5
from sfumato.checkpoints.tensors import read_header, read_tensors
from sfumato.errors import CheckpointError

PICKLED = {
    "float32": "F32", "float16": "F16", "bfloat16": "BF16", "float64": "F64", "int64": "I64", "int32": "I32",
    "int16": "I16", "int8": "I8", "uint8": "U8", "bool": "BOOL",
}  # fmt: skip


MAPPED = (".safetensors", ".gguf")
"""Endings of files whose header tells all."""


@dataclass(frozen=True)
class TensorFile:
    """What is in a file, by the names it has there."""

    path: Path
    container: str
    """"safetensors", "gguf" or "pickle"."""
    shapes: Mapping[str, tuple[int, ...]]
    dtypes: Mapping[str, str]
    """Types as safetensors calls them: F32, F16, BF16 ..., or GGML: Q8_0, Q4_K ..."""
    metadata: Mapping[str, str]
    read: Callable[[], dict[str, Tensor]]
    """Maps the tensors; those in blocks of few bits are given in float16."""


def open_tensors(path: Path) -> TensorFile:
    """Look into a file without reading its tensors.

    Raises:
        CheckpointError: missing, damaged, neither kind, a pickle with more in it than tensors, or weights in a form
            that is not known here.
    """
    start = first_bytes(path)
    if start.startswith(ZIP_MAGIC) or is_old_pickle(start):
        state = read_pickle(path)
        return TensorFile(
            path,
            "pickle",
            {name: tuple(tensor.shape) for name, tensor in state.items()},
            {name: PICKLED[str(tensor.dtype).removeprefix("torch.")] for name, tensor in state.items()},
            {},
            lambda: state,
        )
    if start.startswith(gguf.MAGIC):
        return _open_gguf(path)
    header = read_header(path)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise CheckpointError(f"{path} has metadata that are not texts; write the file anew")
    for name in aside(header, str(path)):
        del header[name]
    return TensorFile(
        path,
        "safetensors",
        {name: tuple(entry["shape"]) for name, entry in header.items()},
        {name: entry["dtype"] for name, entry in header.items()},
        metadata,
        lambda: read_tensors(path),
    )


def _open_gguf(path: Path) -> TensorFile:
    header = gguf.read_header(path)
    entries = {llama_t5.own_name(name): entry for name, entry in header.entries.items()}
    metadata = {name: fact for name, fact in header.facts.items() if isinstance(fact, str)}
    tokenizer = llama_t5.tokenizer(header.facts, str(path))
    return TensorFile(
        path,
        "gguf",
        {name: entry.shape for name, entry in entries.items()},
        {name: entry.type.name for name, entry in entries.items()},
        metadata if tokenizer is None else {**metadata, T5_TOKENIZER: tokenizer},
        lambda: {llama_t5.own_name(name): tensor for name, tensor in gguf.read_tensors(path).items()},
    )


def numbers(path: Path) -> int:
    """How many numbers a model holds: a folder of safetensors, or a file whose header tells; 0 of pickles.

    Raises:
        CheckpointError: see `open_tensors`.
    """
    files = path.rglob("*.safetensors") if path.is_dir() else [path] if path.suffix in MAPPED else []
    return sum(math.prod(shape) for file in files for shape in open_tensors(file).shapes.values())
