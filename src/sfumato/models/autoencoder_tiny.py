"""The tiny autoencoder TAESD (Ollin Boer Bohan, https://github.com/madebyollin/taesd): previews and fast decoding.

State-dict layout: diffusers `AutoencoderTiny`. Trained to imitate a family's KL autoencoder, in the denoiser's units:
taesd for Stable Diffusion 1 and 2, taesdxl for XL, taesd3 (16 channels) for 3 and 3.5.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from sfumato.models.config import ModelConfig


@dataclass(frozen=True)
class AutoencoderTinyConfig(ModelConfig):
    """The defaults are taesd and taesdxl; taesd3 has 16 `latent_channels`."""

    class_name: ClassVar[str] = "AutoencoderTiny"

    in_channels: int = 3
    out_channels: int = 3
    latent_channels: int = 4
    encoder_block_out_channels: tuple[int, ...] = (64, 64, 64, 64)
    decoder_block_out_channels: tuple[int, ...] = (64, 64, 64, 64)
    num_encoder_blocks: tuple[int, ...] = (1, 3, 3, 3)
    num_decoder_blocks: tuple[int, ...] = (3, 3, 3, 1)
    scaling_factor: float = 1.0
    shift_factor: float = 0.0

    fixed: ClassVar[dict[str, tuple[Any, ...]]] = {
        "act_fn": ("relu",),
        "upsample_fn": ("nearest",),
        "upsampling_scaling_factor": (2,),
    }
    ignored: ClassVar[frozenset[str]] = frozenset(
        # The range in which latents are kept as bytes, and a copy of the decoder's widths.
        {"latent_magnitude", "latent_shift", "block_out_channels", "force_upcast"}
    )

    @property
    def factor(self) -> int:
        """Pixels a side for one latent position."""
        return int(2 ** (len(self.decoder_block_out_channels) - 1))


class Block(nn.Module):
    """Three convolutions, residual."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        first, second, third = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(3))
        self.conv = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), third)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv(x) + x)


class Encoder(nn.Module):
    """Pixels to latents: one row of layers."""

    def __init__(self, config: AutoencoderTinyConfig) -> None:
        super().__init__()
        widths = config.encoder_block_out_channels
        layers: list[nn.Module] = [nn.Conv2d(config.in_channels, widths[0], 3, padding=1)]
        for level, (width, blocks) in enumerate(zip(widths, config.num_encoder_blocks, strict=True)):
            if level:
                layers.append(nn.Conv2d(width, width, 3, stride=2, padding=1, bias=False))
            layers += [Block(width) for _ in range(blocks)]
        layers.append(nn.Conv2d(widths[-1], config.latent_channels, 3, padding=1))
        self.layers = nn.Sequential(*layers)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.layers((pixels + 1) / 2)


class Decoder(nn.Module):
    """Latents to pixels: one row of layers."""

    def __init__(self, config: AutoencoderTinyConfig) -> None:
        super().__init__()
        widths, last = config.decoder_block_out_channels, len(config.decoder_block_out_channels) - 1
        layers: list[nn.Module] = [nn.Conv2d(config.latent_channels, widths[0], 3, padding=1), nn.ReLU()]
        for level, (width, blocks) in enumerate(zip(widths, config.num_decoder_blocks, strict=True)):
            layers += [Block(width) for _ in range(blocks)]
            if level < last:
                layers += [nn.Upsample(scale_factor=2), nn.Conv2d(width, width, 3, padding=1, bias=False)]
        layers.append(nn.Conv2d(widths[-1], config.out_channels, 3, padding=1))
        self.layers = nn.Sequential(*layers)

    def forward(self, latents: Tensor) -> Tensor:
        return self.layers(3 * torch.tanh(latents / 3)) * 2 - 1


class AutoencoderTiny(nn.Module):
    """Pixels (b, 3, h, w) in [-1, 1] <-> latents (b, c, h / 8, w / 8) in the denoiser's units."""

    def __init__(self, config: AutoencoderTinyConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)

    @property
    def factor(self) -> int:
        return self.config.factor

    @property
    def latent_channels(self) -> int:
        return self.config.latent_channels

    def encode(self, pixels: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c y x"]:
        """Latents; there is no posterior to sample."""
        return (self.encoder(pixels) - self.config.shift_factor) * self.config.scaling_factor

    def decode(self, latents: Float[Tensor, "b c y x"]) -> Float[Tensor, "b 3 h w"]:
        """Pixels, nominally in [-1, 1] (not clamped)."""
        return self.decoder(latents / self.config.scaling_factor + self.config.shift_factor)
