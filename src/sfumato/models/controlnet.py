"""ControlNet (Zhang et al. 2023, arXiv:2302.05543): a second way down that sees a picture, and steers a U-Net's skips.

State-dict layout: diffusers `ControlNetModel`.
"""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from sfumato.diffusion.conditioning import Conditioning
from sfumato.models.residuals import Residuals
from sfumato.models.unet import UNetConfig, UNetEncoder

FAINTEST = 0.1
"""In guess mode: the weight of the finest skip, from which weights grow geometrically to 1 in the middle."""


@dataclass(frozen=True)
class ControlNetConfig(UNetConfig):
    """The U-Net's, but for its way up, and how the picture is seen. The defaults are diffusers'."""

    class_name: ClassVar[str] = "ControlNetModel"

    cross_attention_dim: int = 1280
    up_block_types: tuple[str, ...] = ()
    conditioning_channels: int = 3
    conditioning_embedding_out_channels: tuple[int, ...] = (16, 32, 96, 256)
    controlnet_conditioning_channel_order: str = "rgb"
    global_pool_conditions: bool = False
    """What is added is the same everywhere, its mean (the network for shuffled pictures); the negative gets none."""

    fixed: ClassVar[dict[str, tuple[Any, ...]]] = {
        **UNetConfig.fixed,
        "controlnet_conditioning_channel_order": ("rgb", "bgr"),
    }


class PictureEmbedding(nn.Module):
    """Pixels to the width and size of the U-Net's finest level: convolutions, every second halving the sides."""

    def __init__(self, config: ControlNetConfig) -> None:
        super().__init__()
        widths = config.conditioning_embedding_out_channels
        self.conv_in = nn.Conv2d(config.conditioning_channels, widths[0], 3, padding=1)
        self.blocks = nn.ModuleList()
        for narrow, wide in pairwise(widths):
            self.blocks.append(nn.Conv2d(narrow, narrow, 3, padding=1))
            self.blocks.append(nn.Conv2d(narrow, wide, 3, padding=1, stride=2))
        self.conv_out = nn.Conv2d(widths[-1], config.block_out_channels[0], 3, padding=1)

    def forward(self, pixels: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k y x"]:
        x = F.silu(self.conv_in(pixels))
        for block in self.blocks:
            x = F.silu(block(x))
        return self.conv_out(x)


class ControlNet(UNetEncoder):
    """C(x, label, cond, picture): what to add to the skips and the middle of a U-Net."""

    config: ControlNetConfig

    def __init__(self, config: ControlNetConfig) -> None:
        super().__init__(config)
        self.controlnet_cond_embedding = PictureEmbedding(config)
        self.controlnet_down_blocks = nn.ModuleList(nn.Conv2d(width, width, 1) for width in self.skips)
        self.controlnet_mid_block = nn.Conv2d(self.skips[-1], self.skips[-1], 1)

    @property
    def cond_only(self) -> bool:
        """Whether it leaves the rows that guidance moves away from as they are."""
        return self.config.global_pool_conditions

    def embedded(self, pixels: Float[Tensor, "1 3 h w"]) -> Float[Tensor, "1 k y x"]:
        """The picture, RGB in [0, 1], as `forward` takes it: it is the same at every step."""
        if self.config.controlnet_conditioning_channel_order == "bgr":
            pixels = pixels.flip(1)
        return self.controlnet_cond_embedding(pixels)

    def forward(
        self,
        x: Float[Tensor, "b c h w"],
        label: Float[Tensor, " b"],
        cond: Conditioning,
        picture: Float[Tensor, "1 k h w"],
        *,
        weight: float = 1.0,
        guess: bool = False,
    ) -> Residuals:
        """The residuals of scaled latents at a time label.

        Args:
            picture: see `embedded`.
            weight: of all residuals.
            guess: the finer the skip, the fainter its residual: the picture says what, not where exactly.
        """
        cond = cond if self.config.in_channels > x.shape[1] else replace(cond, channels=None)
        if cond.channels is not None:
            x = torch.cat([x, cond.channels.to(x)], dim=1)
        time = self.time(label, cond, x.dtype)
        mid, skips = self.down(self.conv_in(x) + picture, time, cond.tokens)
        convolutions = (*self.controlnet_down_blocks, self.controlnet_mid_block)
        found = [convolution(one) for convolution, one in zip(convolutions, (*skips, mid), strict=True)]
        pooled = self.config.global_pool_conditions
        if pooled:
            found = [one.mean(dim=(2, 3), keepdim=True) for one in found]
        last = len(found) - 1
        weights = [weight * (FAINTEST ** (1 - i / last) if guess and not pooled else 1.0) for i in range(last + 1)]
        *scaled, middle = (one * factor for one, factor in zip(found, weights, strict=True))
        return Residuals(tuple(scaled), middle)
