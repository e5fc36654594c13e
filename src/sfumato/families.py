"""The families of models as data, and the bundle of parts that paints.

A family is a row: adding one is adding a row (and, if it is new in kind, an architecture in `models`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from sfumato.diffusion.conditioning import Conditioning
from sfumato.diffusion.denoiser import Denoiser
from sfumato.diffusion.scalings import Parameterisation
from sfumato.diffusion.schedules import GRIDS, Schedule
from sfumato.models.clip import CLIPTextEncoder
from sfumato.models.tokenizer import ClipTokenizer
from sfumato.models.unet import UNet


@dataclass(frozen=True)
class Family:
    """What a kind of model is called and how it likes to be run."""

    name: str
    title: str
    context: int | None
    """Width of the text tokens by which the family is known; None: any."""
    autoencoder: str
    """Class of its autoencoder."""
    steps: int
    guidance: float


FAMILIES: tuple[Family, ...] = (
    Family("nano", "sfumato nano", None, "AutoencoderFold", steps=24, guidance=4.0),
    Family("sd1", "Stable Diffusion 1.x", 768, "AutoencoderKL", steps=25, guidance=7.5),
    Family("sd2", "Stable Diffusion 2.x", 1024, "AutoencoderKL", steps=25, guidance=7.5),
    Family("custom", "U-Net latent diffusion of another size", None, "AutoencoderKL", steps=25, guidance=7.5),
)
"""The first row that matches a folder names its family."""


class Autoencoder(Protocol):
    """Pixels in [-1, 1] <-> latents in the denoiser's units."""

    @property
    def factor(self) -> int:
        """Pixels a side for one latent position."""
        ...

    @property
    def latent_channels(self) -> int:
        """Channels of a latent."""
        ...

    def encode(self, pixels: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c y x"]:
        """Latents of zero mean and about unit variance."""
        ...

    def decode(self, latents: Float[Tensor, "b c y x"]) -> Float[Tensor, "b 3 h w"]:
        """Pixels, nominally in [-1, 1]."""
        ...


@dataclass(frozen=True)
class Sampling:
    """How a model was trained and is sampled by default: the content of a `scheduler_config.json`."""

    parameterisation: Parameterisation
    schedule: Schedule
    sampler: str
    grid: Callable[[Schedule, int], Tensor]
    """Its own noise levels: (schedule, steps) -> descending sigmas (steps + 1,)."""
    prior_scale: bool = True
    """Start at noise of the data's deviation at sigma_max; False: at sigma_max itself, as some schedulers do."""

    def sigmas(self, steps: int, schedule: str | None) -> Float[Tensor, " steps+1"]:
        """The model's own grid, or the named one of `GRIDS`, which ends at 0."""
        if schedule is None:
            return self.grid(self.schedule, steps)
        return GRIDS[schedule](self.schedule, steps)

    def start(self, noise: Float[Tensor, "b c h w"], sigma: Tensor) -> Float[Tensor, "b c h w"]:
        """The first x, of unit `noise`."""
        path = self.parameterisation.path
        return path.prior(noise, sigma) if self.prior_scale else path.mix(torch.zeros_like(noise), noise, sigma)

    def finish(self, x: Float[Tensor, "b c h w"], sigma: Tensor) -> Float[Tensor, "b c h w"]:
        """The latents that the autoencoder wants of the last x; a grid that ends above 0 leaves its noise in."""
        return self.parameterisation.scaling(sigma).input * x


@dataclass(frozen=True)
class Model:
    """All parts of one model, ready to paint."""

    name: str
    family: Family
    tokenizer: ClipTokenizer
    text_encoder: CLIPTextEncoder
    unet: UNet
    autoencoder: Autoencoder
    sampling: Sampling
    size: tuple[int, int]
    """Width and height it was trained at, in pixels."""
    dtype: torch.dtype
    device: torch.device
    hash: str
    """SHA-256 of the denoiser's weights file, in hexadecimal."""
    path: Path
    seconds: dict[str, float] = field(default_factory=dict, compare=False)
    """What loading took."""

    def encode(self, texts: Sequence[str], *, clip_skip: int = 1) -> Conditioning:
        """One row of tokens a text."""
        encoding = self.text_encoder(self.tokenizer(texts).to(self.device), clip_skip=clip_skip)
        return Conditioning(encoding.tokens)

    def denoiser(self) -> Denoiser:
        """D(x, sigma, cond) of this model."""

        def network(x: Tensor, label: Tensor, cond: Conditioning) -> Tensor:
            return self.unet(x.contiguous(memory_format=torch.channels_last), label, cond.tokens)

        return Denoiser(network, self.sampling.parameterisation, self.sampling.schedule, self.dtype)

    def decode(self, latents: Float[Tensor, "b c y x"]) -> Float[Tensor, "b 3 h w"]:
        """Pixels in float32, nominally in [-1, 1]."""
        return self.autoencoder.decode(latents.to(self.dtype)).float()


def family_of(context: int, autoencoder: str) -> Family:
    """The family of a U-Net with text tokens `context` wide and an autoencoder of that class."""
    return next(f for f in FAMILIES if f.autoencoder == autoencoder and f.context in (None, context))
