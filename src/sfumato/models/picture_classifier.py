"""A light convolutional classifier for CPUs: what a picture shows, an answer an attribute; also our feature network.

Pixels are folded into channels first, as in the folding autoencoder, and residual blocks follow at that size, a half,
a quarter and an eighth of it; the mean over all positions, normalised, is read by one linear map a head. Nothing
depends on the size of the picture but the fold.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from sfumato.models.config import ModelConfig
from sfumato.nn.blocks import ResnetBlock


@dataclass(frozen=True)
class PictureClassifierConfig(ModelConfig):
    """`heads` are pairs of an attribute's name and its words, of which "" says that the picture has none of it."""

    class_name: ClassVar[str] = "PictureClassifier"

    heads: tuple[tuple[str, tuple[str, ...]], ...]
    in_channels: int = 3
    fold: int = 4
    channels: tuple[int, ...] = (32, 64, 128, 256)
    blocks: int = 1
    groups: int = 8
    size: int | None = None
    """Larger pictures are averaged down to so many pixels a side before they are classified; None: never."""

    @cached_property
    def classes(self) -> Mapping[str, tuple[str, ...]]:
        """The words of each head, in the order of its logits."""
        return dict(self.heads)

    @property
    def factor(self) -> int:
        """Height and width of a picture must be multiples of it."""
        return int(self.fold * 2 ** (len(self.channels) - 1))


class PictureClassifier(nn.Module):
    """Pixels (b, 3, h, w) in [-1, 1], or latents of `in_channels`, to logits, features and words."""

    def __init__(self, config: PictureClassifierConfig) -> None:
        super().__init__()
        self.config = config
        widths, folded = config.channels, config.in_channels * config.fold**2
        self.fold = nn.PixelUnshuffle(config.fold)
        stages: list[nn.Module] = []
        for i, width in enumerate(widths):
            enter = nn.Conv2d(folded, width, 3, padding=1) if i == 0 else nn.Conv2d(widths[i - 1], width, 2, stride=2)
            stages.append(
                nn.Sequential(enter, *(ResnetBlock(width, width, groups=config.groups) for _ in range(config.blocks)))
            )
        self.stages = nn.ModuleList(stages)
        self.norm = nn.LayerNorm(widths[-1])
        self.head = nn.Linear(widths[-1], sum(len(words) for _, words in config.heads))

    def features(self, pixels: Float[Tensor, "b c h w"]) -> list[Float[Tensor, "b c y x"]]:
        """A map a stage, from fine to coarse; a place in the last one sees most of a 256 px picture."""
        x, maps = self.fold(pixels), []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps

    def shrunk(self, pixels: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c y x"]:
        """The pictures at the size that is classified."""
        factor = 1 if self.config.size is None else max(1, min(pixels.shape[-2:]) // self.config.size)
        return F.avg_pool2d(pixels, factor) if factor > 1 else pixels

    def embed(self, pixels: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c"]:
        """The last map's mean over positions, normalised: what the heads read."""
        return self.norm(F.silu(self.features(self.shrunk(pixels))[-1]).mean((2, 3)))

    def logits(self, embedded: Float[Tensor, "b c"]) -> dict[str, Float[Tensor, "b k"]]:
        """The heads' answers to what `embed` gave."""
        names = [name for name, _ in self.config.heads]
        parts = self.head(embedded).split([len(words) for _, words in self.config.heads], dim=1)
        return dict(zip(names, parts, strict=True))

    def forward(self, pixels: Float[Tensor, "b c h w"]) -> dict[str, Float[Tensor, "b k"]]:
        return self.logits(self.embed(pixels))
