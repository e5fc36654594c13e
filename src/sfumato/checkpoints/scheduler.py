"""A diffusers `scheduler_config.json` as our `Sampling`: betas, prediction, spacing, offset, ends and sampler.

The classes differ in their defaults and in how they place timesteps; that is the table `CLASSES`. Changing the sampler
in a request leaves all of this as it is.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from torch import Tensor

from sfumato.diffusion.scalings import CLEAN, EPSILON, FLOW, PARAMETERISATIONS, Parameterisation, V
from sfumato.diffusion.schedules import (
    DiscreteSchedule,
    FlowSchedule,
    Schedule,
    Spacing,
    exponential,
    karras,
    lcm,
    shifted,
    spaced,
)
from sfumato.errors import CheckpointError
from sfumato.families import Sampling

Grid = Callable[[Schedule, int], Tensor]


@dataclass(frozen=True)
class SchedulerClass:
    """How one diffusers scheduler reads its configuration."""

    sampler: str
    spacing: Literal["linspace", "leading", "trailing"] = "linspace"
    """Its default `timestep_spacing`."""
    interior: bool = False
    rounded: bool = False
    """See `Spacing`."""
    table_ends: bool = False
    """Karras and exponential grids span the whole table rather than the spacing's own ends."""
    sigma_start: bool = False
    """Starts at noise * sigma_max unless the spacing is leading."""
    set_alpha_to_one: bool = True
    """Its default for that key (the last step ends at sigma 0); read by DDIM and PNDM alone."""
    own_grid: Literal["lcm", "shifted"] | None = None


CLASSES: dict[str, SchedulerClass] = {
    "EulerDiscreteScheduler": SchedulerClass("euler", sigma_start=True),
    "EulerAncestralDiscreteScheduler": SchedulerClass("euler_a", sigma_start=True),
    "HeunDiscreteScheduler": SchedulerClass("heun", sigma_start=True),
    "DDIMScheduler": SchedulerClass("ddim", "leading", rounded=True),
    "PNDMScheduler": SchedulerClass("plms", "leading", rounded=True, set_alpha_to_one=False),
    "DPMSolverMultistepScheduler": SchedulerClass("dpmpp_2m", interior=True, rounded=True, table_ends=True),
    "UniPCMultistepScheduler": SchedulerClass("unipc", interior=True, rounded=True, table_ends=True),
    "DPMSolverSDEScheduler": SchedulerClass("dpmpp_sde", sigma_start=True),
    "LCMScheduler": SchedulerClass("lcm", "leading", own_grid="lcm"),
    "FlowMatchEulerDiscreteScheduler": SchedulerClass("euler", own_grid="shifted"),
}

UNSUPPORTED: dict[str, tuple[Any, ...]] = {
    "trained_betas": (None,),
    "thresholding": (False,),
    "clip_sample": (False,),
    "use_beta_sigmas": (False, None),
    "use_lu_lambdas": (False, None),
    "use_flow_sigmas": (False, None),
    "use_dynamic_shifting": (False, None),
    "algorithm_type": ("dpmsolver++", "sde-dpmsolver++"),
    "solver_order": (2,),
    "solver_type": ("midpoint", "bh2"),
    "skip_prk_steps": (True,),
}
"""Keys that change the picture, with the values that we implement. `clip_sample` of DDIM is absent in latent models."""


def read_scheduler(config: Mapping[str, Any], source: str = "scheduler_config.json") -> Sampling:
    """The `Sampling` that a scheduler configuration describes.

    Raises:
        CheckpointError: an unknown class, or a setting that we do not implement; the message names it.
    """
    name = config.get("_class_name")
    if name not in CLASSES:
        raise CheckpointError(f"{source}: scheduler {name!r} is not supported; known: {', '.join(sorted(CLASSES))}")
    for key, allowed in UNSUPPORTED.items():
        if key in config and config[key] not in allowed:
            known = " or ".join(repr(value) for value in allowed)
            raise CheckpointError(f"{source}: {key}={config[key]!r} is not supported, only {known}")
    kind = CLASSES[name]
    total = config.get("num_train_timesteps", 1000)
    if kind.own_grid == "shifted":
        flow = FlowSchedule(shift=config.get("shift", 1.0), num_timesteps=total)
        return Sampling(FLOW, flow, kind.sampler, shifted)

    schedule = DiscreteSchedule.from_betas(
        config.get("beta_schedule", "linear"),
        config.get("beta_start", 0.0001),
        config.get("beta_end", 0.02),
        total,
        zero_terminal_snr=config.get("rescale_betas_zero_snr", False),
        log_interpolation=config.get("interpolation_type", "linear") == "log_linear",
    )
    spacing = Spacing(
        config.get("timestep_spacing", kind.spacing), config.get("steps_offset", 0), kind.interior, kind.rounded
    )
    ends_at_zero = (
        config.get("set_alpha_to_one", kind.set_alpha_to_one)
        if name in ("DDIMScheduler", "PNDMScheduler")
        else config.get("final_sigmas_type", "zero") == "zero"
    )
    ends = None if kind.table_ends else spacing
    grid: Grid
    if kind.own_grid == "lcm":
        grid = partial(lcm, trained=config.get("original_inference_steps", 50))
    elif config.get("use_karras_sigmas"):
        grid = partial(karras, spacing=ends)
    elif config.get("use_exponential_sigmas"):
        grid = partial(exponential, spacing=ends)
    else:
        grid = partial(spaced, spacing=spacing)
    sampler = "dpmpp_2m_sde" if config.get("algorithm_type") == "sde-dpmsolver++" else kind.sampler
    return Sampling(
        _parameterisation(config, source),
        schedule,
        sampler,
        grid if ends_at_zero else partial(_ending_above_zero, grid),
        prior_scale=not (kind.sigma_start and spacing.kind != "leading"),
    )


def _ending_above_zero(grid: Grid, schedule: Schedule, steps: int) -> Tensor:
    """The grid with the schedule's lowest level in place of 0. A grid that reaches it ends there, a step earlier: the
    step that other programs take from that level to itself changes nothing."""
    sigmas = grid(schedule, steps)
    if float(sigmas[-2]) <= schedule.sigma_min * (1 + 1e-5):
        return sigmas[:-1]
    sigmas[-1] = schedule.sigma_min
    return sigmas


def _parameterisation(config: Mapping[str, Any], source: str) -> Parameterisation:
    known = {row.name: PARAMETERISATIONS[row.name] for row in (EPSILON, V, CLEAN)}
    name = config.get("prediction_type", "epsilon")
    if name not in known:
        raise CheckpointError(f"{source}: prediction_type={name!r} is not supported, only {', '.join(known)}")
    return known[name]
