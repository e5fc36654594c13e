"""Weights of a LoRA by the blocks of a U-Net, as `<lora:NAME:1:lbw=...>` has them (sd-webui-lora-block-weight).

A list has 12, 17, 20 or 26 numbers, or is a preset's name: 17 and 26 are made for Stable Diffusion 1 and 2, 12 and 20
for SDXL; the shorter of each for LoRAs on attention alone. A block that a list has no place for counts 0.
"""

from sfumato.errors import RequestError, UnknownNameError
from sfumato.prompts.reading import check_weight

BASE, MIDDLE = "BASE", "M00"
"""The text encoders, and the block between the way down and the way up."""


def _named(downs: tuple[int, ...], ups: tuple[int, ...]) -> tuple[str, ...]:
    return (BASE, *(f"IN{n:02}" for n in downs), MIDDLE, *(f"OUT{n:02}" for n in ups))


LISTS: dict[int, tuple[str, ...]] = {
    len(names): names
    for names in (
        _named((4, 5, 7, 8), tuple(range(6))),
        _named((1, 2, 4, 5, 7, 8), tuple(range(3, 12))),
        _named(tuple(range(9)), tuple(range(9))),
        _named(tuple(range(12)), tuple(range(12))),
    )
}
"""What the numbers of a list are of, by their count. Blocks are counted as in the original code's `input_blocks` and
`output_blocks`."""

PRESETS: dict[str, tuple[float, ...]] = {
    "NONE": (0,) * 17,
    "ALL": (1,) * 17,
    "INS": (1, 1, 1, 1, *(0,) * 13),
    "IND": (1, 0, 0, 0, 1, 1, 1, *(0,) * 10),
    "INALL": (*(1,) * 7, *(0,) * 10),
    "MIDD": (1, 0, 0, 0, *(1,) * 8, *(0,) * 5),
    "OUTD": (1, *(0,) * 7, 1, 1, 1, 1, *(0,) * 5),
    "OUTS": (1, *(0,) * 11, *(1,) * 5),
    "OUTALL": (1, *(0,) * 7, *(1,) * 9),
    "ALL0.5": (0.5,) * 17,
}

BlockWeights = tuple[tuple[str, float], ...]
"""Weights of each block of `LISTS[26]`; none: all count alike."""


def is_blocks(text: str) -> bool:
    """Whether an argument without a name can be nothing else."""
    return "," in text or text.upper() in PRESETS


def read_blocks(text: str, written: str) -> BlockWeights:
    """The weights of a list or a preset.

    Args:
        written: the tag, for messages.

    Raises:
        UnknownNameError: no preset of that name.
        RequestError: another count of numbers, or what is none.
    """
    parts = [part.strip() for part in text.split(",")]
    numbers = PRESETS.get(text.strip().upper())
    if numbers is None and len(parts) == 1:
        raise UnknownNameError("preset of block weights", text[:64], PRESETS)
    if numbers is None and len(parts) not in LISTS:
        counts = ", ".join(map(str, LISTS))
        raise RequestError(f"{written} weighs {len(parts)} blocks; a list has one of {counts} numbers, or is a preset")
    if numbers is None:
        try:
            numbers = tuple(check_weight(float(part), written) for part in parts)
        except ValueError:
            raise RequestError(f"{written} weighs a block by what is no number; random ones are not drawn") from None
    weights = dict(zip(LISTS[len(numbers)], numbers, strict=True))
    return tuple((name, weights.get(name, 0.0)) for name in LISTS[26])
