"""What the judge of nano's card sees in pictures of any size."""

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from sfumato.evaluation.judge import tensor_of
from sfumato.models.picture_classifier import PictureClassifier

SIDE = 256
"""Pixels a side of the pictures that it has learned from."""
BATCH = 32
Features = Float[Tensor, "n d"]


def embedded(judge: PictureClassifier, images: Sequence[Image.Image]) -> Features:
    """Its features of them."""
    sized = [np.asarray(image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)) for image in images]
    with torch.inference_mode():
        return torch.cat([judge.embed(tensor_of(sized[k : k + BATCH])) for k in range(0, len(sized), BATCH)])


def seen(
    judge: PictureClassifier,
    features: Features,
    asked: Sequence[Mapping[str, str]],
    heads: Collection[str] | None = None,
) -> float:
    """The share of the attributes asked for that it sees; NaN where none is asked for.

    Args:
        heads: those that count; all by default.
    """
    answers = judge.logits(features)
    right = [
        words[int(answers[head][row].argmax())] == attributes[head]
        for row, attributes in enumerate(asked)
        for head, words in judge.config.classes.items()
        if attributes.get(head) in words and (heads is None or head in heads)
    ]
    return sum(right) / len(right) if right else math.nan
