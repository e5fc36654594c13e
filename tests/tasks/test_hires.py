"""Variations of a seed, and a second pass from the enlarged picture."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sfumato import Studio
from sfumato.diffusion.noise import ImageNoise, slerp
from sfumato.metadata.carriers import Carried
from sfumato.metadata.describe import describe
from sfumato.metadata.readers import restore
from sfumato.output import read_request
from sfumato.requests import Txt2Img
from sfumato.tasks.plan import Plan

SEED = 3
A1111 = "a fox\nSteps: 4, Sampler: Euler, CFG scale: 7, Seed: 3, Size: 64x64, "


@pytest.fixture(scope="module")
def studio(tiny: Path) -> Studio:
    return Studio(tiny, device="cpu", precision="fp32")


def test_noise_turns_from_one_seed_to_another_and_keeps_its_deviation() -> None:
    ours, other = (ImageNoise([seed], (4, 32, 32))()[0] for seed in (1, 2))
    assert torch.allclose(slerp(ours, other, 0.0), ours, atol=1e-5)
    assert torch.allclose(slerp(ours, other, 1.0), other, atol=1e-5)
    half = ImageNoise([1], (4, 32, 32), variations=[2], share=0.5)()[0]
    assert half.std() == pytest.approx(1, abs=0.05)
    assert torch.lerp(ours, other, 0.5).std() < 0.75
    assert slerp(ours, ours, 0.3) is not None
    assert torch.allclose(slerp(ours, ours, 0.3), ours)


def test_noise_of_later_steps_is_that_of_the_seed() -> None:
    plain, varied = ImageNoise([1], (4, 8, 8)), ImageNoise([1], (4, 8, 8), variations=[2], share=0.5)
    assert not torch.equal(plain(), varied())
    assert torch.equal(plain(), varied())


def test_variations_share_the_seed_and_count_up_the_subseed(studio: Studio, tmp_path: Path) -> None:
    options = {"seed": SEED, "steps": 3, "sampler": "euler"}
    plain = studio.txt2img("a fox", **options)[0]  # type: ignore[arg-type]
    varied = studio.txt2img("a fox", subseed=50, subseed_strength=0.2, count=2, **options)  # type: ignore[arg-type]
    far = studio.txt2img("a fox", subseed=50, subseed_strength=1.0, **options)[0]  # type: ignore[arg-type]
    assert varied.seeds == [50, 51]
    distances = [np.abs(np.asarray(each, int) - np.asarray(plain, int)).mean() for each in (*varied, far)]
    assert 0 < distances[0] < distances[2]
    other = studio.txt2img("a fox", seed=50, steps=3, sampler="euler")[0]
    assert np.abs(np.asarray(far, int) - np.asarray(other, int)).max() <= 1
    files = varied.save(tmp_path / "{seed}.png")
    assert [file.name for file in files] == ["50.png", "51.png"]
    second = read_request(files[1])
    assert (second.seed, second.subseed, second.count) == (SEED, 51, 1)
    assert studio.run(second)[0].tobytes() == varied[1].tobytes()
    drawn = studio.txt2img("a fox", subseed_strength=0.2, **options)  # type: ignore[arg-type]
    assert drawn.request.subseed is not None


@pytest.mark.parametrize("upscaler", ["latent", "lanczos"])
@pytest.mark.parametrize("numerics", ["diffusers", "a1111"])
def test_a_second_pass_paints_larger(upscaler: str, numerics: str, studio: Studio, tmp_path: Path) -> None:
    seen = []
    result = studio.txt2img(
        "a fox",
        seed=SEED,
        steps=3,
        sampler="euler",
        hires=1.5,
        hires_steps=4,
        hires_strength=0.7,
        hires_upscaler=upscaler,  # type: ignore[arg-type]
        numerics=numerics,  # type: ignore[arg-type]
        count=2,
        batch=2,
        on_step=lambda progress: seen.append((progress.index, progress.total)),
    )
    assert [image.size for image in result] == [(96, 96)] * 2
    assert seen == [(i, 7) for i in range(7)]
    assert [trace.steps for trace in result.traces] == [7, 7]
    alone = studio.run(result.request.single(1))
    assert np.abs(np.asarray(alone[0], int) - np.asarray(result[1], int)).max() <= 1
    [_, file] = result.save(tmp_path / "{index}.png")
    assert read_request(file) == result.request.single(1)


def test_a_second_pass_of_no_strength_enlarges_alone(studio: Studio) -> None:
    options = {"seed": SEED, "steps": 3, "sampler": "euler", "hires": 2.0, "hires_upscaler": "lanczos"}
    enlarged = studio.txt2img("a fox", hires_strength=0.0, **options)[0]  # type: ignore[arg-type]
    painted = studio.txt2img("a fox", **options)  # type: ignore[arg-type]
    assert enlarged.size == (128, 128)
    assert painted.request.hires_strength == 0.7
    assert painted[0].tobytes() != enlarged.tobytes()


def test_keys_are_those_of_the_web_ui() -> None:
    request = Txt2Img(
        prompt="a fox",
        seed=3,
        subseed=9,
        subseed_strength=0.25,
        hires=2.0,
        hires_steps=10,
        hires_strength=0.5,
        hires_upscaler="latent",
    )
    fields = describe(request).fields
    labels = ("Variation seed", "Variation seed strength", "Hires upscale", "Hires steps", "Hires upscaler")
    assert [fields[label] for label in labels] == ["9", "0.25", "2", "10", "Latent"]
    assert fields["Denoising strength"] == "0.5"
    text = A1111 + (
        "Variation seed: 9, Variation seed strength: 0.25, Denoising strength: 0.5, Hires upscale: 2, "
        "Hires steps: 10, Hires upscaler: Latent, RNG: CPU"
    )
    found = restore(Carried("png", {"parameters": text}))
    read = found.request
    assert isinstance(read, Txt2Img)
    assert found.unrestored == ()
    assert (read.subseed, read.subseed_strength, read.hires, read.hires_steps) == (9, 0.25, 2.0, 10)
    assert (read.hires_strength, read.hires_upscaler) == (0.5, "latent")


def test_louder_noise_is_that_of_the_first_pass_alone(monkeypatch: pytest.MonkeyPatch, studio: Studio) -> None:
    seen: list[float] = []
    begin = Plan.begin
    monkeypatch.setattr(Plan, "begin", lambda plan, *given: seen.append(plan.multiplier) or begin(plan, *given))
    studio.txt2img("a fox", seed=5, steps=4, width=16, height=16, hires=2.0, noise_multiplier=1.2)
    assert seen == [1.2, 1.0]
