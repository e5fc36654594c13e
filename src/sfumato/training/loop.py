"""The training loop, the same for everything we train.

A `Task` says what is trained and what its loss is; the loop does the rest: accumulation, clipping, schedule, average,
guard against non-finite steps, validation, sheets, atomic checkpoints, exact resume.

Exact resume rests on one rule: whatever is random at step k is drawn from `generator_for(seed, k, ...)`. A run that
was killed and resumed ends with the same bytes as one that was not (same machine, same thread count).
"""

import hashlib
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from jaxtyping import Int
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from sfumato.errors import DivergedError, TrainingError
from sfumato.training.checkpoint import Snapshot, load_latest, pack_optimizer, save, unpack_optimizer
from sfumato.training.data import Order, generator_for
from sfumato.training.ema import EMA
from sfumato.training.optim import build_optimizers, rate
from sfumato.training.tracking import Tracker


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
    precision: Literal["bf16", "fp32"] = "bf16"
    seed: int = 0
    log_every: int = Field(20, gt=0)
    validate_every: int = Field(500, gt=0)
    sheet_every: int = Field(1000, gt=0)
    save_every: int = Field(500, gt=0)
    keep: int = Field(2, gt=0)
    channels_last: bool = True


EXTENDABLE = frozenset({"steps", "decay", "shape", "log_every", "validate_every", "sheet_every", "save_every", "keep"})
"""What may differ when a run is resumed; all else would make it another run."""


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


MAX_BAD_STEPS = 10
"""So many non-finite steps in a row end the run."""


def fit(
    task: Task,
    config: LoopConfig,
    run: Path,
    *,
    identity: dict[str, Any] | None = None,
    console: Console | None = None,
    on_step: Callable[[int], None] = lambda step: None,
) -> dict[str, float]:
    """Train `task` in the folder `run`, from its newest checkpoint if it has one; export when done.

    `identity` is the rest of the run's configuration, stored and compared on resume. Returns the last validation.

    Raises:
        TrainingError: when the run in the folder was begun with another configuration.
        DivergedError: after ten non-finite steps in a row; the last good checkpoint stays.
    """
    model = task.model
    if config.channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizers = build_optimizers(
        model, config.learning_rate, weight_decay=config.weight_decay, betas=config.betas, muon=config.muon
    )
    ema = EMA(model, config.ema)
    done = _resume(run, config, identity or {}, model, ema, optimizers)
    tracker = Tracker(run)
    latest: dict[str, float] = {}
    bad = 0

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, TimeRemainingColumn(), console=console or Console(stderr=True)) as progress:
        bar = progress.add_task(run.name, total=config.steps, completed=done, note="")
        since, counted = time.monotonic(), 0
        for step in range(done, config.steps):
            factor = rate(step, shape=config.shape, steps=config.steps, warmup=config.warmup, decay=config.decay)
            losses = _backward(task, model, config, step)
            norm = float(nn.utils.clip_grad_norm_(model.parameters(), config.clip))
            if math.isfinite(losses["loss"]) and math.isfinite(norm):
                bad = 0
                for optimizer in optimizers:
                    for group in optimizer.param_groups:
                        group["lr"] = config.learning_rate * factor
                    optimizer.step()
                ema.update(model, step)
            else:
                bad += 1
                tracker.scalars(step, {"skipped": 1.0})
                if bad == MAX_BAD_STEPS:
                    tracker.close()
                    raise DivergedError(
                        f"{bad} non-finite steps in a row at step {step}; weights of the last checkpoint in {run} are "
                        "good: lower learning_rate and start a new run from them"
                    )
            for optimizer in optimizers:
                optimizer.zero_grad(set_to_none=True)

            counted += config.batch * config.accumulate
            number = step + 1
            if number % config.log_every == 0:
                speed = counted / (time.monotonic() - since)
                since, counted = time.monotonic(), 0
                record = {f"train/{k}": v for k, v in losses.items()}
                tracker.scalars(number, record | {"gradient_norm": norm, "rate": factor, "images_per_second": speed})
                progress.update(bar, note=f"loss {losses['loss']:.4f}  {speed:.1f} images/s")
            if number % config.validate_every == 0 or number == config.steps:
                latest = task.validate(ema.model)
                tracker.scalars(number, {f"validation/{k}": v for k, v in latest.items()})
                progress.console.print(number, {k: round(v, 5) for k, v in latest.items()})
            if number % config.sheet_every == 0 or number == config.steps:
                tracker.sheet(number, task.sheet(ema.model))
            if number % config.save_every == 0 or number == config.steps:
                save(run, _snapshot(number, config, identity or {}, model, ema, optimizers), config.keep)
            progress.update(bar, completed=number)
            on_step(number)
    tracker.close()
    task.export(ema.model, run / "export")
    return latest


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


def _fixed(config: LoopConfig, identity: dict[str, Any]) -> dict[str, Any]:
    """What two sessions of one run must agree on, as JSON."""
    return {"loop": config.model_dump(mode="json", exclude=set(EXTENDABLE)), **identity}


def _snapshot(
    number: int,
    config: LoopConfig,
    identity: dict[str, Any],
    model: nn.Module,
    ema: EMA,
    optimizers: list[torch.optim.Optimizer],
) -> Snapshot:
    tensors = {f"model/{k}": v for k, v in model.state_dict().items()}
    tensors |= {f"ema/{k}": v for k, v in ema.model.state_dict().items()}
    rests = []
    for i, optimizer in enumerate(optimizers):
        packed, rest = pack_optimizer(f"optimizer{i}", optimizer)
        tensors |= packed
        rests.append(rest)
    return Snapshot(tensors, {"step": number, "config": _fixed(config, identity), "optimizers": rests})


def _resume(
    run: Path,
    config: LoopConfig,
    identity: dict[str, Any],
    model: nn.Module,
    ema: EMA,
    optimizers: list[torch.optim.Optimizer],
) -> int:
    """Restore the newest checkpoint of `run`, if any; returns the number of steps done."""
    snapshot = load_latest(run)
    if snapshot is None:
        return 0
    ours, theirs = _fixed(config, identity), snapshot.facts["config"]
    different = sorted(k for k in ours.keys() | theirs.keys() if ours.get(k) != theirs.get(k))
    if different:
        raise TrainingError(f"{run} was begun with another {', '.join(different)}; choose another run folder")
    for prefix, module in (("model/", model), ("ema/", ema.model)):
        module.load_state_dict({k.removeprefix(prefix): v for k, v in snapshot.tensors.items() if k.startswith(prefix)})
    for i, (optimizer, rest) in enumerate(zip(optimizers, snapshot.facts["optimizers"], strict=True)):
        unpack_optimizer(f"optimizer{i}", optimizer, snapshot.tensors, rest)
    return int(snapshot.facts["step"])


def weights_digest(module: nn.Module) -> str:
    """SHA-256 over names and bytes of all weights: equal digests mean equal weights."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
