"""What a network takes besides the picture and the noise level: tokens, vectors, numbers, extra channels.

Tensors only: how a text becomes tokens is not known here.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True, eq=False)
class Conditioning:
    """The condition of a batch; row i belongs to image i.

    ``mask`` is True where attention may look; None means everywhere. ``pooled`` is the vector which some
    families add to the time embedding, and ``numbers`` are what SDXL takes beside it: sizes and the crop, in
    pixels, and the refiner a score. ``guidance`` is the scale which networks with distilled guidance take in.
    ``channels`` are concatenated to the network's input, as inpainting networks want. ``uncond`` is True in the rows
    that guidance moves away from, where somebody wants to know. ``seen`` are tokens of a picture, for a
    network that reads them behind those of the text. ``kind`` is the class of which a network has an embedding.
    """

    tokens: Float[Tensor, "b n d"]
    mask: Bool[Tensor, "b n"] | None = None
    pooled: Float[Tensor, "b p"] | None = None
    channels: Float[Tensor, "b c h w"] | None = None
    numbers: Float[Tensor, "b k"] | None = None
    guidance: Float[Tensor, " b"] | None = None
    uncond: Bool[Tensor, " b"] | None = None
    seen: Float[Tensor, "b m d"] | None = None
    kind: Int[Tensor, " b"] | None = None

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def form(self) -> tuple[object, ...]:
        """What is given, of which shape a row; equal for those that `batch` takes as they are."""
        values = (getattr(self, field.name) for field in fields(self))
        return tuple(None if value is None else (value.dtype, value.shape[1:]) for value in values)

    def expand(self, count: int) -> "Conditioning":
        """A row for each of ``count`` images, from a single row; a batch of that size is itself.

        Raises:
            ValueError: there are several rows, and not ``count`` of them.
        """
        if len(self) == count:
            return self
        if len(self) != 1:
            raise ValueError(f"a condition of {len(self)} rows cannot serve {count} images; give 1 row or {count}")

        return self._each(lambda value: value.expand(count, *value.shape[1:]))

    def at(self, rows: Int[Tensor, " n"]) -> "Conditioning":
        """Those rows, in the order given; a row may come again."""
        return self._each(lambda value: value[rows])

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Conditioning":
        given = {name: getattr(self, name) for name in BESIDE_TOKENS}
        return Conditioning(
            change(self.tokens), **{name: None if value is None else change(value) for name, value in given.items()}
        )


def between(first: Conditioning, last: Conditioning, share: float) -> Conditioning:
    """The condition at a share of the way from one to another, rows, tokens and vectors alike.

    Raises:
        ValueError: they differ in shape, or one has what the other has not.
    """

    def mixed(name: str) -> Tensor | None:
        a, b = getattr(first, name), getattr(last, name)
        if (a is None) != (b is None) or (a is not None and a.shape != b.shape):
            raise ValueError(f"conditions with other {name} cannot be blended")
        if a is None or name == "mask":
            return a if a is None else a | b
        return torch.lerp(a, b, share)

    return Conditioning(**{field.name: mixed(field.name) for field in fields(Conditioning)})  # type: ignore[arg-type]


BESIDE_TOKENS = tuple(field.name for field in fields(Conditioning) if field.name != "tokens")


def batch(*parts: Conditioning) -> Conditioning:
    """Concatenate conditions, in the order given, into one for a single network call.

    Sequences of unequal length are padded with zero tokens up to the longest, which is exact only where a
    mask hides the padding, so every part must have one then.

    Raises:
        ValueError: lengths differ and a part has no mask; or a field is set in one part and None in another.
    """
    lengths = [part.tokens.shape[1] for part in parts]
    if len(set(lengths)) > 1:
        if any(part.mask is None for part in parts):
            raise ValueError(
                f"conditions of {lengths} tokens cannot be batched without masks: "
                "pad the prompts to equal length, or give every condition a mask"
            )
        parts = tuple(_padded(part, max(lengths)) for part in parts)
    return Conditioning(
        torch.cat([part.tokens for part in parts]),
        **{name: _joined(name, [getattr(part, name) for part in parts]) for name in BESIDE_TOKENS},
    )


def _padded(part: Conditioning, length: int) -> Conditioning:
    assert part.mask is not None
    missing = length - part.tokens.shape[1]
    return replace(
        part, tokens=F.pad(part.tokens, (0, 0, 0, missing)), mask=F.pad(part.mask, (0, missing), value=False)
    )


def _joined(name: str, values: list[Tensor | None]) -> Tensor | None:
    given = [value for value in values if value is not None]
    if not given:
        return None
    if len(given) < len(values):
        raise ValueError(f"{name} is set in {len(given)} of {len(values)} conditions; set it in all or in none")
    return torch.cat(given)
