"""What a network takes beside the words: SDXL's micro-conditioning, its refiner's score, a distilled guidance scale.

Podell et al. 2023 (arXiv:2307.01952), section 2.2: training pictures were small, or cut to shape; conditioned
on that, the network need not paint it.
"""

from dataclasses import replace
from typing import NamedTuple, Self

import torch

from sfumato.diffusion.conditioning import Conditioning
from sfumato.errors import RequestError
from sfumato.model import Model
from sfumato.requests import Painting

FIELDS = {
    0: (),
    5: ("original_size", "crop", "aesthetic", "negative_aesthetic"),
    6: ("original_size", "crop", "target_size"),
}
"""Fields of a request, by how many numbers the network wants: none, the refiner's, and SDXL's."""


class Micro(NamedTuple):
    """Micro-conditioning of a request: what is left open is as of a whole picture of this size and of good looks."""

    original_size: tuple[int, int]
    target_size: tuple[int, int]
    crop: tuple[int, int]
    aesthetic: float
    negative_aesthetic: float

    @classmethod
    def of(cls, request: Painting) -> Self:
        """That of an exact request."""
        given = {name: value for name in cls._fields if (value := getattr(request, name)) is not None}
        size = request.settled.size
        return cls(size, size, (0, 0), 6.0, 2.5)._replace(**given)


def filled(model: Model, request: Painting) -> dict[str, object]:
    """Those of `FIELDS` that the model wants.

    Raises:
        RequestError: one is given that the model does not want.
    """
    given = {name for name in Micro._fields if getattr(request, name) is not None}
    wanted = FIELDS[model.micro_conditioning]
    theirs = () if request.refiner is None else ("aesthetic", "negative_aesthetic")  # which its refiner may want
    if foreign := sorted(given - {*wanted, *theirs}):
        raise RequestError(f"{model.name} has no {foreign[0]} conditioning; leave it out")
    micro = Micro.of(request)
    return {name: getattr(micro, name) for name in wanted}


def refined(model: Model, request: Painting) -> dict[str, object]:
    """The same for the model that ends the painting, which may want others than the first."""
    fields = {name for names in FIELDS.values() for name in names}
    foreign = dict.fromkeys(fields.difference(FIELDS[model.micro_conditioning]))
    return foreign | filled(model, request.changed(refiner=None, **foreign))


def micro_conditioned(model: Model, request: Painting, cond: Conditioning, *, negative: bool) -> Conditioning:
    """The condition with all that the network takes beside words, and zeros where it wants these for no words."""
    if negative and model.zero_empty and not request.negative.strip():
        assert cond.pooled is not None
        cond = replace(cond, tokens=torch.zeros_like(cond.tokens), pooled=torch.zeros_like(cond.pooled))
    if model.micro_conditioning:
        numbers = _numbers(Micro.of(request), model.micro_conditioning, negative=negative)
        cond = replace(cond, numbers=torch.tensor([numbers], dtype=torch.float32, device=model.device))
    if model.guidance_embedding:
        cond = replace(cond, guidance=torch.tensor([request.guidance], dtype=torch.float32, device=model.device))
    return cond


def _numbers(micro: Micro, count: int, *, negative: bool) -> list[float]:
    """Sizes height first, and the crop's corner top first, as the network learned them."""
    numbers: list[float] = [*micro.original_size[::-1], *micro.crop[::-1]]
    if count == 6:
        return [*numbers, *micro.target_size[::-1]]
    return [*numbers, micro.negative_aesthetic if negative else micro.aesthetic]
