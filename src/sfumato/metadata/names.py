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
    "dpmpp_2m": "DPM++ 2M",
    "dpmpp_2m_sde": "DPM++ 2M SDE",
    "dpmpp_sde": "DPM++ SDE",
    "ddim": "DDIM",
    "unipc": "UniPC",
    "lcm": "LCM",
    "plms": "PLMS",
}
"""Ours to the label that is written; read again it is ours."""

SCHEDULE_LABELS: dict[Schedule, str] = {
    "normal": "Uniform",
    "linspace": "Linspace",
    "leading": "Leading",
    "trailing": "Trailing",
    "karras": "Karras",
    "exponential": "Exponential",
    "sgm_uniform": "SGM Uniform",
    "simple": "Simple",
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
    "ddimv3": "ddim",
    "unipcmultistep": "unipc",
    "pndm": "plms",  # as Stable Diffusion runs it, without the Runge-Kutta start
}

_SCHEDULES: dict[str, Schedule] = {"normal": "normal", "native": "normal"}

_AUTOMATIC: dict[Sampler, Schedule] = {
    "euler": "normal",
    "euler_a": "normal",
    "heun": "normal",
    "dpmpp_2m": "karras",
    "dpmpp_sde": "karras",
    "dpmpp_2m_sde": "exponential",
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
    for ending, ours in (("karras", "karras"), ("exponential", "exponential"), ("sgmuniform", "sgm_uniform")):
        if short.endswith(ending) and not short.endswith("polyexponential"):
            short, schedule = short.removesuffix(ending), _SCHEDULES[_compact(ours)]
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
