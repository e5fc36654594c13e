"""A LoRA step on Stable Diffusion 1.5's form, ours and as diffusers' `train_text_to_image_lora.py` takes it (PEFT).

    python -m benchmarks.lora_step --width 96 --latents 32 --steps 12

Random weights, the same for both; latents and text states as if cached, batch 1, rank 8 on the attention, AdamW, the
same noise, levels and beginnings. Steps alternate. Printed are the medians, their ratio, how far the loss curves are
apart, and with `--only` the peak memory of one of them alone. `--width 320 --latents 64` is the real size.
"""

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from sfumato.adapters.trained import Form, attach
from sfumato.diffusion.conditioning import Conditioning
from sfumato.families import FAMILIES
from sfumato.model import Model
from sfumato.models.unet import UNet, UNetConfig
from sfumato.nn.filtered import train_filtered

RANK = 8
RATE = 1e-3
TARGETS = ("to_q", "to_k", "to_v", "to_out.0")


def config_of(width: int) -> UNetConfig:
    """Stable Diffusion 1.5's U-Net at another width."""
    return UNetConfig(block_out_channels=(width, 2 * width, 4 * width, 4 * width))


def batches(steps: int, latents: int, tokens: int) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Noisy latents, labels, text states and the noise, by step: the same few pictures again and again."""
    generator = torch.Generator().manual_seed(1)
    clean = torch.randn(2, 4, latents, latents, generator=generator)
    text = torch.randn(1, 77, tokens, generator=generator)
    found = []
    for step in range(steps):
        noise = torch.randn(1, 4, latents, latents, generator=generator)
        alpha = float(torch.rand((), generator=generator))
        x = alpha**0.5 * clean[step % 2][None] + (1 - alpha) ** 0.5 * noise
        found.append((x, torch.tensor([1000 * (1 - alpha)]), text, noise))
    return found


Step = Callable[[tuple[Tensor, Tensor, Tensor, Tensor]], float]


def ours(config: UNetConfig, state: dict[str, Tensor]) -> tuple[Step, dict[str, Tensor]]:
    """A step of ours, and the adapters as they begin."""
    network = UNet(config)
    network.load_state_dict(state)
    network.to(memory_format=torch.channels_last).requires_grad_(False)  # type: ignore[call-overload]
    train_filtered(network)  # as `load_base` does
    sd1 = next(family for family in FAMILIES if family.name == "sd1")
    nothing: object = None
    model = Model(
        "benchmark", sd1, {}, network, nothing, nothing, (512, 512), torch.float32, torch.device("cpu"), "", Path()  # type: ignore[arg-type]
    )  # fmt: skip
    attached, adapters = attach(model, Form(rank=RANK, targets=TARGETS))
    optimizer = torch.optim.AdamW(adapters.parameters(), lr=RATE, weight_decay=0.0, foreach=True)

    def step(batch: tuple[Tensor, Tensor, Tensor, Tensor]) -> float:
        x, label, text, noise = batch
        x = x.to(memory_format=torch.channels_last)
        with attached.applied(adapters):
            loss = (attached.model.network(x, label, Conditioning(text)) - noise).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())

    begun = {f"{m}.{part}": v for m, parts in adapters.pieces().items() for part, v in parts.items()}
    return step, begun


def theirs(config: UNetConfig, state: dict[str, Tensor], begun: dict[str, Tensor]) -> Step:
    """A step of diffusers' script, from the same numbers."""
    from diffusers import UNet2DConditionModel
    from peft import LoraConfig

    network = UNet2DConditionModel.from_config(config.to_json())
    network.load_state_dict(state)
    network.requires_grad_(False)
    network.add_adapter(LoraConfig(r=RANK, lora_alpha=RANK, target_modules=list(TARGETS)))
    ends = {".lora_A.default.weight": ".down", ".lora_B.default.weight": ".up"}
    trained = []
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            for end, part in ends.items():
                if name.endswith(end):
                    parameter.copy_(begun[f"unet.{name.removesuffix(end)}{part}"])
                    trained.append(parameter)
    assert len(trained) == len(begun)
    optimizer = torch.optim.AdamW(trained, lr=RATE, weight_decay=0.0)
    network.train()

    def step(batch: tuple[Tensor, Tensor, Tensor, Tensor]) -> float:
        x, label, text, noise = batch
        prediction = network(x, label, text, return_dict=False)[0]
        loss = torch.nn.functional.mse_loss(prediction.float(), noise.float(), reduction="mean")
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1e9)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())

    return step


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=96)
    parser.add_argument("--latents", type=int, default=32)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--only", choices=("ours", "theirs"))
    given = parser.parse_args()
    config = config_of(given.width)
    torch.manual_seed(0)
    state = UNet(config).state_dict()
    step, begun = ours(config, state)
    steps: dict[str, Step] = {"ours": step}
    if given.only != "ours":
        steps["theirs"] = theirs(config, state, {name: value.detach().clone() for name, value in begun.items()})
    if given.only == "theirs":
        del steps["ours"], step
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    losses: dict[str, list[float]] = {name: [] for name in steps}
    for number, batch in enumerate(batches(given.steps, given.latents, config.cross_attention_dim)):
        for name in sorted(steps, reverse=bool(number % 2)):
            begin = time.perf_counter()
            losses[name].append(steps[name](batch))
            seconds[name].append(time.perf_counter() - begin)
    medians = {name: statistics.median(values[1:]) for name, values in seconds.items()}
    result: dict[str, object] = {"seconds": medians, "first": [values[0] for values in losses.values()]}
    if len(steps) == 2:
        apart = max(abs(a - b) for a, b in zip(losses["ours"], losses["theirs"], strict=True))
        result |= {"ours / theirs": medians["ours"] / medians["theirs"], "curves apart": apart}
    result["last"] = [values[-1] for values in losses.values()]
    if given.only:
        result["peak MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
