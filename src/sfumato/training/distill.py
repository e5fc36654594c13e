"""Distillation: a model with adapters attached, the student, learns to give in a few steps or one what the model
itself, the teacher, comes to in many.

| loss        | the student's clean estimate                                  | source                           |
|-------------|---------------------------------------------------------------|----------------------------------|
| consistency | is the same all along the teacher's guided trajectory         | Luo et al. 2023, 2310.04378      |
| adversarial | cannot be told from a picture in the teacher's features, and  | Sauer et al. 2023, 2311.17042,   |
|             | is where the teacher would move it, at any level of noise     | and 2024, 2403.12015             |
| matching    | is, at any level of noise, as likely among the student's as   | Yin et al. 2023, 2311.18828,     |
|             | it is among the teacher's; a discriminator may be beside      | and 2024, 2405.14867             |

The first is what every step has; with `[adversarial]` the second, with `towards = "distribution"` the third takes its
place from `loop.opponent.start` on. Guidance is part of what is learned: the student paints without. Its boundary
condition, D(x, 0) = x, holds by parameterisation.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor, nn

from sfumato.adapters.trained import Adapters, attach
from sfumato.diffusion.combining import linear
from sfumato.diffusion.conditioning import Conditioning
from sfumato.diffusion.denoiser import Denoise, Denoiser
from sfumato.diffusion.noise import ImageNoise
from sfumato.diffusion.path import over
from sfumato.diffusion.samplers import Descent, euler, lcm
from sfumato.diffusion.step import Step
from sfumato.errors import TrainingError
from sfumato.model import Model
from sfumato.models.unet import Level, UNet
from sfumato.requests import Txt2Img
from sfumato.training.adapter import AdapterRun, AdapterTask
from sfumato.training.adversarial import Alarms, contest
from sfumato.training.alignment import captured_output
from sfumato.training.examples import Example, said
from sfumato.training.objectives import denoising_error, network_input, uniform

GROUPS = 8
"""Groups of the normalisation in the discriminator's heads."""
HUBER = 0.00054
"""Times the root of the number of values: up to there the error of an estimate counts squared (Song and Dhariwal 2023,
section 3.3)."""
PAINTED = 8
"""Pictures that a validation paints, each twice."""


def huber(a: Float[Tensor, "b *rest"], b: Float[Tensor, "b *rest"]) -> Float[Tensor, " b"]:
    """Pseudo-Huber distance of each picture: the norm of the difference, but for small ones."""
    bound = HUBER * a[0].numel() ** 0.5
    return ((a - b).square().flatten(1).sum(1) + bound**2).sqrt() - bound


class Teacher:
    """The model as it was, guided: D(x, sigma) for the pictures of a batch.

    Args:
        cond: a row a picture, as `negative`.
    """

    def __init__(self, denoiser: Denoiser, cond: Conditioning, negative: Conditioning, scale: float) -> None:
        self.denoiser, self.cond, self.negative, self.scale = denoiser, cond, negative, scale
        self.path = denoiser.parameterisation.path

    @torch.no_grad()
    def clean(self, x: Float[Tensor, "b c h w"], sigma: Float[Tensor, "*b"]) -> Float[Tensor, "b c h w"]:
        """The guided clean estimates."""
        return linear(self.denoiser(x, sigma, self.cond), self.denoiser(x, sigma, self.negative), self.scale, 0.0)

    def step(self, x: Tensor, clean: Tensor, now: Float[Tensor, " b"], then: Float[Tensor, " b"]) -> Tensor:
        """Where DDIM, which is Euler's step, leads from the levels `now` to `then`."""
        noise = (x - over(self.path.alpha(now), x) * clean) / over(now, x)
        return self.path.mix(clean, noise, then)


class DistillTask(AdapterTask):
    """The student's estimates agree along the teacher's trajectory."""

    def __init__(self, run: AdapterRun, folder: Path, base: Model | None = None) -> None:
        assert run.distill is not None
        super().__init__(run, folder, base)
        scale = run.distill.guidance
        self.guidance = self.base.family.guidance if scale is None else scale
        self.steps = run.distill.steps
        self._ends: dict[str, Tensor] = {}

    def _denoiser(self, model: Model, chosen: Sequence[Example]) -> Denoiser:
        return replace(model.denoiser(), schedule=self.sampling(chosen).schedule)

    def _levels(self, chosen: Sequence[Example], steps: int) -> Float[Tensor, " steps+1"]:
        return self.sampling(chosen).sigmas(steps, None)

    def _teacher(self, chosen: Sequence[Example], texts: Sequence[str]) -> Teacher:
        with torch.no_grad():
            cond, negative = self.cond(chosen, texts), self.cond(chosen, [""] * len(chosen))
        return Teacher(self._denoiser(self.base, chosen), cond, negative, self.guidance)

    def loss(self, model: nn.Module, indices: Int[Tensor, " b"], rng: torch.Generator) -> dict[str, Tensor]:
        """See the class (consistency distillation: Luo et al. 2023, algorithm 1, in one stride)."""
        assert self.run.distill is not None
        chosen, texts, latents = self.drawn(indices, rng)
        teacher, levels = self._teacher(chosen, texts), self._levels(chosen, self.run.distill.grid)
        grid = torch.cat([levels[:-1], torch.zeros(1)])  # wherever sampling ends: there an estimate is what it is of
        place = torch.randint(len(grid) - 1, (len(chosen),), generator=rng)
        now, then = grid[place], grid[place + 1]
        x = teacher.path.mix(latents, torch.randn(latents.shape, generator=rng), now)
        clean = teacher.clean(x, now)
        with self.acting(model, rng if model.training else None):
            student, cond = self._denoiser(self.own, chosen), self.cond(chosen, texts)
            with torch.no_grad():
                before = teacher.step(x, clean, now, then)
                target = student(before, then.clamp(min=float(grid[-2])), cond)  # the network has no label for 0
                target = torch.where(over(then, x) > 0, target, clean)
            estimate = student(x, now, cond)
        return {"loss": huber(estimate, target).mean()}

    @torch.no_grad()
    def validate(self, model: nn.Module) -> dict[str, float]:
        """How far the student's paintings of the captions held out are from the teacher's of the same noise, and how
        far they are from each other, both in units of the distance between two of the teacher's: "loss" is 0 where they
        are the same and 1 where they are other pictures; "diversity" falls to 0 where all seeds come to one picture."""
        apart, spread, own = [], [], []
        for i in self.examples.validation[:PAINTED]:
            e = self.examples.all[i]
            text = said(e, self.run.sources[e.source], None)
            if e.digest not in self._ends:
                self._ends[e.digest] = self._painted_by_teacher(e, text)
            ends = self._ends[e.digest]
            with self.acting(model):
                painted = self._painted(e, text)
            apart += [(a - b).square().mean() for a, b in zip(painted, ends, strict=True)]
            own.append((painted[0] - painted[1]).square().mean())
            spread.append((ends[0] - ends[1]).square().mean())
        unit = torch.stack(spread).mean()
        distance, diversity = torch.stack(apart).mean() / unit, torch.stack(own).mean() / unit
        return {"loss": float(distance), "diversity": float(diversity)}

    def _painted_by_teacher(self, example: Example, text: str) -> Float[Tensor, "2 c h w"]:
        """The ends of its trajectories from the noise of seeds 0 and 1."""
        pair = [example] * 2
        teacher, sigmas = self._teacher(pair, [text] * 2), self._levels(pair, self.base.family.steps)
        return self._descended(example, euler, teacher.clean, sigmas)

    def _painted(self, example: Example, text: str) -> Float[Tensor, "2 c h w"]:
        """What the student makes of the same noise."""
        pair = [example] * 2
        student, cond = self._denoiser(self.own, pair), self.cond(pair, [text] * 2)
        return self._descended(example, lcm, lambda x, sigma: student(x, sigma, cond), self._levels(pair, self.steps))

    def _descended(
        self, example: Example, solver: Callable[[Descent], Iterator[Step]], denoise: Denoise, sigmas: Tensor
    ) -> Float[Tensor, "2 c h w"]:
        noise = ImageNoise((0, 1), example.latents[0].shape)
        x = self.own.sampling.start(noise(), sigmas[0])
        path = self.own.sampling.parameterisation.path
        for step in solver(Descent(denoise, x, sigmas, noise=noise, path=path)):
            x = step.x
        return x

    def paint(self, model: nn.Module, request: Txt2Img) -> Image.Image:
        """The picture that the student paints, where the request does not say otherwise."""
        student = {"sampler": "lcm", "steps": self.steps, "guidance": 1.0}
        return super().paint(
            model, request.changed(**{k: v for k, v in student.items() if getattr(request, k) is None})
        )

    def facts(self) -> Mapping[str, object]:
        """Those of an adapter, and how it paints."""
        own = {"distilled_steps": str(self.steps), "distilled_guidance": f"{self.guidance:g}"}
        return {**super().facts(), **own}


class Opponent(nn.Module):
    """Who watches what the student paints.

    Args:
        heads: tells its paintings from pictures in the teacher's features.
        follower: the teacher, as it would be had it seen only what the student paints.
    """

    def __init__(self, heads: "Heads | None", follower: Adapters | None) -> None:
        super().__init__()
        self.heads, self.follower = heads, follower


class ContestedDistillTask(DistillTask):
    """And its paintings hold against a discriminator, which sees them through the teacher, or are drawn to where the
    teacher finds them likely, or both."""

    def __init__(self, run: AdapterRun, folder: Path, base: Model | None = None) -> None:
        super().__init__(run, folder, base)
        torch.manual_seed(run.loop.seed)
        heads = follower = None
        self._heard: list[Heard] = []
        if run.adversarial.weight:
            if not isinstance(self.base.network, UNet):
                raise TrainingError(
                    f"{self.base.name} ({self.base.family.title}) has no U-Net, in whose features a discriminator "
                    "looks; leave [adversarial] out"
                )
            self._heard = heard(self.base.network)
            heads = Heads([block.channels for block in self._heard], run.adversarial.channels[0])
        if run.matching:
            self._following, follower = attach(self.base, run.form, run.loop.seed)
        self.opponent = Opponent(heads, follower)
        self.alarms = Alarms(run.adversarial)

    def contest(
        self, model: nn.Module, indices: Int[Tensor, " b"], rng: torch.Generator, turn: int
    ) -> dict[str, Tensor]:
        """See `loop.AdversarialTask`. The student paints in one of its steps; the teacher's features of what it paints
        and of the picture, at the same level of noise, are told apart, and by what the teacher makes of what it paints
        it is drawn (see `_drawn`)."""
        chosen, texts, latents = self.drawn(indices, rng)
        teacher, path = self._teacher(chosen, texts), self.own.sampling.parameterisation.path
        levels = self._levels(chosen, self.steps)[:-1]
        now = levels[torch.randint(len(levels), (len(chosen),), generator=rng)]
        x = path.mix(latents, torch.randn(latents.shape, generator=rng), now)
        with self.acting(model, rng if model.training else None):
            painted = self._denoiser(self.own, chosen)(x, now, self.cond(chosen, texts))
        draw = uniform(self.sampling(chosen).schedule)
        sigma, later = draw(len(chosen), rng), draw(len(chosen), rng)
        noise, more = (torch.randn(latents.shape, generator=rng) for _ in range(2))
        target, weight = painted.detach(), torch.zeros(len(chosen))
        if turn >= self.run.adversarial.lead:  # until then who watches it learns alone
            target, weight = self._drawn(chosen, teacher, target, path.mix(target, more, later), later)

        def drawn_to(pictures: Tensor) -> dict[str, Tensor]:
            return {"loss": ((pictures - target).square().flatten(1).mean(1) * weight).mean()}

        losses = {"opponent": torch.zeros(())}
        if (heads := self.opponent.heads) is None:
            losses |= drawn_to(painted)
        else:

            def features(pictures: Tensor) -> list[Tensor]:
                with ExitStack() as stack:
                    maps = [stack.enter_context(captured_output(block.module)) for block in self._heard]
                    teacher.denoiser(path.mix(pictures, noise, sigma), sigma, teacher.cond)
                return [seen[0] for seen in maps]

            losses = contest(heads, painted, latents, drawn_to, None, self.run.adversarial, rng, turn, features)
        if self.opponent.follower is not None:
            losses["following"] = self._followed(chosen, teacher, painted.detach(), draw(len(chosen), rng), rng)
            losses["opponent"] = losses["opponent"] + losses["following"]
        return losses

    @torch.no_grad()
    def _drawn(
        self, chosen: Sequence[Example], teacher: Teacher, painted: Tensor, x: Tensor, sigma: Float[Tensor, " b"]
    ) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, " b"]]:
        """Where paintings, noised to x, are drawn to, and how much that counts: the teacher's estimate, weighted by
        what of the picture is left (score distillation: Sauer et al. 2023, eq. 4); or from where the follower would
        move it to where the teacher would, in units of how far that is (Yin et al. 2023, eq. 7 and 8)."""
        real = teacher.clean(x, sigma)
        if (follower := self.opponent.follower) is None:
            return real, teacher.path.alpha(sigma) / (1 + sigma)
        with self._following.applied(follower):
            fake = self._denoiser(self._following.model, chosen)(x, sigma, teacher.cond)
        return painted + real - fake, 0.5 / (painted - real).abs().flatten(1).mean(1).clamp(min=1e-3)

    def _followed(
        self, chosen: Sequence[Example], teacher: Teacher, painted: Tensor, sigma: Tensor, rng: torch.Generator
    ) -> Float[Tensor, ""]:
        """The follower's error on what the student paints, as a denoiser's."""
        follower, parameterisation = self.opponent.follower, self.own.sampling.parameterisation
        assert follower is not None
        x = parameterisation.path.mix(painted, torch.randn(painted.shape, generator=rng), sigma)
        seen = network_input(parameterisation, x, sigma).to(self.own.dtype, memory_format=torch.channels_last)
        label = self.sampling(chosen).schedule.label(sigma).float()
        with self._following.applied(follower):
            output = self._following.model.network(seen, label, teacher.cond).float()
        return denoising_error(output, parameterisation, painted, x, sigma).mean()


class Heads(nn.Module):
    """Maps of the teacher to logits of places, one after another, above 0 for "real" (Sauer et al. 2024)."""

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.GroupNorm(1, count, affine=False),  # maps of different levels differ in size by far
                nn.Conv2d(count, width, 1),
                nn.GroupNorm(GROUPS, width),
                nn.LeakyReLU(0.2),
                nn.Conv2d(width, 1, 3, padding=1),
            )
            for count in channels
        )

    def forward(self, *maps: Float[Tensor, "b c h w"]) -> Float[Tensor, "b n"]:
        return torch.cat([head(seen.float()).flatten(1) for head, seen in zip(self.heads, maps, strict=True)], dim=1)


@dataclass(frozen=True)
class Heard:
    """A block of a network whose output is looked at."""

    module: nn.Module
    channels: int


def heard(unet: UNet) -> list[Heard]:
    """The middle, and the last block of each level on the way up."""
    widths = unet.config.block_out_channels
    middle = [] if unet.mid_block is None else [Heard(unet.mid_block, widths[-1])]
    levels = zip(cast("list[Level]", unet.up_blocks), reversed(widths), strict=True)
    return middle + [Heard((level.attentions or level.resnets)[-1], width) for level, width in levels]


def adapter_task(run: AdapterRun, folder: Path) -> AdapterTask:
    """The task of a run, by what its TOML asks for."""
    if run.distill is None:
        return AdapterTask(run, folder)
    return (ContestedDistillTask if run.adversarial.weight or run.matching else DistillTask)(run, folder)
