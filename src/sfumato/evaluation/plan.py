"""What is asked of a model: which held-out pictures' captions, and which combinations in them are new to it."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from random import Random
from typing import Literal

from sfumato.errors import RequestError
from sfumato.training.data import Attributes, Pictures

Pair = tuple[tuple[str, str], tuple[str, str]]
"""Two attributes with their words, in the order of their names."""

Combinations = Literal["seen", "new"]

OBJECT = "name"
"""The attribute that is judged among all its words."""

MORE = 4
"""So many times the pictures of other kinds are taken where objects are named: these are one answer a picture, where a
portrait is asked for its hair, its eyes, its clothes ..."""


@dataclass(frozen=True)
class Case:
    """A held-out picture and the pairs of its attributes that no training picture of its style has."""

    index: int
    kind: str
    attributes: Attributes
    new: tuple[Pair, ...]

    @property
    def combinations(self) -> Combinations:
        """Whether all its pairs were seen."""
        return "new" if self.new else "seen"


def pairs(attributes: Attributes, names: Collection[str]) -> Iterable[Pair]:
    """All pairs of those attributes which the picture has."""
    return combinations(sorted((name, word) for name, word in attributes.items() if name in names), 2)


def choose(pictures: Pictures, names: Collection[str], per_kind: int, seed: int) -> list[Case]:
    """Up to `per_kind` held-out pictures of each kind for seen combinations, and as many for new ones, at random; of
    kinds with named objects `MORE` times that. None is one that a classifier has learned from.

    Args:
        names: the attributes that count.

    Raises:
        RequestError: `per_kind` is below 2.
    """
    if per_kind < 2:
        raise RequestError(f"per_kind is {per_kind}; distances need 2 pictures or more, 40 is the default")
    known: dict[str, set[Pair]] = defaultdict(set)
    for i in pictures.train.tolist():
        row = pictures.attributes[i]
        known[row["style"]].update(pairs(row, names))
    groups: Mapping[tuple[str, Combinations], list[Case]] = defaultdict(list)
    for i in pictures.test.tolist():
        row = pictures.attributes[i]
        fresh = tuple(pair for pair in pairs(row, names) if pair not in known[row["style"]])
        case = Case(i, row["kind"], row, fresh)
        groups[case.kind, case.combinations].append(case)
    chosen: list[Case] = []
    for (kind, which), cases in sorted(groups.items()):
        count = per_kind * (MORE if OBJECT in cases[0].attributes else 1)
        chosen += Random(f"{seed} {kind} {which}").sample(cases, min(count, len(cases)))
    return chosen
