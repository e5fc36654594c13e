"""The classifier's verdict on pictures: how high it ranks each word that was asked for, and their features."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from sfumato.evaluation.plan import Case, Pair
from sfumato.models.picture_classifier import PictureClassifier

Picture = UInt8[np.ndarray, "h w 3"]


@dataclass(frozen=True, eq=False)
class Verdict:
    """On one picture. `ranks` are of the words asked for among all of their head, 0 the best, by attribute.

    An attribute that the prompt does not name, or names by a word that the classifier never learned, has no rank.
    """

    case: Case
    ranks: Mapping[str, int]
    embedded: Float[Tensor, " c"]

    def right(self, name: str) -> bool:
        """Whether the attribute that was asked for is there."""
        return self.ranks[name] == 0

    def has(self, pair: Pair) -> bool | None:
        """Whether both of a pair are there; None where one cannot be judged."""
        names = [name for name, _ in pair]
        return all(map(self.right, names)) if all(name in self.ranks for name in names) else None


def tensor_of(pictures: Sequence[Picture]) -> Float[Tensor, "b 3 h w"]:
    """Pixels in [-1, 1]."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1.0


@torch.inference_mode()
def judge(classifier: PictureClassifier, cases: Sequence[Case], pictures: Sequence[Picture]) -> list[Verdict]:
    """A verdict on each picture of each case, all of one size."""
    embedded = classifier.embed(tensor_of(pictures).to(memory_format=torch.channels_last))
    answers = classifier.logits(embedded)
    classes = classifier.config.classes
    verdicts = []
    for row, case in enumerate(cases):
        asked = {
            name: words.index(case.attributes[name])
            for name, words in classes.items()
            if case.attributes.get(name, "") and case.attributes[name] in words
        }
        ranks = {name: int((answers[name][row] > answers[name][row, k]).sum()) for name, k in asked.items()}
        verdicts.append(Verdict(case, ranks, embedded[row]))
    return verdicts


def small(picture: Picture, side: int = 64) -> UInt8[np.ndarray, "64 64 3"]:
    """Each `side`-th part of the picture, averaged."""
    step = picture.shape[0] // side or 1
    whole = picture[: picture.shape[0] // step * step, : picture.shape[1] // step * step].astype(np.float32)
    rows, columns = whole.shape[0] // step, whole.shape[1] // step
    return whole.reshape(rows, step, columns, step, 3).mean((1, 3)).round().astype(np.uint8)


def pixel_distance(picture: Picture, others: Sequence[Picture]) -> float:
    """Mean absolute difference at 64 px, in 8-bit steps, to the nearest of the others."""
    mine = small(picture).astype(np.int16)
    return min(float(np.abs(mine - small(other)).mean()) for other in others)
