"""What a file of weights is and whether it would load, as one report."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

from torch import Tensor

from sfumato.checkpoints.companions import complete
from sfumato.checkpoints.detect import Detected, detect
from sfumato.checkpoints.folder import denoiser_digest, read_folder
from sfumato.checkpoints.hub import INDEX
from sfumato.checkpoints.parts import sampling
from sfumato.checkpoints.rules import non_finite
from sfumato.checkpoints.save import DTYPES
from sfumato.checkpoints.scheduler import read_scheduler
from sfumato.checkpoints.single import check_file, describe
from sfumato.checkpoints.tensor_file import open_tensors
from sfumato.checkpoints.yaml_beside import prediction_beside
from sfumato.choices import Prediction
from sfumato.errors import CheckpointError
from sfumato.runtime.digests import remembered_sha256

NAMED = 5
"""At most this many names of a sort are listed."""


@dataclass(frozen=True)
class Report:
    """The findings. Counts are of tensors unless said otherwise; lists hold the first names only."""

    path: str
    container: str
    size_bytes: int
    sha256: str
    """In hexadecimal: of the file; of a folder that of its denoiser, by which pictures name the model."""
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
    """Examine a file, or a model folder. Every tensor is read once, for numbers that are none.

    Raises:
        CheckpointError: the file cannot be read as tensors at all, or the folder is none of a model.
    """
    if path.is_dir():
        return _folder(path)
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
        sha256=remembered_sha256(path),
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


def _folder(folder: Path) -> Report:
    if not (folder / INDEX).is_file():
        raise CheckpointError(f"{folder} has no {INDEX}; give a file, or a model folder in the diffusers layout")
    state, family, fault, prediction, digest = dict[str, Tensor](), "", "", None, ""
    try:
        parts = read_folder(folder)
        state, family = parts.state, parts.family.title
        prediction = sampling(parts).parameterisation.name
        digest = denoiser_digest(folder, parts.denoiser)
    except CheckpointError as error:
        fault = str(error)
    about = " ".join(["a model folder", *(["of", family] if family else [])])
    return Report(
        path=str(folder),
        container="folder",
        size_bytes=sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()),
        sha256=digest,
        kind="checkpoint",
        family=family,
        format="diffusers",
        prediction=prediction,
        precision=dict(Counter(DTYPES[tensor.dtype] for tensor in state.values()).most_common()),
        tensors=len(state),
        parameters=sum(tensor.numel() for tensor in state.values()),
        matched=None if fault else len(state),
        ignored={},
        missing=0,
        unexpected=0,
        misshapen=0,
        non_finite=0,
        names={},
        metadata={},
        verdict=f"{about} that does not load: {fault}" if fault else f"{about} that loads",
        good=not fault,
    )


def _damaged_places(state: Mapping[str, Tensor]) -> str:
    """Merges at half precision round the numbers of CLIP's positions, which some programs then look up."""
    for name, tensor in state.items():
        if name.endswith("position_ids") and tensor.flatten().tolist() != list(range(tensor.numel())):
            return f"{name!r} are not 0, 1, 2 ..., which changes nothing here but does in programs that read them"
    return ""


def _prediction(found: Detected | None) -> str | None:
    return None if found is None or found.layout is None else found.layout.scheduler.get("prediction_type", "flow")
