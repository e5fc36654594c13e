"""A discriminator of patches: a logit a place, each of which sees only some pixels around it (Isola et al. 2017)."""

from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from sfumato.models.config import ModelConfig


@dataclass(frozen=True)
class PatchDiscriminatorConfig(ModelConfig):
    """With the defaults a logit sees 52 x 52 pixels, and 8 pixels a side have one."""

    class_name: ClassVar[str] = "PatchDiscriminator"

    in_channels: int = 3
    fold: int = 2
    channels: tuple[int, ...] = (64, 128, 256)
    groups: int = 8
    condition: int = 0
    """Width of a vector that a picture is judged by as well; 0 for none."""


class PatchDiscriminator(nn.Module):
    """Pixels (b, 3, h, w) in [-1, 1] to logits, above 0 for "real".

    Pixels are folded first, so that no convolution sees full size; all but the last width halve it by strided 4 x 4
    convolutions. Group normalisation after all but the first: each picture by itself, so that a batch of one is sound.
    With a condition its projection on each place's features is added to the logit (Miyato and Koyama 2018, eq. 3).
    """

    def __init__(self, config: PatchDiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.channels
        self.fold = nn.PixelUnshuffle(config.fold)
        self.conv_in = nn.Conv2d(config.in_channels * config.fold**2, widths[0], 4, stride=2, padding=1)
        last = len(widths) - 1
        self.convs = nn.ModuleList(
            nn.Conv2d(widths[i - 1], widths[i], 3 if i == last else 4, stride=1 if i == last else 2, padding=1)
            for i in range(1, len(widths))
        )
        self.norms = nn.ModuleList(nn.GroupNorm(config.groups, width) for width in widths[1:])
        self.conv_out = nn.Conv2d(widths[-1], 1, 3, padding=1)
        self.project = nn.Linear(config.condition, widths[-1], bias=False) if config.condition else None

    def forward(
        self, pixels: Float[Tensor, "b c h w"], condition: Float[Tensor, "b w"] | None = None
    ) -> Float[Tensor, "b 1 y x"]:
        x = F.leaky_relu(self.conv_in(self.fold(pixels)), 0.2)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.leaky_relu(norm(conv(x)), 0.2)
        logits = self.conv_out(x)
        if self.project is None or condition is None:
            return logits
        projected = self.project(condition)[:, :, None, None] / x.shape[1] ** 0.5
        return logits + (projected * x).sum(1, keepdim=True)
