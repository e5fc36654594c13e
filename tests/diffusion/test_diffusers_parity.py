"""Against diffusers' schedulers: the same grids, and the same picture from the same network, noise and grid.

The network is exact for a mixture of Gaussians, and reads its noise level from the label it is given, so that a wrong
label, input scaling or step shows. It rounds the label as the scheduler does, where that makes whole timesteps.
"""

from collections.abc import Callable
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from sfumato.diffusion import (
    EPSILON,
    FLOW,
    PARAMETERISATIONS,
    SAMPLERS,
    STRAIGHT,
    Conditioning,
    Denoiser,
    DiscreteSchedule,
    FlowSchedule,
    ImageNoise,
    Parameterisation,
    Spacing,
    Step,
)
from sfumato.diffusion.grids import ALIGNED, exponential, karras, lcm, shifted, spaced
from tests.diffusion.closed_form import TWO_HILLS

diffusers = pytest.importorskip("diffusers")
pytestmark = pytest.mark.parity

SD: dict[str, Any] = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
SCHEDULE = DiscreteSchedule.from_betas()
SHAPE = (4, 8, 8)
NO_CONDITION = Conditioning(torch.zeros(1, 1, 1))
KINDS: tuple[Literal["linspace", "leading", "trailing"], ...] = ("linspace", "leading", "trailing")


Rounding = Callable[[Tensor], Tensor]


def cut_off(label: Tensor) -> Tensor:
    """To a whole timestep as by a cast to integers, but 998.9999 is 999."""
    return (label + 1e-3).floor()


def network(
    parameterisation: Parameterisation, schedule: DiscreteSchedule | FlowSchedule, rounding: Rounding
) -> Callable[[Tensor, Tensor, Conditioning], Tensor]:
    """An exact F: it undoes the input scaling, and finds the level from the label."""
    denoise = TWO_HILLS.denoise(parameterisation.path)

    def predict(scaled: Tensor, label: Tensor, cond: Conditioning) -> Tensor:
        sigma = schedule.sigma(rounding(label))[0]
        scaling = parameterisation.scaling(sigma)
        x = scaled / scaling.input
        return scaling.output(x, denoise(x, sigma))

    return predict


def ours(
    name: str,
    sigmas: Tensor,
    *,
    schedule: DiscreteSchedule | FlowSchedule = SCHEDULE,
    parameterisation: Parameterisation = EPSILON,
    rounding: Rounding = torch.clone,
    start: Callable[[Tensor], Tensor] | None = None,
    eta: float | None = None,
) -> Tensor:
    denoiser = Denoiser(network(parameterisation, schedule, rounding), parameterisation, schedule)
    noise = ImageNoise([7], SHAPE)
    path = parameterisation.path
    x = start(noise()) if start else path.prior(noise(), sigmas[0])
    (row,) = (sampler for sampler in SAMPLERS if sampler.name == name)
    for step in row(
        lambda x, sigma: denoiser(x, sigma, NO_CONDITION), x, sigmas, noise=noise, path=path, eta=eta, schedule=schedule
    ):
        x = step.x
    return parameterisation.scaling(sigmas[-1]).input * x  # in diffusers' coordinates; matters for a final above 0


def theirs(
    scheduler: Any,
    steps: int,
    *,
    schedule: DiscreteSchedule | FlowSchedule = SCHEDULE,
    parameterisation: Parameterisation = EPSILON,
    rounding: Rounding = torch.clone,
    fresh: bool = False,
    stop: int | None = None,
    **options: Any,
) -> Tensor:
    """A diffusers pipeline's loop. ``fresh`` passes a generator, ``options`` go to each step."""
    predict = network(parameterisation, schedule, rounding)
    scheduler.set_timesteps(steps)
    generator = torch.Generator().manual_seed(7)
    x = torch.randn((1, *SHAPE), generator=generator) * getattr(scheduler, "init_noise_sigma", 1.0)
    if fresh:
        options["generator"] = generator
    for t in scheduler.timesteps[:stop]:
        scaled = scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x
        output = predict(scaled, t.float().expand(1), NO_CONDITION)
        x = scheduler.step(output, t, x, **options).prev_sample
    return x


def assert_same(actual: Tensor, expected: Tensor, tolerance: float = 2e-5) -> None:
    difference = float((actual - expected).norm() / expected.norm())
    assert difference < tolerance, f"relative difference {difference:.2e}"


def config(parameterisation: Parameterisation, **options: Any) -> dict[str, Any]:
    return {**SD, "prediction_type": parameterisation.name, **options}


# ---------------------------------------------------------------------------------------------------- grids


@pytest.mark.parametrize("options", [SD, {"beta_schedule": "linear"}, {"beta_schedule": "squaredcos_cap_v2"}])
@pytest.mark.parametrize("zero", [False, True])
def test_tables_are_the_same(options: dict[str, Any], zero: bool) -> None:
    scheduler = diffusers.DDIMScheduler(**options, rescale_betas_zero_snr=zero)
    arguments = (options["beta_schedule"], options.get("beta_start", 1e-4), options.get("beta_end", 0.02))
    schedule = DiscreteSchedule.from_betas(*arguments, zero_terminal_snr=zero)
    signal = scheduler.alphas_cumprod.double()
    expected = ((1 - signal) / signal).sqrt()
    last = -1 if zero else None  # diffusers' DDIM leaves 0 there, Euler 2^-24
    torch.testing.assert_close(schedule.sigmas[:last].double(), expected[:last], rtol=3e-3, atol=0)
    if zero and options is SD:
        euler = diffusers.EulerDiscreteScheduler(**options, rescale_betas_zero_snr=True)
        assert schedule.sigma_max == pytest.approx(float(euler.sigmas[0])) == pytest.approx(4096, rel=1e-3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("levels", ["spaced", "karras", "exponential"])
@pytest.mark.parametrize("solver", ["euler", "dpm", "unipc"])
def test_grids_are_the_same(solver: str, levels: str, kind: Literal["linspace", "leading", "trailing"]) -> None:
    scheduler_class = {
        "euler": diffusers.EulerDiscreteScheduler,
        "dpm": diffusers.DPMSolverMultistepScheduler,
        "unipc": diffusers.UniPCMultistepScheduler,
    }[solver]
    flags = {} if levels == "spaced" else {f"use_{levels}_sigmas": True}
    scheduler = scheduler_class(**SD, timestep_spacing=kind, steps_offset=1, **flags)
    spacing = Spacing(kind, offset=1, interior=solver != "euler", rounded=solver != "euler")
    ends = spacing if solver == "euler" else None
    for steps in (2, 3, 4, 7, 10, 15, 20, 25, 28, 30, 40, 50, 99, 100):
        scheduler.set_timesteps(steps)
        if levels == "spaced":
            sigmas = spaced(SCHEDULE, steps, spacing=spacing)
        else:
            sigmas = (karras if levels == "karras" else exponential)(SCHEDULE, steps, spacing=ends)
        torch.testing.assert_close(sigmas, scheduler.sigmas, rtol=1e-4, atol=0)


def test_aligned_levels_are_the_published() -> None:
    tables = {"sd1": "StableDiffusion", "sdxl": "StableDiffusionXL", "svd": "StableDiffusionVideo"}
    for model, name in tables.items():
        assert list(ALIGNED[model][:-1]) == diffusers.schedulers.AysSchedules[f"{name}Sigmas"][:-1]


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_flow_grids_are_the_same(shift: float) -> None:
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=shift)
    for steps in (1, 2, 4, 10, 28, 50):
        scheduler.set_timesteps(steps)
        torch.testing.assert_close(shifted(FlowSchedule(shift), steps), scheduler.sigmas, rtol=1e-5, atol=0)


def test_lcm_grids_are_the_same() -> None:
    scheduler = diffusers.LCMScheduler(**SD)
    for steps in (1, 2, 3, 4, 6, 8, 50):
        scheduler.set_timesteps(steps)
        labels = SCHEDULE.label(lcm(SCHEDULE, steps)[:-1])
        torch.testing.assert_close(labels.round().long(), scheduler.timesteps)


# -------------------------------------------------------------------------------------------------- samplers


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["epsilon", "v_prediction", "sample"])
def test_euler(name: str, kind: Literal["linspace", "leading", "trailing"]) -> None:
    row = PARAMETERISATIONS[name]
    scheduler = diffusers.EulerDiscreteScheduler(**config(row, timestep_spacing=kind, steps_offset=1))
    expected = theirs(scheduler, 20, parameterisation=row)
    sigmas = spaced(SCHEDULE, 20, spacing=Spacing(kind, offset=1))
    start = float(scheduler.init_noise_sigma)
    assert_same(ours("euler", sigmas, parameterisation=row, start=lambda noise: noise * start), expected)


@pytest.mark.parametrize("levels", ["karras", "exponential"])
def test_euler_on_computed_levels(levels: str) -> None:
    scheduler = diffusers.EulerDiscreteScheduler(**SD, **{f"use_{levels}_sigmas": True})
    expected = theirs(scheduler, 20)
    sigmas = (karras if levels == "karras" else exponential)(SCHEDULE, 20)
    start = float(scheduler.init_noise_sigma)
    logarithmic = DiscreteSchedule(SCHEDULE.sigmas, log_interpolation=True)
    same_labels = ours("euler", sigmas, schedule=logarithmic, start=lambda noise: noise * start)
    assert_same(same_labels, theirs(scheduler, 20, schedule=logarithmic))
    assert_same(ours("euler", sigmas, start=lambda noise: noise * start), expected, 1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["epsilon", "v_prediction"])
def test_euler_ancestral(name: str, kind: Literal["linspace", "leading", "trailing"]) -> None:
    row = PARAMETERISATIONS[name]
    scheduler = diffusers.EulerAncestralDiscreteScheduler(**config(row, timestep_spacing=kind, steps_offset=1))
    expected = theirs(scheduler, 20, parameterisation=row, fresh=True)
    sigmas = spaced(SCHEDULE, 20, spacing=Spacing(kind, offset=1))
    start = float(scheduler.init_noise_sigma)
    assert_same(ours("euler_a", sigmas, parameterisation=row, start=lambda noise: noise * start), expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["epsilon", "v_prediction"])
def test_heun(name: str, kind: Literal["linspace", "leading", "trailing"]) -> None:
    row = PARAMETERISATIONS[name]
    scheduler = diffusers.HeunDiscreteScheduler(**config(row, timestep_spacing=kind, steps_offset=1))
    expected = theirs(scheduler, 20, parameterisation=row)
    sigmas = spaced(SCHEDULE, 20, spacing=Spacing(kind, offset=1))
    start = float(scheduler.init_noise_sigma)
    assert_same(ours("heun", sigmas, parameterisation=row, start=lambda noise: noise * start), expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["dpm_2", "dpm_2_a"])
def test_dpm_2(name: str, kind: Literal["linspace", "leading", "trailing"]) -> None:
    """Its loop goes over levels and half levels."""
    row = {"dpm_2": diffusers.KDPM2DiscreteScheduler, "dpm_2_a": diffusers.KDPM2AncestralDiscreteScheduler}[name]
    scheduler = row(**SD, timestep_spacing=kind, steps_offset=1)
    logarithmic = DiscreteSchedule(SCHEDULE.sigmas, log_interpolation=True)
    expected = theirs(scheduler, 20, schedule=logarithmic, fresh=name == "dpm_2_a")
    sigmas = scheduler.sigmas[0::2]
    start = float(scheduler.init_noise_sigma)
    assert_same(ours(name, sigmas, schedule=logarithmic, start=lambda noise: noise * start), expected, 1e-4)


def without_the_last(kind: Any, **options: Any) -> Any:
    """A scheduler which leaves out its last step."""

    class Shorter(kind):  # type: ignore[misc]
        timesteps: Tensor
        sigmas: Tensor

        def set_timesteps(self, steps: int) -> None:
            super().set_timesteps(steps)
            self.timesteps, self.sigmas = self.timesteps[:-1], self.sigmas[:-1]

    return Shorter(**options)


@pytest.mark.parametrize("levels", [*KINDS, "karras"])
@pytest.mark.parametrize("steps", [2, 3, 14, 15, 20])
@pytest.mark.parametrize(("order", "name"), [(1, "euler"), (2, "deis_2m"), (3, "deis")])
def test_deis(name: str, order: int, steps: int, levels: Any) -> None:
    """On Karras grids diffusers' ends with a step of no length, which it counts among its last."""
    options: dict[str, Any] = {**SD, "solver_order": order, "steps_offset": 1}
    if levels in KINDS:
        scheduler = diffusers.DEISMultistepScheduler(**options, timestep_spacing=levels)
    else:
        scheduler = without_the_last(diffusers.DEISMultistepScheduler, **options, use_karras_sigmas=True)
    expected = theirs(scheduler, steps, rounding=torch.round)
    assert_same(ours(name, scheduler.sigmas, rounding=torch.round), expected, 1e-4)


@pytest.mark.parametrize("steps", [2, 3, 4, 20])
@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_sa_solver(eta: float, steps: int) -> None:
    """Diffusers' takes two points to predict and two to correct unless told; ours three and four, as published. Of its
    own accord it adds noise at timesteps from 200 to 800."""
    options: dict[str, Any] = {**SD, "predictor_order": 3, "corrector_order": 4, "timestep_spacing": "trailing"}
    scheduler = diffusers.SASolverScheduler(**options, **({} if eta else {"tau_func": lambda t: 0}))
    expected = theirs(scheduler, steps, rounding=torch.round, fresh=True)
    sigmas, noise = scheduler.sigmas, ImageNoise([7], SHAPE)
    first, *draws = (noise() for _ in range(steps + 1))  # theirs draws at every step, of use or not
    denoiser = Denoiser(network(EPSILON, SCHEDULE, torch.round), EPSILON, SCHEDULE)
    done: list[Step] = []
    (row,) = (sampler for sampler in SAMPLERS if sampler.name == "sa_solver")
    x = first * (1 + sigmas[0] ** 2).sqrt()
    for step in row(
        lambda x, sigma: denoiser(x, sigma, NO_CONDITION),
        x,
        sigmas,
        noise=lambda: draws[len(done)],
        eta=eta,
        schedule=SCHEDULE,
    ):
        done.append(step)
    assert_same(EPSILON.scaling(sigmas[-1]).input * done[-1].x, expected, 1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["epsilon", "v_prediction"])
def test_lms(name: str, kind: Literal["linspace", "leading", "trailing"]) -> None:
    row = PARAMETERISATIONS[name]
    scheduler = diffusers.LMSDiscreteScheduler(**config(row, timestep_spacing=kind, steps_offset=1))
    expected = theirs(scheduler, 20, parameterisation=row)
    sigmas = spaced(SCHEDULE, 20, spacing=Spacing(kind, offset=1))
    start = float(scheduler.init_noise_sigma)
    assert_same(ours("lms", sigmas, parameterisation=row, start=lambda noise: noise * start), expected)


@pytest.mark.parametrize("levels", ["linspace", "leading", "trailing", "karras"])
def test_dpmpp_3m(levels: Any) -> None:
    """Without noise: diffusers' stochastic form has the sign of the second difference wrong (0.42.1)."""
    flags = {"timestep_spacing": levels} if levels in KINDS else {f"use_{levels}_sigmas": True}
    scheduler = diffusers.DPMSolverMultistepScheduler(**SD, steps_offset=1, solver_order=3, **flags)
    expected = theirs(scheduler, 20, rounding=torch.round)
    assert_same(ours("dpmpp_3m_sde", scheduler.sigmas, rounding=torch.round, eta=0.0), expected, 1e-4)


@pytest.mark.parametrize("name", ["epsilon", "v_prediction"])
def test_ddpm(name: str) -> None:
    row = PARAMETERISATIONS[name]
    scheduler = diffusers.DDPMScheduler(**config(row, timestep_spacing="leading", steps_offset=1), clip_sample=False)
    expected = theirs(scheduler, 20, parameterisation=row, fresh=True)
    sigmas = spaced(SCHEDULE, 20, spacing=Spacing("leading", offset=1))
    assert_same(ours("ddpm", sigmas, parameterisation=row), expected)


@pytest.mark.parametrize("eta", [0.0, 0.3, 0.8])
@pytest.mark.parametrize("name", ["epsilon", "v_prediction"])
def test_tcd(name: str, eta: float) -> None:
    row = PARAMETERISATIONS[name]
    scheduler = diffusers.TCDScheduler(**config(row), clip_sample=False, set_alpha_to_one=True)
    expected = theirs(scheduler, 4, parameterisation=row, fresh=True, eta=eta)
    sigmas = lcm(SCHEDULE, 4, final=SCHEDULE.sigma_min)
    assert_same(ours("tcd", sigmas, parameterisation=row, eta=eta), expected)


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("final", ["zero", "sigma_min"])
@pytest.mark.parametrize("kind", ["leading", "trailing"])
@pytest.mark.parametrize("name", ["epsilon", "v_prediction"])
def test_ddim(name: str, kind: Literal["leading", "trailing"], final: str, eta: float) -> None:
    """Not linspace: there diffusers' DDIM steps by T // steps and not to the next of its own timesteps."""
    row = PARAMETERISATIONS[name]
    scheduler = diffusers.DDIMScheduler(
        **config(row, timestep_spacing=kind, steps_offset=1),
        set_alpha_to_one=final == "zero",
        clip_sample=False,
    )
    expected = theirs(scheduler, 20, parameterisation=row, fresh=True, eta=eta)
    last = 0.0 if final == "zero" else SCHEDULE.sigma_min
    sigmas = spaced(SCHEDULE, 20, spacing=Spacing(kind, offset=1), final=last)
    assert_same(ours("ddim", sigmas, parameterisation=row, eta=eta), expected)


@pytest.mark.parametrize("steps", [5, 20])
@pytest.mark.parametrize("levels", ["linspace", "leading", "trailing", "karras"])
@pytest.mark.parametrize("name", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("solver", ["dpmpp_2m", "dpmpp_2m_sde", "unipc"])
def test_multistep(solver: str, name: str, levels: Any, steps: int) -> None:
    row = PARAMETERISATIONS[name]
    flags = {"timestep_spacing": levels} if levels in KINDS else {f"use_{levels}_sigmas": True}
    options = config(row, steps_offset=1, **flags)
    scheduler = {
        "dpmpp_2m": lambda: diffusers.DPMSolverMultistepScheduler(**options),
        "dpmpp_2m_sde": lambda: diffusers.DPMSolverMultistepScheduler(**options, algorithm_type="sde-dpmsolver++"),
        "unipc": lambda: diffusers.UniPCMultistepScheduler(**options),
    }[solver]()
    expected = theirs(scheduler, steps, parameterisation=row, rounding=torch.round, fresh=solver == "dpmpp_2m_sde")
    if levels in KINDS:
        sigmas = spaced(SCHEDULE, steps, spacing=Spacing(levels, offset=1, interior=True, rounded=True))
    else:
        sigmas = (karras if levels == "karras" else exponential)(SCHEDULE, steps)
    assert_same(ours(solver, sigmas, parameterisation=row, rounding=torch.round), expected)


@pytest.mark.parametrize("steps", [2, 3, 4, 20])
def test_plms(steps: int) -> None:
    """With the scheduler config of Stable Diffusion 1."""
    scheduler = diffusers.PNDMScheduler(**SD, skip_prk_steps=True, set_alpha_to_one=False, steps_offset=1)
    sigmas = spaced(SCHEDULE, steps, spacing=Spacing("leading", offset=1), final=SCHEDULE.sigma_min)
    assert_same(ours("plms", sigmas), theirs(scheduler, steps))


@pytest.mark.parametrize("name", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("steps", [1, 2, 4, 8])
def test_lcm(steps: int, name: str) -> None:
    row = PARAMETERISATIONS[name]
    scheduler = diffusers.LCMScheduler(**config(row), clip_sample=False, set_alpha_to_one=False)
    expected = theirs(scheduler, steps, parameterisation=row, fresh=True)
    assert_same(ours("lcm", lcm(SCHEDULE, steps), parameterisation=row), expected)


@pytest.mark.parametrize("name", ["dpmpp_2m", "unipc"])
@pytest.mark.parametrize("shift", [1.0, 3.0])
@pytest.mark.parametrize("steps", [4, 20])
def test_multistep_flow(steps: int, shift: float, name: str) -> None:
    """On diffusers' own levels, which begin below 1."""
    scheduler_class = diffusers.DPMSolverMultistepScheduler if name == "dpmpp_2m" else diffusers.UniPCMultistepScheduler
    scheduler = scheduler_class(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift)
    schedule = FlowSchedule(shift)
    expected = theirs(scheduler, steps, schedule=schedule, parameterisation=FLOW, rounding=cut_off)
    options: dict[str, Any] = {"schedule": schedule, "parameterisation": FLOW, "rounding": cut_off}
    assert_same(ours(name, scheduler.sigmas, start=lambda noise: noise, **options), expected)


@pytest.mark.parametrize("shift", [1.0, 3.0])
@pytest.mark.parametrize("steps", [1, 4, 28])
def test_flow(steps: int, shift: float) -> None:
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=shift)
    schedule = FlowSchedule(shift)
    scheduler.set_timesteps(steps)
    expected = theirs(scheduler, steps, schedule=schedule, parameterisation=FLOW)
    actual = ours("euler", shifted(schedule, steps), schedule=schedule, parameterisation=FLOW)
    assert FLOW.path is STRAIGHT
    assert_same(actual, expected)


@pytest.mark.parametrize("shift", [1.0, 3.0])
@pytest.mark.parametrize("steps", [4, 28])
def test_flow_heun(steps: int, shift: float) -> None:
    scheduler = diffusers.FlowMatchHeunDiscreteScheduler(shift=shift)
    schedule = FlowSchedule(shift)
    expected = theirs(scheduler, steps, schedule=schedule, parameterisation=FLOW)
    sigmas = torch.cat([scheduler.sigmas[:1], scheduler.sigmas[1::2]])
    assert_same(ours("heun", sigmas, schedule=schedule, parameterisation=FLOW), expected)
