"""A diffusers `scheduler_config.json` as our `Sampling`: betas, prediction, spacing, offset, ends and sampler.

The classes differ in their defaults and in how they place timesteps; that is the table `CLASSES`. Changing the sampler
in a request leaves all of this as it is.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
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
    ends_at_zero: bool = True
    """The last step goes to sigma 0, and not to the lowest level of the table."""
    ends_by: Literal["final_sigmas_type", "set_alpha_to_one"] | None = None
    """The key of the configuration, where it has one, which says so instead."""
    own_grid: Literal["lcm", "shifted"] | None = None
    by_order: Mapping[int, str] = field(default_factory=dict)
    """Its samplers of other orders than 2: `solver_order`."""


MULTISTEP = SchedulerClass("dpmpp_2m", interior=True, rounded=True, table_ends=True, ends_by="final_sigmas_type")

CLASSES: dict[str, SchedulerClass] = {
    "EulerDiscreteScheduler": SchedulerClass("euler", sigma_start=True, ends_by="final_sigmas_type"),
    "EulerAncestralDiscreteScheduler": SchedulerClass("euler_a", sigma_start=True),
    "HeunDiscreteScheduler": SchedulerClass("heun", sigma_start=True),
    "KDPM2DiscreteScheduler": SchedulerClass("dpm_2", sigma_start=True),
    "KDPM2AncestralDiscreteScheduler": SchedulerClass("dpm_2_a", sigma_start=True),
    "LMSDiscreteScheduler": SchedulerClass("lms", sigma_start=True),
    "DDPMScheduler": SchedulerClass("ddpm", "leading", rounded=True),
    "DDIMScheduler": SchedulerClass("ddim", "leading", rounded=True, ends_by="set_alpha_to_one"),
    "PNDMScheduler": SchedulerClass("plms", "leading", rounded=True, ends_at_zero=False, ends_by="set_alpha_to_one"),
    "DPMSolverMultistepScheduler": MULTISTEP,
    "UniPCMultistepScheduler": replace(MULTISTEP, sampler="unipc"),
    "DEISMultistepScheduler": replace(
        MULTISTEP, sampler="deis_2m", ends_at_zero=False, ends_by=None, by_order={1: "euler", 3: "deis"}
    ),
    "DPMSolverSDEScheduler": SchedulerClass("dpmpp_sde", sigma_start=True),
    "LCMScheduler": SchedulerClass("lcm", "leading", own_grid="lcm"),
    "TCDScheduler": SchedulerClass("tcd", "leading", own_grid="lcm", ends_at_zero=False),
    "FlowMatchEulerDiscreteScheduler": SchedulerClass("euler", own_grid="shifted"),
    "FlowMatchHeunDiscreteScheduler": SchedulerClass("heun", own_grid="shifted"),
}

READ = frozenset(
    {"beta_end", "beta_schedule", "beta_start", "final_sigmas_type", "interpolation_type", "num_train_timesteps"}
    | {"original_inference_steps", "prediction_type", "rescale_betas_zero_snr", "set_alpha_to_one", "shift"}
    | {"solver_order", "steps_offset", "timestep_spacing", "use_exponential_sigmas", "use_karras_sigmas"}
)
"""Keys that we follow."""

FIXED: dict[str, tuple[Any, ...]] = {
    "algorithm_type": ("dpmsolver++", "sde-dpmsolver++", "deis"),
    "base_image_seq_len": (256,),
    "base_shift": (0.5,),
    "disable_corrector": ([],),
    "euler_at_final": (False,),
    "invert_sigmas": (False,),
    "lambda_min_clipped": (float("-inf"), "-inf"),
    "lower_order_final": (True,),
    "max_image_seq_len": (4096,),
    "max_shift": (1.15,),
    "noise_sampler_seed": (None,),
    "predict_x0": (True,),
    "sigma_max": (None,),
    "sigma_min": (None,),
    "skip_prk_steps": (True,),
    "solver_p": (None,),
    "solver_type": ("midpoint", "bh2", "logrho"),
    "stochastic_sampling": (False,),
    "shift_terminal": (None,),
    "thresholding": (False,),
    "time_shift_type": ("exponential",),
    "timestep_scaling": (10.0,),
    "timestep_type": ("discrete",),
    "trained_betas": (None,),
    "use_beta_sigmas": (False, None),
    "use_dynamic_shifting": (False, None),
    "use_flow_sigmas": (False, None),
    "use_lu_lambdas": (False, None),
    "variance_type": (None, "fixed_small"),
}
"""Keys that change the picture, with the values that we implement."""

IGNORED = frozenset(
    # The pipeline switches clipping off for latents; the others act only where `FIXED` does not let us go.
    {"clip_sample", "clip_sample_range", "dynamic_thresholding_ratio", "sample_max_value", "flow_shift"}
)

PIPELINE_OFFSET = 1
"""`StableDiffusionPipeline` sets `steps_offset` to this whatever the file says; that of SDXL does not."""


def read_scheduler(
    config: Mapping[str, Any], source: str = "scheduler_config.json", *, offset: int | None = PIPELINE_OFFSET
) -> Sampling:
    """The `Sampling` that a scheduler configuration describes.

    Args:
        offset: of leading timesteps; None: the configuration's.

    Raises:
        CheckpointError: an unknown class, or a setting that we do not implement; the message names it.
    """
    name = config.get("_class_name")
    if name not in CLASSES:
        raise CheckpointError(f"{source}: scheduler {name!r} is not supported; known: {', '.join(sorted(CLASSES))}")
    for key, value in config.items():
        if key in READ or key in IGNORED or key.startswith("_"):
            continue
        if key not in FIXED:
            raise CheckpointError(f"{source}: unknown setting {key!r} of {name}; it might change the picture")
        if value not in FIXED[key]:
            known = " or ".join(repr(value) for value in FIXED[key])
            raise CheckpointError(f"{source}: {key}={value!r} is not supported, only {known}")
    if name == "PNDMScheduler" and "skip_prk_steps" not in config:
        raise CheckpointError(f"{source}: PNDM with Runge-Kutta steps is not supported; set skip_prk_steps to true")
    kind = CLASSES[name]
    total = config.get("num_train_timesteps", 1000)
    if kind.own_grid == "shifted":
        flow = FlowSchedule(shift=config.get("shift", 1.0), num_timesteps=total)
        return Sampling(FLOW, flow, kind.sampler, shifted)

    try:
        schedule = DiscreteSchedule.from_betas(
            config.get("beta_schedule", "linear"),
            config.get("beta_start", 0.0001),
            config.get("beta_end", 0.02),
            total,
            zero_terminal_snr=config.get("rescale_betas_zero_snr", False),
            log_interpolation=config.get("interpolation_type", "linear") == "log_linear",
        )
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{source}: {error}") from error
    if offset is None and not isinstance(offset := config.get("steps_offset", 0), int):
        raise CheckpointError(f"{source}: steps_offset={offset!r} is no whole number")
    spacing = Spacing(config.get("timestep_spacing", kind.spacing), offset, kind.interior, kind.rounded)
    end = kind.ends_at_zero if kind.ends_by is None else config.get(kind.ends_by, kind.ends_at_zero)
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
    return Sampling(
        _parameterisation(config, source),
        schedule,
        _sampler(kind, config, source),
        grid if end in (True, "zero") else partial(_ending_above_zero, grid),
        prior_scale=not (kind.sigma_start and spacing.kind != "leading"),
    )


def _sampler(kind: SchedulerClass, config: Mapping[str, Any], source: str) -> str:
    by_order = {2: kind.sampler, **kind.by_order}
    order = config.get("solver_order", 2)
    if order not in tuple(by_order):
        raise CheckpointError(
            f"{source}: solver_order={order!r} is not supported, only {' or '.join(map(str, sorted(by_order)))}"
        )
    if kind.sampler == "dpmpp_2m" and config.get("algorithm_type") == "sde-dpmsolver++":
        return "dpmpp_2m_sde"
    return by_order[order]


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
