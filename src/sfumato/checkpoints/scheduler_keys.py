"""The keys of diffusers' scheduler configurations: what each may say, and what it says where it is left out."""

import math
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from sfumato.errors import CheckpointError

Settings = Mapping[str, Any]
"""All keys that a class takes, with their values or defaults."""

TABLE = frozenset(
    {"num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas", "prediction_type"}
)
SPACED = frozenset({"timestep_spacing", "steps_offset"})
SHAPED = frozenset({"use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"})
ZERO_SNR = frozenset({"rescale_betas_zero_snr"})
CLIPPED = frozenset({"clip_sample", "clip_sample_range"})
THRESHOLD = frozenset({"thresholding", "dynamic_thresholding_ratio", "sample_max_value"})
ENDS = frozenset({"final_sigmas_type"})
SOLVER = frozenset({"solver_order", "solver_type", "lower_order_final"}) | THRESHOLD
AS_FLOW = frozenset({"use_flow_sigmas", "flow_shift", "use_dynamic_shifting", "time_shift_type"})
LEARNED = frozenset({"lambda_min_clipped", "variance_type"})
DYNAMIC = frozenset(
    {"use_dynamic_shifting", "base_shift", "max_shift", "base_image_seq_len", "max_image_seq_len", "time_shift_type"}
)
EDM_TABLE = frozenset({"sigma_min", "sigma_max", "sigma_data", "sigma_schedule", "rho", "prediction_type"})


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _are(kind: Callable[[object], bool], values: object) -> bool:
    return isinstance(values, list | tuple) and all(kind(value) for value in values)


@dataclass(frozen=True)
class Kind:
    """Values that are too many to list."""

    name: str
    fits: Callable[[object], bool]


NUMBER = Kind("number", _is_number)
MAYBE = Kind("number", lambda value: value is None or _is_number(value))
WHOLE = Kind("whole number", _is_whole)
COUNT = Kind("number from 1 to a million", lambda value: _is_whole(value) and 1 <= cast("int", value) <= 1_000_000)
PLACES = Kind("list of steps", lambda value: value is None or _are(_is_whole, value))
NUMBERS = Kind("list of numbers", lambda value: value is None or _are(_is_number, value))
ANYTHING = Kind("", lambda value: True)
"""What it says plays no part."""

FLAG = (True, False, None)

VALUES: Mapping[str, tuple[Any, ...] | Kind] = {
    "algorithm_type": ("dpmsolver++", "sde-dpmsolver++", "dpmsolver", "deis"),
    "base_image_seq_len": NUMBER,
    "base_shift": NUMBER,
    "beta_end": NUMBER,
    "beta_schedule": ("linear", "scaled_linear", "squaredcos_cap_v2"),
    "beta_start": NUMBER,
    # `StableDiffusionPipeline` switches clipping off, since latents are not within it; see docs/decisions/0003.
    "clip_sample": ANYTHING,
    "clip_sample_range": ANYTHING,
    "disable_corrector": PLACES,
    "dynamic_thresholding_ratio": ANYTHING,
    "euler_at_final": FLAG,
    "final_sigmas_type": ("zero", "sigma_min"),
    "flow_shift": NUMBER,
    "interpolation_type": ("linear", "log_linear"),
    "invert_sigmas": (False, None),
    "lambda_min_clipped": (-math.inf, "-inf", "-Infinity"),
    "lower_order_final": FLAG,
    "max_image_seq_len": NUMBER,
    "max_shift": NUMBER,
    "noise_sampler_seed": (None,),
    "num_train_timesteps": COUNT,
    "original_inference_steps": COUNT,
    "predict_x0": FLAG,
    "prediction_type": ("epsilon", "v_prediction", "sample", "flow_prediction"),
    "rescale_betas_zero_snr": FLAG,
    "rho": NUMBER,
    "sample_max_value": ANYTHING,
    "scale_factors": (None,),
    "set_alpha_to_one": FLAG,
    "shift": NUMBER,
    "shift_terminal": MAYBE,
    "sigma_data": NUMBER,
    "sigma_max": MAYBE,
    "sigma_min": MAYBE,
    "sigma_schedule": ("karras", "exponential"),
    "skip_prk_steps": (True,),
    "solver_order": (1, 2, 3),
    "solver_p": (None,),
    "solver_type": ("midpoint", "heun", "bh2", "bh1", "logrho"),
    "steps_offset": WHOLE,
    "stochastic_sampling": FLAG,
    "thresholding": (False, None),
    "time_shift_type": ("exponential", "linear"),
    "timestep_scaling": (10.0,),
    "timestep_spacing": ("linspace", "leading", "trailing"),
    "timestep_type": ("discrete", "continuous"),
    "trained_betas": NUMBERS,
    "upscale_mode": ANYTHING,
    "use_beta_sigmas": FLAG,
    "use_dynamic_shifting": FLAG,
    "use_exponential_sigmas": FLAG,
    "use_flow_sigmas": FLAG,
    "use_karras_sigmas": FLAG,
    "use_lu_lambdas": FLAG,
    "variance_type": (None, "fixed_small", "fixed_small_log"),
}
"""What each key may say; all else is refused."""

DEFAULTS: Settings = {
    **dict.fromkeys(VALUES),
    **{"algorithm_type": "dpmsolver++", "predict_x0": True, "solver_order": 2, "solver_type": "midpoint"},
    **{"base_image_seq_len": 256, "base_shift": 0.5, "max_image_seq_len": 4096, "max_shift": 1.15},
    **{"beta_end": 0.02, "beta_schedule": "linear", "beta_start": 0.0001, "num_train_timesteps": 1000},
    **{"disable_corrector": (), "final_sigmas_type": "zero", "flow_shift": 1.0, "interpolation_type": "linear"},
    **{"lower_order_final": True, "original_inference_steps": 50, "prediction_type": "epsilon", "rho": 7.0},
    **{
        "shift": 1.0,
        "sigma_data": 0.5,
        "sigma_schedule": "karras",
        "steps_offset": 0,
        "time_shift_type": "exponential",
    },
    **{
        "timestep_spacing": "linspace",
        "timestep_type": "discrete",
        "timestep_scaling": 10.0,
        "lambda_min_clipped": -math.inf,
    },
}
"""Those of most classes; the others' are in `scheduler_classes.CLASSES`."""


def check(key: str, value: object, source: str) -> None:
    """CheckpointError for a value that is not in `VALUES`."""
    allowed = VALUES[key]
    if isinstance(allowed, Kind):
        if not allowed.fits(value):
            raise CheckpointError(f"{source}: {key}={reprlib.repr(value)} is no {allowed.name}")
    elif not isinstance(value, str | int | float | None) or value not in allowed:
        known = " or ".join(repr(value) for value in allowed if value is not None or allowed == (None,))
        raise CheckpointError(f"{source}: {key}={reprlib.repr(value)} is not supported, only {known}")
