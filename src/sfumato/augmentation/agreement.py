"""Whether a classifier sees in a picture the class that it is to show."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from PIL import Image

from sfumato.augmentation.plan import Plan
from sfumato.recognition import judge, zero_shot

if TYPE_CHECKING:
    from sfumato.studio import Studio

TOLD_APART = 0.75
"""Share of a set's own pictures that the judge's features must tell apart, for `auto` to take them."""
Agreement = Callable[[Sequence[Image.Image]], torch.Tensor]
"""Pictures -> the probability of each class, (n, classes)."""


def nearest_mean(pictures: Sequence[Sequence[Image.Image]]) -> tuple[Agreement, float]:
    """The nearest class in the judge's features, and the share of its own pictures that it tells apart without each.

    Args:
        pictures: of each class.
    """
    own = judge.bundled()
    features = [own.embed(each) for each in pictures]
    means = torch.stack([each.mean(0) for each in features])
    right = total = 0
    for place, each in enumerate(features):
        for k in range(len(each)):
            if len(each) < 2:
                continue
            without = means.clone()
            without[place] = torch.cat([each[:k], each[k + 1 :]]).mean(0)
            right += int(torch.cdist(each[k : k + 1], without).argmin()) == place
            total += 1
    spread = torch.stack([(each - mean).square().sum(1).mean() for each, mean in zip(features, means, strict=True)])
    temperature = spread.mean().clamp_min(1e-6)

    def agreement(painted: Sequence[Image.Image]) -> torch.Tensor:
        seen = own.embed(painted)
        return (-torch.cdist(seen, means).square() / temperature).softmax(1)

    return agreement, right / total if total else 0.0


def by_model(studio: "Studio", labels: Sequence[str], template: str | None) -> Agreement:
    """The zero-shot classifier of the studio's model."""

    def agreement(painted: Sequence[Image.Image]) -> torch.Tensor:
        found = zero_shot.classify(studio.load(), painted, labels, zero_shot.Settings(template=template))
        return torch.tensor([[dict(each.ranked)[label] for label in labels] for each in found])

    return agreement


def chosen(studio: "Studio", images: Mapping[str, Sequence[Image.Image]], plan: Plan) -> Agreement:
    """The agreement that a plan asks for.

    Args:
        images: of each class.
    """
    if plan.classifier != "model":
        found, share = nearest_mean(list(images.values()))
        if plan.classifier == "features" or share >= TOLD_APART:
            return found
    return by_model(studio, list(images), plan.template)
