"""`scheduler_config.json` as data: what each setting does to the noise levels."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sfumato.checkpoints.scheduler import read_scheduler
from sfumato.checkpoints.scheduler_classes import CLASSES
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
    if (name, karras, final) == ("DPMSolverSinglestepScheduler", True, "sigma_min"):
        return  # diffusers computes no level to end at there; refused, see `scheduler_classes`
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
        ("DPMSolverMultistepScheduler", {1: "dpmpp_2m", 2: "dpmpp_2m", 3: "dpmpp_2m", None: "dpmpp_2m"}),
        ("DPMSolverSinglestepScheduler", {1: "dpmpp_2s", 2: "dpmpp_2s", 3: "dpmpp_2s", None: "dpmpp_2s"}),
        ("UniPCMultistepScheduler", {1: "unipc", 2: "unipc", 3: "unipc", None: "unipc"}),
    ],
)
def test_solver_order(name: str, samplers: dict[int | None, str]) -> None:
    for order, sampler in samplers.items():
        options = {} if order is None else {"solver_order": order}
        found = read_scheduler({"_class_name": name, **BETAS, **options})
        assert found.sampler == sampler
        if "orders" in found.options:
            assert found.options["orders"].most == (order or 2)
    for bad in (0, 4, "2", None):
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
        ("EDMDPMSolverMultistepScheduler", "sde-dpmsolver++", "midpoint", "dpmpp_2m_sde"),
    ],
)
def test_the_algorithm_of_another_class_is_the_own_one(name: str, algorithm: str, solver: str, sampler: str) -> None:
    """As in diffusers, which makes one scheduler from another's configuration."""
    settings = {"algorithm_type": algorithm, "solver_type": solver}
    assert read_scheduler({"_class_name": name, **BETAS, **settings}).sampler == sampler


@pytest.mark.parametrize("name", ["EulerAncestralDiscreteScheduler", "DDIMScheduler", "PNDMScheduler", "DDPMScheduler"])
def test_keys_of_other_classes_change_nothing(name: str) -> None:
    own = {"_class_name": name, **BETAS, "skip_prk_steps": True}
    others = {"use_karras_sigmas": True, "solver_order": 3, "final_sigmas_type": "sigma_min", "euler_at_final": 7}
    plain, mixed = read_scheduler(own), read_scheduler({**own, **others})
    assert mixed.sampler == plain.sampler
    assert torch.equal(mixed.sigmas(10, None), plain.sigmas(10, None))


def test_keys_of_no_class_are_said_and_change_nothing(caplog: pytest.LogCaptureFixture) -> None:
    read_scheduler({"_class_name": "EulerDiscreteScheduler", **BETAS, "colour": 1, "_diffusers_version": "0"})
    assert [record.getMessage() for record in caplog.records] == [
        "scheduler_config.json: 'colour': no scheduler has such a setting; ignored"
    ]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"_class_name": "PNDMScheduler"}, "skip_prk_steps=False is not supported, only True"),
        ({"beta_start": "low"}, "beta_start='low' is no number"),
        ({"num_train_timesteps": 10**12}, "no number from 1 to a million"),
        ({"trained_betas": [0.1] * 999 + ["x"]}, r"trained_betas=\[0.1, .*\.\.\.\] is no list of numbers"),
        ({"trained_betas": [0.1, 1.5]}, "between 0 and 1"),
        ({"use_karras_sigmas": True, "use_beta_sigmas": True}, "at once"),
        ({"interpolation_type": "log_linear"}, "log_linear"),
        ({"prediction_type": "flow_prediction"}, "use_flow_sigmas"),
        ({"_class_name": "DPMSolverMultistepScheduler", "algorithm_type": "dpmsolver"}, "cannot end at 0"),
        ({"_class_name": "DPMSolverMultistepScheduler", "use_flow_sigmas": True}, "flow_prediction"),
        ({"_class_name": "UniPCMultistepScheduler", "shift_terminal": 0.1}, "use_flow_sigmas"),
        ({"_class_name": "FlowMatchEulerDiscreteScheduler", "invert_sigmas": True}, "invert_sigmas=True"),
        ({"_class_name": "EDMEulerScheduler", "prediction_type": "sample"}, "only epsilon or v_prediction"),
        ({"_class_name": ["EulerDiscreteScheduler"]}, "is not supported; known"),
        ({"_class_name": "SASolverScheduler"}, r"near it is DPMSolverMultistepScheduler with algorithm_type sde-dpm"),
        ({"_class_name": "IPNDMScheduler"}, "near it is PNDMScheduler with skip_prk_steps true"),
    ],
)
def test_what_is_not_followed_is_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(CheckpointError, match=words):
        read_scheduler({"_class_name": "EulerDiscreteScheduler", **BETAS, **settings})


def test_defaults_are_those_of_the_class() -> None:
    """Heun's betas go from 0.00085 to 0.012 where the file says nothing, and Euler's from 0.0001 to 0.02."""
    heun, euler = (read_scheduler({"_class_name": f"{name}DiscreteScheduler"}).schedule for name in ("Heun", "Euler"))
    assert [heun.sigma_min, euler.sigma_min] == pytest.approx([0.029167, 0.01], rel=1e-3)


def test_trained_betas_equal_to_the_schedule_give_its_levels() -> None:
    betas = (torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2).tolist()
    given = read_scheduler({"_class_name": "EulerDiscreteScheduler", "trained_betas": betas})
    named = read_scheduler({"_class_name": "EulerDiscreteScheduler", **BETAS})
    torch.testing.assert_close(given.sigmas(7, None), named.sigmas(7, None))


def test_edm() -> None:
    """Playground v2.5 and CosXL, as their folders have it."""
    playground = read_scheduler({"_class_name": "EDMDPMSolverMultistepScheduler", "sigma_data": 0.5})
    sigmas = playground.sigmas(3, None)
    middle = ((80 ** (1 / 7) + 0.002 ** (1 / 7)) / 2) ** 7
    assert sigmas.tolist() == pytest.approx([80.0, middle, 0.002, 0.0])
    assert playground.parameterisation.name == "edm"
    x = torch.ones(1, 4, 2, 2)
    assert torch.equal(playground.finish(x, sigmas[-1]), x)
    cosxl = read_scheduler(
        {
            "_class_name": "EDMEulerScheduler",
            **{"sigma_min": 0.002, "sigma_max": 120.0, "sigma_data": 1.0, "sigma_schedule": "exponential"},
            "prediction_type": "v_prediction",
        }
    )
    assert cosxl.sigmas(3, None).tolist() == pytest.approx([120.0, (120 * 0.002) ** 0.5, 0.002, 0.0])
    assert cosxl.parameterisation.name == "v_prediction"
    assert float(cosxl.schedule.label(torch.tensor(120.0))) == pytest.approx(1.19687, rel=1e-4)


@pytest.mark.parametrize(
    ("kind", "shift"), [("exponential", 2.71828**0.6), ("linear", 0.6)], ids=["exponential", "linear"]
)
def test_dynamic_shifting_grows_with_the_picture(kind: str, shift: float) -> None:
    """base_shift at base_image_seq_len tokens and max_shift at max_image_seq_len, and on the line between."""
    config = {
        "_class_name": "FlowMatchEulerDiscreteScheduler",
        **{"use_dynamic_shifting": True, "time_shift_type": kind, "shift": 3.0},
        **{"base_shift": 0.5, "max_shift": 0.7, "base_image_seq_len": 100, "max_image_seq_len": 300},
    }
    sampling = read_scheduler(config).of_size(200)
    levels = shift * torch.tensor([1.0, 0.001]) / (1 + (shift - 1) * torch.tensor([1.0, 0.001]))
    torch.testing.assert_close(sampling.sigmas(2, None)[:-1], levels, rtol=1e-4, atol=0)


def test_published_levels() -> None:
    """sigma_max of Stable Diffusion 1.x and 2.x is 14.6146."""
    sampling = read_scheduler({"_class_name": "EulerDiscreteScheduler", **BETAS})
    assert sampling.schedule.sigma_max == pytest.approx(14.6146, rel=1e-5)
    assert sampling.schedule.sigma_min == pytest.approx(0.029167, rel=1e-4)
