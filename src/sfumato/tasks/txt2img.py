"""Text to image: noise, sampled down under the prompt."""

from collections.abc import Iterator

from sfumato.adapters.applied import Applied
from sfumato.requests import Txt2Img
from sfumato.results import Progress, Result
from sfumato.tasks.forecast import foretell, remark_size
from sfumato.tasks.paint import Canvas, paint
from sfumato.tasks.session import prepare, resolve, takes_latents_alone


def txt2img(applied: Applied, request: Txt2Img, load: float = 0.0) -> Iterator[Progress | Result]:
    """Paint a request. Raises as `resolve` and `prepare`."""
    takes_latents_alone(applied.model, "txt2img")
    exact = resolve(applied.model, request)
    assert exact.width is not None
    assert exact.height is not None
    size = exact.width, exact.height
    width, height = (min(side, exact.tile or side) for side in size)
    remark_size(applied.model, (width, height))
    session = prepare(applied, exact, size, load=load)
    foretell(session, size)
    yield from paint(session, Canvas(size))
