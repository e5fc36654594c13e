"""What is said before painting: a size that a model has not learned, and work many times what it is made for."""

import logging
import math
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from sfumato.families import Family
from sfumato.model import LIVE, Model
from sfumato.runtime.memory import available_memory
from sfumato.tasks.session import Session

MANY = 16
"""From so many times the pixels of a model's own size on, a painting is timed beforehand: two steps at its own size,
which are less than an eighth of the first one."""
SMALL = 8
"""Latent positions of a side, for what is only looked at."""

log = logging.getLogger(__name__)


def nearest(family: Family, own: tuple[int, int], size: tuple[int, int], grain: int) -> tuple[int, int]:
    """The size, if a model of the family paints it well, else the nearest that it does, in pixels.

    Args:
        own: what it was trained at.
        grain: what sides are multiples of.
    """
    area, reach = math.prod(size) / math.prod(own), family.reach
    if family.many_shapes:  # one area, and sides of half to twice the square's
        scale, reach = math.sqrt(min(max(area, reach**-2), reach**2) / area), 2.0
        size = round(size[0] * scale), round(size[1] * scale)
    width, height = (
        min(max(side, math.ceil(trained / reach / grain) * grain), math.floor(trained * reach / grain) * grain)
        for side, trained in zip(size, own, strict=True)
    )
    return round(width / grain) * grain, round(height / grain) * grain


def remark_size(model: Model, size: tuple[int, int], remedy: str = "") -> None:
    """Say so when a size is far from what the model was trained at, and what to do: the nearest size if no `remedy`."""
    best = nearest(model.family, model.size, size, model.grain)
    if best != size:
        log.warning(
            "%s was trained at %dx%d, and %dx%d is far from it: things come twice, torn or as noise; %s",
            *(model.name, *model.size, *size, remedy or "the nearest that works is --size {}x{}".format(*best)),
        )


def foretell(session: Session, size: tuple[int, int]) -> None:
    """Say how long a picture will take and what memory, where it is many times the model's own size."""
    model, own = session.model, session.model.size
    times = math.prod(size) / math.prod(own)
    if times < MANY:
        return
    seconds, per_pixel = _measured(session)
    total = seconds * times * session.plan.steps * session.request.count
    memory = LIVE * per_pixel * math.prod(min(side, session.request.tile or side) for side in size)
    free = available_memory() if model.device.type == "cpu" else None
    log.warning(
        "%dx%d is %.0f times the pixels of %dx%d: expect over %s and about %.1f GB of memory%s",
        *(*size, times, *own, spoken(total), memory / 1e9),
        "" if free is None else f", of which {free / 1e9:.1f} GB are free",
    )


@torch.inference_mode()
def _measured(session: Session) -> tuple[float, float]:
    """Seconds of a step at the model's own size, and bytes of the largest tensor by the pixel."""
    model, autoencoder = session.model, session.model.autoencoder
    width, height = (side // autoencoder.factor for side in model.size)
    shape = (1, autoencoder.latent_channels, height, width)
    x, sigma = torch.zeros(shape, device=model.device), session.plan.sigmas[0].to(model.device)
    with _Largest() as step:
        session.denoise(x, sigma)
    begun = time.perf_counter()
    float(session.denoise(x, sigma).sum())  # waits for the device
    seconds = time.perf_counter() - begun
    with _Largest() as decoded:
        model.decode(x[..., :SMALL, :SMALL])
    small = math.prod(min(side, SMALL) * autoencoder.factor for side in (width, height))
    return seconds, max(step.bytes / math.prod(model.size), decoded.bytes / small)


class _Largest(TorchDispatchMode):
    """Remembers the size of the largest tensor that this thread makes within the context."""

    bytes = 0

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: object, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        for each in made if isinstance(made, tuple | list) else (made,):
            if isinstance(each, Tensor):
                self.bytes = max(self.bytes, each.numel() * each.element_size())
        return made


def spoken(seconds: float) -> str:
    """A length of time in the unit that suits it."""
    for unit, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"
