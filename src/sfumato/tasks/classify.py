"""Zero-shot classification by any model's denoiser; see `sfumato.recognition.zero_shot`."""

import time
from collections.abc import Iterator, Mapping
from pathlib import PurePath

import torch

from sfumato.metadata.provenance import Provenance
from sfumato.recognition.zero_shot import CALIBRATED, Classification, Settings
from sfumato.recognition.zero_shot import classify as classified
from sfumato.requests import Classify, Source
from sfumato.results import Progress, Report, Result
from sfumato.tasks.sources import read
from sfumato.tasks.table import Studio


def classify(studio: Studio, request: Classify) -> Iterator[Progress | Result]:
    """Carry out a request.

    Raises:
        RequestError: a picture that cannot be read, or a model that takes more than latents.
    """
    exact = request.changed(images=tuple(image.known() for image in request.images))
    pictures = [read(image).image for image in exact.images]
    begun = time.perf_counter()
    model = studio.load(exact.model)
    loaded = time.perf_counter()
    settings = Settings(
        template=exact.label_template, draws=exact.draws, risk=exact.risk, threshold=exact.threshold, seed=exact.seed
    )
    found = classified(model, pictures, exact.labels, settings)
    provenance = Provenance(model.hash, model.precision, model.device.type, torch.__version__.partition("+")[0])
    timings = {"load": loaded - begun, "classify": time.perf_counter() - loaded}
    remarks = [f"{sum(each.evaluations for each in found)} evaluations of the denoiser"]
    if model.family.name not in CALIBRATED:
        remarks.append(f"probabilities of {model.name} are not calibrated: only their order counts")
    report = Report(_answer(exact, found), _rows(exact, found), remarks)
    yield Result([], exact, [], timings, provenance, report=report)


def _answer(request: Classify, found: list[Classification]) -> str:
    if len(found) == 1:
        label, likely = found[0].ranked[0]
        return f"{label} ({likely:.0%})" if found[0].sure else f"unsure: {label} ({likely:.0%}) or another"
    sure = sum(each.sure for each in found)
    return f"{len(found)} pictures, {len(found) - sure} unsure"


def _rows(request: Classify, found: list[Classification]) -> list[Mapping[str, str | int | float | None]]:
    return [
        {
            "picture": shown_name(image, place),
            "label": label,
            "probability": round(likely, 4),
            "sure": "" if rank else "yes" if each.sure else "unsure",
        }
        for place, (image, each) in enumerate(zip(request.images, found, strict=True))
        for rank, (label, likely) in enumerate(each.ranked[: request.top])
    ]


def shown_name(image: Source, place: int) -> str:
    """What a table calls a picture: its file's name, or which it is."""
    return PurePath(image.path).name or str(place + 1)
