"""`scheduler_config.json` as data: what each setting does to the noise levels."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sfumato.checkpoints.scheduler import CLASSES, read_scheduler
from sfumato.diffusion import SAMPLERS
from sfumato.errors import CheckpointError

BETAS = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_names_a_sampler_and_gives_levels(name: str) -> None:
    sampling = read_scheduler({"_class_name": name, **BETAS, "skip_prk_steps": True})
    assert sampling.sampler in {row.name for row in SAMPLERS}
    for steps in (1, 2, 4, 25, 50):
        sigmas = sampling.sigmas(steps, None)
        assert bool((sigmas.diff() < 0).all())


@given(
    name=st.sampled_from(sorted(CLASSES)),
    steps=st.integers(1, 50),
    spacing=st.sampled_from(["linspace", "leading", "trailing"]),
    offset=st.integers(0, 1),
    karras=st.booleans(),
    alpha=st.booleans(),
    final=st.sampled_from(["zero", "sigma_min"]),
)
def test_any_combination_descends(
    name: str, steps: int, spacing: str, offset: int, karras: bool, alpha: bool, final: str
) -> None:
    sampling = read_scheduler(
        {
            "_class_name": name,
            **BETAS,
            "skip_prk_steps": True,
            "timestep_spacing": spacing,
            "steps_offset": offset,
            "use_karras_sigmas": karras,
            "set_alpha_to_one": alpha,
            "final_sigmas_type": final,
        }
    )
    sigmas = sampling.sigmas(steps, None)
    assert bool((sigmas.diff() < 0).all())
    assert bool(torch.isfinite(sigmas).all())
    assert len(sigmas) in (steps, steps + 1)


def test_ends() -> None:
    to_zero = read_scheduler({"_class_name": "DDIMScheduler", **BETAS, "steps_offset": 1})
    above = read_scheduler({"_class_name": "DDIMScheduler", **BETAS, "steps_offset": 1, "set_alpha_to_one": False})
    assert float(to_zero.sigmas(10, None)[-1]) == 0
    assert float(above.sigmas(10, None)[-1]) == pytest.approx(0.029167, rel=1e-4)
    assert float(above.sigmas(10, "karras")[-1]) == 0


def test_where_no_setting_says_so() -> None:
    for name, end in (("TCDScheduler", 0.029167), ("DEISMultistepScheduler", 0.029167), ("LCMScheduler", 0.0)):
        for others in ({}, {"set_alpha_to_one": True, "final_sigmas_type": "zero"}):
            sampling = read_scheduler({"_class_name": name, **BETAS, **others})
            assert float(sampling.sigmas(10, None)[-1]) == pytest.approx(end, rel=1e-4)


@pytest.mark.parametrize(
    ("name", "samplers"),
    [
        ("DEISMultistepScheduler", {1: "euler", 2: "deis_2m", 3: "deis", None: "deis_2m"}),
        ("DPMSolverMultistepScheduler", {2: "dpmpp_2m", None: "dpmpp_2m"}),
        ("UniPCMultistepScheduler", {2: "unipc", None: "unipc"}),
    ],
)
def test_solver_order(name: str, samplers: dict[int | None, str]) -> None:
    for order, sampler in samplers.items():
        options = {} if order is None else {"solver_order": order}
        assert read_scheduler({"_class_name": name, **BETAS, **options}).sampler == sampler
    for bad in ({1, 3, 4} - samplers.keys()) | {0, "2", None}:
        with pytest.raises(CheckpointError, match="solver_order"):
            read_scheduler({"_class_name": name, **BETAS, "solver_order": bad})


@pytest.mark.parametrize(
    ("name", "algorithm", "solver", "sampler"),
    [
        ("DPMSolverMultistepScheduler", "dpmsolver++", "midpoint", "dpmpp_2m"),
        ("DPMSolverMultistepScheduler", "sde-dpmsolver++", "midpoint", "dpmpp_2m_sde"),
        ("DPMSolverMultistepScheduler", "deis", "logrho", "dpmpp_2m"),
        ("DEISMultistepScheduler", "deis", "logrho", "deis_2m"),
        ("DEISMultistepScheduler", "dpmsolver++", "midpoint", "deis_2m"),
    ],
)
def test_the_algorithm_of_another_class_is_the_own_one(name: str, algorithm: str, solver: str, sampler: str) -> None:
    """As in diffusers, which makes one scheduler from another's configuration."""
    settings = {"algorithm_type": algorithm, "solver_type": solver}
    assert read_scheduler({"_class_name": name, **BETAS, **settings}).sampler == sampler


def test_published_levels() -> None:
    """sigma_max of Stable Diffusion 1.x and 2.x is 14.6146."""
    sampling = read_scheduler({"_class_name": "EulerDiscreteScheduler", **BETAS})
    assert sampling.schedule.sigma_max == pytest.approx(14.6146, rel=1e-5)
    assert sampling.schedule.sigma_min == pytest.approx(0.029167, rel=1e-4)
