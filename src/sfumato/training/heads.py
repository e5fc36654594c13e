"""Questions of one attribute each, as pictures and captions are asked: a head's words, right answers and error."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from sfumato.training.data import Attributes

IGNORE_INDEX = -100
"""The target where a head has nothing to say of a picture; `cross_entropy` leaves it out."""


def heads_of(attributes: Iterable[Attributes], ignored: Collection[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """A head an attribute with all its words, sorted; "" among them where a kind of pictures has it only at times."""
    words: dict[str, set[str]] = defaultdict(set)
    kinds = kinds_with(rows := list(attributes))
    for row in rows:
        for key, having in kinds.items():
            if key not in ignored and row["kind"] in having:
                words[key].add(row.get(key, ""))
    return tuple((key, tuple(sorted(words[key]))) for key in sorted(words) if len(words[key]) > 1)


def kinds_with(attributes: Iterable[Attributes]) -> dict[str, set[str]]:
    """The kinds of pictures in which each attribute occurs."""
    kinds: dict[str, set[str]] = defaultdict(set)
    for row in attributes:
        for key in row:
            kinds[key].add(row["kind"])
    return kinds


class AttributeTargets:
    """One head an attribute. It is asked only of kinds of pictures that have its attribute at all; among these a
    picture without it is ""."""

    def __init__(self, rows: Sequence[Attributes], ignored: Collection[str]) -> None:
        self.heads = heads_of(rows, ignored)
        self._kinds = kinds_with(rows)
        self._places = {name: {word: k for k, word in enumerate(words)} for name, words in self.heads}

    def targets(self, rows: Sequence[Attributes]) -> dict[str, Int[Tensor, " b"]]:
        """The right answers of each head, `IGNORE_INDEX` where there is none."""
        return {name: self._target(name, rows) for name, _ in self.heads}

    def _target(self, name: str, rows: Sequence[Attributes]) -> Int[Tensor, " b"]:
        place, having = self._places[name], self._kinds[name]
        return torch.tensor(
            [place.get(row.get(name, ""), IGNORE_INDEX) if row["kind"] in having else IGNORE_INDEX for row in rows]
        )


def error(
    answers: Mapping[str, Float[Tensor, "b k"]],
    targets: Mapping[str, Int[Tensor, " b"]],
    weights: Float[Tensor, " b"] | None = None,
) -> Float[Tensor, ""]:
    """The mean cross entropy of all attributes, each counted once: a head is as heavy as the pictures that have
    its attribute are many. `weights` scale what a picture adds, and are 1 without them."""
    losses = torch.stack(
        [
            F.cross_entropy(answers[name].float(), target, ignore_index=IGNORE_INDEX, reduction="none")
            for name, target in targets.items()
        ]
    )
    weighed = losses if weights is None else losses * weights
    return weighed.sum() / sum(int((target != IGNORE_INDEX).sum()) for target in targets.values())


def accuracy(answers: Mapping[str, Float[Tensor, "b k"]], targets: Mapping[str, Int[Tensor, " b"]]) -> dict[str, float]:
    """The share of right answers of each head that has targets, and the heads' "mean"."""
    found = {}
    for name, target in targets.items():
        counted = target != IGNORE_INDEX
        if bool(counted.any()):
            found[name] = float((answers[name].argmax(1) == target)[counted].float().mean())
    return {"mean": sum(found.values()) / len(found), **found}
