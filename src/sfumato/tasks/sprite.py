"""Sprites: a subject painted on a flat background, and cut out of it."""

import logging
from collections.abc import Iterator
from dataclasses import replace

from PIL import Image

from sfumato.adapters.applied import Applied
from sfumato.errors import RequestError
from sfumato.pictures import Painted
from sfumato.requests import Sprite
from sfumato.results import Progress, Result
from sfumato.sprites import cut_out, outlined, palette_of, read_palette, reduced, rgb, trimmed
from sfumato.tasks.paint import Canvas, paint
from sfumato.tasks.session import prepare, resolve, takes_latents_alone

log = logging.getLogger(__name__)


def sprite(applied: Applied, request: Sprite, load: float = 0.0) -> Iterator[Progress | Result]:
    """Paint a request. A `Result` says which share of each picture is transparent.

    Where the background came out in no one colour, a warning says so and the picture is whole.

    Raises:
        RequestError: as `resolve`, `prepare` and `read_palette`.
    """
    takes_latents_alone(applied.model, "sprite")
    source = None if request.palette_file is None else request.palette_file.known()
    palette = None if source is None else read_palette(source.read(), source.name)
    exact = resolve(applied.model, request.changed(palette_file=source))
    size = exact.settled.size
    session = prepare(applied, exact.changed(prompt=worded(exact)), size, load=load)
    for event in paint(replace(session, request=exact), Canvas(size)):
        if isinstance(event, Result):
            images: list[Image.Image] = []
            for image, seed, trace in zip(event, event.seeds, event.traces, strict=True):
                assert isinstance(image, Painted)
                images.append(Painted.of(finished(image, exact, palette, seed), image.request, image.provenance, trace))
            clear = [1 - sum(image.getchannel("A").histogram()[128:]) / (size[0] * size[1]) for image in images]
            event = replace(event, images=images, measures={"transparent": clear})
        yield event


def worded(request: Sprite) -> str:
    """The prompt, with what is said of the background where it says nothing of it."""
    if not request.background or "background" in request.prompt.lower() or "背景" in request.prompt:
        return request.prompt
    return f"{request.prompt.rstrip(' ,')}, {request.background}" if request.prompt.strip() else request.background


def finished(image: Image.Image, request: Sprite, palette: list[tuple[int, int, int]] | None, seed: int) -> Image.Image:
    """A painted picture as the request wants it, in RGBA."""
    try:
        found = cut_out(image)
    except RequestError as error:
        log.warning("seed %d is not cut out: %s", seed, error)
        found = image.convert("RGBA")
    if not request.untrimmed:
        found, _ = trimmed(found)
    if request.palette is not None:
        palette = palette_of(found, request.palette)
    if palette is not None:
        found = reduced(found, palette)
    if request.outline:
        found = outlined(found, request.outline, rgb(request.outline_colour))
    return found
