"""The KL autoencoder of latent diffusion (Rombach et al. 2022; Esser et al. 2021 without the codebook).

State-dict layout: diffusers `AutoencoderKL`. No GAN generates pictures in Stable Diffusion: a PatchGAN discriminator
helped to train this autoencoder and is gone afterwards.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from sfumato.models.config import ModelConfig
from sfumato.nn.attention import Attending
from sfumato.nn.blocks import Downsample, ResnetBlock, Upsample
from sfumato.nn.norms import GroupNorm


@dataclass(frozen=True)
class AutoencoderKLConfig(ModelConfig):
    """The defaults are Stable Diffusion 1.x; `scaling_factor` is 0.18215 there."""

    class_name: ClassVar[str] = "AutoencoderKL"

    in_channels: int = 3
    out_channels: int = 3
    latent_channels: int = 4
    block_out_channels: tuple[int, ...] = (128, 256, 512, 512)
    down_block_types: tuple[str, ...] = ("DownEncoderBlock2D",) * 4
    up_block_types: tuple[str, ...] = ("UpDecoderBlock2D",) * 4
    layers_per_block: int = 2
    norm_num_groups: int = 32
    scaling_factor: float = 0.18215
    shift_factor: float | None = None
    sample_size: int | tuple[int, int] = 512
    use_quant_conv: bool = True
    use_post_quant_conv: bool = True
    mid_block_add_attention: bool = True
    latents_mean: tuple[float, ...] | None = None
    """Means by channel, subtracted from latents of the autoencoder; with `latents_std` in Playground v2.5."""
    latents_std: tuple[float, ...] | None = None
    """Deviations by channel, by which latents are divided by before they are scaled."""
    force_upcast: bool = False
    """Its activations do not fit float16; it computes in float32 instead."""

    fixed: ClassVar[dict[str, tuple[Any, ...]]] = {
        "act_fn": ("silu",),
    }

    @property
    def factor(self) -> int:
        """Pixels a side for one latent position."""
        return int(2 ** (len(self.block_out_channels) - 1))


class SpatialAttention(Attending):
    """Single-head self-attention over all positions, residual."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.group_norm = GroupNorm(groups, channels, eps=1e-6)
        self.to_q = nn.Linear(channels, channels)
        self.to_k = nn.Linear(channels, channels)
        self.to_v = nn.Linear(channels, channels)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels), nn.Identity()])

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        y = rearrange(self.group_norm(x), "b c h w -> b 1 (h w) c")
        y = self.to_out[0](self.attend(self.to_q(y), self.to_k(y), self.to_v(y)))
        return x + rearrange(y, "b 1 (h w) c -> b c h w", h=x.shape[2])


class Mid(nn.Module):
    """residual, attention, residual."""

    def __init__(self, channels: int, groups: int, *, attend: bool) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(ResnetBlock(channels, channels, groups=groups) for _ in range(2))
        self.attentions = nn.ModuleList([SpatialAttention(channels, groups)] if attend else [])

    def forward(self, x: Tensor) -> Tensor:
        x = self.resnets[0](x)
        for attend in self.attentions:
            x = attend(x)
        return self.resnets[1](x)


class Level(nn.Module):
    """Residual blocks of one resolution and the change to the next."""

    def __init__(self, c_in: int, c_out: int, layers: int, groups: int) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(
            ResnetBlock(c_in if i == 0 else c_out, c_out, groups=groups) for i in range(layers)
        )
        self.downsamplers = nn.ModuleList()
        self.upsamplers = nn.ModuleList()

    def forward(self, x: Tensor) -> Tensor:
        for resnet in self.resnets:
            x = resnet(x)
        for change in (*self.downsamplers, *self.upsamplers):
            x = change(x)
        return x


class Encoder(nn.Module):
    """Pixels to the mean and log-variance of the latent."""

    def __init__(self, config: AutoencoderKLConfig) -> None:
        super().__init__()
        widths, groups = config.block_out_channels, config.norm_num_groups
        self.conv_in = nn.Conv2d(config.in_channels, widths[0], 3, padding=1)
        self.down_blocks = nn.ModuleList()
        for i, width in enumerate(widths):
            level = Level(widths[max(i - 1, 0)], width, config.layers_per_block, groups)
            if i < len(widths) - 1:
                level.downsamplers.append(Downsample(width, asymmetric=True))
            self.down_blocks.append(level)
        self.mid_block = Mid(widths[-1], groups, attend=config.mid_block_add_attention)
        self.conv_norm_out = GroupNorm(groups, widths[-1], eps=1e-6)
        self.conv_out = nn.Conv2d(widths[-1], 2 * config.latent_channels, 3, padding=1)

    def shrunk(self, x: Tensor) -> Tensor:
        """What is done at all sizes down to the latents': it looks at the neighbourhood alone, but for its norms."""
        x = self.conv_in(x)
        for level in self.down_blocks:
            x = level(x)
        return x

    def finished(self, x: Tensor) -> Tensor:
        """The rest, at the latents' size."""
        return self.conv_out(F.silu(self.conv_norm_out(self.mid_block(x))))

    def forward(self, x: Tensor) -> Tensor:
        return self.finished(self.shrunk(x))


class Decoder(nn.Module):
    """Latent to pixels."""

    def __init__(self, config: AutoencoderKLConfig) -> None:
        super().__init__()
        widths, groups = config.block_out_channels[::-1], config.norm_num_groups
        self.conv_in = nn.Conv2d(config.latent_channels, widths[0], 3, padding=1)
        self.mid_block = Mid(widths[0], groups, attend=config.mid_block_add_attention)
        self.up_blocks = nn.ModuleList()
        for i, width in enumerate(widths):
            level = Level(widths[max(i - 1, 0)], width, config.layers_per_block + 1, groups)
            if i < len(widths) - 1:
                level.upsamplers.append(Upsample(width))
            self.up_blocks.append(level)
        self.conv_norm_out = GroupNorm(groups, widths[-1], eps=1e-6)
        self.conv_out = nn.Conv2d(widths[-1], config.out_channels, 3, padding=1)

    def middle(self, z: Tensor) -> Tensor:
        """What is done at the latents' size."""
        return self.mid_block(self.conv_in(z))

    def grown(self, x: Tensor) -> Tensor:
        """The rest: it looks at the neighbourhood alone, but for its norms."""
        for level in self.up_blocks:
            x = level(x)
        return self.conv_out(F.silu(self.conv_norm_out(x)))

    def forward(self, z: Tensor) -> Tensor:
        return self.grown(self.middle(z))


class AutoencoderKL(nn.Module):
    """Pixels (b, 3, h, w) in [-1, 1] <-> latents (b, c, h / 8, w / 8) in the denoiser's units."""

    def __init__(self, config: AutoencoderKLConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.latent_channels
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.quant_conv = nn.Conv2d(2 * channels, 2 * channels, 1) if config.use_quant_conv else None
        self.post_quant_conv = nn.Conv2d(channels, channels, 1) if config.use_post_quant_conv else None

    @property
    def factor(self) -> int:
        return self.config.factor

    @property
    def latent_channels(self) -> int:
        return self.config.latent_channels

    def posterior(self, pixels: Float[Tensor, "b 3 h w"]) -> tuple[Float[Tensor, "b c y x"], Float[Tensor, "b c y x"]]:
        """Mean and standard deviation of q(z | pixels), before scaling."""
        return self.moments(self.encoder(pixels.to(self.encoder.conv_norm_out.weight.dtype)))

    def moments(self, encoded: Float[Tensor, "b k y x"]) -> tuple[Float[Tensor, "b c y x"], Float[Tensor, "b c y x"]]:
        """Mean and standard deviation, of what the encoder says."""
        mean, logvar = (encoded if self.quant_conv is None else self.quant_conv(encoded)).chunk(2, dim=1)
        return mean, torch.exp(0.5 * logvar.clamp(-30.0, 20.0))

    def _statistics(self, like: Tensor) -> tuple[Tensor | float, Tensor | float]:
        """What is subtracted from latents, and what they are divided by: of each channel, or one number."""
        config = self.config

        def by_channel(numbers: tuple[float, ...] | None, default: float) -> Tensor | float:
            return default if numbers is None else like.new_tensor(numbers)[:, None, None]

        return by_channel(config.latents_mean, config.shift_factor or 0.0), by_channel(config.latents_std, 1.0)

    def encode(
        self, pixels: Float[Tensor, "b 3 h w"], noise: Float[Tensor, "b c y x"] | None = None
    ) -> Float[Tensor, "b c y x"]:
        """Scaled latents: the posterior's mean, or a sample of it where `noise` (unit normal) is given."""
        mean, std = self.posterior(pixels)
        return self.scaled(mean if noise is None else mean + std * noise)

    def scaled(self, z: Float[Tensor, "b c y x"]) -> Float[Tensor, "b c y x"]:
        """Latents in the denoiser's units, of the encoder's."""
        shift, deviation = self._statistics(z)
        return (z - shift) * self.config.scaling_factor / deviation

    def decode(self, latents: Float[Tensor, "b c y x"]) -> Float[Tensor, "b 3 h w"]:
        """Pixels, nominally in [-1, 1] (not clamped)."""
        return self.decoder(self.unscaled(latents))

    def unscaled(self, latents: Float[Tensor, "b c y x"]) -> Float[Tensor, "b c y x"]:
        """What the decoder takes, of latents in the denoiser's units."""
        latents = latents.to(self.decoder.conv_norm_out.weight.dtype)
        shift, deviation = self._statistics(latents)
        z = latents * deviation / self.config.scaling_factor + shift
        return z if self.post_quant_conv is None else self.post_quant_conv(z)
