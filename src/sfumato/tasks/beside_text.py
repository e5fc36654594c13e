"""What a network is told beside the words: SDXL's sizes and crop, its refiner's score, and a distilled guidance scale.

Podell et al. 2023 (arXiv:2307.01952), section 2.2, "micro-conditioning": training pictures were small, or cut to shape;
being told so, the network need not paint it.
"""

from dataclasses import replace

import torch

from sfumato.diffusion.conditioning import Conditioning
from sfumato.errors import RequestError
from sfumato.families import Model
from sfumato.requests import Txt2Img

TOLD = {
    0: (),
    5: ("original_size", "crop", "aesthetic", "negative_aesthetic"),
    6: ("original_size", "crop", "target_size"),
}
"""Fields of a request, by how many numbers the network wants: none, the refiner's, and SDXL's."""


def filled(model: Model, request: Txt2Img) -> dict[str, object]:
    """The fields of `TOLD` that the model wants, those left open as of a whole picture of this size and of good looks.

    Raises:
        RequestError: one is given that the model does not want.
    """
    size = (request.width, request.height)
    usual = {"original_size": size, "target_size": size, "crop": (0, 0), "aesthetic": 6.0, "negative_aesthetic": 2.5}
    given = {name: value for name in usual if (value := getattr(request, name)) is not None}
    wanted = TOLD[model.told_numbers]
    if foreign := sorted(given.keys() - set(wanted)):
        raise RequestError(f"{foreign[0]} is nothing that {model.name} is told; leave it out")
    return {name: given.get(name, usual[name]) for name in wanted}


def beside_text(model: Model, request: Txt2Img, cond: Conditioning, *, negative: bool) -> Conditioning:
    """The condition with all that the network is told beside words, and zeros where it wants these for no words."""
    if negative and model.zero_empty and not request.negative.strip():
        assert cond.pooled is not None
        cond = replace(cond, tokens=torch.zeros_like(cond.tokens), pooled=torch.zeros_like(cond.pooled))
    if model.told_numbers:
        numbers = torch.tensor([_numbers(request, model.told_numbers, negative=negative)], dtype=torch.float32)
        cond = replace(cond, numbers=numbers.to(model.device))
    if model.told_guidance:
        cond = replace(cond, guidance=torch.tensor([request.guidance], dtype=torch.float32, device=model.device))
    return cond


def _numbers(request: Txt2Img, count: int, *, negative: bool) -> list[float]:
    """Sizes height first, and the crop's corner top first, as the network learned them."""
    assert request.original_size is not None
    assert request.crop is not None
    numbers: list[float] = [*request.original_size[::-1], *request.crop[::-1]]
    if count == 6:
        assert request.target_size is not None
        return [*numbers, *request.target_size[::-1]]
    score = request.negative_aesthetic if negative else request.aesthetic
    assert score is not None
    return [*numbers, score]
