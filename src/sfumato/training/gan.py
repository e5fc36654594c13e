"""Training a text-conditional generative adversarial network on cached latents: a generator that paints from noise and
text in one step, held to account by a discriminator of patches, and by nothing else.

Stable Diffusion is no such network; this is the baseline that shows what the difference is. The generator has the
denoiser's form: it is the U-Net's clean estimate at the highest level of noise, where the picture is noise alone, so
that an exported folder paints like any other, in one step and without guidance.
"""

import random
from pathlib import Path
from typing import Any, Literal, Self

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from PIL import Image
from pydantic import Field, model_validator
from torch import Tensor, nn

from sfumato.diffusion.grids import GRIDS
from sfumato.diffusion.scalings import V
from sfumato.diffusion.schedules import DiscreteSchedule
from sfumato.models.discriminator import PatchDiscriminator, PatchDiscriminatorConfig
from sfumato.training.adversarial import AdversarialConfig, Alarms, contest
from sfumato.training.data import generator_for, taken
from sfumato.training.denoiser import V_SCHEDULER
from sfumato.training.text_to_image import TextToImage, TextToImageRun, TextToImageTask

DIRECTIONS = 256
"""On so many random directions distributions are compared."""


class GANRun(TextToImageRun):
    """A training TOML with `task = "gan"`. The text encoder stays as it begins."""

    task: Literal["gan"]
    adversarial: AdversarialConfig
    mismatched: float = Field(0.5, ge=0)
    """Weight of pictures with the caption of another, which the discriminator must tell as well (Reed et al. 2016,
    section 4.2)."""

    @model_validator(mode="after")
    def _contest_from_the_first_step(self) -> Self:
        if not self.adversarial.weight or self.loop.opponent.start:
            raise ValueError(
                f"adversarial.weight = {self.adversarial.weight:g} with loop.opponent.start = "
                f"{self.loop.opponent.start} leaves the generator nothing to learn from; set a weight above 0 and "
                "start = 0"
            )
        return self

    @property
    def scheduler(self) -> dict[str, Any]:
        """See `TextToImageRun`."""
        return V_SCHEDULER


class GANTask(TextToImageTask[GANRun]):
    """Captions and noise in; what the discriminator says of the paintings out (hinge losses, see `adversarial`)."""

    def __init__(self, run: GANRun, folder: Path) -> None:
        super().__init__(run, folder)
        self.parameterisation = V
        self.schedule = DiscreteSchedule.from_betas(zero_terminal_snr=True)
        self.highest = GRIDS["trailing"](self.schedule, 1)[0]
        self.model.text_encoder.requires_grad_(False)
        self.opponent = PatchDiscriminator(
            PatchDiscriminatorConfig(
                in_channels=self.autoencoder.latent_channels,
                fold=1,
                channels=run.adversarial.channels,
                condition=run.text.width,
            )
        )
        self.alarms = Alarms(run.adversarial)

    def loss(self, model: nn.Module, indices: Int[Tensor, " b"], rng: torch.Generator) -> dict[str, Tensor]:
        """See `contest`."""
        return self.contest(model, indices, rng, 0)

    def contest(
        self, model: nn.Module, indices: Int[Tensor, " b"], rng: torch.Generator, turn: int
    ) -> dict[str, Tensor]:
        """See `loop.AdversarialTask`."""
        assert isinstance(model, TextToImage)
        words = random.Random(int(torch.randint(2**62, (), generator=rng)))
        texts = [self.caption(self.pictures.attributes[i], words) for i in indices.tolist()]
        real = self._batch(indices, rng)
        painted = self._painted(model, texts, torch.randn(real.shape, generator=rng))
        with torch.no_grad():
            said = self._pooled(model, texts)
        losses = contest(
            lambda latents: self.opponent(latents, said),
            painted,
            real,
            lambda seen: {"loss": 0 * seen.sum()},
            None,
            self.run.adversarial,
            rng,
            turn,
        )
        if self.run.mismatched:
            mismatched = F.relu(1 + self.opponent(real, said.roll(1, 0)).float()).mean()
            losses["opponent"] = losses["opponent"] + self.run.mismatched * mismatched
        return losses

    def _pooled(self, model: TextToImage, texts: list[str]) -> Float[Tensor, "b w"]:
        return model.text_encoder(self.tokenizer(texts)).tokens.mean(1)

    def _painted(self, model: TextToImage, texts: list[str], noise: Tensor) -> Float[Tensor, "b c h w"]:
        x = self.parameterisation.path.prior(noise, self.highest).to(memory_format=torch.channels_last)
        return self._denoiser(model)(x, self.highest, self._cond(model, texts)).float()

    @torch.no_grad()
    def validate(self, model: nn.Module) -> dict[str, float]:
        """How far paintings of held-out captions are from the held-out pictures as a whole: "loss", the sliced
        Wasserstein distance of latents (Rabin et al. 2012); and "diversity", how far two paintings of one caption are
        from each other, in units of the distance between two pictures: 0 where all seeds come to one."""
        assert isinstance(model, TextToImage)
        rng, words = generator_for(0, 7), random.Random(0)
        held_out = self.pictures.validation
        chosen = held_out[torch.randperm(len(held_out), generator=rng)[: self.run.validation]]
        pairs: list[Tensor] = []
        for part in chosen.split(32):
            texts = [self.caption(self.pictures.attributes[i], words) for i in part.tolist()]
            shape = (len(part), *self.latents.shape[1:])
            pairs.append(
                torch.stack([self._painted(model, texts, torch.randn(shape, generator=rng)) for _ in range(2)])
            )
        first, second = torch.cat(pairs, 1)
        real = taken(self.latents, chosen)
        apart = (real - real.roll(1, 0)).square().mean()
        distance = sliced_wasserstein(first, real, rng)
        return {"loss": float(distance), "diversity": float((first - second).square().mean() / apart)}

    @torch.no_grad()
    def sheet(self, model: nn.Module) -> Image.Image:
        """The first picture of each prompt, seeds 0, 1, ..."""
        assert isinstance(model, TextToImage)
        prompts = list(self.run.prompts)
        return self._shown(self._painted(model, prompts, self._noise(len(prompts))))


def sliced_wasserstein(
    a: Float[Tensor, "n *rest"], b: Float[Tensor, "n *rest"], rng: torch.Generator
) -> Float[Tensor, ""]:
    """The mean squared distance of two sets' sorted projections on random directions."""
    directions = F.normalize(torch.randn(a[0].numel(), DIRECTIONS, generator=rng), dim=0)
    one, other = ((each.flatten(1) @ directions).sort(0).values for each in (a, b))
    return (one - other).square().mean()
