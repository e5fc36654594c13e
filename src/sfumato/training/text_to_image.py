"""What trains a text-to-image network on cached latents: pictures with captions, an autoencoder, a tokenizer, a text
encoder and a U-Net; and the folder it is exported to.

Pictures are encoded once and kept as a memory map; captions are made anew each time a picture is seen. What is
minimised is a subclass's.
"""

import random
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from sfumato.checkpoints.save import save_index, save_part
from sfumato.diffusion.conditioning import Conditioning
from sfumato.diffusion.denoiser import Denoiser
from sfumato.diffusion.noise import ImageNoise
from sfumato.diffusion.scalings import Parameterisation
from sfumato.diffusion.schedules import Schedule
from sfumato.errors import TrainingError
from sfumato.files import sha256
from sfumato.images import contact_sheet, to_pil
from sfumato.lettering import captioned
from sfumato.models.autoencoder_fold import AutoencoderFoldConfig
from sfumato.models.clip import CLIPTextConfig, CLIPTextEncoder
from sfumato.models.unet import UNet, UNetConfig
from sfumato.prompts.vocabulary import Vocabulary
from sfumato.training.alignment import Projector
from sfumato.training.augment import Augment
from sfumato.training.checkpoint import take_over
from sfumato.training.data import Order, Pictures, captions_of, shares_of, taken
from sfumato.training.growth import joined, widened
from sfumato.training.latents import autoencoder_digest, cached_latents, load_autoencoder
from sfumato.training.loop import LoopConfig
from sfumato.training.text import TextConfig, kept_tokenizer


class NetworkConfig(BaseModel):
    """The U-Net: one entry a level."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    channels: tuple[int, ...] = (64, 128, 256)
    heads: tuple[int, ...] = (2, 4, 8)
    cross_attention: tuple[bool, ...] = (False, True, True)
    layers: int = Field(1, gt=0)

    @model_validator(mode="after")
    def _levels(self) -> Self:
        counts = len(self.channels), len(self.heads), len(self.cross_attention)
        if len(set(counts)) > 1 or not all(counts):
            raise ValueError(
                f"channels, heads and cross_attention have {counts[0]}, {counts[1]} and {counts[2]} entries; "
                "give each an entry a level"
            )
        for channels, heads in zip(self.channels, self.heads, strict=True):
            if heads < 1 or channels < 1 or channels % 32 or channels % heads:
                raise ValueError(f"channels {channels} with {heads} heads must be a multiple of 32 and of its heads")
        return self


class TextToImageRun(BaseModel):
    """What the training TOMLs of text-to-image networks have in common. `captions` is "module:function", imported from
    the working folder; without it the pictures' own are used. Of each picture `views` are encoded: itself, and the rest
    by `[augment]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path
    autoencoder: Path
    captions: str | None = None
    shares: dict[str, float] = {}
    validation: int = Field(256, gt=0)
    prompts: tuple[str, ...] = Field(min_length=1)
    views: int = Field(1, gt=0, le=64)
    augment: Augment = Augment()
    start: Path | None = None
    """Begin with the networks of the model in this folder (diffusers layout) instead of random ones. Where the
    autoencoder has more latent channels than that model had, the weights that read them are random, those that predict
    them zero; attention on levels where that model had none begins as the identity."""
    start_text: bool | Path = True
    """Take over its tokenizer and text encoder as well; those in another folder, such as the export of a `text` run;
    or neither: text is learned anew."""
    text: TextConfig = TextConfig()
    network: NetworkConfig = NetworkConfig()
    loop: LoopConfig

    @model_validator(mode="after")
    def _views_differ(self) -> Self:
        if self.augment.sizes:
            raise ValueError("augment.sizes needs pictures of one size here; leave it out")
        if (self.views > 1) != self.augment.on:
            raise ValueError("views above 1 and an [augment] table need each other; set both or neither")
        return self

    @property
    @abstractmethod
    def scheduler(self) -> dict[str, Any]:
        """scheduler_config.json of a model so trained: how it is sampled."""


class TextToImage(nn.Module):
    """What is trained: text encoder and U-Net, and perhaps who reads its coarsest map; one set of parameters."""

    def __init__(self, text_encoder: CLIPTextEncoder, unet: UNet, projector: Projector | None = None) -> None:
        super().__init__()
        self.text_encoder = text_encoder
        self.unet = unet
        self.projector = projector

    def forward(self, x: Tensor, label: Tensor, ids: Tensor) -> Tensor:
        return self.unet(x, label, Conditioning(self.text_encoder(ids).tokens))


Run = TypeVar("Run", bound=TextToImageRun)


class TextToImageTask(Generic[Run]):
    """All but the loss; see `loop.Task`."""

    parameterisation: Parameterisation
    """What the network predicts."""
    schedule: Schedule
    """Its levels of noise."""

    def __init__(self, run: Run, folder: Path) -> None:
        self.run = run
        self.pictures = Pictures.for_training(run.data)
        self.caption = captions_of(self.pictures, run.captions)
        self.autoencoder = load_autoencoder(run.autoencoder)
        require_fit(self.pictures, self.autoencoder.factor, len(run.network.channels))
        self.views = [
            cached_latents(self.pictures, self.autoencoder, run.autoencoder, number, run.augment, run.loop.seed)
            for number in range(run.views)
        ]
        self.latents = self.views[0]
        text = run.start_text if isinstance(run.start_text, Path) else run.start if run.start_text else None
        self.tokenizer = kept_tokenizer(folder / "tokenizer", text, run.text, self._corpus)
        torch.manual_seed(run.loop.seed)
        self.model = TextToImage(CLIPTextEncoder(run.text.form(self.tokenizer)), UNet(self._unet_config()))
        _start_gently(self.model.unet)
        if run.start is not None:
            take_over(self.model.unet, run.start / "unet", _grown)
        if text is not None:
            take_over(self.model.text_encoder, text / "text_encoder")
        shares = shares_of(self.pictures, self.pictures.train, run.shares)
        self.order = Order(self.pictures.train, run.loop.batch, run.loop.seed, shares)
        self.content = {
            "data": self.pictures.digest,
            "autoencoder": autoencoder_digest(run.autoencoder),
            "tokenizer": sha256(folder / "tokenizer" / "merges.txt"),
        }

    def _corpus(self) -> list[str]:
        rng = random.Random(self.run.loop.seed)
        return [self.caption(self.pictures.attributes[i], rng) for i in self.pictures.train.tolist()]

    def _unet_config(self) -> UNetConfig:
        network, channels = self.run.network, self.autoencoder.latent_channels
        cross = network.cross_attention
        return UNetConfig(
            sample_size=self.pictures.size // self.autoencoder.factor,
            in_channels=channels,
            out_channels=channels,
            block_out_channels=network.channels,
            down_block_types=tuple("CrossAttnDownBlock2D" if c else "DownBlock2D" for c in cross),
            up_block_types=tuple("CrossAttnUpBlock2D" if c else "UpBlock2D" for c in reversed(cross)),
            layers_per_block=network.layers,
            attention_head_dim=network.heads,
            cross_attention_dim=self.run.text.width,
        )

    def _batch(self, indices: Int[Tensor, " b"], rng: torch.Generator | None = None) -> Float[Tensor, "b c h w"]:
        """Latents of the pictures themselves, or with a generator of any of their views."""
        if rng is None or len(self.views) == 1:
            return taken(self.latents, indices)
        drawn = torch.randint(len(self.views), (len(indices),), generator=rng).tolist()
        chosen = [self.views[number][index] for number, index in zip(drawn, indices.tolist(), strict=True)]
        return torch.from_numpy(np.stack(chosen)).float()

    def _denoiser(self, model: TextToImage) -> Denoiser:
        return Denoiser(model.unet, self.parameterisation, self.schedule)

    def _cond(self, model: TextToImage, texts: list[str]) -> Conditioning:
        return Conditioning(model.text_encoder(self.tokenizer(texts)).tokens)

    def _noise(self, count: int) -> Float[Tensor, "n c h w"]:
        """That of the seeds 0, 1, ..."""
        return ImageNoise(range(count), self.latents.shape[1:])()

    def _shown(self, latents: Float[Tensor, "n c h w"]) -> Image.Image:
        """A sheet of what was painted for the run's prompts."""
        pixels = torch.cat([self.autoencoder.decode(part) for part in latents.split(4)])
        return contact_sheet(captioned([to_pil(p) for p in pixels], list(self.run.prompts)))

    @torch.no_grad()
    def export(self, model: nn.Module, folder: Path) -> None:
        """A folder in the diffusers layout: unet, vae, text_encoder, tokenizer, scheduler, model_index.json; fp16."""
        assert isinstance(model, TextToImage)
        save_part(folder, "unet", model.unet, model.unet.config, torch.float16)
        save_part(folder, "text_encoder", model.text_encoder, model.text_encoder.config, torch.float16)
        save_part(folder, "vae", self.autoencoder, self.autoencoder.config, torch.float16)
        self.tokenizer.save(folder / "tokenizer")
        Vocabulary.learn(self._corpus(), (self.pictures.attributes[i] for i in self.pictures.train.tolist())).write(
            folder
        )
        classes = {"unet": UNetConfig, "vae": AutoencoderFoldConfig, "text_encoder": CLIPTextConfig}
        save_index(folder, classes, self.run.scheduler)


def require_fit(pictures: Pictures, factor: int, levels: int) -> None:
    """Refuse pictures whose latents, a `factor`-th of their size, cannot be halved between so many levels."""
    step = factor * 2 ** (levels - 1)
    if pictures.size % step:
        raise TrainingError(
            f"pictures of {pictures.size} px do not fit this autoencoder and U-Net, which need a multiple of {step}; "
            f"prepare them again with --size {max(step, round(pictures.size / step) * step)}"
        )


def _grown(unet: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A smaller U-Net's weights for one with more latent channels, or with attention on more levels."""
    latent = ("conv_in.weight", "conv_out.weight", "conv_out.bias")
    return joined(unet, widened(unet, tensors, latent), "attentions")


def _start_gently(unet: UNet) -> None:
    """Zero the last map of every residual branch and of the network: each block starts as the identity."""
    for name, parameter in unet.named_parameters():
        if name.rsplit(".", 1)[0].endswith(("conv2", "proj_out", "conv_out")):
            nn.init.zeros_(parameter)
