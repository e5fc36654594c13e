"""Names of samplers and schedules, as people and other tools write them."""

from typing import get_args

import pytest

from sfumato.choices import Sampler, Schedule
from sfumato.errors import RequestError
from sfumato.metadata import names


@pytest.mark.parametrize(
    ("name", "sampler", "schedule"),
    [
        ("DPM++ 2M Karras", "dpmpp_2m", "karras"),
        ("DPM++ 2M SDE Exponential", "dpmpp_2m_sde", "exponential"),
        ("Euler a", "euler_a", None),
        ("k_euler_a", "euler_a", None),
        ("k_euler_ancestral", "euler_a", None),
        ("euler_ancestral", "euler_a", None),
        ("dpmpp_2m_sde_gpu", "dpmpp_2m_sde", None),
        ("dpmpp_2m_k", "dpmpp_2m", "karras"),
        ("uni_pc", "unipc", None),
        ("DDIM", "ddim", None),
        ("DPMSolverMultistepScheduler", "dpmpp_2m", None),
        ("EulerAncestralDiscreteScheduler", "euler_a", None),
        ("PNDMScheduler", "plms", None),
        ("DPM++ 3M SDE Karras", "dpmpp_3m_sde", "karras"),
        ("DPM++ 2M SDE Heun Exponential", "dpmpp_2m_sde_heun", "exponential"),
        ("res_multistep_ancestral", "res_multistep_a", None),
        ("ER SDE", "er_sde", None),
        ("seeds_2", "dpmpp_sde", None),
        ("SASolverScheduler", "sa_solver", None),
        ("Restart", "restart", None),
        ("k_dpm_2_a", "dpm_2_a", None),
        ("dpm_2_ancestral", "dpm_2_a", None),
        ("dpmpp_2s_ancestral", "dpmpp_2s_a", None),
        ("k_dpm_ad", "dpm_adaptive", None),
        ("LMS Polyexponential", "lms", "polyexponential"),
        ("KDPM2AncestralDiscreteScheduler", "dpm_2_a", None),
        ("dpm++ 2m karras", "dpmpp_2m", "karras"),
        ("Euler", "euler", None),
        ("dpmpp_2m_sde_gpu_karras", "dpmpp_2m_sde", "karras"),
        ("euler_simple", "euler", "simple"),
        ("euler_normal", "euler", "normal"),
        ("dpmpp_2m_sgm_uniform", "dpmpp_2m", "sgm_uniform"),
        ("euler_ancestral_ddim_uniform", "euler_a", "ddim"),
        ("Euler Beta", "euler", "beta"),
        ("sample_dpmpp_2m", "dpmpp_2m", None),
        ("uni_pc_bh2", "unipc", None),
        ("kdpm_2", "dpm_2", None),
        ("kdpm_2_k", "dpm_2", "karras"),
        ("kdpm_2_a_k", "dpm_2_a", "karras"),
        ("Karras", None, "karras"),
        ("heunpp2", None, None),
        ("", None, None),
    ],
)
def test_names_of_samplers(name: str, sampler: str | None, schedule: str | None) -> None:
    assert names.read_sampler(name) == names.Named(sampler, schedule)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "sampler"), [("DDIM CFG++", "ddim"), ("euler_cfg_pp", "euler"), ("euler_ancestral_cfg_pp", "euler_a")]
)
def test_cfgpp_is_a_method_of_guidance(name: str, sampler: Sampler) -> None:
    assert names.read_sampler(name) == names.Named(sampler, None, "cfgpp")


def test_every_name_of_ours_is_read_in_both_forms() -> None:
    for sampler in get_args(Sampler):
        assert {names.read_sampler(word).sampler for word in (sampler, names.SAMPLER_LABELS[sampler])} == {sampler}
    for schedule in get_args(Schedule):
        assert {names.read_schedule(word) for word in (schedule, names.SCHEDULE_LABELS[schedule])} == {schedule}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"sampler": "DPM++ 2M Karras"}, {"sampler": "dpmpp_2m", "schedule": "karras"}),
        ({"sampler": "Euler", "schedule": "SGM Uniform"}, {"sampler": "euler", "schedule": "sgm_uniform"}),
        ({"sampler": "DPM++ 2M Karras", "schedule": "karras"}, {"sampler": "dpmpp_2m", "schedule": "karras"}),
        ({"sampler": "DDIM CFG++"}, {"sampler": "ddim", "guidance_method": "cfgpp"}),
        ({"sampler": "eular", "schedule": "x"}, {"sampler": "eular", "schedule": "x"}),
        ({"sampler": None, "seed": 1}, {"sampler": None, "seed": 1}),
    ],
)
def test_options_are_understood(given: dict[str, object], expected: dict[str, object]) -> None:
    assert names.understood(given) == expected


def test_two_schedules_are_refused() -> None:
    with pytest.raises(RequestError, match=r"'DPM\+\+ 2M Karras' says schedule karras, and simple is given"):
        names.understood({"sampler": "DPM++ 2M Karras", "schedule": "simple"})
