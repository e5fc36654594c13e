"""What other tools call our samplers and schedules.

Names are compared without case, spaces, hyphens and underscores, and with ``++`` read as ``pp``, so that
``DPM++ 2M SDE``, ``dpmpp_2m_sde`` and ``k_dpmpp_2m_sde_gpu`` are one row. Labels are those of
AUTOMATIC1111's web UI where it has one.
"""

import re
from dataclasses import dataclass

from sfumato.choices import Sampler, Schedule

SAMPLER_LABELS: dict[Sampler, str] = {
    "euler": "Euler",
    "euler_a": "Euler a",
    "heun": "Heun",
    "dpm_2": "DPM2",
    "dpm_2_a": "DPM2 a",
    "lms": "LMS",
    "dpmpp_2s_a": "DPM++ 2S a",
    "dpmpp_2m": "DPM++ 2M",
    "dpmpp_sde": "DPM++ SDE",
    "dpmpp_2m_sde": "DPM++ 2M SDE",
    "dpmpp_3m_sde": "DPM++ 3M SDE",
    "dpm_fast": "DPM fast",
    "dpm_adaptive": "DPM adaptive",
    "restart": "Restart",
    "ddpm": "DDPM",
    "ddim": "DDIM",
    "plms": "PLMS",
    "unipc": "UniPC",
    "deis": "DEIS",
    "deis_2m": "DEIS 2M",
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
    "kdpm2discrete": "dpm_2",
    "kdpm2ancestraldiscrete": "dpm_2_a",
    "dpm2ancestral": "dpm_2_a",
    "dpmpp2sancestral": "dpmpp_2s_a",
    "lmsdiscrete": "lms",
    "deismultistep": "deis_2m",
    "flowmatchheundiscrete": "heun",
    "dpmad": "dpm_adaptive",  # AUTOMATIC1111's alias
    "ddimv3": "ddim",
    "unipcmultistep": "unipc",
    "pndm": "plms",  # as Stable Diffusion runs it, without the Runge-Kutta start
}

_SCHEDULES: dict[str, Schedule] = {"normal": "normal", "native": "normal", "ddimuniform": "ddim"}

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
    "dpmpp_3m_sde": "exponential",
    "restart": "karras",
}
"""What AUTOMATIC1111 takes for ``Schedule type: Automatic``."""


@dataclass(frozen=True)
class Named:
    """A foreign name in our terms; None where there is no counterpart."""

    sampler: Sampler | None
    schedule: Schedule | None = None


def read_sampler(name: str) -> Named:
    """A sampler's foreign name, which may have its schedule at the end: ``DPM++ 2M Karras``, ``euler_k``."""
    short = re.sub(r"^(sample_)?k_", "", name.strip()[:80], flags=re.IGNORECASE)
    schedule: Schedule | None = None
    if re.search(r"_k$", short, re.IGNORECASE):
        short, schedule = short[:-2], "karras"
    short = _compact(short).removesuffix("scheduler").removesuffix("gpu")
    for ending in ("karras", "polyexponential", "exponential", "sgmuniform"):
        if short.endswith(ending):
            short, schedule = short.removesuffix(ending), _SCHEDULES[ending]
            break
    return Named(_SAMPLERS.get(short), schedule)


def read_schedule(name: str) -> Schedule | None:
    """A schedule's foreign name."""
    return _SCHEDULES.get(_compact(name[:80]).removesuffix("scheduler"))


def is_automatic(name: str) -> bool:
    """Whether a schedule's name leaves the choice to the tool."""
    return _compact(name[:80]) in ("automatic", "auto", "")


def automatic(sampler: Sampler | None) -> Schedule | None:
    """What AUTOMATIC1111 would choose; None where that is no grid of ours."""
    return None if sampler is None else _AUTOMATIC.get(sampler)


def _compact(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower().replace("++", "pp"))


_SAMPLERS.update({_compact(word): ours for ours, label in SAMPLER_LABELS.items() for word in (ours, label)})
_SCHEDULES.update({_compact(word): ours for ours, label in SCHEDULE_LABELS.items() for word in (ours, label)})
