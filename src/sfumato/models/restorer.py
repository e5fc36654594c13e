"""Our network for restoring pictures: a small residual U-Net that takes in a noise level map, made for CPUs.

Pixels are folded into channels first (pixel-unshuffle, as FFDNet, Zhang et al. 2018), and three levels of residual
blocks follow (as DRUNet, Zhang et al. 2021). Nothing has a bias and ReLU is homogeneous, so that f(a x, a sigma) =
a f(x, sigma): what is learned at one level of noise holds at others (Mohan et al. 2020). Colours are turned to an
orthonormal luminance and two opponents, each with its own level of noise; a grey picture has none in the opponents.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from sfumato.models.config import ModelConfig

_OPPONENT = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [1.0, -2.0, 1.0]])
OPPONENT = _OPPONENT / _OPPONENT.norm(dim=1, keepdim=True)
"""Rows are luminance and two opponents of red, green and blue; orthonormal, so even noise stays even."""


def noise_level_map(
    noisy: Float[Tensor, "b 3 h w"],
    sigma: Float[Tensor, "b 1 1 1"],
    grey: Float[Tensor, "b 1 1 1"],
    poisson: Float[Tensor, "b 1 1 1"],
) -> Float[Tensor, "b 2 h w"]:
    """A noise level map (FFDNet): the deviation of the noise in the luminance and in the opponents.

    Args:
        sigma: in each colour, in the units of the pixels; that at white where `poisson` is 1, since it follows the
            light, of which the mean of 5 x 5 noisy pixels is the guess.
        grey: 1 where the colours are the same, and so their noise: it is all luminance.
    """
    light = F.avg_pool2d(F.pad(noisy.mean(1, keepdim=True), (2, 2, 2, 2), mode="replicate"), 5, 1)
    deviation = sigma * torch.where(poisson > 0, light.clamp_min(1e-3).sqrt(), 1.0)
    return torch.cat([deviation * torch.where(grey > 0, 3**0.5, 1.0), deviation * (1 - grey)], 1)


@dataclass(frozen=True)
class RestorerConfig(ModelConfig):
    """`scale` 1 restores, above it enlarges; `fold` is by how much pixels are folded before the first level."""

    class_name: ClassVar[str] = "Restorer"

    channels: tuple[int, ...] = (32, 64, 128)
    blocks: int = 2
    fold: int = 2
    scale: int = 1

    @property
    def factor(self) -> int:
        """Height and width are padded to multiples of it."""
        return int(self.fold * 2 ** (len(self.channels) - 1))

    @property
    def reach(self) -> int:
        """From how many pixels away, at most, the input counts: by so much tiles overlap, to be the same as the whole.

        Each convolution reaches one pixel of its level; a level below the first is twice as coarse.
        """
        last = len(self.channels) - 1
        convolutions = (2 * self.blocks * (1 if level == last else 2) for level in range(last + 1))
        reach = sum(count * 2**level for level, count in enumerate(convolutions)) + 2 + 2**last
        return self.fold * reach


class _Block(nn.Module):
    """y = x + W2 relu(W1 x)"""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(self.conv1.weight, nonlinearity="relu")
        nn.init.normal_(self.conv2.weight, std=0.1 / math.sqrt(9 * width))

    def forward(self, x: Tensor) -> Tensor:
        """(b, width, h, w), and the same back."""
        out: Tensor = x + self.conv2(F.relu(self.conv1(x)))
        return out


class Restorer(nn.Module):
    """(b, 3, h, w) pixels and the levels of their noise to (b, 3, scale h, scale w) without it."""

    def __init__(self, config: RestorerConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.channels

        def stage(width: int) -> nn.Module:
            return nn.Sequential(*(_Block(width) for _ in range(config.blocks)))

        self.conv_in = nn.Conv2d(5 * config.fold**2, widths[0], 3, padding=1, bias=False)
        self.down = nn.ModuleList([stage(width) for width in widths])
        self.narrow = nn.ModuleList(nn.Conv2d(a, b, 2, 2, bias=False) for a, b in pairwise(widths))
        self.widen = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, 2, bias=False) for a, b in pairwise(widths))
        self.up = nn.ModuleList([stage(width) for width in widths[:-1]])
        self.conv_out = nn.Conv2d(widths[0], 3 * (config.fold * config.scale) ** 2, 3, padding=1, bias=False)
        nn.init.normal_(self.conv_out.weight, std=1e-3)

    @property
    def last_weight(self) -> nn.Parameter:
        """Weights of the last layer, at which an adversarial loss is weighed."""
        weight = self.conv_out.weight
        assert isinstance(weight, nn.Parameter)
        return weight

    def forward(
        self, pixels: Float[Tensor, "b 3 h w"], deviation: Float[Tensor, "b 2 h w"]
    ) -> Float[Tensor, "b 3 H W"]:
        """Restored pixels, not clamped.

        Args:
            pixels: red, green and blue, 0 to 1; of grey pictures three times the same.
            deviation: of the noise in the luminance and in the opponents, in the units of the pixels, anywhere.
        """
        h, w = pixels.shape[-2:]
        factor, scale = self.config.factor, self.config.scale
        turn = OPPONENT.to(pixels)
        opponent = torch.einsum("oc,bchw->bohw", turn, pixels)
        x = F.pad(torch.cat([opponent, deviation], 1), (0, -w % factor, 0, -h % factor), mode="replicate")
        x = F.pixel_unshuffle(x, self.config.fold).contiguous(memory_format=torch.channels_last)
        x = self.conv_in(x)
        kept = []
        for level, stage in enumerate(self.down):
            x = stage(x)
            if level < len(self.narrow):
                kept.append(x)
                x = self.narrow[level](x)
        for level in reversed(range(len(self.up))):
            x = self.up[level](self.widen[level](x) + kept[level])
        change = F.pixel_shuffle(self.conv_out(x), self.config.fold * scale)[..., : h * scale, : w * scale]
        base = opponent
        if scale > 1:
            base = F.interpolate(opponent, scale_factor=scale, mode="bicubic", align_corners=False)
        return torch.einsum("oc,bohw->bchw", turn, base + change)
