"""A diffusers `scheduler_config.json` as our `Sampling`: levels, prediction, grid, ends, sampler and its solver.

The classes differ in the keys that they take, in the defaults of these and in how they place timesteps: the table
`scheduler_classes.CLASSES`. A key that the named class does not take changes nothing, as in diffusers, whose
`from_config` leaves it out and whose `save_pretrained` writes it again. A key that it takes is followed, or refused
where its value is not in `scheduler_keys.VALUES`. Changing the sampler in a request leaves all but the solver as it is.
"""

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from sfumato.checkpoints.scheduler_classes import CLASSES, KNOWN, NEAR, SchedulerClass
from sfumato.checkpoints.scheduler_keys import DEFAULTS, SHAPED, Settings, check
from sfumato.diffusion.grids import closed, lcm
from sfumato.diffusion.scalings import FLOW, PARAMETERISATIONS, Parameterisation, V, edm
from sfumato.diffusion.schedules import ContinuousSchedule, DiscreteSchedule, FlowSchedule, Schedule
from sfumato.diffusion.spacing import Spacing, beta_between, even, exponential_between, karras_between
from sfumato.errors import CheckpointError
from sfumato.model import Sampling

log = logging.getLogger(__name__)

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
    if isinstance(name, str) and name in NEAR:
        raise CheckpointError(
            f"{source}: scheduler {name!r} is not supported; near it is {NEAR[name]}; put that into it"
        )
    if not isinstance(name, str) or name not in CLASSES:
        raise CheckpointError(f"{source}: scheduler {name!r} is not supported; known: {', '.join(sorted(CLASSES))}")
    kind = CLASSES[name]
    strange = [key for key in config if key not in KNOWN and not key.startswith("_")]
    if strange:
        log.warning("%s: %s: no scheduler has such a setting; ignored", source, ", ".join(map(repr, strange)))
    settings = {key: {**DEFAULTS, **kind.defaults}[key] for key in kind.keys}
    settings |= {key: value for key, value in config.items() if key in kind.keys}
    for key, value in settings.items():
        check(key, value, source)
    if offset is not None and "steps_offset" in settings:
        settings["steps_offset"] = offset
    try:
        return {"table": _of_table, "lcm": _of_table, "flow": _of_flow, "edm": _of_edm}[kind.levels](kind, settings)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{source}: {error}") from error


Shape = Callable[[float, float, int], Tensor]
"""(high, low, steps) -> descending levels (steps,)."""


@dataclass(frozen=True)
class OwnGrid:
    """The levels of a scheduler: (schedule, steps) -> descending sigmas."""

    row: Callable[[Schedule, int], Tensor] | None
    """Its levels above the end, or the ends of those that are computed; None: the ends of the table."""
    shape: Shape | None = None
    """Levels between two ends."""
    high: float | None = None
    low: float | None = None
    """In place of the row's ends."""
    above: float | None = None
    """The last step goes here, or where the levels have come if that is not above; None: to 0."""

    def __call__(self, schedule: Schedule, steps: int) -> Tensor:
        row = None if self.row is None else self.row(schedule, steps)
        if self.shape is not None:
            ends = (schedule.sigma_max, schedule.sigma_min) if row is None else (float(row[0]), float(row[-1]))
            row = self.shape(self.high or ends[0], self.low or ends[1], steps)
        assert row is not None
        if self.above is None:
            return closed(row, 0.0)
        # The step that diffusers takes from the end to itself changes nothing.
        reached = len(row) > 1 and float(row[-1]) <= self.above * (1 + 1e-5)
        return closed(row[:-1], float(row[-1])) if reached else closed(row, self.above)


def _shape(settings: Settings) -> Shape | None:
    shapes: dict[str, Shape] = {
        "use_karras_sigmas": karras_between,
        "use_lu_lambdas": exponential_between,
        "use_exponential_sigmas": exponential_between,
        "use_beta_sigmas": beta_between,
    }
    asked = [key for key in shapes if settings.get(key)]
    if len([key for key in asked if key in SHAPED]) > 1:
        raise ValueError(f"{' and '.join(asked)} cannot be followed at once; leave one true")
    return shapes[asked[0]] if asked else None


def _of_table(kind: SchedulerClass, settings: Settings) -> Sampling:
    if settings.get("use_flow_sigmas"):
        return _flow_by_solver(kind, settings)
    if settings["prediction_type"] == "flow_prediction":
        raise ValueError("prediction_type='flow_prediction' goes with use_flow_sigmas alone, where the class has it")
    if settings.get("use_dynamic_shifting") or settings.get("shift_terminal"):
        raise ValueError("use_dynamic_shifting and shift_terminal go with use_flow_sigmas alone")
    table = _table(settings)
    schedule: Schedule = table
    shape = _shape(settings)
    low, high = settings.get("sigma_min"), settings.get("sigma_max")
    whole_table = kind.table_ends
    if settings.get("interpolation_type") == "log_linear":
        if shape is None:
            raise ValueError(
                "interpolation_type='log_linear' gives levels whose timesteps are not theirs, but for Karras, "
                "exponential or beta levels; set it to 'linear'"
            )
        whole_table = True
    end = settings.get("final_sigmas_type", kind.end)
    if kind.levels == "table" and "set_alpha_to_one" in settings:
        end = "zero" if settings["set_alpha_to_one"] else "sigma_min"
    above = None if end == "zero" else low if kind.repeats and shape is not None and low else table.sigma_min
    kind_of_spacing = settings.get("timestep_spacing", "linspace")
    spacing = Spacing(kind_of_spacing, settings.get("steps_offset", 0), kind.interior, kind.rounded)
    row: Callable[[Schedule, int], Tensor] | None = partial(_spaced, spacing=spacing)
    if kind.levels == "lcm":
        row = partial(_lcm, trained=settings["original_inference_steps"])
    elif shape is not None and whole_table:
        row = None
    beyond = above is not None and shape is not None and (low is None or low <= above)
    sampler, options = kind.solver(settings, beyond=beyond)
    parameterisation = PARAMETERISATIONS[settings["prediction_type"]]
    if settings.get("timestep_type") == "continuous" and parameterisation is V:
        schedule = ContinuousSchedule(low or table.sigma_min, high or table.sigma_max, table.num_timesteps)
        row = row and partial(_on_table, table, row)
    return Sampling(
        parameterisation,
        schedule,
        sampler,
        OwnGrid(row, shape, high, low, above),
        prior_scale=not (kind.sigma_start and kind_of_spacing != "leading"),
        options=options,
    )


def _table(settings: Settings) -> DiscreteSchedule:
    zero = bool(settings.get("rescale_betas_zero_snr"))
    if settings["trained_betas"] is not None:
        betas = torch.tensor(settings["trained_betas"], dtype=torch.float64)
        return DiscreteSchedule.of_betas(betas, zero_terminal_snr=zero)
    numbers = (settings[key] for key in ("beta_schedule", "beta_start", "beta_end", "num_train_timesteps"))
    return DiscreteSchedule.from_betas(*numbers, zero_terminal_snr=zero)


def _on_table(
    table: DiscreteSchedule, row: Callable[[Schedule, int], Tensor], schedule: Schedule, steps: int
) -> Tensor:
    """The levels of a table for a schedule with labels of its own."""
    return row(table, steps)


def _spaced(schedule: Schedule, steps: int, *, spacing: Spacing) -> Tensor:
    return schedule.level(spacing.places(steps, schedule.num_timesteps))


def _lcm(schedule: Schedule, steps: int, *, trained: int) -> Tensor:
    return lcm(schedule, steps, trained=trained)[:-1]


def _of_flow(kind: SchedulerClass, settings: Settings) -> Sampling:
    dynamic = settings.get("use_dynamic_shifting")
    total = settings["num_train_timesteps"]
    schedule = FlowSchedule(1.0 if dynamic else settings["shift"], total)
    row = partial(_flow_row, twice=not dynamic, terminal=settings.get("shift_terminal"))
    sampler, options = kind.solver(settings, beyond=False)
    return Sampling(
        FLOW,
        schedule,
        "lcm" if settings.get("stochastic_sampling") else sampler,
        OwnGrid(row, _shape(settings)),
        options=options,
        shift=partial(_shift, settings) if dynamic else None,
    )


def _flow_row(schedule: Schedule, steps: int, *, twice: bool, terminal: float | None) -> Tensor:
    """Even between the ends of the table, then shifted; the low end of a table that is shifted itself is so twice."""
    assert isinstance(schedule, FlowSchedule)
    low = schedule.sigma_min if twice else 1 / schedule.num_timesteps
    return _down_to(schedule.shifted(even(1.0, low, steps)), terminal)


def _down_to(levels: Tensor, terminal: float | None) -> Tensor:
    """Stretched so that the last level is ``terminal``."""
    return 1 - (1 - levels) * (1 - terminal) / (1 - levels[-1]) if terminal else levels


def _shift(settings: Settings, tokens: int) -> float:
    """That of a picture of so many tokens; ``max_shift`` is what the pipeline of SD 3 takes."""
    low, high = settings.get("base_image_seq_len", 256), settings.get("max_image_seq_len", 4096)
    least, most = settings.get("base_shift", 0.5), settings.get("max_shift", 1.16)
    mu = float(least + (tokens - low) * (most - least) / (high - low))
    return math.exp(mu) if settings["time_shift_type"] == "exponential" else mu


def _flow_by_solver(kind: SchedulerClass, settings: Settings) -> Sampling:
    """A flow model by one of the solvers that were made for tables of betas."""
    if settings["prediction_type"] != "flow_prediction":
        raise ValueError("use_flow_sigmas goes with prediction_type='flow_prediction' alone")
    if _shape(settings) is not None or settings.get("final_sigmas_type", kind.end) != "zero":
        raise ValueError("use_flow_sigmas goes with neither Karras, exponential or beta levels nor an end above 0")
    if settings["time_shift_type"] != "exponential":
        raise ValueError("time_shift_type='linear' is not supported with use_flow_sigmas, only 'exponential'")
    total, dynamic = settings["num_train_timesteps"], settings["use_dynamic_shifting"]
    row = partial(_solver_row, from_1=kind.flow_from_1, terminal=settings.get("shift_terminal"))
    sampler, options = kind.solver(settings, beyond=False)
    return Sampling(
        FLOW,
        FlowSchedule(settings["flow_shift"], total),
        sampler,
        OwnGrid(row),
        options=options,
        shift=partial(_shift, settings) if dynamic else None,
    )


def _solver_row(schedule: Schedule, steps: int, *, from_1: bool, terminal: float | None) -> Tensor:
    """Even levels but the last, then shifted: from 1 to 1 / T (UniPC), or from 1 - 1 / T to 0."""
    # UniPC takes 1 - 1e-6 for 1.
    assert isinstance(schedule, FlowSchedule)
    low = 1 / schedule.num_timesteps
    high, low = (1.0, low) if from_1 else (1.0 - low, 0.0)
    levels = _down_to(schedule.shifted(even(high, low, steps + 1)[:-1]), terminal)
    return levels.clamp(max=1 - 1e-6)


def _of_edm(kind: SchedulerClass, settings: Settings) -> Sampling:
    if settings["prediction_type"] not in ("epsilon", "v_prediction"):
        raise ValueError(
            f"prediction_type={settings['prediction_type']!r} is not supported, only epsilon or v_prediction"
        )
    data = settings["sigma_data"]
    parameterisation: Parameterisation = edm(data)
    if settings["prediction_type"] == "v_prediction":
        parameterisation = V if data == 1 else edm(data, -1.0)
    schedule = ContinuousSchedule(settings["sigma_min"], settings["sigma_max"], settings["num_train_timesteps"])
    shape = partial(karras_between, rho=settings["rho"])
    above = None if settings["final_sigmas_type"] == "zero" else schedule.sigma_min
    sampler, options = kind.solver(settings, beyond=above is not None)
    grid = OwnGrid(None, shape if settings["sigma_schedule"] == "karras" else exponential_between, above=above)
    return Sampling(parameterisation, schedule, sampler, grid, options=options)
