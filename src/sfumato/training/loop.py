"""The training loop, the same for everything we train.

A `Task` says what is trained and what its loss is; the loop does the rest: accumulation, clipping, schedule, average,
guard against non-finite steps, validation, sheets, atomic checkpoints, exact resume.

Exact resume rests on one rule: whatever is random at step k is drawn from `generator_for(seed, k, ...)`. A run that
was killed and resumed ends with the same bytes as one that was not (same machine, same thread count).
"""

import math
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from jaxtyping import Int
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from sfumato.errors import DivergedError
from sfumato.training.checkpoint import (
    Snapshot,
    drop_latest,
    load_latest,
    pack_optimizer,
    save,
    unpack_optimizer,
    whole_folder,
)
from sfumato.training.data import Order, generator_for
from sfumato.training.ema import EMA
from sfumato.training.optim import build_optimizers, rate
from sfumato.training.tracking import Tracker, plot

EXTENDABLE = frozenset({"steps", "decay", "shape", "log_every", "validate_every", "sheet_every", "save_every", "keep"})
"""Settings of `LoopConfig` that may differ when a run is resumed; others would make it another run."""


class LoopConfig(BaseModel):
    """How long and how to step; the `[loop]` table of a training TOML."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(gt=0)
    batch: int = Field(gt=0)
    accumulate: int = Field(1, gt=0)
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(0.01, ge=0)
    betas: tuple[float, float] = (0.9, 0.99)
    muon: bool = True
    shape: Literal["constant", "cosine", "warmup_stable_decay"] = "warmup_stable_decay"
    warmup: int = Field(200, ge=0)
    decay: int = Field(0, ge=0)
    clip: float = Field(1.0, gt=0)
    ema: float = Field(0.999, ge=0, lt=1)
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """"auto" races both on this machine when the run begins and keeps the winner with it."""
    seed: int = Field(0, ge=0)
    log_every: int = Field(20, gt=0)
    validate_every: int = Field(500, gt=0)
    sheet_every: int = Field(1000, gt=0)
    save_every: int = Field(500, gt=0)
    keep: int = Field(2, gt=0)
    channels_last: bool = True


class Task(Protocol):
    """What is trained."""

    @property
    def model(self) -> nn.Module:
        """Its parameters are trained; `fit` hands it, or its average, back to each method."""
        ...

    @property
    def order(self) -> Order:
        """Which pictures make batch k."""
        ...

    @property
    def content(self) -> dict[str, str]:
        """Digests of what the run learns from, by name: a run is not resumed on other content."""
        ...

    def loss(self, model: nn.Module, indices: Int[Tensor, " b"], rng: torch.Generator) -> dict[str, Tensor]:
        """Named scalars for one micro-batch; "loss" is what is minimised."""
        ...

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Named scalars on held-out data with fixed noise: the same weights give the same numbers."""
        ...

    def sheet(self, model: nn.Module) -> Image.Image:
        """A picture to judge the state by."""
        ...

    def export(self, model: nn.Module, folder: Path) -> None:
        """Write the finished component, as inference loads it."""
        ...


class State:
    """What a run carries from step to step: weights, their average, optimisers, the number of steps done."""

    def __init__(self, model: nn.Module, config: LoopConfig) -> None:
        if config.channels_last:
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.model = model
        self.optimizers = build_optimizers(
            model, config.learning_rate, weight_decay=config.weight_decay, betas=config.betas, muon=config.muon
        )
        self.ema = EMA(model, config.ema)
        self.step = 0

    def update(self, learning_rate: float) -> None:
        """One optimiser step at that rate, followed by the average."""
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate
            optimizer.step()
        self.ema.update(self.model, self.step)

    def snapshot(self, identity: Mapping[str, Any]) -> Snapshot:
        """Everything, to be saved."""
        tensors = {f"model/{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"ema/{k}": v for k, v in self.ema.model.state_dict().items()}
        rests = []
        for i, optimizer in enumerate(self.optimizers):
            packed, rest = pack_optimizer(f"optimizer{i}", optimizer)
            tensors |= packed
            rests.append(rest)
        return Snapshot(tensors, {"step": self.step, "config": dict(identity), "optimizers": rests})

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot."""
        for prefix, module in (("model/", self.model), ("ema/", self.ema.model)):
            part = {k.removeprefix(prefix): v for k, v in snapshot.tensors.items() if k.startswith(prefix)}
            module.load_state_dict(part)
        for i, (optimizer, rest) in enumerate(zip(self.optimizers, snapshot.facts["optimizers"], strict=True)):
            unpack_optimizer(f"optimizer{i}", optimizer, snapshot.tensors, rest)
        self.step = int(snapshot.facts["step"])


MAX_BAD_STEPS = 10
"""So many non-finite steps in a row end the run."""


def fit(
    task: Task,
    config: LoopConfig,
    run: Path,
    *,
    identity: Mapping[str, Any],
    console: Console | None = None,
    on_step: Callable[[int], None] = lambda step: None,
) -> dict[str, float]:
    """Train `task` in the folder `run`, from its newest checkpoint if it has one; export when done.

    `identity` is stored with each checkpoint (who may resume is the caller's to check). Returns the last validation.

    Raises:
        TrainingError: a checkpoint cannot be read or written.
        DivergedError: after ten non-finite steps in a row; the last good checkpoint stays.
    """
    state = State(task.model, config)
    if (snapshot := load_latest(run)) is not None:
        state.restore(snapshot)
    latest: dict[str, float] = {}
    bad, confirmed = 0, True  # a checkpoint is confirmed by a finite step after it
    with closing(Tracker(run)) as tracker, _progress(console) as progress:
        bar = progress.add_task(run.name, total=config.steps, completed=state.step, note="")
        since, counted = time.monotonic(), 0
        while state.step < config.steps:
            factor = rate(state.step, shape=config.shape, steps=config.steps, warmup=config.warmup, decay=config.decay)
            losses = _backward(task, state.model, config, state.step)
            norm = float(nn.utils.clip_grad_norm_(state.model.parameters(), config.clip))
            if math.isfinite(losses["loss"]) and math.isfinite(norm):
                bad, confirmed = 0, True
                state.update(config.learning_rate * factor)
            else:
                bad += 1
                tracker.scalars(state.step, {"skipped": 1.0})
                if bad == MAX_BAD_STEPS:
                    if not confirmed:
                        drop_latest(run)
                    raise DivergedError(
                        f"{bad} non-finite steps in a row at step {state.step} of {run}; its last checkpoint is from "
                        "before that: begin a new run with a lower learning_rate"
                    )
            for optimizer in state.optimizers:
                optimizer.zero_grad(set_to_none=True)

            state.step += 1
            counted += config.batch * config.accumulate
            last = state.step == config.steps
            if state.step % config.log_every == 0:
                speed = counted / (time.monotonic() - since)
                since, counted = time.monotonic(), 0
                record = {f"train/{k}": v for k, v in losses.items()}
                tracker.scalars(
                    state.step, record | {"gradient_norm": norm, "rate": factor, "images_per_second": speed}
                )
                progress.update(bar, note=f"loss {losses['loss']:.4f}  {speed:.1f} images/s")
            if bad == 0 and (state.step % config.save_every == 0 or last):
                save(run, state.snapshot(identity), config.keep)
                confirmed = False
            if state.step % config.validate_every == 0 or last:
                latest = task.validate(state.ema.model)
                tracker.scalars(state.step, {f"validation/{k}": v for k, v in latest.items()})
                progress.console.print(state.step, {k: round(v, 5) for k, v in latest.items()})
            if state.step % config.sheet_every == 0 or last:
                tracker.sheet(state.step, task.sheet(state.ema.model))
            progress.update(bar, completed=state.step)
            on_step(state.step)
    plot(run, run / "loss.png")
    with whole_folder(run / "export") as folder:
        task.export(state.ema.model, folder)
    return latest


def _progress(console: Console | None) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console or Console(stderr=True))


def _backward(task: Task, model: nn.Module, config: LoopConfig, step: int) -> dict[str, float]:
    """Accumulate the gradients of one optimiser step; returns the mean of each named loss."""
    model.train()
    total: dict[str, float] = {}
    for micro in range(config.accumulate):
        k = step * config.accumulate + micro
        with torch.autocast("cpu", torch.bfloat16, enabled=config.precision == "bf16"):
            losses = task.loss(model, task.order(k), generator_for(config.seed, 2, k))
        (losses["loss"] / config.accumulate).backward()
        for name, value in losses.items():
            total[name] = total.get(name, 0.0) + float(value.detach()) / config.accumulate
    return total
