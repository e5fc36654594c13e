"""Adapters merged into a model's weights for good, on its way from one file to another."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from sfumato.adapters.apply import FLATTENED, Base, Weighted, changed, fit
from sfumato.adapters.formats import read_adapter
from sfumato.adapters.requested import WeightedFile
from sfumato.checkpoints.parts import Parts
from sfumato.errors import CheckpointError


@torch.no_grad()
def merge(parts: Parts, *, loras: Sequence[WeightedFile], name: str) -> Parts:
    """The parts of the model `name` with adapters in their weights; data types stay.

    Raises:
        CheckpointError: an adapter cannot be read, does not fit whole or brings words, for which weights have no place.
    """
    base = Base.of(
        name, parts.family.name, {part: parts.part(part) for part in parts.configs if part in FLATTENED}, parts.configs
    )
    weighted = []
    for one in loras:
        adapter = read_adapter(one.file.path)
        if adapter.bundled:
            raise CheckpointError(
                f"{one.file.path} brings the word {next(iter(adapter.bundled))!r}; merging would lose it"
            )
        weighted.append(Weighted.of(fit(adapter, base), one))
    return replace(parts, state={**parts.state, **changed(base, weighted)})
