"""What other tools call our samplers and schedules.

One table for the readers of pictures, for the command line and for whoever else takes names from people. They are
compared without case, spaces, hyphens and underscores, and with ``++`` read as ``pp``, so that ``DPM++ 2M SDE``,
``dpmpp_2m_sde`` and ``k_dpmpp_2m_sde_gpu`` are one row. Labels are those of AUTOMATIC1111's web UI where it has one.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sfumato.choices import GuidanceMethod, Sampler, Schedule
from sfumato.errors import RequestError

SAMPLER_LABELS: dict[Sampler, str] = {
    "euler": "Euler",
    "euler_a": "Euler a",
    "heun": "Heun",
    "dpm_2": "DPM2",
    "dpm_2_a": "DPM2 a",
    "lms": "LMS",
    "dpmpp_2s_a": "DPM++ 2S a",
    "dpmpp_2s": "DPM++ 2S",
    "dpmpp_2m": "DPM++ 2M",
    "dpmpp_sde": "DPM++ SDE",
    "dpmpp_2m_sde": "DPM++ 2M SDE",
    "dpmpp_2m_sde_heun": "DPM++ 2M SDE Heun",
    "dpmpp_3m_sde": "DPM++ 3M SDE",
    "dpm_fast": "DPM fast",
    "dpm_adaptive": "DPM adaptive",
    "restart": "Restart",
    "ddpm": "DDPM",
    "ddim": "DDIM",
    "plms": "PLMS",
    "ipndm": "IPNDM",
    "gradient_estimation": "Gradient estimation",
    "unipc": "UniPC",
    "deis": "DEIS",
    "deis_2m": "DEIS 2M",
    "res_multistep": "RES multistep",
    "res_multistep_a": "RES multistep a",
    "er_sde": "ER-SDE",
    "sa_solver": "SA-Solver",
    "lcm": "LCM",
    "tcd": "TCD",
}
"""Ours to the label that is written; read again it is ours."""

SCHEDULE_LABELS: dict[Schedule, str] = {
    "normal": "Uniform",
    "linspace": "Linspace",
    "leading": "Leading",
    "trailing": "Trailing",
    "karras": "Karras",
    "exponential": "Exponential",
    "polyexponential": "Polyexponential",
    "sgm_uniform": "SGM Uniform",
    "simple": "Simple",
    "ddim": "DDIM",
    "beta": "Beta",
    "kl_optimal": "KL Optimal",
    "linear_quadratic": "Linear Quadratic",
    "align_your_steps": "Align Your Steps",
    "shifted": "Shifted",
    "lcm": "LCM",
}

_SAMPLERS: dict[str, Sampler] = {
    "eulerdiscrete": "euler",  # classes of diffusers, without "Scheduler"
    "flowmatcheulerdiscrete": "euler",
    "eulerancestral": "euler_a",
    "eulerancestraldiscrete": "euler_a",
    "heundiscrete": "heun",
    "dpmsolvermultistep": "dpmpp_2m",
    "dpmsolversde": "dpmpp_sde",
    "dpmsolversinglestep": "dpmpp_2s",
    "kdpm2discrete": "dpm_2",
    "kdpm2ancestraldiscrete": "dpm_2_a",
    "dpm2ancestral": "dpm_2_a",
    "dpmpp2sancestral": "dpmpp_2s_a",
    "lmsdiscrete": "lms",
    "deismultistep": "deis_2m",
    "flowmatchheundiscrete": "heun",
    "dpmad": "dpm_adaptive",  # AUTOMATIC1111's alias
    "dpmadaptative": "dpm_adaptive",  # as ComfyUI's node spells it
    "kdpm2": "dpm_2",  # InvokeAI's
    "kdpm2a": "dpm_2_a",
    "ddimv3": "ddim",
    "unipcbh2": "unipc",  # ours is B2 too
    "unipcmultistep": "unipc",
    "resmultistepancestral": "res_multistep_a",  # ComfyUI's
    "seeds2": "dpmpp_sde",  # the same formulas
    "pndm": "plms",  # as Stable Diffusion runs it, without the Runge-Kutta start
}

_SCHEDULES: dict[str, Schedule] = {
    "normal": "normal",
    "native": "normal",
    "ddimuniform": "ddim",
    "betasampling": "beta",  # ComfyUI's node
    "betas": "beta",  # SD.Next's
}

_ANY_SAMPLERS: tuple[Schedule, ...] = ("karras", "polyexponential", "exponential", "sgm_uniform")
"""Schedules that end a name even where the sampler before them is not known."""

_AUTOMATIC: dict[Sampler, Schedule] = {
    "euler": "normal",
    "euler_a": "normal",
    "heun": "normal",
    "lms": "normal",
    "dpm_2": "karras",
    "dpm_2_a": "karras",
    "dpmpp_2s_a": "karras",
    "dpmpp_2m": "karras",
    "dpmpp_sde": "karras",
    "dpmpp_2m_sde": "exponential",
    "dpmpp_2m_sde_heun": "exponential",
    "dpmpp_3m_sde": "exponential",
    "restart": "karras",
}
"""What AUTOMATIC1111 takes for ``Schedule type: Automatic``."""


@dataclass(frozen=True)
class Named:
    """A foreign name in our terms; None where there is no counterpart."""

    sampler: Sampler | None
    schedule: Schedule | None = None
    guidance_method: GuidanceMethod | None = None


@dataclass(frozen=True)
class Patch:
    """A node of ComfyUI's between a model and its sampler, as an option of ours: the value of its one input, or a
    method of guidance, which has none.
    """

    option: str
    method: GuidanceMethod | None = None
    input: str = ""
    usual: float = 0.0
    range: tuple[float, float] = (0.0, 1.0)


MODEL_PATCHES: Mapping[str, Patch] = {
    "RescaleCFG": Patch("guidance_rescale", input="multiplier", usual=0.7),
    "PerturbedAttentionGuidance": Patch("pag", input="scale", usual=3.0, range=(0.0, 100.0)),
    "CFGZeroStar": Patch("guidance_method", "cfg_zero"),
    "TCFG": Patch("guidance_method", "tcfg"),
}


def read_sampler(name: str) -> Named:
    """A sampler's foreign name, which may have its schedule at the end: ``DPM++ 2M Karras``, ``euler_k``,
    ``dpmpp_2m_sde_gpu_karras``; ``CFG++`` there is a guidance method of ours.
    """
    short = re.sub(r"^(sample[_ ])?(k[_ ])?", "", name.strip()[:80], flags=re.IGNORECASE)
    short = re.sub(r"_k$", "_karras", short, flags=re.IGNORECASE)
    word = _compact(short).removesuffix("scheduler")
    if (plain := word.removesuffix("cfgpp")) != word:
        return Named(_sampler(plain), None, "cfgpp")
    found = _sampler(word)
    if found is not None:
        return Named(found)
    for ending in sorted(_SCHEDULES, key=len, reverse=True):
        if word.endswith(ending):
            found = _sampler(word.removesuffix(ending))
            if found is not None or _SCHEDULES[ending] in _ANY_SAMPLERS:
                return Named(found, _SCHEDULES[ending])
    return Named(None)


def understood(options: Mapping[str, object]) -> dict[str, object]:
    """Options of a request whose sampler and schedule may have the names of other tools, with ours in their place.
    Names that nobody has are left for the request to refuse.

    Raises:
        RequestError: the sampler's name holds another schedule, or guidance method, than the one beside it.
    """
    found = dict(options)
    sampler, schedule = found.get("sampler"), found.get("schedule")
    if isinstance(schedule, str) and (ours := read_schedule(schedule)) is not None:
        found["schedule"] = ours
    if not isinstance(sampler, str) or (named := read_sampler(sampler)).sampler is None:
        return found
    found["sampler"] = named.sampler
    for option, inside in (("schedule", named.schedule), ("guidance_method", named.guidance_method)):
        beside = found.get(option)
        if inside is not None and beside not in (None, inside):
            raise RequestError(f"sampler {sampler[:60]!r} says {option} {inside}, and {beside} is given; leave one out")
        if inside is not None:
            found[option] = inside
    return found


def read_schedule(name: str) -> Schedule | None:
    """A schedule's foreign name."""
    return _SCHEDULES.get(_compact(name[:80]).removesuffix("scheduler"))


def is_automatic(name: str) -> bool:
    """Whether a schedule's name leaves the choice to the tool."""
    return _compact(name[:80]) in ("automatic", "auto", "")


def automatic(sampler: Sampler | None) -> Schedule | None:
    """What AUTOMATIC1111 would choose; None where that is no grid of ours."""
    return None if sampler is None else _AUTOMATIC.get(sampler)


def _sampler(word: str) -> Sampler | None:
    return _SAMPLERS.get(word) or _SAMPLERS.get(word.removesuffix("gpu"))


def _compact(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower().replace("++", "pp"))


_SAMPLERS.update({_compact(word): ours for ours, label in SAMPLER_LABELS.items() for word in (ours, label)})
_SCHEDULES.update({_compact(word): ours for ours, label in SCHEDULE_LABELS.items() for word in (ours, label)})
