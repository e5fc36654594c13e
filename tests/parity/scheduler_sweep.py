"""Random scheduler configurations, and what two programs paint with them: the same tiny model, words and seed."""

import inspect
import random
import warnings
from collections.abc import Mapping
from functools import partial
from typing import Any

import diffusers
import pytest
import torch
from diffusers.pipelines.stable_diffusion_3.pipeline_stable_diffusion_3 import calculate_shift
from diffusers.schedulers import scheduling_dpmsolver_sde
from torch import Tensor

from sfumato.checkpoints.scheduler import read_scheduler
from sfumato.checkpoints.scheduler_classes import CLASSES
from sfumato.diffusion import SAMPLERS, Conditioning, Denoiser, ImageNoise
from tests.parity.halves import Halves

SEED, SHAPE, TOKENS = 7, (1, 4, 8, 8), 300
CHOICES: Mapping[str, tuple[Any, ...]] = {
    "num_train_timesteps": (1000, 1000, 500),
    "beta_schedule": ("scaled_linear", "scaled_linear", "linear"),
    "beta_start": (0.00085,),
    "beta_end": (0.012,),
    "timestep_spacing": ("linspace", "leading", "trailing"),
    "steps_offset": (0, 1),
    "levels": ("", "", "use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"),
    "final_sigmas_type": ("zero", "zero", "sigma_min"),
    "set_alpha_to_one": (True, False),
    "solver_order": (1, 2, 2, 3),
    "solver_type": ("midpoint", "midpoint", "heun", "bh1", "bh2", "logrho"),
    "algorithm_type": ("dpmsolver++", "dpmsolver++", "sde-dpmsolver++", "dpmsolver", "deis"),
    "lower_order_final": (True, True, False),
    "euler_at_final": (False, False, True),
    "use_lu_lambdas": (False, False, False, True),
    "predict_x0": (True, True, False),
    "disable_corrector": ([], [], [0], [1, 3]),
    "rescale_betas_zero_snr": (False, False, True),
    "original_inference_steps": (50, 50, 30, 20),
    "interpolation_type": ("linear", "linear", "log_linear"),
    "timestep_type": ("discrete", "discrete", "continuous"),
    "sigma_min": (None, None, 0.05),
    "sigma_max": (None, None, 10.0),
    "sigma_schedule": ("karras", "exponential"),
    "sigma_data": (0.5, 1.0),
    "rho": (7.0, 5.0),
    "shift": (1.0, 3.0),
    "shift_terminal": (None, None, 0.1),
    "use_dynamic_shifting": (False, True),
    "time_shift_type": ("exponential", "linear"),
    "stochastic_sampling": (False, True),
    "use_flow_sigmas": (True,),
    "flow_shift": (1.0, 3.0),
    "variance_type": ("fixed_small", "fixed_small_log"),
    "noise_sampler_seed": (None,),
}
"""What each key may be; keys that are not here keep their defaults."""

COMPUTED = {"use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "use_lu_lambdas"}
FLOW_SOLVERS = ("DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler", "UniPCMultistepScheduler")
"""Classes that run flow models too."""


def case(draw: random.Random) -> tuple[dict[str, Any], int]:
    """A configuration, and steps."""
    prediction = draw.choice(("epsilon", "epsilon", "v_prediction", "flow_prediction"))
    return configuration(draw, prediction), draw.choice((2, 3, 5, 7, 8, 14, 16))


def configuration(draw: random.Random, prediction: str) -> dict[str, Any]:
    """A class, its keys at random, and some of other classes, which it ignores."""
    flow = prediction == "flow_prediction"
    names = [name for name, kind in CLASSES.items() if (kind.levels == "flow") == flow] + [*FLOW_SOLVERS] * flow
    name = draw.choice(names)
    kind = CLASSES[name]
    config: dict[str, Any] = {"_class_name": name}
    for key, values in CHOICES.items():
        if key in kind.keys:
            config[key] = draw.choice(values)
    level = draw.choice(CHOICES["levels"])
    if level and (level in kind.keys or draw.random() < 0.5):
        config[level] = True
    if "prediction_type" in kind.keys:
        config["prediction_type"] = prediction
    if "skip_prk_steps" in kind.keys:
        config["skip_prk_steps"] = True
    if kind.levels == "edm":
        config |= {"sigma_min": 0.002, "sigma_max": 80.0}
    if not flow:
        config |= {key: False for key in ("use_flow_sigmas", "use_dynamic_shifting") if key in kind.keys}
        config["shift_terminal"] = None
        if "clip_sample" in kind.keys:
            config["clip_sample"] = False
        if draw.random() < 0.3:  # left over from another class
            config |= {"solver_order": config.get("solver_order", 3), "skip_prk_steps": True}
    elif "use_flow_sigmas" in kind.keys:
        config |= {"final_sigmas_type": "zero", "time_shift_type": "exponential"}
        config = {key: value for key, value in config.items() if key not in CHOICES["levels"]}
    if config.get("algorithm_type") == "dpmsolver":
        config["final_sigmas_type"] = "sigma_min"
        if "final_sigmas_type" not in kind.keys or kind.levels == "edm":
            config["algorithm_type"] = "dpmsolver++"
    return config


def known(config: Mapping[str, Any], steps: int) -> str:
    """The reason of decision 0003 for which the pictures are apart; none: empty."""
    name, spacing = config["_class_name"], config.get("timestep_spacing")
    total = config.get("num_train_timesteps", 1000)
    v = config.get("prediction_type") == "v_prediction"
    uneven = spacing == "linspace" or (spacing == "trailing" and total % steps)
    if name in ("DDIMScheduler", "DDIMParallelScheduler", "PNDMScheduler") and uneven:
        return "steps to t - T // steps"
    if name == "PNDMScheduler" and v:
        return "PNDM averages v"
    if "sde" in config.get("algorithm_type", "") and config["solver_order"] == 3 and "Multistep" in name:
        return "the sign of the second difference"
    if v and name.startswith("KDPM2") and any(config.get(key) for key in COMPUTED):
        return "time labels on computed levels"
    return ""


class Bench:
    """A tiny network and autoencoder of diffusers, without guidance, that a scheduler of either program samples."""

    def __init__(self, pipeline: Any) -> None:
        self.unet, self.vae = pipeline.unet, pipeline.vae
        self.words = torch.randn((1, 7, self.unet.config.cross_attention_dim), generator=torch.manual_seed(3))

    def network(self, x: Tensor, label: Tensor) -> Tensor:
        return self.unet(x, label, encoder_hidden_states=self.words).sample

    def pixels(self, latents: Tensor) -> Tensor:
        """In [0, 1], from latents of about unit variance."""
        return (self.vae.decode(latents / self.vae.config.scaling_factor).sample / 2 + 0.5).clamp(0, 1)

    def theirs(self, config: Mapping[str, Any], steps: int) -> Tensor:
        """As diffusers' pipelines of Stable Diffusion do; ValueError and the like for what it does not take."""
        generator = torch.Generator().manual_seed(SEED)
        with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
            warnings.simplefilter("ignore")
            patch.setattr(scheduling_dpmsolver_sde, "BrownianTreeNoiseSampler", partial(Halves, generator))
            scheduler = getattr(diffusers, config["_class_name"]).from_config(dict(config))
            scheduler.set_timesteps(steps, **({"mu": self.mu(scheduler)} if config.get("use_dynamic_shifting") else {}))
            x = torch.randn(SHAPE, generator=generator) * getattr(scheduler, "init_noise_sigma", 1.0)
            options = {"generator": generator, "eta": 0.3 if isinstance(scheduler, diffusers.TCDScheduler) else 0.0}
            taken = inspect.signature(scheduler.step).parameters
            labels = self.labels(config, scheduler)
            for t, label in zip(scheduler.timesteps, labels, strict=True):
                scaled = scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x
                output = self.network(scaled, label.float().expand(1))
                x = scheduler.step(output, t, x, **{key: options[key] for key in taken.keys() & options}).prev_sample
        return self.pixels(x)

    @staticmethod
    def labels(config: Mapping[str, Any], scheduler: Any) -> Tensor:
        """Its timesteps; those of its levels, where it rounds them although the levels stay between (decision 0003)."""
        kind = CLASSES[config["_class_name"]]
        levels = config.get("use_flow_sigmas") or any(config.get(key) for key in COMPUTED & kind.keys)
        if not (levels and kind.interior):
            return scheduler.timesteps
        schedule = read_scheduler(config, offset=None).of_size(TOKENS).schedule
        return schedule.label(scheduler.sigmas[: len(scheduler.timesteps)])

    @staticmethod
    def mu(scheduler: Any) -> float:
        """As the pipeline of Stable Diffusion 3 has it."""
        keys = (("base_image_seq_len", 256), ("max_image_seq_len", 4096), ("base_shift", 0.5), ("max_shift", 1.16))
        return float(calculate_shift(TOKENS, *(scheduler.config.get(key, default) for key, default in keys)))

    def ours(self, config: Mapping[str, Any], steps: int) -> Tensor:
        sampling = read_scheduler(config, offset=None).of_size(TOKENS)
        row = sampling.solver(next(row for row in SAMPLERS if row.name == sampling.sampler))
        sigmas, path = sampling.sigmas(steps, None), sampling.parameterisation.path
        denoiser = Denoiser(lambda x, label, _: self.network(x, label), sampling.parameterisation, sampling.schedule)
        noise = ImageNoise([SEED], SHAPE[1:])
        x = sampling.start(noise(), sigmas[0])
        nothing = Conditioning(torch.zeros(1, 1, 1))
        for step in row(
            lambda x, sigma: denoiser(x, sigma, nothing), x, sigmas, noise=noise, path=path, schedule=sampling.schedule
        ):
            x = step.x
        return self.pixels(sampling.finish(x, sigmas[-1]))

    def apart(self, config: Mapping[str, Any], steps: int) -> float | None:
        """The largest difference of a pixel, in levels of 255; None where diffusers refuses or paints NaN."""
        with torch.no_grad():
            try:
                theirs = self.theirs(config, steps)
            except (ValueError, NotImplementedError, IndexError, AssertionError, UnboundLocalError):
                return None
            if not bool(theirs.isfinite().all()):
                return None
            return float((theirs - self.ours(config, steps)).abs().max()) * 255
