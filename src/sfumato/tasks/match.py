"""Matching colours: a picture is given those of another, by optimal transport in OKLab. No checkpoint is loaded."""

import time
from collections.abc import Iterator

import torch

from sfumato.colours import apart, matched
from sfumato.metadata.provenance import Provenance
from sfumato.pictures import Painted
from sfumato.requests import Match
from sfumato.results import Progress, Report, Result
from sfumato.tasks.sources import read
from sfumato.tasks.table import Studio


def match(studio: Studio, request: Match) -> Iterator[Progress | Result]:
    """Carry out a request; the report says how far the colours were apart, and are. Raises as `read`."""
    begun = time.perf_counter()
    exact = request.changed(image=request.image.known(), like=request.like.known())
    found, like = read(exact.image), read(exact.like).image
    image = found.with_alpha
    loaded = time.perf_counter()
    done = matched(image, like, exact.strength, lightness=not exact.colours_only)
    before, after = apart(image, like), apart(done, like)
    report = Report(
        f"the colours were {before:.3f} apart in OKLab, and are {after:.3f}",
        [{"": "before", "apart": before}, {"": "after", "apart": after}],
    )
    provenance = Provenance("", "fp32", studio.device.type, torch.__version__.partition("+")[0])
    timings = {"load": loaded - begun, "match": time.perf_counter() - loaded}
    yield Result([Painted.of(done, exact, provenance)], exact, [exact.seed], timings, provenance, report=report)
