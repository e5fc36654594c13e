"""T2I-Adapter (Mou et al. 2023, arXiv:2302.08453): features of a picture at each level, added on a U-Net's way down.

They depend on the picture alone, so that a step costs nothing more. State-dict layout: diffusers `T2IAdapter`.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from sfumato.diffusion.conditioning import Conditioning
from sfumato.models.config import ModelConfig
from sfumato.models.residuals import Residuals

LIGHT, XL = "light_adapter", "full_adapter_xl"
LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class T2IAdapterConfig(ModelConfig):
    """The defaults are diffusers', for Stable Diffusion 1.x."""

    class_name: ClassVar[str] = "T2IAdapter"

    in_channels: int = 3
    """Channels of the picture: 3, or 1 for its brightness."""
    channels: tuple[int, ...] = (320, 640, 1280, 1280)
    num_res_blocks: int = 2
    downscale_factor: int = 8
    """Pixels a side for one position of the first feature."""
    adapter_type: str = "full_adapter"

    fixed: ClassVar[dict[str, tuple[Any, ...]]] = {"adapter_type": ("full_adapter", XL, LIGHT), "in_channels": (3, 1)}

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths of the features; a light adapter's last comes twice."""
        return (*self.channels, self.channels[-1]) if self.adapter_type == LIGHT else self.channels

    @property
    def halved(self) -> tuple[bool, ...]:
        """Before which features the sides are halved: all but the first, or the third alone of SDXL's."""
        return tuple(i == 2 if self.adapter_type == XL else i > 0 for i in range(len(self.widths)))

    @property
    def strides(self) -> tuple[int, ...]:
        """Pixels a side for one position, feature by feature."""
        return tuple(self.downscale_factor << sum(self.halved[: i + 1]) for i in range(len(self.widths)))


class Residual(nn.Module):
    """conv - relu - conv, added to its input."""

    def __init__(self, channels: int, last: int) -> None:
        super().__init__()
        self.block1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.block2 = nn.Conv2d(channels, channels, last, padding=last // 2)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block2(F.relu(self.block1(x)))


class Stage(nn.Module):
    """One feature: halved where wanted, brought to its width, residual blocks; a light one works at a quarter of it."""

    def __init__(self, c_in: int, c_out: int, blocks: int, *, halved: bool, light: bool) -> None:
        super().__init__()
        inner = c_out // 4 if light else c_out
        self.halved = halved
        self.in_conv = nn.Conv2d(c_in, inner, 1) if light or c_in != c_out else None
        self.resnets = nn.Sequential(*(Residual(inner, 3 if light else 1) for _ in range(blocks)))
        self.out_conv = nn.Conv2d(inner, c_out, 1) if light else None

    def forward(self, x: Tensor) -> Tensor:
        if self.halved:
            x = F.avg_pool2d(x, 2, ceil_mode=True)
        x = self.resnets(x if self.in_conv is None else self.in_conv(x))
        return x if self.out_conv is None else self.out_conv(x)


class _Body(nn.Module):
    """All stages; a module of its own for the names."""

    def __init__(self, config: T2IAdapterConfig) -> None:
        super().__init__()
        light, width = config.adapter_type == LIGHT, config.in_channels * config.downscale_factor**2
        self.conv_in = None if light else nn.Conv2d(width, config.channels[0], 3, padding=1)
        width = width if light else config.channels[0]
        self.body = nn.ModuleList()
        for wide, halved in zip(config.widths, config.halved, strict=True):
            self.body.append(Stage(width, wide, config.num_res_blocks, halved=halved, light=light))
            width = wide


class T2IAdapter(nn.Module):
    """A(picture): what to add to a U-Net's levels on the way down."""

    cond_only = False
    """Whether it leaves the rows that guidance moves away from as they are."""

    def __init__(self, config: T2IAdapterConfig) -> None:
        super().__init__()
        self.config = config
        self.adapter = _Body(config)

    def embedded(self, pixels: Float[Tensor, "1 3 h w"]) -> tuple[Tensor, ...]:
        """The features of a picture, RGB in [0, 1]."""
        factor = self.config.downscale_factor
        if self.config.in_channels == 1:
            grey = (pixels * pixels.new_tensor(LUMA)[:, None, None]).sum(1, keepdim=True)
            pixels = (grey * 255).round() / 255
        height, width = pixels.shape[-2:]
        pixels = F.pad(pixels, (0, -width % factor, 0, -height % factor), mode="replicate")
        x = F.pixel_unshuffle(pixels, factor)
        x = x if self.adapter.conv_in is None else self.adapter.conv_in(x)
        features = []
        for stage in self.adapter.body:
            x = stage(x)
            features.append(x)
        return tuple(features)

    def forward(
        self,
        x: Tensor,
        label: Tensor,
        cond: Conditioning,
        picture: tuple[Tensor, ...],
        *,
        weight: float = 1.0,
        guess: bool = False,
    ) -> Residuals:
        """The residuals, which are the same at every step: `picture` as `embedded` gives it, by `weight`."""
        return Residuals(levels=tuple(weight * feature for feature in picture))
