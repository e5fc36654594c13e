"""How a request is sampled, with the arithmetic of diffusers or of AUTOMATIC1111's web UI.

Both run the same samplers. They differ in the levels, the first x, the draws and the last x, and that is all that is
decided here; row by row in ``docs/numerics.md``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from sfumato.diffusion.denoiser import Denoiser
from sfumato.diffusion.grids import beta_in_sigma, ddim_uniform, exponential, kl_optimal, spaced
from sfumato.diffusion.noise import BrownianNoise, ImageNoise
from sfumato.diffusion.path import Path
from sfumato.diffusion.samplers import SAMPLERS, Sampler
from sfumato.diffusion.schedules import DiscreteSchedule, Schedule
from sfumato.diffusion.spacing import Spacing
from sfumato.errors import RequestError
from sfumato.metadata.names import automatic
from sfumato.model import Sampling
from sfumato.requests import Painting

TIMED = ("ddim", "plms", "unipc")
"""The web UI runs these in the network's own coordinates, on timesteps of their own."""
SHORT_OF_LAST = ("dpm_2", "dpm_2_a", "dpmpp_3m_sde")
"""It leaves out their last level above 0."""
TO_LOWEST = ("dpm_fast", "dpm_adaptive")
"""It ends these at the lowest level, not at 0."""
BROWNIAN = ("dpmpp_sde", "dpmpp_2m_sde", "dpmpp_2m_sde_heun", "dpmpp_3m_sde")
ZERO_SNR = 4.8973451890853435e-08
"""What it has for a terminal signal-to-noise ratio of zero: abar of the last timestep."""


@dataclass(frozen=True)
class Plan:
    """How an exact request is sampled: a sampler, its levels, the seeds, and the ways in and out."""

    sampler: Sampler
    sigmas: Tensor
    """Levels of the whole descent, (steps + 1,)."""
    schedule: Schedule
    eta: float | None
    path: Path
    start: Callable[[Tensor, Tensor], Tensor]
    """The first x, of unit noise and its level."""
    finish: Callable[[Tensor, Tensor], Tensor]
    """The latents that the autoencoder wants, of the last x and its level."""
    noise: Callable[..., ImageNoise]
    """``(seeds, shape, device=...)``."""
    seeds: tuple[int, ...]
    batch: int
    steps: int
    """Steps of the request; prompts whose text changes count these."""
    guidance: float
    whole: bool = True
    """It begins where nothing of a clean picture is left."""
    extra: int = 0
    """Steps that a part of the descent has more: A1111 counts one step more than its strength says."""
    picture_guidance: float = 1.0
    """How closely a network that edits by instruction follows the picture."""
    multiplier: float = 1.0
    """Of the first noise."""

    def part(self, strength: float) -> "Plan":
        """The end of the descent: as many steps as `strength`, 0 to 1, says; at 0 none, at 1 all.

        diffusers runs ``int(strength * steps)`` steps, A1111 ``int(min(strength, 0.999) * steps) + 1``.
        """
        if strength >= 1 and not self.extra:
            return self
        total = len(self.sigmas) - 1
        count = min(int(min(strength, 0.999 if self.extra else 1) * total) + self.extra, total) if strength else 0
        return replace(self, sigmas=self.sigmas[total - count :], steps=count, whole=False)

    def begin(self, noise: Tensor, clean: Tensor | None) -> Tensor:
        """The first x: noise alone, or on the way from clean latents to noise.

        Args:
            noise: unit normal, (b, c, h, w).
            clean: (1 or b, c, h, w); None: nothing to begin from.
        """
        sigma, noise = self.sigmas[0], self.multiplier * noise
        if clean is None or self.whole:
            return self.start(noise, sigma)
        return self.path.mix(clean.to(noise).expand_as(noise), noise, sigma.to(noise.device))

    def labelled(self, denoiser: Denoiser) -> Denoiser:
        """The denoiser, with the labels of this arithmetic."""
        return replace(denoiser, schedule=self.schedule)

    def batches(self) -> list[tuple[int, ...]]:
        """Seeds by the batch: one by one where an image would depend on the others."""
        size = 1 if self.sampler.adaptive else self.batch
        return [self.seeds[first : first + size] for first in range(0, len(self.seeds), size)]


def plan(sampling: Sampling, request: Painting) -> Plan:
    """The plan of an exact request for a model sampled like this.

    Raises:
        RequestError: steps or a schedule that the model cannot take, an eta for a sampler without one, or the web
            UI's numerics for a flow model.
    """
    settled = request.settled
    sampler = next(row for row in SAMPLERS if row.name == request.sampler)
    if request.eta is not None and sampler.eta is None:
        able = ", ".join(row.name for row in SAMPLERS if row.eta is not None)
        raise RequestError(f"eta is {request.eta:g}, and {sampler.name} has none; leave it out, or take one of {able}")
    own = Plan(
        sampler,
        torch.empty(0),
        sampling.schedule,
        request.eta,
        sampling.parameterisation.path,
        sampling.start,
        sampling.finish,
        _noise(ImageNoise, request),
        tuple(range(settled.first_seed, settled.first_seed + request.count)),
        settled.batch,
        settled.steps,
        settled.guidance,
        multiplier=request.noise_multiplier,
    )
    try:
        if request.numerics == "a1111":
            return _a1111(own, sampling, request)
        sigmas = sampling.sigmas(settled.steps, request.schedule)
        return replace(own, sampler=sampling.solver(sampler), sigmas=sigmas)
    except ValueError as error:
        raise RequestError(str(error)) from error


def _noise(kind: type[ImageNoise], request: Painting) -> Callable[..., ImageNoise]:
    """``(seeds, shape, device=...)`` of that kind; variations share the request's seed, and differ in the subseed."""
    if not request.subseed_strength:
        return partial(kind, later=request.ensd)
    seed, share = request.settled.seed, request.subseed_strength

    def varied(subseeds: Sequence[int], shape: Sequence[int], *, device: torch.device | str = "cpu") -> ImageNoise:
        seeds = [seed] * len(subseeds)
        return kind(seeds, shape, device=device, later=request.ensd, variations=subseeds, share=share)

    return varied


def _a1111(own: Plan, sampling: Sampling, request: Painting) -> Plan:
    if not isinstance(sampling.schedule, DiscreteSchedule):
        raise RequestError(
            "numerics a1111 are for models with a table of timesteps, not for flow models nor EDM; use diffusers"
        )
    sampler, eta = own.sampler, own.eta
    schedule = replace(sampling.schedule.ending_at(ZERO_SNR), log_interpolation=True)
    if eta is None and sampler.eta is not None and sampler.name != "ddim":
        eta = 0.3 if sampler.distilled else 1.0
    timed = sampler.name in TIMED
    return replace(
        own,
        sigmas=_levels(replace(sampling, schedule=schedule), schedule, request, sampler),
        schedule=schedule,
        eta=eta,
        start=own.path.prior if timed else lambda noise, sigma: noise * sigma.to(noise),
        finish=own.finish if timed else lambda x, sigma: x,
        noise=_noise(BrownianNoise if sampler.name in BROWNIAN else ImageNoise, request),
        extra=0 if timed else 1,
    )


def _levels(sampling: Sampling, schedule: DiscreteSchedule, request: Painting, sampler: Sampler) -> Tensor:
    steps, name = request.settled.steps, request.schedule or automatic(request.sampler) or "normal"
    if sampler.name in TO_LOWEST:
        return exponential(schedule, steps + 1)[:-1]
    if sampler.name in TIMED and steps > 1:
        places = ddim_uniform(schedule, steps)[:-1]
        if sampler.name == "unipc":
            inner = Spacing("linspace", interior=True)
            return spaced(schedule, len(places), final=schedule.sigma_min, spacing=inner)
        return places
    short = sampler.name in SHORT_OF_LAST
    steps += short
    if name == "kl_optimal":
        sigmas = kl_optimal(schedule, steps + 1)[:-1]
    elif name == "beta":
        sigmas = beta_in_sigma(schedule, steps)
    else:
        sigmas = sampling.sigmas(steps, name)
    return torch.cat([sigmas[:-2], sigmas[-1:]]) if short else sigmas
