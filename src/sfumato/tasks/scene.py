"""Scenes: wide backgrounds, whose middle is painted at the model's size and then outpainted to all sides."""

from collections.abc import Iterator
from dataclasses import replace

from sfumato.adapters.applied import Applied
from sfumato.requests import Outpaint, Painting, Scene, Source
from sfumato.results import Progress, Result
from sfumato.tasks.outpaint import outpaint
from sfumato.tasks.paint import Canvas, paint
from sfumato.tasks.rounds import as_one
from sfumato.tasks.session import prepare, resolve, takes_latents_alone

WIDE = 3
"""So many times as wide as the model's pictures is a scene without a size."""


def scene(applied: Applied, request: Scene, load: float = 0.0) -> Iterator[Progress | Result]:
    """Paint a request, a picture after the other. Raises as `resolve`, `prepare` and `outpaint`."""
    model = applied.model
    takes_latents_alone(model, "scene")
    width, height = model.size
    wanted = {"width": request.width or WIDE * width, "height": request.height or height}
    middle = {"width": min(wanted["width"], width), "height": min(wanted["height"], height)}
    first = resolve(model, request.changed(**middle))
    exact = first.changed(**wanted)
    for index in range(exact.count):
        yield from _one(applied, exact, first.single(index), index, load if index == 0 else 0.0)


def _one(applied: Applied, request: Scene, first: Scene, index: int, load: float) -> Iterator[Progress | Result]:
    size = first.settled.size
    results: list[Result] = []
    for event in paint(prepare(applied, first, size, load=load), Canvas(size)):
        if isinstance(event, Result):
            results.append(event)
        else:
            yield replace(event, image=index)
    across, down = (whole - side for whole, side in zip(request.settled.size, size, strict=True))
    if across or down:
        shared = {
            name: getattr(first, name) for name in Painting.model_fields if name not in ("task", "width", "height")
        }
        margins = {"left": across // 2, "right": across - across // 2, "top": down // 2, "bottom": down - down // 2}
        asked = Outpaint.build(**shared, **margins, image=Source.of(results[0][0].copy()), overlap=request.overlap)
        for event in outpaint(applied, asked):
            if isinstance(event, Result):
                results.append(event)
            else:
                yield replace(event, image=index)
    last = results[-1]
    yield as_one(results, request, index, last[0], *(last.measures["seam"] if across or down else ()))
