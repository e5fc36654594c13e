"""Training a text-conditional denoiser on cached latents, its text encoder jointly.

The objective is the flow's or v's, on the scalings that sampling uses.
"""

import random
from pathlib import Path
from typing import Any, Literal, Self

import torch
from jaxtyping import Float, Int
from PIL import Image
from pydantic import Field, model_validator
from torch import Tensor, nn

from sfumato.diffusion.conditioning import Conditioning
from sfumato.diffusion.grids import GRIDS
from sfumato.diffusion.guidance import classifier_free
from sfumato.diffusion.samplers import Descent, euler
from sfumato.diffusion.scalings import FLOW, V
from sfumato.diffusion.schedules import DiscreteSchedule, FlowSchedule
from sfumato.runtime.devices import device_of
from sfumato.runtime.precision import autocast
from sfumato.training.alignment import AlignmentConfig, Projector, Teacher, captured_output
from sfumato.training.auxiliary import Auxiliary, AuxiliaryConfig
from sfumato.training.data import captions_of, generator_for
from sfumato.training.objectives import denoising_error, network_input, uniform
from sfumato.training.reward import RewardConfig, guided, moments
from sfumato.training.text_to_image import TextToImage, TextToImageRun, TextToImageTask

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


class DenoiserRun(TextToImageRun):
    """A training TOML with `task = "denoiser"`."""

    task: Literal["denoiser"]
    prediction: Literal["flow", "v_prediction"] = "flow"
    shift: float = Field(1.0, gt=0)
    """The shift of a flow's levels towards noise, in training and in sampling; see `FlowSchedule`. Where latents are
    smooth, the caption decides nothing below the highest levels, and without a shift a model hardly learns to read."""
    caption_dropout: float = Field(0.1, ge=0, le=1)
    guidance: float = 3.0
    alignment: AlignmentConfig | None = None
    """The features of a classifier that the U-Net's coarsest map must hold as well."""
    auxiliary: AuxiliaryConfig | None = None
    """The classifier of latents that clean estimates must satisfy as well."""
    reward: RewardConfig | None = None
    """That classifier must be satisfied by paintings on their way, too."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.shift != 1 and self.prediction != "flow":
            raise ValueError(f"shift {self.shift} is for prediction 'flow', not {self.prediction!r}; leave it out")
        if self.reward is not None and self.auxiliary is None:
            raise ValueError("a [reward] is judged by the classifier of an [auxiliary] table; add one, or drop it")
        return self

    @property
    def scheduler(self) -> dict[str, Any]:
        """See `TextToImageRun`."""
        return FLOW_SCHEDULER | {"shift": self.shift} if self.prediction == "flow" else V_SCHEDULER


class DenoiserTask(TextToImageTask[DenoiserRun]):
    """Latents, captions and times in; the weighted error of the clean estimate out."""

    def __init__(self, run: DenoiserRun, folder: Path) -> None:
        super().__init__(run, folder)
        self.parameterisation = FLOW if run.prediction == "flow" else V
        self.schedule = (
            FlowSchedule(run.shift) if run.prediction == "flow" else DiscreteSchedule.from_betas(zero_terminal_snr=True)
        )
        self.draw = uniform(self.schedule)
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

    @torch.no_grad()
    def _uncond(self, model: TextToImage) -> Conditioning:
        return self._cond(model, [""])

    def _grid(self, steps: int) -> Float[Tensor, " steps+1"]:
        """The levels at which the finished model is sampled."""
        return GRIDS["shifted" if self.run.prediction == "flow" else "trailing"](self.schedule, steps)

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
        x = self.parameterisation.path.prior(self._noise(len(prompts)), sigmas[0])
        for step in euler(Descent(denoise, x, sigmas, path=self.parameterisation.path)):
            x = step.x
        return self._shown(x)


def trust(sigma: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
    """How far what is to be seen in a clean estimate is held against it: less, the more noise it was made of."""
    return 1 / (1 + sigma)
