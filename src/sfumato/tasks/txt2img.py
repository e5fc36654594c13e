"""Text to image: noise, sampled down under the prompt; and once more from the enlarged picture where asked (hires).
The finished picture may be enlarged too.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple, Self

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sfumato.adapters.applied import Applied
from sfumato.choices import Numerics, Upscaler
from sfumato.errors import RequestError
from sfumato.images import to_tensor
from sfumato.metadata.provenance import HASH_DIGITS
from sfumato.metadata.trace import Trace
from sfumato.model import Model
from sfumato.pictures import Painted
from sfumato.requests import Txt2Img
from sfumato.results import Progress, Result
from sfumato.tasks.enlarging import Enlarger, find
from sfumato.tasks.forecast import foretell, remark_size
from sfumato.tasks.paint import Canvas, paint
from sfumato.tasks.raster import eight_bit
from sfumato.tasks.regions import leave_nothing
from sfumato.tasks.session import Session, prepare, resolve, takes_latents_alone
from sfumato.tasks.sources import MAX_SIDE


class Hires(NamedTuple):
    """How the second pass of an exact request is painted."""

    strength: float
    steps: int
    upscaler: Upscaler

    @classmethod
    def of(cls, request: Txt2Img) -> Self:
        """The request's own values, and the usual ones of what it leaves open."""
        return cls(
            0.7 if request.hires_strength is None else request.hires_strength,
            request.settled.steps if request.hires_steps is None else request.hires_steps,
            "latent" if request.hires_upscaler is None else request.hires_upscaler,
        )

    def steps_in_all(self, numerics: Numerics) -> int:
        """The steps of a whole descent of which the strength leaves as many as the second pass has."""
        if not self.strength:
            return self.steps
        if numerics == "a1111":
            return min(int(self.steps / min(self.strength, 0.999)), 1000)
        return min(math.ceil(self.steps / self.strength), 1000)


def txt2img(applied: Applied, request: Txt2Img, load: float = 0.0) -> Iterator[Progress | Result]:
    """Paint a request. Raises as `resolve` and `prepare`."""
    takes_latents_alone(applied.model, "txt2img")
    exact = resolve(applied.model, request)
    hires = Hires.of(exact)
    if exact.hires > 1:
        exact = exact.changed(hires_strength=hires.strength, hires_steps=hires.steps, hires_upscaler=hires.upscaler)
    enlarger = None
    if exact.upscale > 1:
        method = exact.upscaler or applied.model.family.upscaler
        enlarger = find(method, exact.upscale, applied.model.device)
        exact = exact.changed(upscaler=enlarger.name)
    size, times = exact.settled.size, exact.hires * exact.upscale
    if exact.upscale > 1 and max(size) * times > MAX_SIDE:
        raise RequestError(f"{size[0]}x{size[1]} enlarged {times:g} times is over {MAX_SIDE} a side; enlarge it less")
    width, height = (min(side, exact.tile or side) for side in size)
    if not leave_nothing(applied.model, exact, size):  # regions look at parts of the model's own size
        remark_size(applied.model, (width, height))
    if exact.hires > 1 and not applied.model.family.two_passes:
        width, height = (min(side, exact.tile or side) for side in _second_size(applied.model, exact))
        remark_size(applied.model, (width, height), "--upscale in the place of --hires enlarges without painting anew")
    session = prepare(applied, exact, size, load=load)
    foretell(session, size)
    events = _in_two_passes(applied, session, exact, hires) if exact.hires > 1 else paint(session, Canvas(size))
    yield from events if enlarger is None else _upscaled(events, enlarger)


def _upscaled(events: Iterator[Progress | Result], enlarger: Enlarger) -> Iterator[Progress | Result]:
    """The same with pictures that are enlarged."""
    for event in events:
        if isinstance(event, Progress):
            yield event
            continue
        hashes = {enlarger.title: enlarger.digest[:HASH_DIGITS]} if enlarger.digest else {}
        provenance = replace(event.provenance, control_hashes={**event.provenance.control_hashes, **hashes})
        images: list[Image.Image] = []
        for image in event.images:
            assert isinstance(image, Painted)
            pixels = np.asarray(image, np.float32) / 255
            large = eight_bit(enlarger.run(pixels, (image.width * enlarger.scale, image.height * enlarger.scale)))
            images.append(Painted.of(large, image.request, provenance, image.trace))
        yield replace(event, images=images, provenance=provenance)


def _second_size(model: Model, request: Txt2Img) -> tuple[int, int]:
    """Width and height of the second pass."""
    width, height = (
        max(model.grain, round(side * request.hires / model.grain) * model.grain) for side in request.settled.size
    )
    return width, height


def _in_two_passes(applied: Applied, session: Session, request: Txt2Img, hires: Hires) -> Iterator[Progress | Result]:
    """Batch by batch: paint, enlarge, add noise of the same seeds, and paint again."""
    model, kept = applied.model, list[Tensor]()
    size, (width, height) = request.settled.size, _second_size(model, request)
    whole = request.changed(steps=hires.steps_in_all(request.numerics), noise_multiplier=1.0)  # that of the first pass
    second = prepare(applied, whole, (width, height), strength=hires.strength)
    second = replace(second, request=request)
    more = max(len(second.plan.sigmas) - 1, 0)

    def keep(latents: Tensor) -> Tensor:
        kept[:] = [latents]
        return latents

    done = 0
    for event in paint(session, Canvas(size, settle=keep)):
        if isinstance(event, Progress):
            yield replace(event, total=event.total + more)
            continue
        clean = _enlarged(model, request, kept[0], list(event), (width, height))
        plan = replace(second.plan, seeds=tuple(event.seeds), batch=len(event))
        for later in paint(replace(second, plan=plan), Canvas((width, height), clean), done):
            if isinstance(later, Progress):
                earlier = len(session.plan.sigmas) - 1
                yield replace(later, index=earlier + later.index, total=earlier + later.total)
            else:
                yield _joined(event, later)
        done += len(event)


def _enlarged(
    model: Model, request: Txt2Img, latents: Tensor, images: list[Image.Image], size: tuple[int, int]
) -> Tensor:
    """Latents of the larger size, (b, c, h, w)."""
    if request.hires_upscaler == "latent":
        sides = size[1] // model.autoencoder.factor, size[0] // model.autoencoder.factor
        return torch.nn.functional.interpolate(latents, sides, mode="bilinear")
    with torch.inference_mode():
        larger = [to_tensor(image.resize(size, Image.Resampling.LANCZOS)) for image in images]
        return torch.cat([model.encode_pixels(each) for each in larger])


def _joined(first: Result, second: Result) -> Result:
    """The result of the second pass, with the time and the steps of both."""
    traces = [Trace.joined(pair) for pair in zip(first.traces, second.traces, strict=True)]
    images: list[Image.Image] = [
        Painted.of(image, image.request, second.provenance, trace) if isinstance(image, Painted) else image
        for image, trace in zip(second.images, traces, strict=True)
    ]
    timings = {name: first.timings[name] + seconds for name, seconds in second.timings.items()}
    timings["steps_per_second"] /= 2
    return replace(second, images=images, traces=traces, timings=timings)
