"""The bundle of parts that paints: what a checkpoint becomes when it is loaded."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sfumato.diffusion.batching import Call, directly
from sfumato.diffusion.conditioning import Conditioning
from sfumato.diffusion.denoiser import Denoiser
from sfumato.diffusion.grids import GRIDS, align_your_steps
from sfumato.diffusion.samplers import Sampler
from sfumato.diffusion.scalings import Parameterisation
from sfumato.diffusion.schedules import FlowSchedule, Schedule
from sfumato.families import ENLARGING, TASKS, Family, Network, extra_channels
from sfumato.models import bands, tiles
from sfumato.models.autoencoder_kl import AutoencoderKL
from sfumato.models.circular import is_circular
from sfumato.models.k_unet import KUNet
from sfumato.models.mmdit import MMDiT
from sfumato.models.unet import UNet, UNetConfig
from sfumato.nn.sharing import sharing
from sfumato.prompts.encode import Join, TextPart, joined
from sfumato.prompts.t5 import T5Part, stacked
from sfumato.runtime.memory import available_memory, resident_memory


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
    options: Mapping[str, Any] = field(default_factory=dict)
    """Keywords of the model's own sampler, such as the order of its solver."""
    aligned: str = "sd1"
    """Whose levels of `ALIGNED` are its own."""
    shift: Callable[[int], float] | None = None
    """The shift of a picture of so many tokens, where it grows with the picture (Esser et al. 2024, section 5.3.2)."""

    def sigmas(self, steps: int, schedule: str | None) -> Float[Tensor, " steps+1"]:
        """The model's own grid, or the named one of `GRIDS`, which ends at 0."""
        if schedule is None:
            return self.grid(self.schedule, steps)
        if schedule == "align_your_steps":
            return align_your_steps(self.schedule, steps, model=self.aligned)
        return GRIDS[schedule](self.schedule, steps)

    def solver(self, sampler: Sampler) -> Sampler:
        """The sampler, as the model's scheduler has it where it is the model's own."""
        return sampler.bound(**self.options) if sampler.name == self.sampler else sampler

    def of_size(self, tokens: int) -> "Sampling":
        """That of a picture of so many tokens."""
        if self.shift is None:
            return self
        return replace(self, schedule=FlowSchedule(self.shift(tokens), self.schedule.num_timesteps))

    def start(self, noise: Float[Tensor, "b c h w"], sigma: Tensor) -> Float[Tensor, "b c h w"]:
        """The first x, of unit `noise`."""
        path = self.parameterisation.path
        return path.prior(noise, sigma) if self.prior_scale else path.mix(torch.zeros_like(noise), noise, sigma)

    def finish(self, x: Float[Tensor, "b c h w"], sigma: Tensor) -> Float[Tensor, "b c h w"]:
        """The latents that the autoencoder wants of the last x; a grid that ends above 0 leaves its noise in."""
        scaling = self.parameterisation.scaling
        return scaling(sigma).input / scaling(torch.zeros_like(sigma)).input * x


PRECISIONS = {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32"}

TILE = 1024
"""Pixels a side of what the autoencoder is given at once of a large picture, without the margin around it."""
LARGE = 2 * TILE**2
"""Pixels of a picture above which it is given tiles: the whole is quicker, and takes memory with the area."""


@dataclass(frozen=True)
class Model:
    """All parts of one model, ready to paint."""

    name: str
    family: Family
    texts: Mapping[str, TextPart | T5Part]
    """Text encoders by component, in the order in which their tokens stand side by side; T5's come last and below."""
    network: Network
    autoencoder: Autoencoder
    sampling: Sampling
    size: tuple[int, int]
    """Width and height it was trained at, in pixels."""
    dtype: torch.dtype
    device: torch.device
    hash: str
    """SHA-256 of the denoiser's weights file, in hexadecimal."""
    path: Path
    zero_empty: bool = False
    """An empty prompt is a condition of zeros, see `Family`."""
    vae_hash: str = ""
    """SHA-256 of the autoencoder's file, where it is not the model's own."""
    int8: bool = False
    """Whether the large products of its network are of whole numbers of 8 bits."""
    engine: str = "plain"
    """``packed`` where the networks compute from weights laid out for this machine."""
    small_schedule: Schedule | None = None
    """For an upscaler, how much noise its classes put into the small picture that it sees."""
    ram: int | None = None
    """Bytes that the process may have; None: what the machine has."""
    call: Call = directly
    """How its network is evaluated."""

    def sharing(self, *names: str) -> "Model":
        """The same model with components of its own, whose tensors are shared: what is put into the place of one there
        is unseen here. So requests that change a network do not meet.

        Args:
            names: of `components`, and "vae", the autoencoder.
        """
        parts: dict[str, Any] = {**self.components, "vae": self.autoencoder}
        return self.having({name: sharing(parts[name]) for name in names})

    def having(self, parts: Mapping[str, Any]) -> "Model":
        """The same model with these in the place of its own.

        Args:
            parts: by name, of `components`, and "vae", the autoencoder.
        """
        network = next((part for part in parts.values() if isinstance(part, Network)), self.network)
        texts: dict[str, TextPart | T5Part] = {}
        for name, part in self.texts.items():
            encoder: Any = parts.get(name, part.encoder)
            texts[name] = replace(part, encoder=encoder)
        return replace(self, network=network, texts=texts, autoencoder=parts.get("vae", self.autoencoder))

    @property
    def precision(self) -> str:
        """The number format of its network, as one asks for it."""
        return "int8" if self.int8 else PRECISIONS[self.dtype]

    @property
    def components(self) -> dict[str, nn.Module]:
        """The networks that adapters may change, by the folders they come from."""
        name = "transformer" if isinstance(self.network, MMDiT) else "unet"
        return {name: self.network, **{name: part.encoder for name, part in self.texts.items()}}

    @property
    def grain(self) -> int:
        """A picture's sides are multiples of so many pixels."""
        # A U-Net halves its input once a level; odd sizes are painted, but only whole latents can be decoded.
        patch = self.network.config.patch_size if isinstance(self.network, MMDiT) else 1
        return self.autoencoder.factor * patch

    @property
    def largest(self) -> int | None:
        """The longest side in pixels; None: any."""
        return self.grain * self.network.config.pos_embed_max_size if isinstance(self.network, MMDiT) else None

    def sampling_of(self, width: int, height: int) -> Sampling:
        """How a picture of so many pixels is sampled."""
        return self.sampling.of_size((width // self.grain) * (height // self.grain))

    @property
    def task(self) -> str | None:
        """What the network's extra channels are for; None: it takes the latents alone."""
        if isinstance(self.network, KUNet):
            return ENLARGING
        extra = extra_channels(self.network.config)
        return TASKS.get(extra, f"something with {extra} more channels") if extra else None

    @property
    def micro_conditioning(self) -> int:
        """How many numbers the network takes beside the text: sizes and crop make 6, with a score 5; others 0."""
        config = self.network.config
        if not isinstance(config, UNetConfig):
            return 0
        if config.addition_time_embed_dim is None or config.projection_class_embeddings_input_dim is None:
            return 0
        [*_, last] = (part for part in self.texts.values() if isinstance(part, TextPart))
        beside = config.projection_class_embeddings_input_dim - last.encoder.config.projection_dim
        return beside // config.addition_time_embed_dim

    @property
    def guidance_embedding(self) -> bool:
        """Whether the network takes the guidance scale in, with which it was distilled."""
        return isinstance(self.network, UNet) and self.network.config.time_cond_proj_dim is not None

    @property
    def join(self) -> Join:
        """How what the text encoders say becomes one condition."""
        if isinstance(self.network, MMDiT):
            return partial(stacked, width=self.network.config.joint_attention_dim)
        return joined

    def encode_text(self, texts: Sequence[str], *, clip_skip: int = 1) -> Conditioning:
        """One row of tokens a text."""
        encodings = [part.run(part.tokenizer(texts), clip_skip) for part in self.texts.values()]
        return self.join([Conditioning(tokens, pooled=pooled) for tokens, pooled in encodings])

    def denoiser(self) -> Denoiser:
        """D(x, sigma, cond) of this model."""

        def network(x: Tensor, label: Tensor, cond: Conditioning) -> Tensor:
            return self.call(self.network, x.contiguous(memory_format=torch.channels_last), label, cond)

        return Denoiser(network, self.sampling.parameterisation, self.sampling.schedule, self.dtype)

    def encode_pixels(self, pixels: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c y x"]:
        """Latents in float32, of pixels in [-1, 1]; the mean of the autoencoder's distribution."""
        pixels = pixels.to(self.device, self.dtype).contiguous(memory_format=torch.channels_last)
        if self._by_tiles(pixels.shape[-2] * pixels.shape[-1]):
            return tiles.encode(cast("nn.Module", self.autoencoder), pixels, TILE // self.autoencoder.factor).float()
        return self.autoencoder.encode(pixels).float()

    def decode(self, latents: Float[Tensor, "b c y x"]) -> Float[Tensor, "b 3 h w"]:
        """Pixels in float32, nominally in [-1, 1]."""
        factor = self.autoencoder.factor
        way, _ = decoding(self, latents.shape[-2] * latents.shape[-1] * factor**2)
        latents = latents.to(self.dtype)
        if way == "tiles":
            return tiles.decode(cast("nn.Module", self.autoencoder), latents, TILE // factor).float()
        if way == "bands":
            return bands.decode(cast("AutoencoderKL", self.autoencoder), latents).float()
        return self.autoencoder.decode(latents).float()

    def room(self) -> int:
        """Bytes that may still be taken."""
        free = available_memory()
        return free if self.ram is None else min(free, self.ram - resident_memory())

    def _by_tiles(self, pixels: int) -> bool:
        """Whether so large a picture goes through the autoencoder in tiles; those that wrap around need it whole."""
        return pixels > LARGE and not is_circular(cast("nn.Module", self.autoencoder))


LIVE = 5
"""Peak memory by the largest map: 4.6 in the decoder of Stable Diffusion 1.5 with its convolutions' workspace."""
MODEST = 1 << 29
"""Bytes that are always there."""


def decoding(model: Model, pixels: int) -> tuple[Literal["whole", "bands", "tiles"], int]:
    """How a picture of so many pixels is decoded, and the bytes that it takes at most, about.

    A KL autoencoder goes by bands where there is no room for the whole, see `sfumato.models.bands`.
    """
    autoencoder = model.autoencoder
    if not isinstance(autoencoder, AutoencoderKL):
        at_once = min(pixels, LARGE)
        return "tiles" if model._by_tiles(pixels) else "whole", LIVE * at_once * 3 * model.dtype.itemsize
    fine, wide = autoencoder.config.block_out_channels[0], max(autoencoder.config.block_out_channels[:2])
    whole = LIVE * min(pixels, LARGE) * wide * model.dtype.itemsize
    if model._by_tiles(pixels):
        return "tiles", whole
    in_bands = pixels * (fine + wide // 4) * model.dtype.itemsize + LIVE * bands.BAND
    short = model.device.type == "cpu" and whole > MODEST and model.room() < whole and in_bands < whole
    if short and not is_circular(autoencoder):
        return "bands", in_bands
    return "whole", whole


def latent_space(model: Model) -> tuple[object, ...]:
    """What two models must have in common for the latents of one to mean the same to the other."""
    known = model.family.autoencoder
    scale = getattr(known, "scaling_factor", None)
    return known.class_name, scale, model.autoencoder.latent_channels, model.autoencoder.factor
