"""Training nano's U-Net: sfumato's loop against a plain diffusers loop, step by step in turn.

    python -m benchmarks.train_step --steps 60

Both start from the same weights and see the same latents, text tokens, noise and times, with AdamW at the same rate and
clipping. The peer is the loop of diffusers' own examples: `UNet2DConditionModel` in float32, `torch.optim.AdamW` with
its defaults, `clip_grad_norm_`, all threads, in a process of its own, which waits while we step; `--peer-bf16` gives it
autocast as well. Ours is `training.loop` as `sfumato train` runs it with `processes`, with its average of weights; with
`--muon` its optimiser for matrices too (the curves then differ by design). The loss curves must agree: the mean
difference over the run is printed beside the scatter between neighbouring steps.
"""

import argparse
import contextlib
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from torch import Tensor, nn

from sfumato.diffusion.conditioning import Conditioning
from sfumato.diffusion.scalings import FLOW
from sfumato.diffusion.schedules import FlowSchedule
from sfumato.models.unet import UNet, UNetConfig
from sfumato.runtime.memory import keep_freed_memory
from sfumato.runtime.precision import choose
from sfumato.training.data import Order, generator_for
from sfumato.training.loop import LoopConfig, State, enlist, gradients, networks_of
from sfumato.training.objectives import denoising_error, uniform
from sfumato.training.parallel import WorkerPool

CONTEXT = (64, 256)
SAMPLES = 2048
SCHEDULE = FlowSchedule(shift=5.0)


class Fixed:
    """The task: latents that can be learned, smooth fields that the text tokens determine."""

    def __init__(self, config: UNetConfig, batch: int) -> None:
        torch.manual_seed(0)
        self.model = UNet(config)
        self.order = Order(torch.arange(SAMPLES), batch, 0)
        self.tokens = torch.randn(SAMPLES, *CONTEXT, generator=generator_for(1))
        basis = torch.randn(CONTEXT[1], config.in_channels * 4 * 4, generator=generator_for(2)) / CONTEXT[1] ** 0.5
        coarse = (self.tokens.mean(1) * CONTEXT[0] ** 0.5 @ basis).view(-1, config.in_channels, 4, 4)
        self.clean = nn.functional.interpolate(coarse, scale_factor=4, mode="bilinear")

    def batch(self, indices: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Clean latents, noise, times, text tokens."""
        clean = self.clean[indices]
        noise, sigma = torch.randn(clean.shape, generator=rng), uniform(SCHEDULE)(len(indices), rng)
        return clean, noise, sigma, self.tokens[indices]

    def loss(self, model: nn.Module, indices: Tensor, rng: torch.Generator) -> dict[str, Tensor]:
        """The flow loss, as `DenoiserTask` has it."""
        clean, noise, sigma, tokens = self.batch(indices, rng)
        x = FLOW.path.mix(clean, noise, sigma)
        output = model(x.to(memory_format=torch.channels_last), sigma * 1000, Conditioning(tokens))
        return {"loss": denoising_error(output, FLOW, clean, x, sigma).mean()}


class Peer:
    """A plain loop around diffusers' U-Net."""

    def __init__(self, config: UNetConfig, weights: dict[str, Tensor], task: Fixed, loop: LoopConfig, *, bf16: bool):
        from diffusers import UNet2DConditionModel

        self.unet = UNet2DConditionModel.from_config(config.to_json())
        self.unet.load_state_dict(weights)
        self.task, self.loop, self.bf16 = task, loop, bf16
        self.optimizer = torch.optim.AdamW(
            self.unet.parameters(), lr=loop.learning_rate, betas=loop.betas, weight_decay=loop.weight_decay
        )

    def __call__(self, step: int) -> float:
        """One step on the pictures, noise and times that ours sees; the loss."""
        self.unet.train()
        micro = [step * self.loop.accumulate + i for i in range(self.loop.accumulate)]
        parts = [self.task.batch(self.task.order(k), generator_for(self.loop.seed, 2, k)) for k in micro]
        clean, noise, sigma, tokens = (torch.cat(each) for each in zip(*parts, strict=True))
        mixed = (1 - sigma.view(-1, 1, 1, 1)) * clean + sigma.view(-1, 1, 1, 1) * noise
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            output = self.unet(mixed, sigma * 1000, encoder_hidden_states=tokens).sample
        loss = nn.functional.mse_loss(output.float(), noise - clean)
        loss.backward()
        nn.utils.clip_grad_norm_(self.unet.parameters(), self.loop.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return float(loss.detach())


def serve(make: Callable[[], Peer], threads: int, pipe: Connection) -> None:
    """The life of the peer's process: a loss for each step that is asked for, until the pipe closes."""
    torch.set_num_threads(threads)
    peer = make()
    with contextlib.suppress(EOFError):
        while True:
            pipe.send(peer(pipe.recv()))


@contextlib.contextmanager
def elsewhere(make: Callable[[], Peer], threads: int) -> Iterator[Callable[[int], float]]:
    """The peer's steps, taken in a process of its own: what we ask of ours, such as of its memory, is not its gain."""
    context = torch.multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(make, threads, theirs), daemon=True)
    process.start()

    def step(number: int) -> float:
        ours.send(number)
        return float(ours.recv())

    yield step
    ours.close()
    process.join(timeout=10)


def plain(config: UNetConfig, loop: LoopConfig, bf16: bool) -> Peer:
    """The peer with the weights that ours begins with: both are drawn from one seed."""
    task = Fixed(config, loop.batch)
    return Peer(config, task.model.state_dict(), task, loop, bf16=bf16)


class Ours:
    """One step of `training.loop`."""

    def __init__(self, task: Fixed, loop: LoopConfig, networks: dict[str, nn.Module], pool: WorkerPool) -> None:
        self.loop, self.pool, self.state = loop, pool, State(networks, loop)
        self.state.spread(pool.map)
        self.share = partial(gradients, task, networks, loop)

    def __call__(self, step: int) -> float:
        """One step; the loss."""
        losses = self.pool.compute(step, self.share)
        self.state.clip(self.loop.clip)
        with self.pool.alone():
            self.state.update(1.0)
        for optimizer in self.state.optimizers:
            optimizer.zero_grad(set_to_none=True)
        return losses["loss"]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--muon", action="store_true")
    parser.add_argument("--peer-bf16", action="store_true")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    arguments = parser.parse_args()

    config = UNetConfig.from_json(
        json.loads((Path(__file__).parents[1] / "src/sfumato/data/nano/unet/config.json").read_text("utf-8")), "nano"
    )
    processes = arguments.processes
    loop = LoopConfig(
        steps=arguments.steps,
        batch=arguments.batch // processes,
        accumulate=processes,
        processes=processes,
        learning_rate=3e-4,
        muon=arguments.muon,
        precision="bf16" if choose("cpu").dtype is torch.bfloat16 else "fp32",
    )
    again = partial(Fixed, config, loop.batch)
    task = again()
    threads = torch.get_num_threads()
    networks = networks_of(task, loop)
    keep_freed_memory()
    with (
        WorkerPool(list(task.model.parameters()), processes, partial(enlist, again, loop)) as pool,
        elsewhere(partial(plain, config, loop, arguments.peer_bf16), threads) as peer,
    ):
        race({"sfumato": Ours(task, loop, networks, pool), "diffusers": peer}, arguments, threads)


def race(players: dict[str, Callable[[int], float]], arguments: argparse.Namespace, threads: int) -> None:
    """Let the players step in turn and print the figures."""
    losses: dict[str, list[float]] = {name: [] for name in players}
    seconds: dict[str, list[float]] = {name: [] for name in players}
    for step in range(arguments.steps):
        for name, player in list(players.items())[:: 1 if step % 2 else -1]:
            since = time.perf_counter()
            losses[name].append(player(step))
            seconds[name].append(time.perf_counter() - since)
        print(step, *(f"{name} {losses[name][-1]:.4f} {seconds[name][-1]:.2f} s" for name in players), flush=True)

    warm = 3
    median = {name: statistics.median(times[warm:]) for name, times in seconds.items()}
    scatter = statistics.mean(abs(a - b) for a, b in pairwise(losses["diffusers"]))
    apart = statistics.mean(abs(a - b) for a, b in zip(losses["sfumato"], losses["diffusers"], strict=True))
    figures = {
        "threads": threads,
        "torch": torch.__version__,
        "batch": arguments.batch,
        "processes": arguments.processes,
        "images_per_second": {name: round(arguments.batch / value, 1) for name, value in median.items()},
        "ratio": round(median["diffusers"] / median["sfumato"], 2),
        "loss_difference": round(apart, 5),
        "scatter_between_steps": round(scatter, 5),
        "last_losses": {name: round(values[-1], 4) for name, values in losses.items()},
    }
    print(json.dumps(figures, indent=2))
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
