"""Scenes: wide backgrounds, painted as a whole by tiles of the model's size (Bar-Tal et al. 2023, arXiv:2302.08113).

All tiles are one picture at every step, so that a sky keeps its colour from end to end and nothing comes twice, as it
does where a picture is outpainted with the noise of one seed in round after round.
"""

from collections.abc import Iterator

from sfumato.adapters.applied import Applied
from sfumato.requests import Scene
from sfumato.results import Progress, Result
from sfumato.tasks.forecast import foretell
from sfumato.tasks.paint import Canvas, paint
from sfumato.tasks.session import prepare, resolve, takes_latents_alone

WIDE = 3
"""So many times as wide as the model's pictures is a scene without a size."""


def scene(applied: Applied, request: Scene, load: float = 0.0) -> Iterator[Progress | Result]:
    """Paint a request. Raises as `resolve` and `prepare`."""
    takes_latents_alone(applied.model, "scene")
    width, height = applied.model.size
    tile = request.tile or min(width, height)
    exact = resolve(
        applied.model,
        request.changed(
            width=request.width or WIDE * width,
            height=request.height or height,
            tile=tile,
            tile_overlap=min(request.tile_overlap, tile // 2),
        ),
    )
    session = prepare(applied, exact, exact.settled.size, load=load)
    foretell(session, exact.settled.size)
    yield from paint(session, Canvas(exact.settled.size))
