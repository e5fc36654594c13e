"""Which arithmetic a request is sampled with: that of diffusers, or that of AUTOMATIC1111's web UI.

Both run the same samplers. They differ in the levels, the first x, the draws and the last x, and that is all that is
decided here; row by row in ``docs/numerics.md``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from sfumato.diffusion.denoiser import Denoiser
from sfumato.diffusion.noise import BrownianNoise, ImageNoise
from sfumato.diffusion.samplers import SAMPLERS, Sampler
from sfumato.diffusion.schedules import (
    GRIDS,
    DiscreteSchedule,
    Schedule,
    Spacing,
    beta_in_sigma,
    ddim_uniform,
    exponential,
    kl_optimal,
    spaced,
)
from sfumato.errors import RequestError
from sfumato.families import Sampling
from sfumato.metadata.names import automatic
from sfumato.requests import Txt2Img

TIMED = ("ddim", "plms", "unipc")
"""The web UI runs these in the network's own coordinates, on timesteps of their own."""
SHORT_OF_LAST = ("dpm_2", "dpm_2_a", "dpmpp_3m_sde")
"""It leaves out their last level above 0."""
TO_LOWEST = ("dpm_fast", "dpm_adaptive")
"""It ends these at the lowest level, not at 0."""
BROWNIAN = ("dpmpp_sde", "dpmpp_2m_sde", "dpmpp_3m_sde")


@dataclass(frozen=True)
class Plan:
    """How a request is sampled: a sampler, its levels, and the ways in and out."""

    sampler: Sampler
    sigmas: Tensor
    schedule: Schedule
    eta: float | None
    start: Callable[[Tensor, Tensor], Tensor]
    """The first x, of unit noise and its level."""
    finish: Callable[[Tensor, Tensor], Tensor]
    """The latents that the autoencoder wants, of the last x and its level."""
    noise: Callable[..., ImageNoise]
    """``(seeds, shape, device=...)``."""

    def wearing(self, denoiser: Denoiser) -> Denoiser:
        """The denoiser, with the labels of this arithmetic."""
        return replace(denoiser, schedule=self.schedule)

    def batches(self, seeds: Sequence[int], size: int) -> list[list[int]]:
        """Seeds by the batch: one by one where an image would depend on the others."""
        size = 1 if self.sampler.adaptive else size
        return [list(seeds[first : first + size]) for first in range(0, len(seeds), size)]


def plan(sampling: Sampling, request: Txt2Img) -> Plan:
    """The plan of an exact request for a model sampled like this.

    Raises:
        RequestError: steps or a schedule that the model cannot take, an eta for a sampler without one, or the web
            UI's numerics for a flow model.
    """
    assert request.steps is not None
    sampler = next(row for row in SAMPLERS if row.name == request.sampler)
    if request.eta is not None and sampler.eta is None:
        able = ", ".join(row.name for row in SAMPLERS if row.eta is not None)
        raise RequestError(f"eta is {request.eta:g}, and {sampler.name} has none; leave it out, or take one of {able}")
    try:
        if request.numerics == "a1111":
            return _a1111(sampling, request, sampler)
        sigmas = sampling.sigmas(request.steps, request.schedule)
    except ValueError as error:
        raise RequestError(str(error)) from error
    noise = partial(ImageNoise, later=request.ensd)
    return Plan(sampler, sigmas, sampling.schedule, request.eta, sampling.start, sampling.finish, noise)


def _a1111(sampling: Sampling, request: Txt2Img, sampler: Sampler) -> Plan:
    if not isinstance(sampling.schedule, DiscreteSchedule):
        raise RequestError("numerics a1111 are for epsilon and v models, and this is a flow model; use diffusers")
    assert request.steps is not None
    schedule = DiscreteSchedule(sampling.schedule.sigmas, log_interpolation=True)
    eta = request.eta
    if eta is None and sampler.eta is not None and sampler.name != "ddim":
        eta = 0.3 if sampler.distilled else 1.0
    timed = sampler.name in TIMED
    return Plan(
        sampler,
        _levels(schedule, request, sampler),
        schedule,
        eta,
        sampling.parameterisation.path.prior if timed else lambda noise, sigma: noise * sigma.to(noise),
        sampling.finish if timed else lambda x, sigma: x,
        partial(BrownianNoise if sampler.name in BROWNIAN else ImageNoise, later=request.ensd),
    )


def _levels(schedule: DiscreteSchedule, request: Txt2Img, sampler: Sampler) -> Tensor:
    steps, name = request.steps, request.schedule or automatic(request.sampler) or "normal"
    assert steps is not None
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
        sigmas = GRIDS[name](schedule, steps)
    return torch.cat([sigmas[:-2], sigmas[-1:]]) if short else sigmas
