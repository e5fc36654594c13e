"""A light autoencoder for CPUs: pixels are first folded into channels, so that no convolution sees full size.

Stable Diffusion's KL autoencoder spends most of its time at full resolution. Here a `fold` x `fold` block of pixels
becomes the channels of one position (pixel-unshuffle, Shi et al. 2016), residual convolutions without normalisation
or attention follow, and the latent is bounded by tanh and trained with noise added to it, which takes the place of
the KL term: the decoder must be smooth where the encoder may wander, and the scale is known.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from sfumato.models.config import ModelConfig


@dataclass(frozen=True)
class AutoencoderFoldConfig(ModelConfig):
    """256 px with the defaults: 4x4 folding, then 64, 32 and 16 positions a side, 16 latent channels.

    The decoder is of the encoder's widths and depth where it has none of its own.
    """

    class_name: ClassVar[str] = "AutoencoderFold"

    in_channels: int = 3
    latent_channels: int = 16
    fold: int = 4
    channels: tuple[int, ...] = (64, 128, 256)
    blocks: int = 2
    decoder_channels: tuple[int, ...] | None = None
    decoder_blocks: int | None = None
    latents_mean: tuple[float, ...] | None = None
    latents_std: tuple[float, ...] | None = None

    @property
    def factor(self) -> int:
        """Pixels a side for one latent position."""
        return int(self.fold * 2 ** (len(self.channels) - 1))

    @property
    def decoder_form(self) -> tuple[tuple[int, ...], int]:
        """The decoder's widths, from fine to coarse, and its residual blocks a width."""
        return self.decoder_channels or self.channels, self.decoder_blocks or self.blocks


class Residual(nn.Module):
    """x + conv(silu(conv(silu(x)))), the second convolution starting at zero so that depth costs no stability."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.silu(self.conv1(F.silu(x))))


class AutoencoderFold(nn.Module):
    """Pixels (b, 3, h, w) in [-1, 1] <-> latents (b, c, h / factor, w / factor) of about unit variance."""

    def __init__(self, config: AutoencoderFoldConfig) -> None:
        super().__init__()
        self.config = config
        widths, fold = config.channels, config.fold
        encoder: list[nn.Module] = [
            nn.PixelUnshuffle(fold),
            nn.Conv2d(config.in_channels * fold**2, widths[0], 3, padding=1),
        ]
        for i, width in enumerate(widths):
            if i > 0:
                encoder += [nn.Conv2d(widths[i - 1], width, 2, stride=2)]
            encoder += [Residual(width) for _ in range(config.blocks)]
        encoder += [nn.SiLU(), nn.Conv2d(widths[-1], config.latent_channels, 3, padding=1), nn.Tanh()]
        self.encoder = nn.Sequential(*encoder)

        widths, blocks = config.decoder_form
        if len(widths) != len(config.channels):
            raise ValueError(f"decoder_channels={widths} must be as many as channels={config.channels}")
        decoder: list[nn.Module] = [nn.Conv2d(config.latent_channels, widths[-1], 3, padding=1)]
        for i, width in reversed(list(enumerate(widths))):
            decoder += [Residual(width) for _ in range(blocks)]
            if i > 0:
                decoder += [nn.Conv2d(width, 4 * widths[i - 1], 1), nn.PixelShuffle(2)]
        conv_out = nn.Conv2d(widths[0], config.in_channels * fold**2, 3, padding=1)
        decoder += [nn.SiLU(), conv_out, nn.PixelShuffle(fold)]
        self.decoder = nn.Sequential(*decoder)

    @property
    def factor(self) -> int:
        return self.config.factor

    @property
    def latent_channels(self) -> int:
        return self.config.latent_channels

    @property
    def last_weight(self) -> nn.Parameter:
        """The weight of the decoder's last convolution."""
        weight = self.decoder[-2].weight
        assert isinstance(weight, nn.Parameter)
        return weight

    def encode(self, pixels: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c y x"]:
        """Latents of zero mean and unit variance a channel over the training data."""
        mean, std = self._statistics(pixels)
        return (self.encoder(pixels) - mean) / std

    def decode(self, latents: Float[Tensor, "b c y x"]) -> Float[Tensor, "b 3 h w"]:
        """Pixels, nominally in [-1, 1] (not clamped)."""
        mean, std = self._statistics(latents)
        return self.decoder(latents * std + mean)

    def _statistics(self, like: Tensor) -> tuple[Tensor, Tensor]:
        channels = self.config.latent_channels
        mean = self.config.latents_mean or (0.0,) * channels
        std = self.config.latents_std or (1.0,) * channels
        return like.new_tensor(mean).view(1, -1, 1, 1), like.new_tensor(std).view(1, -1, 1, 1)
