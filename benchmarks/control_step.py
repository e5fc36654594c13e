"""A guided step with one and two ControlNets and with a T2I-Adapter against one without, round by round in turn.

    python -m benchmarks.control_step --rounds 15

A U-Net of Stable Diffusion's form with random weights, a third as wide, and ControlNets that share its form: each is
the way down and the middle once more, so that two should cost at most 2.2 times a plain step. What a control makes of
its picture is computed once a request and not timed. The exit code is 1 where two cost more.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import fields

import torch
from torch import Tensor

from sfumato.checkpoints.scheduler import read_scheduler
from sfumato.diffusion.conditioning import Conditioning
from sfumato.diffusion.denoiser import Denoiser
from sfumato.diffusion.guidance import classifier_free
from sfumato.models.controlnet import ControlNet, ControlNetConfig
from sfumato.models.t2i_adapter import T2IAdapter, T2IAdapterConfig
from sfumato.models.unet import UNet, UNetConfig
from sfumato.tasks.controls import Unit, controlled

SCHEDULER = {
    "_class_name": "EulerDiscreteScheduler",
    **{"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "num_train_timesteps": 1000},
    **{"prediction_type": "epsilon", "timestep_spacing": "leading", "steps_offset": 1},
}
WIDTHS = (96, 192, 384, 384)
MOST = 2.2


def steps(pixels: int) -> dict[str, Callable[[], Tensor]]:
    """A step of each kind, by name."""
    torch.manual_seed(0)
    config = UNetConfig(block_out_channels=WIDTHS, cross_attention_dim=192)
    unet = UNet(config).to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    same = {field.name: getattr(config, field.name) for field in fields(config) if field.name != "up_block_types"}
    sampling = read_scheduler(SCHEDULER)
    picture = torch.rand(1, 3, pixels, pixels)
    nets: list[ControlNet | T2IAdapter] = [ControlNet(ControlNetConfig(**same)) for _ in range(2)]
    nets.append(T2IAdapter(T2IAdapterConfig(channels=WIDTHS)))
    units = []
    for net in nets:
        net.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        units.append(Unit(net, net.embedded(picture), 1.0, float("inf"), float("-inf"), False))

    def network(x: Tensor, label: Tensor, cond: Conditioning) -> Tensor:
        return unet(x.contiguous(memory_format=torch.channels_last), label, cond)

    plain = Denoiser(network, sampling.parameterisation, sampling.schedule)
    cond, negative = (Conditioning(torch.randn(1, 77, 192)) for _ in range(2))
    x, sigma = 10 * torch.randn(1, 4, pixels // 8, pixels // 8), torch.tensor(10.0)

    def step(chosen: list[Unit]) -> Callable[[], Tensor]:
        denoise = classifier_free(controlled(plain, unet, chosen), cond, negative, 7.5)
        return lambda: denoise(x, sigma)

    return {
        "plain": step([]),
        "one ControlNet": step(units[:1]),
        "two ControlNets": step(units[:2]),
        "T2I-Adapter": step(units[2:]),
    }


@torch.inference_mode()
def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--pixels", type=int, default=256)
    arguments = parser.parse_args()

    running = steps(arguments.pixels)
    seconds: dict[str, list[float]] = {name: [] for name in running}
    for turn in range(arguments.warmup + arguments.rounds):
        for name, step in list(running.items())[:: 1 if turn % 2 else -1]:
            since = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - since)
    kept = {name: times[arguments.warmup :] for name, times in seconds.items()}
    median = {name: statistics.median(times) for name, times in kept.items()}
    ratios = {
        name: statistics.median(a / b for a, b in zip(times, kept["plain"], strict=True))
        for name, times in kept.items()
    }
    figures = {
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "pixels": arguments.pixels,
        "median_seconds": {name: round(value, 4) for name, value in median.items()},
        "median_ratio_to_plain": {name: round(value, 3) for name, value in ratios.items()},
    }
    print(json.dumps(figures, indent=2))
    return 0 if ratios["two ControlNets"] <= MOST else 1


if __name__ == "__main__":
    raise SystemExit(main())
