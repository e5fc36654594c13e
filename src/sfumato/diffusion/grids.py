"""Grids: the descending noise levels that a sampler visits, ``steps`` of those of a schedule and then the final one."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from .schedules import ContinuousSchedule, FlowSchedule, Schedule
from .spacing import Spacing, at_most, beta_between, beta_quantiles, even, exponential_between, karras_between

NATIVE = Spacing()
"""k-diffusion's: even from the noisiest place to the cleanest, not rounded."""


def spaced(
    schedule: Schedule, steps: int, *, final: float = 0.0, spacing: Spacing = NATIVE
) -> Float[Tensor, " steps+1"]:
    """Levels at places of the table. The default is k-diffusion's ``get_sigmas``."""
    return closed(schedule.level(spacing.places(steps, schedule.num_timesteps)), final)


def karras(
    schedule: Schedule, steps: int, *, final: float = 0.0, spacing: Spacing | None = None, rho: float = 7.0
) -> Float[Tensor, " steps+1"]:
    """Even in ``sigma^(1/rho)`` (Karras et al. 2022, arXiv:2206.00364, eq. 5), between the ends of the table.

    With a spacing, between the first and last level of that: diffusers' Euler and Heun do so, DPM-Solver and
    UniPC do not.
    """
    high, low = _ends(schedule, steps, spacing)
    return closed(karras_between(high, low, steps, rho), final)


def exponential(
    schedule: Schedule, steps: int, *, final: float = 0.0, spacing: Spacing | None = None
) -> Float[Tensor, " steps+1"]:
    """Even in log sigma, between the ends of the table, or of a spacing as for `karras`."""
    return polyexponential(schedule, steps, final=final, spacing=spacing)


def polyexponential(
    schedule: Schedule, steps: int, *, final: float = 0.0, spacing: Spacing | None = None, rho: float = 1.0
) -> Float[Tensor, " steps+1"]:
    """A power of an even ramp, in log sigma (k-diffusion's ``get_sigmas_polyexponential``).

    A rho of 1, which is the default there as well, is `exponential`; above, more levels are low.
    """
    high, low = _ends(schedule, steps, spacing)
    return closed(exponential_between(high, low, steps, rho), final)


def beta(
    schedule: Schedule, steps: int, *, final: float = 0.0, alpha: float = 0.6, beta: float = 0.6
) -> Float[Tensor, " steps+1"]:
    """Places of the table at even quantiles of a beta distribution (Lee et al. 2024, arXiv:2407.12173).

    Below 1 its two parameters put more levels at both ends. As ComfyUI's ``beta_scheduler``, whose places are
    rounded.
    """
    at_most(schedule.num_timesteps, steps)
    shares = 1 - torch.arange(steps, dtype=torch.float64) / steps
    return closed(schedule.level(beta_quantiles(shares, alpha, beta) * (schedule.num_timesteps - 1)), final)


def beta_in_sigma(
    schedule: Schedule, steps: int, *, final: float = 0.0, alpha: float = 0.6, beta: float = 0.6
) -> Float[Tensor, " steps+1"]:
    """Quantiles of a beta distribution between the ends of the table, in sigma: AUTOMATIC1111's and diffusers'."""
    return closed(beta_between(schedule.sigma_max, schedule.sigma_min, steps, alpha, beta), final)


def kl_optimal(schedule: Schedule, steps: int, *, final: float = 0.0) -> Float[Tensor, " steps+1"]:
    """Even in the arc tangent of sigma, between the ends of the table (Sabour et al. 2024, arXiv:2404.14507)."""
    return closed(even(math.atan(schedule.sigma_max), math.atan(schedule.sigma_min), steps).tan(), final)


def linear_quadratic(
    schedule: Schedule, steps: int, *, final: float = 0.0, threshold: float = 0.025
) -> Float[Tensor, " steps+1"]:
    """Half of the steps take away the first `threshold` of the noise, evenly; the others go on from there by a parabola
    (Polyak et al. 2024, arXiv:2410.13720, section 3.4, for few steps of flow models; ComfyUI's ``linear_quadratic``).
    """
    half = steps // 2
    if half == 0:
        return closed(torch.tensor([schedule.sigma_max]), final)
    slope, rest = threshold / half, steps - half
    ramp = torch.arange(steps, dtype=torch.float64)
    bent = (1 - slope * steps) / rest**2 * (ramp - half).clamp(min=0) ** 2
    return closed(schedule.sigma_max * (1 - slope * ramp - bent), final)


ALIGNED: dict[str, tuple[float, ...]] = {
    "sd1": (14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029),
    "sdxl": (14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029),
    "svd": (700.0, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034, 0.002),
}
"""The levels that Sabour et al. 2024 found for Stable Diffusion 1.5, XL and Stable Video Diffusion."""


def align_your_steps(
    schedule: Schedule, steps: int, *, final: float = 0.0, model: str = "sd1"
) -> Float[Tensor, " steps+1"]:
    """Levels optimised for a model, interpolated in log sigma (Sabour et al. 2024, arXiv:2404.14507).

    Args:
        model: of `ALIGNED`. A schedule that goes up to the levels of ``svd`` takes those.

    Raises:
        ValueError: the schedule is a `FlowSchedule`.
    """
    if isinstance(schedule, FlowSchedule):
        raise ValueError("the aligned grid is for Stable Diffusion's levels, not for flow schedules; use 'trailing'")
    aligned = ALIGNED["svd" if isinstance(schedule, ContinuousSchedule) and schedule.sigma_max >= 700 else model]
    places = even(0.0, len(aligned) - 1.0, steps)
    table = torch.tensor(aligned, dtype=torch.float64).log()
    low = places.floor().long().clamp(max=len(aligned) - 2)
    return closed(table[low].lerp(table[low + 1], places - low).exp(), final)


def ddim_uniform(schedule: Schedule, steps: int, *, final: float = 0.0) -> Float[Tensor, " n"]:
    """Every (T // steps)-th place of the table from 1 on, as the first DDIM had them.

    Where ``steps`` does not divide T the way has a step more, or some: AUTOMATIC1111 and ComfyUI take them all.
    `Spacing` with ``leading`` and an offset of 1 leaves out the noisiest.
    """
    total = schedule.num_timesteps
    at_most(total, steps)
    places = torch.arange(1, total, total // steps, dtype=torch.float64) if steps > 1 else torch.tensor([total - 1.0])
    return closed(schedule.level(places.flip(0)), final)


def simple(schedule: Schedule, steps: int, *, final: float = 0.0) -> Float[Tensor, " steps+1"]:
    """Every (T / steps)-th level of the table, from the noisy end (ComfyUI's ``simple_scheduler``)."""
    total = schedule.num_timesteps
    at_most(total, steps)
    skipped = torch.arange(steps, dtype=torch.float64) * (total / steps)
    return closed(schedule.level(total - 1 - skipped.floor()), final)


def lcm(schedule: Schedule, steps: int, *, final: float = 0.0, trained: int = 50) -> Float[Tensor, " steps+1"]:
    """Levels at which a latent consistency model was distilled (Luo et al. 2023, arXiv:2310.04378).

    There are ``trained`` of them, every (T // trained)-th place of the table. Every (trained / steps)-th is taken,
    from the noisy end, as by diffusers' LCMScheduler.
    """
    at_most(schedule.num_timesteps, trained)
    at_most(trained, steps)
    places = torch.arange(trained, 0, -1, dtype=torch.float64) * (schedule.num_timesteps // trained) - 1
    return closed(schedule.level(places[torch.arange(steps) * trained // steps]), final)


def shifted(schedule: Schedule, steps: int, *, final: float = 0.0) -> Float[Tensor, " steps+1"]:
    """Even between the ends of a flow table, then through its shift: diffusers' FlowMatchEuler.

    The ends of the table are shifted already, so that its low end is shifted twice; SD3 pipelines do run so.

    Raises:
        ValueError: the schedule is not a `FlowSchedule`.
    """
    if not isinstance(schedule, FlowSchedule):
        raise ValueError(f"the shifted grid is for flow schedules, not {type(schedule).__name__}; use 'trailing'")
    return closed(schedule.shifted(even(schedule.sigma_max, schedule.sigma_min, steps)), final)


def _ends(schedule: Schedule, steps: int, spacing: Spacing | None) -> tuple[float, float]:
    if spacing is None:
        return schedule.sigma_max, schedule.sigma_min
    levels = schedule.level(spacing.places(steps, schedule.num_timesteps))
    return float(levels[0]), float(levels[-1])


def closed(levels: Tensor, final: float) -> Tensor:
    """Append the final level, and refuse what does not descend: a step of no length would divide by 0."""
    sigmas = torch.cat([levels.float(), torch.tensor([final], dtype=torch.float32)])
    if not bool((sigmas.diff() < 0).all()):
        raise ValueError(
            f"a grid must descend strictly, and {len(levels)} levels from {float(levels[0]):.4g} to "
            f"{float(levels[-1]):.4g} and then {final:.4g} do not; take fewer steps or a lower final level"
        )
    return sigmas


GridFunction = Callable[..., Tensor]
"""``(schedule, steps, *, final=0.0) -> (steps + 1,)`` float32, strictly descending, ``final`` the last."""


@dataclass(frozen=True)
class Grid:
    """A grid which people can choose: ``name`` for requests, ``label`` for menus. Call it as its function."""

    name: str
    label: str
    function: GridFunction
    flow_only: bool = False
    discrete_only: bool = False

    def __call__(self, schedule: Schedule, steps: int, *, final: float = 0.0) -> Float[Tensor, " steps+1"]:
        """Descending levels: ``steps`` of the schedule's and then ``final``; see `GridFunction`.

        `ddim_uniform` alone may have more.
        """
        return self.function(schedule, steps, final=final)


GRIDS: dict[str, Grid] = {
    grid.name: grid
    for grid in (
        Grid("normal", "Normal", spaced),
        Grid("linspace", "Linspace", partial(spaced, spacing=Spacing("linspace", interior=True, rounded=True))),
        Grid("leading", "Leading", partial(spaced, spacing=Spacing("leading", offset=1))),
        Grid("trailing", "Trailing", partial(spaced, spacing=Spacing("trailing"))),
        Grid("karras", "Karras", karras),
        Grid("exponential", "Exponential", exponential),
        Grid("polyexponential", "Polyexponential", polyexponential),
        Grid("sgm_uniform", "SGM Uniform", partial(spaced, spacing=Spacing("linspace", interior=True))),
        Grid("simple", "Simple", simple),
        Grid("ddim", "DDIM", ddim_uniform),
        Grid("beta", "Beta", beta),
        Grid("kl_optimal", "KL Optimal", kl_optimal),
        Grid("linear_quadratic", "Linear Quadratic", linear_quadratic),
        Grid("align_your_steps", "Align Your Steps", align_your_steps, discrete_only=True),
        Grid("lcm", "LCM", lcm),
        Grid("shifted", "Shifted", shifted, flow_only=True),
    )
}
