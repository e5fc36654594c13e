"""What an adapter is, whether it fits a model and how strongly it acts, as one report."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

import torch

from sfumato.adapters.applied import base_of, widths
from sfumato.adapters.apply import complaint, fit, measure
from sfumato.adapters.embeddings import embedding_of, is_embedding, misfit, read_vectors
from sfumato.adapters.formats import READ, assemble, is_adapter
from sfumato.adapters.pictures import open_small
from sfumato.checkpoints.folder import load_folder
from sfumato.checkpoints.inspect import NAMED
from sfumato.checkpoints.rules import non_finite
from sfumato.checkpoints.single import load_single
from sfumato.checkpoints.tensor_file import TensorFile
from sfumato.model import Model
from sfumato.runtime.digests import remembered_sha256


@dataclass(frozen=True)
class AdapterReport:
    """The findings. Counts are of tensors unless said otherwise; lists hold the first names only."""

    path: str
    container: str
    size_bytes: int
    sha256: str
    """Of the file, in hexadecimal."""
    kind: str
    """"lora" for all that changes weights, or "embedding"."""
    family: str
    format: str
    kinds: dict[str, int]
    """Modules by the kind of their change."""
    ranks: dict[str, int]
    """Modules by rank; vectors of an embedding by width."""
    precision: dict[str, int]
    tensors: int
    parameters: int
    model: str | None
    """What it was held against."""
    matched: int | None
    unmatched: int | None
    misshapen: int
    """Modules."""
    non_finite: int
    strength: dict[str, float]
    """||change|| / ||W|| at weight 1, by component of the model; of an embedding, the mean length of its vectors."""
    names: dict[str, list[str]]
    metadata: dict[str, str]
    verdict: str
    good: bool


def is_small(path: Path) -> bool:
    """Whether a file is an adapter or an embedding.

    Raises:
        CheckpointError: it cannot be read as tensors.
    """
    shapes = open_small(path).shapes
    return is_adapter(shapes) or is_embedding(shapes)


@torch.no_grad()
def examine(path: Path, model: Path | None = None) -> AdapterReport:
    """Examine an adapter or embedding, held against the model at `model` if there is one.

    Raises:
        CheckpointError: the file is neither or cannot be read, or the model cannot.
    """
    file = open_small(path)
    held = None if model is None else _load(model)
    return _adapter(file, held) if is_adapter(file.shapes) else _embedding(file, held)


def _load(path: Path) -> Model:
    load = load_folder if path.is_dir() else load_single
    return load(path, dtype=torch.float32, device=torch.device("cpu"))


def _adapter(file: TensorFile, model: Model | None) -> AdapterReport:
    state = file.read()
    bad = non_finite(state)
    adapter = assemble(file, state)
    matched = unmatched = None
    effect: dict[str, float] = {}
    names = {"unmatched": [*adapter.strange], "misshapen": [*adapter.faults], "non_finite": bad}
    fault = ""
    if adapter.strange or adapter.faults:
        fault = f"{len(adapter.strange) + len(adapter.faults)} of its names make no whole, first " + repr(
            (*adapter.strange, *adapter.faults)[0]
        )
    if model is not None:
        base = base_of(model)
        fitting = fit(adapter, base)
        found = measure(fitting, base)
        names |= {"unmatched": [*fitting.unmatched], "misshapen": [*found.misshapen]}
        matched, unmatched = found.matched, len(fitting.unmatched)
        fault = complaint(fitting, base, found.misshapen)
        effect = {} if bad else dict(found.strength)
    if bad:
        fault = f"{len(bad)} tensors hold NaN or infinity, first {bad[0]!r}"
    elif not fault and effect and not any(effect.values()):
        fault = "it changes nothing: every change is 0"
    ranks = Counter(str(piece.rank) for piece in adapter.pieces if piece.rank is not None)
    return _report(
        file,
        ("lora", adapter.family, adapter.format),
        model,
        kinds=dict(adapter.kinds),
        ranks=dict(ranks.most_common()),
        matched=matched,
        unmatched=unmatched,
        strength=effect,
        names=names,
        fault=fault,
        foreign=adapter.foreign,
        doubt=adapter.doubt,
    )


def _embedding(file: TensorFile, model: Model | None) -> AdapterReport:
    state = read_vectors(file)
    bad = non_finite(state)
    embedding = embedding_of(file.path.stem, state, file)
    fault = "" if model is None else misfit(embedding, widths(base_of(model)))
    if bad:
        fault = f"{len(bad)} tensors hold NaN or infinity, first {bad[0]!r}"
    matched = None if model is None else 0 if fault else len(state)
    return _report(
        file,
        ("embedding", embedding.family, embedding.format),
        model,
        kinds={},
        ranks={str(vectors.shape[-1]): len(vectors) for vectors in embedding.vectors.values()},
        matched=matched,
        unmatched=None if matched is None else len(state) - matched,
        strength={part: float(rows.float().norm(dim=-1).mean()) for part, rows in embedding.vectors.items()},
        names={"words": [*embedding.names, *embedding.rows], "non_finite": bad},
        fault=fault,
    )


def _report(
    file: TensorFile,
    what: tuple[str, str, str],
    model: Model | None,
    *,
    kinds: dict[str, int],
    ranks: dict[str, int],
    matched: int | None,
    unmatched: int | None,
    strength: Mapping[str, float],
    names: Mapping[str, list[str]],
    fault: str,
    foreign: str = "",
    doubt: str = "",
) -> AdapterReport:
    kind, family, format = what
    noun = {"lora": "a LoRA", "embedding": "an embedding"}[kind] + (f" for {family}" if family else "")
    if foreign:
        verdict, fault = f"{foreign}; {READ} are read here", foreign
    elif model is None:
        verdict = f"{noun} that is unfit: {fault}" if fault else noun
    else:
        verdict = f"{noun} that does not fit {model.name}: {fault}" if fault else f"{noun} that fits {model.name}"
    verdict += f"; {doubt}" if doubt else ""
    return AdapterReport(
        path=str(file.path),
        container=file.container,
        size_bytes=file.path.stat().st_size,
        sha256=remembered_sha256(file.path),
        kind=kind,
        family=family,
        format=format,
        kinds=kinds,
        ranks=ranks,
        precision=dict(Counter(file.dtypes.values()).most_common()),
        tensors=len(file.shapes),
        parameters=sum(map(prod, file.shapes.values())),
        model=None if model is None else model.name,
        matched=matched,
        unmatched=unmatched,
        misshapen=len(names.get("misshapen", [])),
        non_finite=len(names["non_finite"]),
        strength={part: round(value, 6) for part, value in strength.items() if math.isfinite(value)},
        names={key: value[:NAMED] for key, value in names.items() if value},
        metadata={key: value for key, value in file.metadata.items() if key.startswith(("modelspec.", "ss_"))},
        verdict=verdict,
        good=not fault,
    )
