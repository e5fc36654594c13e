"""What a file of weights is and whether it would load, as one report."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

from torch import Tensor

from sfumato.checkpoints.companions import complete
from sfumato.checkpoints.detect import Detected, detect
from sfumato.checkpoints.rules import non_finite
from sfumato.checkpoints.scheduler import read_scheduler
from sfumato.checkpoints.single import check_file, describe
from sfumato.checkpoints.tensor_file import open_tensors
from sfumato.checkpoints.yaml_beside import prediction_beside
from sfumato.choices import Prediction
from sfumato.errors import CheckpointError

NAMED = 5
"""At most this many names of a sort are listed."""


@dataclass(frozen=True)
class Report:
    """The findings. Counts are of tensors unless said otherwise; lists hold the first names only."""

    path: str
    container: str
    size_bytes: int
    kind: str
    family: str
    format: str
    prediction: str | None
    precision: dict[str, int]
    tensors: int
    parameters: int
    matched: int | None
    """None for what cannot be matched with a network of ours."""
    ignored: dict[str, int]
    missing: int
    unexpected: int
    misshapen: int
    non_finite: int
    names: dict[str, list[str]]
    metadata: dict[str, str]
    verdict: str
    good: bool
    """A checkpoint or autoencoder that loads, or a file of another known kind."""


def inspect(path: Path, *, prediction: Prediction | None = None) -> Report:
    """Examine a file. Every tensor is read once, for numbers that are none.

    Raises:
        CheckpointError: the file cannot be read as tensors at all.
    """

    file = open_tensors(path)
    fault, matched, ignored, names = "", None, dict[str, int](), dict[str, list[str]]()
    found = None
    try:
        file = complete(file)
        prediction = prediction or prediction_beside(path, file.shapes)
        found = detect(file.shapes, file.metadata, str(path), prediction=prediction, read=file.read)
        if found.table:
            fit = check_file(file, found)
            matched, ignored, fault = fit.matched, dict(fit.ignored), fit.report
            names = {"missing": [*fit.missing], "unexpected": [*fit.unexpected], "misshapen": [*fit.misshapen]}
        if found.layout is not None:
            read_scheduler(found.layout.scheduler, str(path))
    except CheckpointError as error:
        fault = str(error)
    state = file.read()
    names["non_finite"] = non_finite(state)
    if not fault and names["non_finite"]:
        fault = f"{len(names['non_finite'])} tensors hold NaN or infinity, first {names['non_finite'][0]!r}"
    if found is None:
        verdict, good = fault, False
    elif fault:
        verdict, good = f"{describe(found)} that does not load: {fault}", False
    elif found.table:
        remarks = [found.warning, _damaged_places(state)]
        verdict, good = "; ".join([f"{describe(found)} that loads", *filter(None, remarks)]), True
    else:
        verdict, good = f"{describe(found)}; it is not loaded from here", found.kind not in ("unknown", "checkpoint")
    return Report(
        path=str(path),
        container=file.container,
        size_bytes=path.stat().st_size,
        kind="unknown" if found is None else found.kind,
        family="" if found is None else found.family,
        format="" if found is None else found.format,
        prediction=_prediction(found),
        precision=dict(Counter(file.dtypes.values()).most_common()),
        tensors=len(file.shapes),
        parameters=sum(map(prod, file.shapes.values())),
        matched=matched,
        ignored=ignored,
        missing=len(names.get("missing", [])),
        unexpected=len(names.get("unexpected", [])),
        misshapen=len(names.get("misshapen", [])),
        non_finite=len(names["non_finite"]),
        names={key: value[:NAMED] for key, value in names.items() if value},
        metadata={key: value for key, value in file.metadata.items() if key.startswith(("modelspec.", "ss_"))},
        verdict=verdict,
        good=good,
    )


def _damaged_places(state: Mapping[str, Tensor]) -> str:
    """Merges at half precision round the numbers of CLIP's positions, which some programs then look up."""
    for name, tensor in state.items():
        if name.endswith("position_ids") and tensor.flatten().tolist() != list(range(tensor.numel())):
            return f"{name!r} are not 0, 1, 2 ..., which changes nothing here but does in programs that read them"
    return ""


def _prediction(found: Detected | None) -> str | None:
    return None if found is None or found.layout is None else found.layout.scheduler.get("prediction_type", "flow")
