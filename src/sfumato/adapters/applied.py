"""Adapters on a loaded model, which stays as it is: they change a copy, which shares all other tensors."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from sfumato.adapters.apply import Base, Weighted, changed, fit
from sfumato.adapters.embeddings import Embedding, embedding_of, misfit, read_embedding
from sfumato.adapters.formats import read_adapter
from sfumato.adapters.requested import NOTHING, File, Requested
from sfumato.diffusion.saved import UNSAVED, Saved
from sfumato.errors import CheckpointError
from sfumato.model import Model
from sfumato.models.clip_vision import CLIPVisionEncoder
from sfumato.models.controls import ControlNetwork
from sfumato.models.ip_adapter import IPAdapter

WORDS = "text_model.embeddings.token_embedding.weight"

log = logging.getLogger(__name__)


def base_of(model: Model) -> Base:
    """A loaded model, for `fit`."""
    parts = model.components
    return Base.of(
        model.name,
        model.family.name,
        {name: module.state_dict() for name, module in parts.items()},
        {name: getattr(module, "config", None) for name, module in parts.items()},
    )


def widths(base: Base) -> dict[str, int]:
    """How wide the words of each text encoder are."""
    return {
        name.partition(".")[0]: tensor.shape[-1] for name, tensor in base.tensors.items() if name.endswith(f".{WORDS}")
    }


@dataclass(frozen=True)
class Applied:
    """Adapters on a model of their own, which shares all tensors that they do not change."""

    model: Model
    base: Model
    """The model without them."""
    requested: Requested = NOTHING
    words: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Names of embeddings to the rows of the text encoders' tables that stand for them."""
    lora_hashes: Mapping[str, str] = field(default_factory=dict)
    embedding_hashes: Mapping[str, str] = field(default_factory=dict)
    controls: Sequence[ControlNetwork] = ()
    """The networks of the request's controls, one for each."""
    control_hashes: Mapping[str, str] = field(default_factory=dict)
    like: tuple[IPAdapter, CLIPVisionEncoder] | None = None
    """What reads a picture that is a prompt, and what sees it."""
    refiner: Model | None = None
    """What ends the painting, where the request says so."""
    saved: Saved = UNSAVED
    """What the denoiser answered before, where the painting was cut off."""


@torch.no_grad()
def apply(model: Model, requested: Requested) -> Applied:
    """The model with adapters, all of them or at an error none; `model` itself stays as it is.

    Raises:
        CheckpointError: one cannot be read or does not fit whole.
    """
    if requested == NOTHING:
        return Applied(model, model)
    base = base_of(model)
    adapters = [read_adapter(one.file.path) for one in requested.loras]
    weighted = [Weighted.of(fit(one, base), asked) for one, asked in zip(adapters, requested.loras, strict=True)]
    made = changed(base, weighted, model.dtype)
    embeddings = _fitting(requested.embeddings, base)
    bundled = [embedding_of(name, state, one.file) for one in adapters for name, state in one.bundled.items()]
    for embedding in bundled:
        if why := misfit(embedding, widths(base)):
            raise CheckpointError(f"{embedding.path}: the embedding {embedding.names[0]!r} does not fit: {why}")
    words, tables = _tables([*embeddings, *bundled], {**base.tensors, **made})
    return Applied(
        with_tensors(model, {**made, **tables}),
        model,
        requested,
        words,
        {one.file.path.stem: lora_hash(one.file.path) for one in requested.loras},
        {one.path.stem: _digest(one.path, 0) for one in embeddings},
    )


def _fitting(asked: Sequence[tuple[File, bool]], base: Base) -> list[Embedding]:
    """The embeddings that were named, and of those that a prompt only happens to name the ones that fit."""
    found = []
    for file, named in asked:
        try:
            embedding = read_embedding(file.path)
            if why := misfit(embedding, widths(base)):
                raise CheckpointError(f"{file.path} does not fit {base.name}: {why}")
        except CheckpointError as error:
            if named:
                raise
            log.warning("%r stays a plain word: %s", file.path.stem, error)
        else:
            found.append(embedding)
    return found


def _tables(
    embeddings: Sequence[Embedding], tensors: Mapping[str, Tensor]
) -> tuple[dict[str, tuple[int, ...]], dict[str, Tensor]]:
    """The tables of words with the vectors below, and which rows are whose."""
    words: dict[str, tuple[int, ...]] = {}
    below: dict[str, list[Tensor]] = {}
    for embedding in embeddings:
        counts = {len(vectors) for vectors in embedding.vectors.values()}
        if len(counts) > 1:
            raise CheckpointError(f"{embedding.path} has {counts} vectors for its text encoders; they must be as many")
        for part, vectors in embedding.vectors.items():
            rows = below.setdefault(f"{part}.{WORDS}", [])
            first = len(tensors[f"{part}.{WORDS}"]) + sum(map(len, rows))
            rows.append(vectors)
            words |= dict.fromkeys(embedding.names, tuple(range(first, first + len(vectors))))
            words |= {word: tuple(first + row for row in own) for word, own in embedding.rows.items()}
    return words, {
        name: torch.cat([tensors[name], *(row.to(tensors[name]) for row in rows)]) for name, rows in below.items()
    }


def with_tensors(model: Model, tensors: Mapping[str, Tensor]) -> Model:
    """The model with `tensors`, by ``component.name``, in the place of its own."""
    copy = model.sharing(*{name.partition(".")[0] for name in tensors})
    parts = copy.components
    for name, tensor in tensors.items():
        component, _, path = name.partition(".")
        module, _, leaf = path.rpartition(".")
        value = tensor if isinstance(tensor, nn.Parameter) else nn.Parameter(tensor, requires_grad=False)
        setattr(parts[component].get_submodule(module), leaf, value)
    return copy


def lora_hash(path: Path) -> str:
    """The first 12 digits of the SHA-256 by which A1111 and Civitai (AutoV3) know a LoRA: of safetensors without the
    header, so that metadata may change.
    """
    with path.open("rb") as file:
        start = int.from_bytes(file.read(8), "little") + 8
    return _digest(path, start if path.suffix.lower() == ".safetensors" else 0)


def _digest(path: Path, start: int) -> str:
    with path.open("rb") as file:
        file.seek(start)
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]
