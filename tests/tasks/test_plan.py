"""The two arithmetics, row by row as ``docs/numerics.md`` has them; the published rules are written out here."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sfumato.diffusion import EPSILON, FLOW, BrownianNoise, DiscreteSchedule, FlowSchedule, ImageNoise, Orders, Spacing
from sfumato.diffusion.grids import ALIGNED, karras, shifted, spaced
from sfumato.errors import RequestError
from sfumato.model import Sampling
from sfumato.requests import Txt2Img
from sfumato.studio import Studio
from sfumato.tasks.plan import Plan, plan
from sfumato.tasks.session import encode_prompts, resolve

SD = DiscreteSchedule.from_betas()
SAMPLING = Sampling(EPSILON, SD, "plms", lambda schedule, steps: spaced(schedule, steps, spacing=Spacing("leading", 1)))
UNIT = torch.ones(1, 4, 8, 8)
PAGE = Path(__file__).parents[2] / "docs" / "numerics.md"


EXACT = {"prompt": "", "seed": 0, "batch": 1, "guidance": 1.0, "width": 64, "height": 64}


def made(
    sampler: str, steps: int = 20, *, numerics: str = "a1111", sampling: Sampling = SAMPLING, **options: object
) -> Plan:
    request = Txt2Img.build(**EXACT | {"sampler": sampler, "steps": steps, "numerics": numerics} | options)
    return plan(sampling, request)


@pytest.mark.parametrize("numerics", ["diffusers", "a1111"])
def test_the_first_noise_may_be_louder(numerics: str) -> None:
    plain, loud = (made("euler", numerics=numerics, noise_multiplier=factor) for factor in (1.0, 1.5))
    torch.testing.assert_close(loud.begin(UNIT, None), 1.5 * plain.begin(UNIT, None))
    clean = torch.ones_like(UNIT)
    half = plain.part(0.5), loud.part(0.5)
    torch.testing.assert_close(half[1].begin(UNIT, clean) - clean, 1.5 * (half[0].begin(UNIT, clean) - clean))


def test_the_default_is_the_models_own() -> None:
    way = made("heun", numerics="diffusers")
    assert torch.equal(way.sigmas, SAMPLING.grid(SD, 20))
    assert way.schedule is SD
    assert way.eta is None
    assert torch.equal(way.start(UNIT, way.sigmas[0]), SAMPLING.start(UNIT, way.sigmas[0]))


# ----------------------------------------------------------------------------------------- the web UI's rules


def test_levels_between_timesteps_are_logarithmic() -> None:
    sigmas = made("euler").sigmas
    labels = torch.linspace(999, 0, 20, dtype=torch.float64)
    low = labels.floor().long().clamp(max=998)
    logs = SD.sigmas.double().log()
    torch.testing.assert_close(sigmas[:-1], logs[low].lerp(logs[low + 1], labels - low).exp().float())
    assert not torch.equal(sigmas, spaced(SD, 20))


@pytest.mark.parametrize(
    ("sampler", "expected"),
    [("dpmpp_2m", "karras"), ("dpmpp_2m_sde", "exponential"), ("euler", "normal"), ("restart", "karras")],
)
def test_a_schedule_left_open_is_that_of_the_sampler(sampler: str, expected: str) -> None:
    assert torch.equal(made(sampler).sigmas, made(sampler, schedule=expected).sigmas)


@pytest.mark.parametrize("sampler", ["dpm_2", "dpm_2_a", "dpmpp_3m_sde"])
def test_the_last_level_but_one_is_left_out(sampler: str) -> None:
    sigmas = made(sampler, schedule="karras").sigmas
    longer = karras(SD, 21)
    assert len(sigmas) == 21
    assert torch.equal(sigmas[:-1], longer[:20])
    assert float(sigmas[-1]) == 0


def test_k_samplers_start_at_sigma_and_end_as_they_are() -> None:
    way = made("euler_a")
    torch.testing.assert_close(way.start(UNIT, way.sigmas[0]), UNIT * SD.sigma_max)
    assert way.finish(UNIT, way.sigmas[-1]) is UNIT


@pytest.mark.parametrize("sampler", ["ddim", "plms"])
@pytest.mark.parametrize(("steps", "count"), [(20, 19), (30, 30), (50, 49), (2, 1)])
def test_timestep_samplers_walk_down_to_timestep_1(sampler: str, steps: int, count: int) -> None:
    way = made(sampler, steps, schedule="karras")
    labels = SD.label(way.sigmas).round().long()
    expected = [min(t + 1, 999) for t in range(0, 1000, 1000 // steps)][::-1]
    assert labels.tolist() == expected
    assert len(way.sigmas) - 1 == count
    # The network's own coordinates: unit noise, and no more scaling at the end.
    scale = math.sqrt(1 + float(way.sigmas[0]) ** 2)
    torch.testing.assert_close(way.start(UNIT, way.sigmas[0]), UNIT * scale)
    torch.testing.assert_close(way.finish(UNIT, way.sigmas[-1]), UNIT / math.sqrt(1 + float(way.sigmas[-1]) ** 2))


def test_unipc_is_even_in_time_down_to_the_lowest_level() -> None:
    labels = SD.label(made("unipc").sigmas)
    torch.testing.assert_close(labels, torch.linspace(999, 0, 21), atol=2e-2, rtol=0)


@pytest.mark.parametrize("sampler", ["dpm_fast", "dpm_adaptive"])
def test_dpm_solvers_end_at_the_lowest_level(sampler: str) -> None:
    sigmas = made(sampler).sigmas
    assert len(sigmas) == 21
    assert [float(sigmas[0]), float(sigmas[-1])] == pytest.approx([SD.sigma_max, SD.sigma_min])


def test_kl_optimal_and_beta_are_its_own() -> None:
    angles = torch.linspace(math.atan(SD.sigma_max), math.atan(SD.sigma_min), 21, dtype=torch.float64)
    torch.testing.assert_close(made("euler", schedule="kl_optimal").sigmas, angles.tan().float())
    beta = made("euler", schedule="beta").sigmas
    assert float(beta[10] + beta[9]) == pytest.approx(SD.sigma_max + SD.sigma_min, rel=1e-4)


@pytest.mark.parametrize(
    ("sampler", "eta"), [("euler_a", 1.0), ("dpm_fast", 1.0), ("dpm_adaptive", 1.0), ("ddim", None), ("heun", None)]
)
def test_eta(sampler: str, eta: float | None) -> None:
    assert made(sampler).eta == eta
    if sampler != "heun":
        assert made(sampler, eta=0.25).eta == 0.25


def test_noise() -> None:
    shape = (4, 8, 8)
    assert isinstance(made("dpmpp_sde").noise([1], shape), BrownianNoise)
    plain = made("euler_a").noise([1, 2], shape)
    assert type(plain) is ImageNoise
    for numerics in ("a1111", "diffusers"):
        moved = made("euler_a", ensd=31337, numerics=numerics).noise([1, 2], shape)
        assert torch.equal(moved(), ImageNoise([1, 2], shape)())
        assert torch.equal(moved(), ImageNoise([31338, 31339], shape)())


# -------------------------------------------------------------------------------------------------- the rest


def test_a_part_begins_on_the_way_from_clean_to_noise() -> None:
    """As SDEdit has it; the whole forgets the clean latents."""
    whole, clean = made("euler", 10, numerics="diffusers"), 3 * UNIT
    half, none = whole.part(0.5), whole.part(0.0)
    assert torch.equal(half.sigmas, whole.sigmas[5:])
    torch.testing.assert_close(half.begin(UNIT, clean), clean + whole.sigmas[5] * UNIT)
    assert torch.equal(whole.part(1.0).begin(UNIT, clean), whole.begin(UNIT, None))
    assert (half.steps, none.steps, len(none.sigmas)) == (5, 0, 1)


def test_adaptive_samplers_run_images_alone() -> None:
    assert made("dpm_adaptive", seed=5, count=3, batch=2).batches() == [(5,), (6,), (7,)]
    assert made("euler", seed=5, count=3, batch=2).batches() == [(5, 6), (7,)]


@pytest.mark.parametrize(
    ("sampler", "options", "words"),
    [
        ("heun", {"eta": 0.5}, "heun has none.*euler_a"),
        ("euler", {"schedule": "shifted"}, "flow schedules"),
        ("lcm", {"schedule": "lcm", "steps": 60}, "1 to 50"),
    ],
)
def test_refusals(sampler: str, options: dict[str, object], words: str) -> None:
    for numerics in ("diffusers", "a1111"):
        with pytest.raises(RequestError, match=words):
            made(sampler, **{"numerics": numerics, **options})  # type: ignore[arg-type]


def test_flow_models_have_the_one_arithmetic() -> None:
    flow = Sampling(FLOW, FlowSchedule(), "euler", shifted)
    request = Txt2Img.build(**EXACT | {"sampler": "euler", "steps": 4, "numerics": "a1111"})
    with pytest.raises(RequestError, match="flow model"):
        plan(flow, request)


def test_zero_terminal_snr() -> None:
    """The web UI, ComfyUI and Forge put abar 4.897e-8 in its place, diffusers 2^-24."""
    zero = replace(SAMPLING, schedule=DiscreteSchedule.from_betas(zero_terminal_snr=True))
    for numerics, highest in (("a1111", 4518.7637), ("diffusers", 4096)):
        way = made("euler", numerics=numerics, sampling=zero, schedule="karras")
        assert way.schedule.sigma_max == pytest.approx(highest, rel=1e-6)
        assert float(way.sigmas[0]) == pytest.approx(highest, rel=1e-6)


@pytest.mark.parametrize("numerics", ["a1111", "diffusers"])
def test_aligned_steps_are_those_of_the_family(numerics: str) -> None:
    for family in ("sd1", "sdxl"):
        sampling = replace(SAMPLING, aligned=family)
        sigmas = made("euler", 11, numerics=numerics, sampling=sampling, schedule="align_your_steps").sigmas
        assert sigmas.tolist() == pytest.approx([*ALIGNED[family], 0.0])


def test_a_models_own_solver_is_of_its_own_sampler_and_numerics() -> None:
    own = replace(SAMPLING, sampler="deis", options={"orders": Orders(1)})
    row = made("deis", numerics="diffusers").sampler
    assert made("deis", numerics="diffusers", sampling=own).sampler.function is not row.function
    assert made("deis", numerics="a1111", sampling=own).sampler is row
    assert made("euler", numerics="diffusers", sampling=own).sampler is made("euler", numerics="diffusers").sampler


def test_labels_are_fractional() -> None:
    way = made("euler", schedule="karras")
    labels = way.schedule.label(way.sigmas[1:-2])
    assert float((labels - labels.round()).abs().max()) > 0.1


def test_computed_levels_span_the_table() -> None:
    for name in ("karras", "exponential"):
        sigmas = made("euler", schedule=name).sigmas
        assert [float(sigmas[0]), float(sigmas[-2])] == pytest.approx([SD.sigma_max, SD.sigma_min])


def test_what_changes_in_a_prompt_changes_a_step_later(tiny: Path) -> None:
    model = Studio(tiny, device="cpu", precision="fp32").load()
    for numerics, order in (("diffusers", (0, 0, 1, 1)), ("a1111", (0, 0, 0, 1))):
        request = Txt2Img.build(prompt="[a:b:2]", negative="[c:d:2]", seed=0, steps=4, numerics=numerics)
        exact = resolve(model, request)
        tracks = encode_prompts(model, exact, plan(model.sampling, exact)).tracks
        assert [track.order for track in tracks] == [order, order]


RULES: dict[str, Callable[..., None]] = {
    "schedule left open": test_a_schedule_left_open_is_that_of_the_sampler,
    "first x, k-diffusion's samplers": test_k_samplers_start_at_sigma_and_end_as_they_are,
    "first x, DDIM, PLMS and UniPC": test_timestep_samplers_walk_down_to_timestep_1,
    "levels between timesteps": test_levels_between_timesteps_are_logarithmic,
    "labels of levels": test_labels_are_fractional,
    "zero terminal SNR": test_zero_terminal_snr,
    "Karras, exponential: ends": test_computed_levels_span_the_table,
    "uniform grid": test_levels_between_timesteps_are_logarithmic,
    "KL optimal": test_kl_optimal_and_beta_are_its_own,
    "beta": test_kl_optimal_and_beta_are_its_own,
    "last level but one": test_the_last_level_but_one_is_left_out,
    "DDIM, PLMS: timesteps": test_timestep_samplers_walk_down_to_timestep_1,
    "DDIM, PLMS: schedule asked for": test_timestep_samplers_walk_down_to_timestep_1,
    "UniPC": test_unipc_is_even_in_time_down_to_the_lowest_level,
    "DPM fast, DPM adaptive: end": test_dpm_solvers_end_at_the_lowest_level,
    "DPM fast, DPM adaptive: eta": test_eta,
    "eta of ancestral and SDE samplers; of DDIM": test_eta,
    "noise of SDE samplers": test_noise,
    "noise of steps after ENSD": test_noise,
    "`[a:b:6]` in prompts": test_what_changes_in_a_prompt_changes_a_step_later,
    "last x": test_k_samplers_start_at_sigma_and_end_as_they_are,
}
"""The rows of the page, and what holds each."""


def test_every_row_of_the_page_is_held() -> None:
    section = PAGE.read_text(encoding="utf-8").split("## Row by row")[1].split("\n## ")[0]
    rows = [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("| ")]
    assert rows[2:] == list(RULES)
