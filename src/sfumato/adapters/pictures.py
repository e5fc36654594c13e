"""Embeddings inside pictures, as A1111 shares them: a PNG that is a card for its own vectors.

Two forms, both JSON in which a tensor is `{"TORCHTENSOR": nested lists}`:

- base64 in the text chunk `sd-ti-embedding`;
- compressed by zlib and laid into two strips at the sides of the picture, which columns of black part from it: the low
  four bits of a strip's numbers, row by row, are the low halves of the bytes on the left and the high halves on the
  right, masked by the low four bits of a row of random numbers. All else of the strips is decoration.

The format is that of `modules/textual_inversion/image_embedding.py` in A1111's web UI. No length in a file is believed.
"""

import base64
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from numpy.typing import NDArray
from torch import Tensor

from sfumato.checkpoints.tensor_file import TensorFile, open_tensors
from sfumato.errors import CheckpointError, RequestError
from sfumato.files import read_regular
from sfumato.metadata import carriers, png

TEXT = "sd-ti-embedding"
TENSOR = "TORCHTENSOR"
MOST = 2**24
"""Bytes of JSON, and numbers of a strip."""


def open_small(path: Path) -> TensorFile:
    """An adapter or an embedding: a file of tensors, or a picture with some in it.

    Raises:
        CheckpointError: it cannot be read as either.
    """
    return _open_picture(path) if _is_picture(path) else open_tensors(path)


def _is_picture(path: Path) -> bool:
    try:
        return read_regular(path, len(png.SIGNATURE)) == png.SIGNATURE
    except OSError:
        return False


def _open_picture(path: Path) -> TensorFile:
    try:
        with carriers.about(path):
            data = carriers.load(path)
            text = carriers.read(data).texts.get(TEXT)
            card = np.asarray(carriers.pixels(data).convert("RGB")) if text is None else text
        written = base64.b64decode(card, validate=True) if isinstance(card, str) else _in_strips(card)
        if written is None:
            raise CheckpointError(f"{path} is a picture without an embedding; give a card as A1111 makes them")
        tree = json.loads(written)
        tensors = dict(_tensors(tree))
    except RequestError as error:
        raise CheckpointError(str(error)) from None
    except (ValueError, TypeError, RuntimeError, OverflowError, zlib.error) as error:
        why = " ".join(str(error).split())[:120]
        raise CheckpointError(f"{path} is a picture whose embedding cannot be read ({why}); fetch it again") from None
    name = tree.get("name")
    return TensorFile(
        path,
        "png",
        {key: tuple(tensor.shape) for key, tensor in tensors.items()},
        dict.fromkeys(tensors, "F32"),
        {"name": name} if isinstance(name, str) else {},
        lambda: tensors,
    )


def _tensors(tree: Any) -> Iterator[tuple[str, Tensor]]:
    """What in the JSON are tensors, by keys joined with dots.

    Raises:
        ValueError, TypeError, RuntimeError: it has another form.
    """
    if not isinstance(tree, dict):
        raise TypeError(f"it is a {type(tree).__name__}, not named values")
    for key, value in tree.items():
        if isinstance(value, dict) and TENSOR in value:
            yield key, torch.tensor(value[TENSOR], dtype=torch.float32)
        elif isinstance(value, dict):
            yield from ((f"{key}.{inner}", tensor) for inner, tensor in _tensors(value))


def _in_strips(picture: UInt8[np.ndarray, "h w 3"]) -> bytes | None:
    """What is written in the strips; None where there are none.

    Raises:
        ValueError, zlib.error: it is damaged or too long.
    """
    lit = np.all(picture > 0, axis=2)
    rows, columns = (np.flatnonzero(np.any(lit, axis=axis)) for axis in (1, 0))
    if not len(rows):
        return None
    nibbles = picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] & 15
    black = np.flatnonzero(np.all(nibbles == 0, axis=(0, 2)))
    if len(black) < 2:
        return None
    low, high = nibbles[:, : black[0]], nibbles[:, black[-1] + 1 :]
    if low.shape != high.shape or not 0 < low.size <= MOST:
        return None
    mask = _random(low.size).reshape(low.shape) & 15
    unpacker = zlib.decompressobj()
    written = unpacker.decompress(bytes(((high ^ mask) << 4 | low ^ mask).reshape(-1)), MOST + 1)
    if len(written) > MOST:
        raise ValueError(f"it has over {MOST >> 20} MiB")
    if not unpacker.eof:
        raise ValueError("it ends too early")
    return written


def _random(count: int) -> NDArray[np.uint8]:
    """x <- 1664525 x + 1013904223 modulo 2^32 from 0 on, each modulo 255. A stretch of them makes the next at once."""
    numbers = np.array([1013904223], dtype=np.uint64)
    factor, step = np.uint64(1664525), np.uint64(1013904223)  # how the last of a stretch becomes that of the next
    low = np.uint64(2**32 - 1)
    while len(numbers) < count:
        numbers = np.concatenate([numbers, (factor * numbers + step) & low])
        factor, step = factor * factor & low, (factor + np.uint64(1)) * step & low
    return (numbers[:count] % np.uint64(255)).astype(np.uint8)
