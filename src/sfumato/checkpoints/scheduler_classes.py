"""diffusers' scheduler classes as a table: the sampler of each, the keys that it takes, and where it places levels."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

from sfumato.checkpoints.scheduler_keys import (
    AS_FLOW,
    CLIPPED,
    DYNAMIC,
    EDM_TABLE,
    ENDS,
    LEARNED,
    SHAPED,
    SOLVER,
    SPACED,
    TABLE,
    THRESHOLD,
    ZERO_SNR,
    Settings,
)
from sfumato.diffusion.samplers import Orders

Solver = tuple[str, dict[str, Any]]
"""A name of `SAMPLERS`, and keywords of its function."""


def _dpm(settings: Settings, beyond: int) -> Solver:
    algorithm = settings["algorithm_type"]
    orders = Orders(
        settings["solver_order"],
        lowered=bool(settings["lower_order_final"]),
        euler_at_final=bool(settings["euler_at_final"]),
        beyond=beyond,
    )
    options = {"orders": orders, "curve": "exact" if settings["solver_type"] == "heun" else "midpoint"}
    if algorithm == "sde-dpmsolver++":
        return "dpmpp_2m_sde", options
    return "dpmpp_2m", {**options, "on": "noise" if algorithm == "dpmsolver" else "clean"}


def _single_step(settings: Settings, beyond: int) -> Solver:
    if beyond:
        raise ValueError("final_sigmas_type='sigma_min' goes with none of the computed levels; use 'zero'")
    sde = settings["algorithm_type"] == "sde-dpmsolver++"
    options = {
        "orders": Orders(
            settings["solver_order"],
            lowered=bool(settings["lower_order_final"]) or settings["final_sigmas_type"] == "zero",
        ),
        "on": "noise" if settings["algorithm_type"] == "dpmsolver" else "clean",
        "curve": "exact" if settings["solver_type"] == "heun" else "midpoint",
    }
    return "dpmpp_2s", {**options, "eta": 1.0} if sde else options


def _unipc(settings: Settings, beyond: int) -> Solver:
    return "unipc", {
        "orders": Orders(
            settings["solver_order"], lowered=bool(settings["lower_order_final"]), few=None, beyond=beyond
        ),
        "on": "clean" if settings["predict_x0"] else "noise",
        "growing": settings["solver_type"] != "bh1",
        "uncorrected": tuple(settings["disable_corrector"] or ()),
    }


def _deis(settings: Settings, beyond: int) -> Solver:
    order = settings["solver_order"]
    if order == 1:
        return "euler", {}
    orders = Orders(order, lowered=bool(settings["lower_order_final"]), beyond=beyond)
    return ("deis" if order == 3 else "deis_2m"), {"orders": orders}


@dataclass(frozen=True)
class SchedulerClass:
    """How one diffusers scheduler reads its configuration."""

    sampler: str | Callable[[Settings, int], Solver]
    """A name of `SAMPLERS`; or the solver of its settings, and of whether its grid's end counts as one more step."""
    keys: frozenset[str]
    """The parameters of its constructor."""
    defaults: Settings = field(default_factory=dict)
    """Those that are not in `scheduler_keys.DEFAULTS`."""
    levels: Literal["table", "flow", "edm", "lcm"] = "table"
    interior: bool = False
    rounded: bool = False
    """See `Spacing`."""
    table_ends: bool = False
    """Karras, exponential and beta levels span the whole table rather than the spacing's own ends."""
    sigma_start: bool = False
    """Starts at noise * sigma_max unless the spacing is leading."""
    end: Literal["zero", "sigma_min"] = "zero"
    """Where the last step goes, if no key of the configuration says it."""
    repeats: bool = False
    """An end above 0 is the last of computed levels, and not the lowest of the table."""
    flow_from_1: bool = False
    """The levels of ``use_flow_sigmas`` begin at 1 and not below."""

    def solver(self, settings: Settings, *, beyond: bool) -> Solver:
        """That of these settings.

        Args:
            beyond: the grid's end counts as one more step.

        Raises:
            ValueError: the solver cannot end where the settings say.
        """
        if settings.get("algorithm_type") == "dpmsolver" and settings.get("final_sigmas_type", "") == "zero":
            raise ValueError("algorithm_type='dpmsolver' cannot end at 0; set final_sigmas_type to 'sigma_min'")
        return (self.sampler, {}) if isinstance(self.sampler, str) else self.sampler(settings, int(beyond))


SD_BETAS = {"beta_start": 0.00085, "beta_end": 0.012}
K_DIFFUSION = partial(SchedulerClass, keys=TABLE | SPACED | SHAPED, sigma_start=True)
DDIM = SchedulerClass(
    "ddim",
    TABLE | SPACED | CLIPPED | THRESHOLD | ZERO_SNR | {"set_alpha_to_one"},
    {"timestep_spacing": "leading", "set_alpha_to_one": True},
    rounded=True,
)
DDPM = SchedulerClass(
    "ddpm",
    TABLE | SPACED | CLIPPED | THRESHOLD | ZERO_SNR | {"variance_type"},
    {"timestep_spacing": "leading", "variance_type": "fixed_small"},
    rounded=True,
)
MULTISTEP = SchedulerClass(
    _dpm,
    TABLE
    | SPACED
    | SHAPED
    | SOLVER
    | AS_FLOW
    | LEARNED
    | ENDS
    | ZERO_SNR
    | {"algorithm_type", "euler_at_final", "use_lu_lambdas"},
    interior=True,
    rounded=True,
    table_ends=True,
)
DISTILLED = SchedulerClass(
    "lcm",
    DDIM.keys | {"original_inference_steps", "timestep_scaling"},
    {**SD_BETAS, "beta_schedule": "scaled_linear", "timestep_spacing": "leading", "set_alpha_to_one": True},
    levels="lcm",
)
FLOW_MATCH = SchedulerClass(
    "euler", SHAPED | DYNAMIC | {"num_train_timesteps", "shift", "invert_sigmas", "shift_terminal"}, levels="flow"
)
EDM_KEYS = EDM_TABLE | ENDS | {"num_train_timesteps"}
EDM_DEFAULTS = {"sigma_min": 0.002, "sigma_max": 80.0}

CLASSES: dict[str, SchedulerClass] = {
    "EulerDiscreteScheduler": K_DIFFUSION(
        "euler",
        keys=TABLE
        | SPACED
        | SHAPED
        | ZERO_SNR
        | ENDS
        | {"interpolation_type", "sigma_min", "sigma_max", "timestep_type"},
    ),
    "EulerAncestralDiscreteScheduler": K_DIFFUSION("euler_a", keys=TABLE | SPACED | ZERO_SNR),
    "HeunDiscreteScheduler": K_DIFFUSION("heun", keys=TABLE | SPACED | SHAPED | CLIPPED, defaults=SD_BETAS),
    "KDPM2DiscreteScheduler": K_DIFFUSION("dpm_2", defaults=SD_BETAS),
    "KDPM2AncestralDiscreteScheduler": K_DIFFUSION("dpm_2_a", defaults=SD_BETAS),
    "LMSDiscreteScheduler": K_DIFFUSION("lms"),
    "DPMSolverSDEScheduler": K_DIFFUSION(
        "dpmpp_sde", keys=TABLE | SPACED | SHAPED | {"noise_sampler_seed"}, defaults=SD_BETAS
    ),
    "DDPMScheduler": DDPM,
    "DDPMParallelScheduler": DDPM,
    "DDIMScheduler": DDIM,
    "DDIMParallelScheduler": DDIM,
    "PNDMScheduler": SchedulerClass(
        "plms",
        TABLE | SPACED | {"set_alpha_to_one", "skip_prk_steps"},
        {"timestep_spacing": "leading", "set_alpha_to_one": False, "skip_prk_steps": False},
        rounded=True,
    ),
    "DPMSolverMultistepScheduler": MULTISTEP,
    "DPMSolverSinglestepScheduler": replace(
        MULTISTEP,
        sampler=_single_step,
        keys=MULTISTEP.keys - SPACED - ZERO_SNR - {"euler_at_final", "use_lu_lambdas"},
        defaults={"lower_order_final": False},
    ),
    "UniPCMultistepScheduler": replace(
        MULTISTEP,
        sampler=_unipc,
        keys=TABLE
        | SPACED
        | SHAPED
        | SOLVER
        | AS_FLOW
        | ENDS
        | ZERO_SNR
        | {"predict_x0", "disable_corrector", "solver_p", "sigma_min", "sigma_max", "shift_terminal"},
        defaults={"solver_type": "bh2"},
        repeats=True,
        flow_from_1=True,
    ),
    "DEISMultistepScheduler": replace(
        MULTISTEP,
        sampler=_deis,
        keys=TABLE | SPACED | SHAPED | SOLVER | AS_FLOW | {"algorithm_type"},
        end="sigma_min",
        repeats=True,
    ),
    "LCMScheduler": DISTILLED,
    "TCDScheduler": replace(DISTILLED, sampler="tcd", end="sigma_min"),
    "FlowMatchEulerDiscreteScheduler": replace(FLOW_MATCH, keys=FLOW_MATCH.keys | {"stochastic_sampling"}),
    "FlowMatchLCMScheduler": replace(
        FLOW_MATCH, sampler="lcm", keys=FLOW_MATCH.keys | {"scale_factors", "upscale_mode"}
    ),
    "FlowMatchHeunDiscreteScheduler": replace(
        FLOW_MATCH, sampler="heun", keys=frozenset({"num_train_timesteps", "shift"})
    ),
    "EDMEulerScheduler": SchedulerClass("euler", EDM_KEYS, EDM_DEFAULTS, levels="edm", repeats=True),
    "EDMDPMSolverMultistepScheduler": SchedulerClass(
        _dpm, EDM_KEYS | SOLVER | {"algorithm_type", "euler_at_final"}, EDM_DEFAULTS, levels="edm", repeats=True
    ),
}

NEAR = {
    "SASolverScheduler": "DPMSolverMultistepScheduler with algorithm_type sde-dpmsolver++",
    "IPNDMScheduler": "PNDMScheduler with skip_prk_steps true",
    "DDIMInverseScheduler": "DDIMScheduler",
    "DPMSolverMultistepInverseScheduler": "DPMSolverMultistepScheduler",
    "CosineDPMSolverMultistepScheduler": "EDMDPMSolverMultistepScheduler",
    "CogVideoXDDIMScheduler": "DDIMScheduler",
    "CogVideoXDPMScheduler": "DPMSolverMultistepScheduler",
    "CMStochasticIterativeScheduler": "LCMScheduler",
    "DDPMWuerstchenScheduler": "DDPMScheduler",
    "RePaintScheduler": "DDPMScheduler",
    "UnCLIPScheduler": "DDPMScheduler",
    "KarrasVeScheduler": "EDMEulerScheduler",
    "ScoreSdeVeScheduler": "EDMEulerScheduler",
    "LTXEulerAncestralRFScheduler": "FlowMatchEulerDiscreteScheduler",
    "FlowMapEulerDiscreteScheduler": "FlowMatchEulerDiscreteScheduler",
    "SCMScheduler": "FlowMatchLCMScheduler",
}
"""diffusers' other classes: what samples the same models, by other steps."""

KNOWN = frozenset[str]().union(*(kind.keys for kind in CLASSES.values()))
