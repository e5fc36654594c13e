"""What pictures of nano's domain show, by the bundled judge; see `sfumato.recognition.judge`."""

import time
from collections.abc import Iterator, Mapping

import torch

from sfumato.metadata.provenance import Provenance
from sfumato.recognition.judge import Recognised, bundled
from sfumato.requests import Recognise
from sfumato.results import Progress, Report, Result
from sfumato.tasks.classify import shown_name
from sfumato.tasks.sources import read
from sfumato.tasks.table import Studio

FOREIGN = "nothing of nano's domain"


def recognise(studio: Studio, request: Recognise) -> Iterator[Progress | Result]:
    """Carry out a request.

    Raises:
        RequestError: a picture that cannot be read.
    """
    exact = request.changed(images=tuple(image.known() for image in request.images))
    pictures = [read(image).image for image in exact.images]
    begun = time.perf_counter()
    found = bundled().recognise(pictures)
    names = [shown_name(image, place) for place, image in enumerate(exact.images)]
    rows = [row for name, each in zip(names, found, strict=True) for row in _rows(name, each)]
    captions = [each.caption(exact.language) if each.known else FOREIGN for each in found]
    answer = captions[0] if len(captions) == 1 else "\n".join(map(": ".join, zip(names, captions, strict=True)))
    remarks = [
        f"{name} is none of the pictures that the judge has learned (certainty {each.certainty:.2f}); it guesses"
        for name, each in zip(names, found, strict=True)
        if not each.known
    ]
    provenance = Provenance("", "fp32", "cpu", torch.__version__.partition("+")[0])
    yield Result(
        [], exact, [], {"recognise": time.perf_counter() - begun}, provenance, report=Report(answer, rows, remarks)
    )


def _rows(name: str, found: Recognised) -> list[Mapping[str, str | int | float | None]]:
    return [
        {"picture": name, "attribute": key, "word": each.word or "none", "confidence": round(each.confidence, 3)}
        for key, each in found.answers.items()
        if each.word or each.confidence < 1 - 1e-3
    ]
