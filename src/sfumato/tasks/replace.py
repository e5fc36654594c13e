"""Replacing: what words name is found in a picture, and something else painted there."""

from collections.abc import Iterator

from sfumato.adapters.applied import Applied
from sfumato.requests import Replace
from sfumato.results import Progress, Result
from sfumato.tasks.inpaint import inpainted, shaped
from sfumato.tasks.pictures import fitted
from sfumato.tasks.sources import read
from sfumato.tasks.where import described, located, replaced


def replace(applied: Applied, request: Replace, load: float = 0.0) -> Iterator[Progress | Result]:
    """Paint a request. Raises as `read`, `located` and `inpainted`."""
    known = request.changed(image=request.image.known())
    image = read(known.image).image
    if not request.only_masked:
        known, opened = fitted(applied.model, known, image)
        image = opened.image
    if not known.description:
        known = known.changed(description=described(applied.model, image, known.old, ""))
    mask = shaped(located(applied, known, image, known.old, known.description), known)
    prompt = replaced(known.description, known.old, known.prompt)
    if prompt == known.description:  # which does not say what is replaced
        prompt = f"{prompt}, {known.prompt}"
    yield from inpainted(applied, known, image, mask, load, prompt)
