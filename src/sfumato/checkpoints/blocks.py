"""Blocks of few bits to the numbers that they stand for: the storage types of GGML, in which GGUF files are published.

A tensor is a row of blocks; a block holds 32 or 256 whole numbers of 2 to 8 bits and what a one among them is worth.
Layouts as in `ggml-common.h` and `ggml-quants.c` of https://github.com/ggml-org/ggml.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Float16, Int, UInt8
from torch import Tensor

AT_ONCE = 1 << 19
"""Numbers that are undone together, so that what lies between stays near the processor."""

Bytes = UInt8[Tensor, "blocks bytes"]
Numbers = Float[Tensor, "blocks size"]


class Type(NamedTuple):
    """A storage type.

    Attributes:
        size: numbers in a block.
        bytes: of a block.
        numbers: the numbers of blocks, in float32; None where `plain` is the type itself.
    """

    name: str
    size: int
    bytes: int
    numbers: Callable[[Bytes], Numbers] | None = None
    plain: torch.dtype | None = None


def _half(blocks: Bytes, start: int) -> Float[Tensor, "blocks 1"]:
    return blocks[:, start : start + 2].contiguous().view(torch.float16).float()


def _fields(bits: UInt8[Tensor, "*rest n"], shifts: Sequence[int], mask: int) -> UInt8[Tensor, "*rest shifts n"]:
    """The same bits of all bytes, then the next bits of all."""
    by = torch.tensor(shifts, dtype=torch.uint8)[:, None]
    return (bits[..., None, :] >> by) & mask


def _nibbles(bits: UInt8[Tensor, "*rest n"]) -> UInt8[Tensor, "*rest 2 n"]:
    return _fields(bits, (0, 4), 15)


def _fifth(blocks: Bytes, start: int) -> Int[Tensor, "blocks 32"]:
    """One bit of 32 numbers, the lowest first, as the fifth of each."""
    bits = (blocks[:, start : start + 4, None] >> torch.arange(8, dtype=torch.uint8)) & 1
    return bits.flatten(1).int() << 4


def _q4_0(blocks: Bytes) -> Numbers:
    return _half(blocks, 0) * (_nibbles(blocks[:, 2:]).flatten(1).float() - 8)


def _q4_1(blocks: Bytes) -> Numbers:
    return _half(blocks, 0) * _nibbles(blocks[:, 4:]).flatten(1).float() + _half(blocks, 2)


def _q5_0(blocks: Bytes) -> Numbers:
    whole = _nibbles(blocks[:, 6:]).flatten(1).int() | _fifth(blocks, 2)
    return _half(blocks, 0) * (whole.float() - 16)


def _q5_1(blocks: Bytes) -> Numbers:
    whole = _nibbles(blocks[:, 8:]).flatten(1).int() | _fifth(blocks, 4)
    return _half(blocks, 0) * whole.float() + _half(blocks, 2)


def _q8_0(blocks: Bytes) -> Numbers:
    return _half(blocks, 0) * blocks[:, 2:].contiguous().view(torch.int8).float()


def _parts(whole: Tensor, scales: Float[Tensor, "blocks parts"], least: Tensor | None = None) -> Numbers:
    """Numbers whose block has parts, each with a scale and perhaps a least number of its own."""
    parted = whole.float().reshape(len(scales), scales.shape[1], -1) * scales[..., None]
    return (parted if least is None else parted - least[..., None]).flatten(1)


def _q2_k(blocks: Bytes) -> Numbers:
    whole = _fields(blocks[:, 16:80].unflatten(1, (2, 32)), (0, 2, 4, 6), 3)
    scales = _nibbles(blocks[:, :16]).float()
    return _parts(whole, _half(blocks, 80) * scales[:, 0], _half(blocks, 82) * scales[:, 1])


def _q3_k(blocks: Bytes) -> Numbers:
    low = _fields(blocks[:, 32:96].unflatten(1, (2, 32)), (0, 2, 4, 6), 3).flatten(1).int()
    high = _fields(blocks[:, :32], range(8), 1).flatten(1).int()
    scales = _nibbles(blocks[:, 96:104]).flatten(1).int()
    scales = scales | (_fields(blocks[:, 104:108], (0, 2, 4, 6), 3).flatten(1).int() << 4)
    return _parts((low | (high << 2)) - 4, _half(blocks, 108) * (scales - 32).float())


def _scales_and_least(blocks: Bytes) -> tuple[Float[Tensor, "blocks 8"], Float[Tensor, "blocks 8"]]:
    """Eight of each, of six bits, in the twelve bytes behind two halves."""
    first, second, third = blocks[:, 4:16].unflatten(1, (3, 4)).unbind(1)
    scales = torch.cat([first & 63, (third & 15) | ((first >> 6) << 4)], dim=1)
    least = torch.cat([second & 63, (third >> 4) | ((second >> 6) << 4)], dim=1)
    return _half(blocks, 0) * scales.float(), _half(blocks, 2) * least.float()


def _q4_k(blocks: Bytes) -> Numbers:
    return _parts(_nibbles(blocks[:, 16:].unflatten(1, (4, 32))), *_scales_and_least(blocks))


def _q5_k(blocks: Bytes) -> Numbers:
    low = _nibbles(blocks[:, 48:].unflatten(1, (4, 32))).flatten(1)
    high = _fields(blocks[:, 16:48], range(8), 1).flatten(1)
    return _parts(low | (high << 4), *_scales_and_least(blocks))


def _q6_k(blocks: Bytes) -> Numbers:
    low = _nibbles(blocks[:, :128].unflatten(1, (2, 64))).flatten(1).int()
    high = _fields(blocks[:, 128:192].unflatten(1, (2, 32)), (0, 2, 4, 6), 3).flatten(1).int()
    scales = blocks[:, 192:208].contiguous().view(torch.int8).float()
    return _parts((low | (high << 4)) - 32, _half(blocks, 208) * scales)


_UNEVEN = torch.tensor([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], dtype=torch.float32)
"""What the sixteen whole numbers of the IQ4 types stand for."""


def _iq4_nl(blocks: Bytes) -> Numbers:
    return _half(blocks, 0) * _UNEVEN[_nibbles(blocks[:, 2:]).flatten(1).int()]


def _iq4_xs(blocks: Bytes) -> Numbers:
    low = _nibbles(blocks[:, 4:8, None]).flatten(1).int()
    high = _fields(blocks[:, 2:4, None], (0, 2, 4, 6), 3).flatten(1).int()
    uneven = _UNEVEN[_nibbles(blocks[:, 8:].unflatten(1, (8, 16))).int()]
    return _parts(uneven, _half(blocks, 0) * ((low | (high << 4)) - 32).float())


TYPES: dict[int, Type] = {
    0: Type("F32", 1, 4, plain=torch.float32),
    1: Type("F16", 1, 2, plain=torch.float16),
    2: Type("Q4_0", 32, 18, _q4_0),
    3: Type("Q4_1", 32, 20, _q4_1),
    6: Type("Q5_0", 32, 22, _q5_0),
    7: Type("Q5_1", 32, 24, _q5_1),
    8: Type("Q8_0", 32, 34, _q8_0),
    10: Type("Q2_K", 256, 84, _q2_k),
    11: Type("Q3_K", 256, 110, _q3_k),
    12: Type("Q4_K", 256, 144, _q4_k),
    13: Type("Q5_K", 256, 176, _q5_k),
    14: Type("Q6_K", 256, 210, _q6_k),
    20: Type("IQ4_NL", 32, 18, _iq4_nl),
    23: Type("IQ4_XS", 256, 136, _iq4_xs),
    30: Type("BF16", 1, 2, plain=torch.bfloat16),
}
"""By the numbers that files have for them; the others (IQ1 to IQ3, TQ, MXFP4) are for language models."""


def undone(data: UInt8[Tensor, " bytes"], type: Type, shape: Sequence[int]) -> Tensor:
    """The tensor that bytes stand for: as it is where its type is plain, else in float16, as its scales are.

    Args:
        data: whole blocks, `math.prod(shape) / type.size` of them.
    """
    if type.plain is not None:
        return data.view(type.plain).reshape(tuple(shape))
    assert type.numbers is not None
    blocks = data.view(-1, type.bytes)
    found: Float16[Tensor, " n"] = torch.empty(math.prod(shape), dtype=torch.float16)
    count = max(1, AT_ONCE // type.size)
    for first in range(0, len(blocks), count):
        numbers = type.numbers(blocks[first : first + count])
        found[first * type.size : first * type.size + numbers.numel()] = numbers.flatten()
    return found.view(tuple(shape))
