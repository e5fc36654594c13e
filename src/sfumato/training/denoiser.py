"""Training a text-conditional denoiser on cached latents, its text encoder jointly.

Pictures are encoded once and kept as a memory map; captions are made anew each time a picture is seen. The objective
is the flow's or v's, on the scalings that sampling uses.
"""

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from sfumato.checkpoints.save import save_index, save_part
from sfumato.diffusion.conditioning import Conditioning
from sfumato.diffusion.denoiser import Denoiser
from sfumato.diffusion.grids import GRIDS
from sfumato.diffusion.guidance import classifier_free
from sfumato.diffusion.noise import ImageNoise
from sfumato.diffusion.samplers import Descent, euler
from sfumato.diffusion.scalings import FLOW, Parameterisation, V
from sfumato.diffusion.schedules import DiscreteSchedule, FlowSchedule, Schedule
from sfumato.errors import TrainingError
from sfumato.files import sha256
from sfumato.images import contact_sheet, to_pil
from sfumato.lettering import captioned
from sfumato.models.autoencoder_fold import AutoencoderFoldConfig
from sfumato.models.clip import CLIPTextConfig, CLIPTextEncoder
from sfumato.models.unet import UNet, UNetConfig
from sfumato.prompts.vocabulary import Vocabulary
from sfumato.runtime.devices import device_of
from sfumato.runtime.precision import autocast
from sfumato.training.alignment import AlignmentConfig, Projector, Teacher, captured_output
from sfumato.training.augment import Augment
from sfumato.training.auxiliary import Auxiliary, AuxiliaryConfig
from sfumato.training.checkpoint import take_over
from sfumato.training.data import Order, Pictures, captions_of, generator_for, shares_of, taken
from sfumato.training.growth import joined, widened
from sfumato.training.latents import autoencoder_digest, cached_latents, load_autoencoder
from sfumato.training.loop import LoopConfig
from sfumato.training.objectives import denoising_error, network_input, uniform
from sfumato.training.reward import RewardConfig, guided, moments
from sfumato.training.text import TextConfig, kept_tokenizer

FLOW_SCHEDULER: dict[str, Any] = {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000}
V_SCHEDULER: dict[str, Any] = {
    "_class_name": "DDIMScheduler",
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "num_train_timesteps": 1000,
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
    "clip_sample": False,
}


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


class DenoiserRun(BaseModel):
    """A training TOML with `task = "denoiser"`. `captions` is "module:function", imported from the working folder;
    without it the pictures' own are used. Of each picture `views` are encoded: itself, and the rest by `[augment]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Literal["denoiser"]
    data: Path
    autoencoder: Path
    captions: str | None = None
    prediction: Literal["flow", "v_prediction"] = "flow"
    shift: float = Field(1.0, gt=0)
    """The shift of a flow's levels towards noise, in training and in sampling; see `FlowSchedule`. Where latents are
    smooth, the caption decides nothing below the highest levels, and without a shift a model hardly learns to read."""
    caption_dropout: float = Field(0.1, ge=0, le=1)
    shares: dict[str, float] = {}
    validation: int = Field(256, gt=0)
    prompts: tuple[str, ...] = Field(min_length=1)
    guidance: float = 3.0
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
    alignment: AlignmentConfig | None = None
    """The features of a classifier that the U-Net's coarsest map must hold as well."""
    auxiliary: AuxiliaryConfig | None = None
    """The classifier of latents that clean estimates must satisfy as well."""
    reward: RewardConfig | None = None
    """That classifier must be satisfied by paintings on their way, too."""
    loop: LoopConfig

    @model_validator(mode="after")
    def _views_differ(self) -> Self:
        if self.augment.sizes:
            raise ValueError("augment.sizes needs pictures of one size here; leave it out")
        if (self.views > 1) != self.augment.on:
            raise ValueError("views above 1 and an [augment] table need each other; set both or neither")
        if self.shift != 1 and self.prediction != "flow":
            raise ValueError(f"shift {self.shift} is for prediction 'flow', not {self.prediction!r}; leave it out")
        if self.reward is not None and self.auxiliary is None:
            raise ValueError("a [reward] is judged by the classifier of an [auxiliary] table; add one, or drop it")
        return self

    @property
    def scheduler(self) -> dict[str, Any]:
        """scheduler_config.json of a model so trained: how it is sampled."""
        return FLOW_SCHEDULER | {"shift": self.shift} if self.prediction == "flow" else V_SCHEDULER


class TextToImage(nn.Module):
    """What is trained: text encoder and U-Net, and perhaps who reads its coarsest map; one set of parameters."""

    def __init__(self, text_encoder: CLIPTextEncoder, unet: UNet, projector: Projector | None = None) -> None:
        super().__init__()
        self.text_encoder = text_encoder
        self.unet = unet
        self.projector = projector

    def forward(self, x: Tensor, label: Tensor, ids: Tensor) -> Tensor:
        return self.unet(x, label, Conditioning(self.text_encoder(ids).tokens))


class DenoiserTask:
    """Latents, captions and times in; the weighted error of the clean estimate out."""

    def __init__(self, run: DenoiserRun, folder: Path) -> None:
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
        self.teacher: Teacher | None = None
        if run.alignment is not None:
            side = self.latents.shape[-1] // 2 ** (len(run.network.channels) - 1)
            self.teacher = Teacher(self.pictures, run.alignment, side)
            self.model.projector = Projector(run.network.channels[-1], self.teacher.channels)
            self.content["teacher"] = self.teacher.digest
        self.auxiliary: Auxiliary | None = None
        if run.auxiliary is not None:
            self.auxiliary = Auxiliary(self.pictures, run.auxiliary, self.autoencoder.latent_channels)
            self.content["auxiliary"] = self.auxiliary.digest
        whole = None if run.reward is None else run.reward.captions
        self.whole_caption = self.caption if whole is None else captions_of(self.pictures, whole)
        self.parameterisation: Parameterisation = FLOW if run.prediction == "flow" else V
        self.schedule: Schedule = (
            FlowSchedule(run.shift) if run.prediction == "flow" else DiscreteSchedule.from_betas(zero_terminal_snr=True)
        )
        self.draw = uniform(self.schedule)

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

    def loss(self, model: nn.Module, indices: Int[Tensor, " b"], rng: torch.Generator) -> dict[str, Tensor]:
        """See `objectives.denoising_error`, `alignment` and `auxiliary`; a share of the captions is left empty, for
        guidance."""
        words = random.Random(int(torch.randint(2**62, (), generator=rng)))
        texts = [
            "" if words.random() < self.run.caption_dropout else self.caption(self.pictures.attributes[i], words)
            for i in indices.tolist()
        ]
        sigma = self.draw(len(indices), rng)
        assert isinstance(model, TextToImage)
        assert model.unet.mid_block is not None
        with captured_output(model.unet.mid_block) as heard:
            errors, estimates = self._denoised(model, self._batch(indices, rng), texts, sigma, rng)
        losses = {"denoising": errors.mean()}
        loss = losses["denoising"]
        if self.teacher is not None:
            assert model.projector is not None
            losses["alignment"] = self.teacher.error(model.projector(heard[0]), indices)
            loss = loss + self.teacher.weight * losses["alignment"]
        if self.auxiliary is not None:
            captioned = torch.tensor([text != "" for text in texts])
            losses["auxiliary"] = self.auxiliary.error(estimates, indices, captioned * trust(sigma))
            loss = loss + self.auxiliary.weight * losses["auxiliary"]
        if self.run.reward is not None:
            losses["reward"] = self._rewarded(model, indices[: self.run.reward.pictures], words, rng)
            loss = loss + self.run.reward.weight * losses["reward"]
        return {"loss": loss, **(losses if len(losses) > 1 else {})}

    def _rewarded(
        self, model: TextToImage, indices: Int[Tensor, " b"], words: random.Random, rng: torch.Generator
    ) -> Float[Tensor, ""]:
        """What the classifier misses in paintings, on their way, of what those pictures show."""
        assert self.run.reward is not None
        assert self.auxiliary is not None
        texts = [self.whole_caption(self.pictures.attributes[i], words) for i in indices.tolist()]
        denoiser, scale = self._denoiser(model), self.run.guidance
        conds = self._cond(model, texts), self._uncond(model)
        noise = torch.randn((len(texts), *self.latents.shape[1:]), generator=rng)
        noise = noise.to(memory_format=torch.channels_last)
        seen = moments(denoiser, conds, scale, self._grid, noise, self.run.reward.moments, rng)
        return self.auxiliary.error(guided(denoiser, conds, scale, seen), indices[seen.rows], trust(seen.sigma))

    def _denoiser(self, model: TextToImage) -> Denoiser:
        return Denoiser(model.unet, self.parameterisation, self.schedule)

    def _cond(self, model: TextToImage, texts: list[str]) -> Conditioning:
        return Conditioning(model.text_encoder(self.tokenizer(texts)).tokens)

    @torch.no_grad()
    def _uncond(self, model: TextToImage) -> Conditioning:
        return self._cond(model, [""])

    def _grid(self, steps: int) -> Float[Tensor, " steps+1"]:
        """The levels at which the finished model is sampled."""
        return GRIDS["shifted" if self.run.prediction == "flow" else "trailing"](self.schedule, steps)

    def _batch(self, indices: Int[Tensor, " b"], rng: torch.Generator | None = None) -> Float[Tensor, "b c h w"]:
        """Latents of the pictures themselves, or with a generator of any of their views."""
        if rng is None or len(self.views) == 1:
            return taken(self.latents, indices)
        drawn = torch.randint(len(self.views), (len(indices),), generator=rng).tolist()
        chosen = [self.views[number][index] for number, index in zip(drawn, indices.tolist(), strict=True)]
        return torch.from_numpy(np.stack(chosen)).float()

    def _denoised(
        self, model: nn.Module, clean: Tensor, texts: list[str], sigma: Tensor, rng: torch.Generator
    ) -> tuple[Float[Tensor, " b"], Float[Tensor, "b c h w"]]:
        """Each picture's error, and the clean estimate."""
        noise = torch.randn(clean.shape, generator=rng)
        x = self.parameterisation.path.mix(clean, noise, sigma)
        seen = network_input(self.parameterisation, x, sigma).to(memory_format=torch.channels_last)
        output = model(seen, self.schedule.label(sigma).float(), self.tokenizer(texts)).float()
        error = denoising_error(output, self.parameterisation, clean, x, sigma)
        return error, self.parameterisation.scaling(sigma).clean(x, output)

    @torch.no_grad()
    def validate(self, model: nn.Module) -> dict[str, float]:
        """The loss on held-out pictures with noise, times and captions that never change, and what the caption takes
        off it: "caption_gain", the loss without captions less that with them."""
        rng = generator_for(0, 7)
        held_out = self.pictures.validation
        chosen = held_out[torch.randperm(len(held_out), generator=rng)[: self.run.validation]]
        words = random.Random(0)
        losses: list[Tensor] = []
        for part in chosen.split(64):
            texts = [self.caption(self.pictures.attributes[i], words) for i in part.tolist()]
            sigma, seed = self.draw(len(part), rng), int(torch.randint(2**62, (), generator=rng))
            with autocast(device_of(model), self.run.loop.precision):
                both = [
                    self._denoised(model, self._batch(part), captions, sigma, generator_for(seed))[0]
                    for captions in (texts, [""] * len(part))
                ]
            losses.append(torch.stack(both))
        captioned, uncaptioned = torch.cat(losses, 1).mean(1).tolist()
        return {"loss": captioned, "caption_gain": uncaptioned - captioned}

    @torch.no_grad()
    def sheet(self, model: nn.Module) -> Image.Image:
        """The first picture of each prompt, seeds 0, 1, ...: 20 Euler steps."""
        assert isinstance(model, TextToImage)
        prompts = list(self.run.prompts)
        conds = self._cond(model, prompts), self._uncond(model)
        denoise = classifier_free(self._denoiser(model), *conds, self.run.guidance)
        sigmas = self._grid(20)
        noise = ImageNoise(range(len(prompts)), self.latents.shape[1:])
        x = self.parameterisation.path.prior(noise(), sigmas[0])
        for step in euler(Descent(denoise, x, sigmas, path=self.parameterisation.path)):
            x = step.x
        pixels = torch.cat([self.autoencoder.decode(part) for part in x.split(4)])
        return contact_sheet(captioned([to_pil(p) for p in pixels], prompts))

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


def trust(sigma: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
    """How far what is to be seen in a clean estimate is held against it: less, the more noise it was made of."""
    return 1 / (1 + sigma)


def _grown(unet: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A smaller U-Net's weights for one with more latent channels, or with attention on more levels."""
    latent = ("conv_in.weight", "conv_out.weight", "conv_out.bias")
    return joined(unet, widened(unet, tensors, latent), "attentions")


def _start_gently(unet: UNet) -> None:
    """Zero the last map of every residual branch and of the network: each block starts as the identity."""
    for name, parameter in unet.named_parameters():
        if name.rsplit(".", 1)[0].endswith(("conv2", "proj_out", "conv_out")):
            nn.init.zeros_(parameter)
