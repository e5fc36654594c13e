"""A sampling step of Stable Diffusion 1.5 at 512x512 with guidance: sfumato against its peers, round by round in turn.

    python -m benchmarks.unet_step --precision bf16 --out step.json

The network has its real size and random weights, the same numbers (and, between sfumato and diffusers, the same memory)
for all. Ours is run with its weights packed, as `--engine auto` has it, plain, and where the CPU can in 8 bits. A step
is what each sampling loop does once: scale the latents, one call of the network on the batch [negative, prompt],
guidance 7.5, Euler. Peers: diffusers eager in channels_last (`UNet2DConditionModel` and `EulerDiscreteScheduler`); with
`--compile` the same under `torch.compile`, which takes minutes to build; OpenVINO with static shapes, where `openvino`
is installed in the environment that runs this. Each starts from the same latents at the same step, and the order turns
round from one round to the next.

Equality: the relative L2 distance of each result from diffusers in float32. Ours must not be over 1.1 times the peer's
own at the same precision, 1.3 times in bfloat16; otherwise the exit code is 1, and the ratio means nothing. That of 8
bits is only stated.
"""

import argparse
import importlib.util
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sfumato.checkpoints.scheduler import read_scheduler
from sfumato.diffusion.conditioning import Conditioning
from sfumato.diffusion.denoiser import Denoiser
from sfumato.diffusion.guidance import classifier_free
from sfumato.models.unet import UNet, UNetConfig
from sfumato.nn.packed import pack
from sfumato.nn.quantised import fault, quantise
from sfumato.runtime.memory import total_memory
from sfumato.studio import FILTERS

SCHEDULER = {
    "_class_name": "EulerDiscreteScheduler",
    **{"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "num_train_timesteps": 1000},
    **{"prediction_type": "epsilon", "timestep_spacing": "leading", "steps_offset": 1},
}
DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}
GUIDANCE, STEPS, AT = 7.5, 20, 5
SLACK = {"fp32": 1.1, "bf16": 1.3}

Step = Callable[[Tensor], Tensor]
"""Latents before the step, float32, to those after it."""


class Case:
    """Weights, latents and text tokens: what all players have in common."""

    def __init__(self, pixels: int) -> None:
        from diffusers import EulerDiscreteScheduler

        self.config = UNetConfig()
        torch.manual_seed(0)
        unet = UNet(self.config).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.weights: dict[str, Tensor] = unet.state_dict()
        generator = torch.Generator().manual_seed(1)
        self.tokens = torch.randn(2, 77, self.config.cross_attention_dim, generator=generator)
        self.scheduler = EulerDiscreteScheduler.from_config(SCHEDULER)
        self.scheduler.set_timesteps(STEPS)
        self.sigmas, self.times = self.scheduler.sigmas[AT : AT + 2], self.scheduler.timesteps[AT]
        noise = torch.randn(1, 4, pixels // 8, pixels // 8, generator=generator)
        self.x = noise * (self.sigmas[0] ** 2 + 1).sqrt()

    def weights_in(self, dtype: torch.dtype) -> dict[str, Tensor]:
        """The weights in `dtype`, to be shared."""
        return {name: tensor.to(dtype) for name, tensor in self.weights.items()}


def ours(case: Case, weights: dict[str, Tensor], dtype: torch.dtype, *, packed: bool, int8: bool = False) -> Step:
    """As `sfumato.tasks.txt2img` goes, one step of Euler."""
    unet = _filled(UNet, case.config, weights)
    if int8:
        quantise(unet)
    if packed:
        pack([unet], total_memory() // FILTERS)
    sampling = read_scheduler(SCHEDULER)

    def network(x: Tensor, label: Tensor, cond: Conditioning) -> Tensor:
        return unet(x.contiguous(memory_format=torch.channels_last), label, cond)

    negative, cond = (Conditioning(tokens[None].to(dtype)) for tokens in case.tokens)
    denoiser = Denoiser(network, sampling.parameterisation, sampling.schedule, dtype)
    denoise = classifier_free(denoiser, cond, negative, GUIDANCE)
    now, then = case.sigmas

    def step(x: Tensor) -> Tensor:
        return x + (then - now) * (x - denoise(x, now)) / now

    return step


def diffusers(case: Case, weights: dict[str, Tensor], dtype: torch.dtype, *, compiled: bool = False) -> Step:
    """As `StableDiffusionPipeline` goes."""
    from diffusers import UNet2DConditionModel

    unet: Any = _filled(UNet2DConditionModel.from_config, case.config.to_json(), weights)
    if compiled:
        unet = torch.compile(unet, fullgraph=True, mode="max-autotune")
    return _looped(case, dtype, lambda x, time: unet(x, time, case.tokens.to(dtype), return_dict=False)[0])


def openvino(case: Case, weights: dict[str, Tensor], dtype: torch.dtype) -> Step:
    """diffusers' network, converted with static shapes."""
    import openvino as ov  # type: ignore[import-not-found]
    from diffusers import UNet2DConditionModel

    unet = _filled(UNet2DConditionModel.from_config, case.config.to_json(), weights).float()
    x = torch.cat([case.x] * 2)
    converted = ov.convert_model(unet, example_input=(x, case.times, case.tokens))
    converted.reshape({k: ov.PartialShape(list(given.shape)) for k, given in enumerate((x, case.times, case.tokens))})
    hint = {torch.bfloat16: "bf16", torch.float32: "f32"}[dtype]
    options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    model = ov.compile_model(converted, "CPU", {**options, "INFERENCE_PRECISION_HINT": hint})

    def network(x: Tensor, time: Tensor) -> Tensor:
        return torch.from_numpy(model([x.float().numpy(), time.numpy(), case.tokens.numpy()])[0])

    return _looped(case, torch.float32, network)


def _looped(case: Case, dtype: torch.dtype, network: Callable[[Tensor, Tensor], Tensor]) -> Step:
    """The body of a diffusers pipeline's loop around a network."""

    def step(x: Tensor) -> Tensor:
        case.scheduler._step_index = AT
        both = case.scheduler.scale_model_input(torch.cat([x] * 2).to(dtype), case.times)
        negative, positive = network(both, case.times).chunk(2)
        guided = negative + GUIDANCE * (positive - negative)
        return case.scheduler.step(guided, case.times, x, return_dict=False)[0].float()

    return step


def _filled(make: Callable[..., nn.Module], config: object, weights: dict[str, Tensor]) -> nn.Module:
    with torch.device("meta"):
        module = make(config)
    module.load_state_dict(weights, assign=True)
    return module.eval().requires_grad_(False)


def players(case: Case, dtype: torch.dtype, *, compiled: bool) -> dict[str, Step]:
    """All that can be had here, by name."""
    weights = case.weights_in(dtype)
    found = {"sfumato": ours(case, weights, dtype, packed=True), "diffusers": diffusers(case, weights, dtype)}
    found["sfumato plain"] = ours(case, weights, dtype, packed=False)
    if fault(dtype) is None:
        found["sfumato int8"] = ours(case, weights, dtype, packed=True, int8=True)
    if compiled:
        found["diffusers compiled"] = diffusers(case, weights, dtype, compiled=True)
    if importlib.util.find_spec("openvino") is not None:
        found["openvino"] = openvino(case, weights, dtype)
    return found


def error(result: Tensor, reference: Tensor) -> float:
    """Relative L2 distance."""
    return float((result - reference).norm() / reference.norm())


def measure(case: Case, reference: Tensor, precision: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Rounds of one precision, as figures."""
    running = players(case, DTYPES[precision], compiled=arguments.compile)
    seconds: dict[str, list[float]] = {name: [] for name in running}
    errors: dict[str, float] = {}
    for turn in range(arguments.warmup + arguments.rounds):
        for name, step in list(running.items())[:: 1 if turn % 2 else -1]:
            since = time.perf_counter()
            result = step(case.x)
            seconds[name].append(time.perf_counter() - since)
            errors[name] = error(result, reference)
        print(precision, turn, *(f"{name} {times[-1]:.2f} s" for name, times in seconds.items()), flush=True)
    kept = {name: sorted(times[arguments.warmup :]) for name, times in seconds.items()}
    median = {name: statistics.median(times) for name, times in kept.items()}
    floor = 1e-5  # of float32 itself: two orders of adding up are this far apart
    return {
        "median_seconds": {name: round(value, 4) for name, value in median.items()},
        "all_seconds": {name: [round(value, 4) for value in times] for name, times in kept.items()},
        "ratio": {name: round(value / median["sfumato"], 3) for name, value in median.items() if name != "sfumato"},
        "relative_error": errors,
        "equal": errors["sfumato"] <= max(SLACK[precision] * errors["diffusers"], floor),
    }


@torch.inference_mode()
def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", choices=[*DTYPES, "both"], default="both")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--warmup", type=int, default=3)
    parser.add_argument("--pixels", type=int, default=512)
    parser.add_argument("--compile", action="store_true", help="also under torch.compile")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    arguments = parser.parse_args()

    case = Case(arguments.pixels)
    reference = diffusers(case, case.weights, torch.float32)(case.x)
    chosen = list(DTYPES) if arguments.precision == "both" else [arguments.precision]
    figures: dict[str, Any] = {
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "pixels": arguments.pixels,
        **{precision: measure(case, reference, precision, arguments) for precision in chosen},
    }
    print(json.dumps(figures, indent=2))
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0 if all(figures[precision]["equal"] for precision in chosen) else 1


if __name__ == "__main__":
    raise SystemExit(main())
