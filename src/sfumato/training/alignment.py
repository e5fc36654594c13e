"""Representation alignment (Yu et al. 2024, "REPA", arXiv:2410.06940): while it denoises, the U-Net must also be able
to say what a classifier sees in the clean picture.

What decides a small part costs the denoising loss next to nothing, so a denoiser learns late to read it from the
caption; in a classifier's features it counts as much as anything else. Where the paper maximises cosine similarity we
minimise squared error on standardised features, eq. 8 otherwise: the best answer is then their mean, given what can be
known.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from sfumato.checkpoints.classifiers import classifier_digest, load_classifier
from sfumato.runtime.devices import device_of
from sfumato.training.data import Pictures, cached, taken


class AlignmentConfig(BaseModel):
    """The `[alignment]` table of a denoiser's TOML."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    teacher: Path
    """A classifier's export."""
    weight: float = Field(0.1, gt=0)
    """Weight of the error on features of mean 0 and variance 1, beside the denoising error."""


class Projector(nn.Sequential):
    """An inner map of the denoiser, place by place, to the teacher's features. Trained beside it and left behind."""

    def __init__(self, channels: int, features: int) -> None:
        super().__init__(nn.Conv2d(channels, 2 * channels, 1), nn.SiLU(), nn.Conv2d(2 * channels, features, 1))


class Teacher:
    """What the classifier's coarsest map shows of each picture, averaged to `side` x `side` places and standardised by
    channel; computed once and kept beside the data."""

    def __init__(self, pictures: Pictures, config: AlignmentConfig, side: int) -> None:
        self.weight = config.weight
        classifier = load_classifier(config.teacher)
        self.digest = classifier_digest(config.teacher)

        def features(indices: Int[Tensor, " b"]) -> Float[Tensor, "b c h w"]:
            pixels = classifier.shrunk(pictures.pixels(indices)).to(memory_format=torch.channels_last)
            return F.adaptive_avg_pool2d(classifier.features(pixels)[-1], side)

        path = pictures.folder / f"features-{self.digest[:12]}-{side}.npy"
        self.maps = cached(path, len(pictures), features, device_of(classifier), "reading features")
        some = np.asarray(self.maps[:: max(1, len(self.maps) // 4096)], np.float32)
        self.mean = torch.from_numpy(some.mean((0, 2, 3)))
        self.scale = torch.from_numpy(some.std((0, 2, 3))).clamp_(min=1e-3)

    @property
    def channels(self) -> int:
        """Channels of its map."""
        return int(self.maps.shape[1])

    def error(self, read: Float[Tensor, "b c h w"], indices: Int[Tensor, " b"]) -> Float[Tensor, ""]:
        """Mean squared error of what was read of those pictures; 1 for one who knows nothing."""
        seen = taken(self.maps, indices)
        target = (seen - self.mean[:, None, None]) / self.scale[:, None, None]
        return F.mse_loss(read.float(), target)


@contextmanager
def captured_output(module: nn.Module) -> Iterator[list[Tensor]]:
    """Everything that the module returns meanwhile."""
    heard: list[Tensor] = []
    handle = module.register_forward_hook(lambda _module, _inputs, output: heard.append(output))
    try:
        yield heard
    finally:
        handle.remove()
