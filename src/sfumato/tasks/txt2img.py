"""Text to image: noise, sampled down under the prompt."""

from collections.abc import Iterator

from sfumato.adapters.applied import Applied
from sfumato.requests import Txt2Img
from sfumato.results import Progress, Result
from sfumato.tasks.paint import Canvas, paint
from sfumato.tasks.session import prepare, resolve, takes_latents_alone


def txt2img(applied: Applied, request: Txt2Img, load: float = 0.0) -> Iterator[Progress | Result]:
    """Paint a request. Raises as `resolve` and `prepare`."""
    takes_latents_alone(applied.model, "txt2img")
    exact = resolve(applied.model, request)
    assert exact.width is not None
    assert exact.height is not None
    size = exact.width, exact.height
    yield from paint(prepare(applied, exact, size, load=load), Canvas(size))
