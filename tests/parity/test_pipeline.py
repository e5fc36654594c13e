"""Whole pictures: a diffusers `StableDiffusionPipeline` run against ours from the same folder, seed and scheduler."""

import shutil
from functools import partial
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DEISMultistepScheduler,
    DPMSolverMultistepScheduler,
    DPMSolverSDEScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    KDPM2AncestralDiscreteScheduler,
    KDPM2DiscreteScheduler,
    LMSDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    TCDScheduler,
    UniPCMultistepScheduler,
)
from diffusers.schedulers import scheduling_dpmsolver_sde

from sfumato import Studio
from sfumato.checkpoints.scheduler import read_scheduler
from sfumato.checkpoints.scheduler_classes import CLASSES
from tests.parity import measure
from tests.parity.halves import Halves

pytestmark = pytest.mark.parity

PROMPT, NEGATIVE, SEED, STEPS = "a photograph of an astronaut riding a horse", "blurry, low quality", 7, 5

SCHEDULERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "euler": (EulerDiscreteScheduler, {}),
    "euler-leading": (EulerDiscreteScheduler, {"timestep_spacing": "leading"}),
    "ddim-offset-0": (DDIMScheduler, {"set_alpha_to_one": False, "steps_offset": 0}),
    "euler-trailing-karras": (EulerDiscreteScheduler, {"timestep_spacing": "trailing", "use_karras_sigmas": True}),
    "ddim": (DDIMScheduler, {"set_alpha_to_one": False}),
    "ddim-trailing-zero-snr": (
        DDIMScheduler,
        {"timestep_spacing": "trailing", "rescale_betas_zero_snr": True, "prediction_type": "v_prediction"},
    ),
    "dpmpp_2m": (DPMSolverMultistepScheduler, {}),
    "dpmpp_2m-karras": (DPMSolverMultistepScheduler, {"use_karras_sigmas": True}),
    "unipc": (UniPCMultistepScheduler, {}),
    "heun": (HeunDiscreteScheduler, {}),
    "pndm": (PNDMScheduler, {"skip_prk_steps": True}),
    "euler_a": (EulerAncestralDiscreteScheduler, {}),
    "dpm_2": (KDPM2DiscreteScheduler, {}),
    "dpm_2_a": (KDPM2AncestralDiscreteScheduler, {}),
    "ddpm": (DDPMScheduler, {}),
    "tcd": (TCDScheduler, {}),
    "lms": (LMSDiscreteScheduler, {}),
    "dpmpp_sde": (DPMSolverSDEScheduler, {}),
    "deis-1": (DEISMultistepScheduler, {"solver_order": 1}),
    "deis": (DEISMultistepScheduler, {}),
    "deis-leading": (DEISMultistepScheduler, {"timestep_spacing": "leading"}),
    "deis-3": (DEISMultistepScheduler, {"solver_order": 3}),
}

APART = {("sd2", "dpmpp_2m-karras"), ("sd2", "pndm")}
"""Where we differ by choice (docs/decisions/0003): diffusers' DPM-Solver rounds the time label to a whole step on
Karras grids, and its PNDM averages v-predictions as if they were noise. Label and noise are exact here."""


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_default_configurations_are_understood(name: str) -> None:
    extra = {"skip_prk_steps": True} if name == "PNDMScheduler" else {}
    read_scheduler({**getattr(diffusers, name)(**extra).config, "_class_name": name})


FAST = {("sd1", name) for name in ("euler-trailing-karras", "ddim", "dpmpp_2m", "pndm", "euler_a", "heun")}
FAST |= {("sd2", "ddim-trailing-zero-snr"), ("sd2", "unipc")}
"""One of each kind; the others by `make slow`. Each sampler is held against its original in `tests/diffusion`, each
class's configuration in `test_scheduler_sweep`."""


@pytest.mark.parametrize(
    ("form", "name"),
    [
        pytest.param(f, n, marks=() if (f, n) in FAST else pytest.mark.slow)
        for f in ("sd1", "sd2")
        for n in SCHEDULERS
        if (f, n) not in APART
    ],
)
def test_same_picture(
    name: str, form: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline: Any
    folder: Path
    pipeline, folder = request.getfixturevalue(form)
    kind, extra = SCHEDULERS[name]
    base: dict[str, Any] = {
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "steps_offset": 1,
    }
    base["prediction_type"] = "epsilon" if form == "sd1" else "v_prediction"
    if kind in (DDIMScheduler, DDPMScheduler, TCDScheduler):
        base["clip_sample"] = False
    scheduler = kind(**{**base, **extra})
    model = tmp_path / "model"
    shutil.copytree(folder, model, copy_function=lambda a, b: Path(b).symlink_to(a), symlinks=True)
    (model / "scheduler" / "scheduler_config.json").unlink()
    scheduler.save_config(model / "scheduler")
    parts = {**pipeline.components, "scheduler": scheduler}
    pipeline = StableDiffusionPipeline(**parts, requires_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(SEED)
    monkeypatch.setattr(scheduling_dpmsolver_sde, "BrownianTreeNoiseSampler", partial(Halves, generator))
    with torch.no_grad():
        theirs = pipeline(
            PROMPT,
            negative_prompt=NEGATIVE,
            num_inference_steps=STEPS,
            guidance_scale=7.5,
            generator=generator,
            output_type="np",
            eta=0.3 if kind is TCDScheduler else 0.0,  # the paper's, and our default
        ).images[0]

    result = Studio(model, precision="fp32", device="cpu").txt2img(
        PROMPT, negative=NEGATIVE, steps=STEPS, guidance=7.5, seed=SEED
    )
    measure.assert_same_picture(result.images[0], theirs)
