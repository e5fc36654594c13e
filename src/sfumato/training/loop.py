"""The training loop, the same for everything we train.

A `Task` says what is trained and what its loss is; the loop does the rest: accumulation, clipping, schedule, average,
guard against non-finite steps, validation, sheets, atomic checkpoints, exact resume. An `AdversarialTask` adds a second
network, which learns in the same steps by a loss of its own.

Exact resume rests on one rule: whatever is random at step k is drawn from `generator_for(seed, k, ...)`. A run that
was killed and resumed ends with the same bytes as one that was not (same machine, same thread count).
"""

import math
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol, Self, runtime_checkable

import torch
from jaxtyping import Int
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, model_validator
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from sfumato.errors import DivergedError
from sfumato.files import whole_folder
from sfumato.nn.filtered import train_filtered
from sfumato.runtime.devices import device_of
from sfumato.runtime.precision import autocast
from sfumato.training.checkpoint import (
    Best,
    Snapshot,
    drop_latest,
    latest_facts,
    load_latest,
    pack_optimizer,
    save,
    unpack_optimizer,
)
from sfumato.training.data import generator_for
from sfumato.training.ema import EMA
from sfumato.training.optim import Muon, Spread, build_optimizers, rate
from sfumato.training.parallel import Share, WorkerPool
from sfumato.training.tracking import Tracker, plot, silent_threads

EXTENDABLE = frozenset(
    {
        "steps",
        "decay",
        "shape",
        "log_every",
        "validate_every",
        "sheet_every",
        "save_every",
        "keep",
        "best",
        "rise",
        "processes",
        "wandb",
    }
)
"""Settings of `LoopConfig` that may differ when a run is resumed; others would make it another run."""


class OpponentConfig(BaseModel):
    """How the second network of an `AdversarialTask` steps, by AdamW; the `[loop.opponent]` table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: int = Field(0, ge=0)
    """It takes part from this step on; until then the task is like any other."""
    learning_rate: float = Field(2e-4, gt=0)
    """Its peak: shape, warm-up and decay are the model's."""
    weight_decay: float = Field(0.0, ge=0)
    betas: tuple[float, float] = (0.5, 0.9)


class LoopConfig(BaseModel):
    """How long and how to step; the `[loop]` table of a training TOML."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(gt=0)
    batch: int = Field(gt=0)
    accumulate: int = Field(1, gt=0)
    """Micro-batches of `batch` pictures in a step."""
    processes: int = Field(1, gt=0)
    """Among so many processes of this machine the micro-batches are shared out, and its threads."""
    learning_rate: float = Field(gt=0)
    embedding_rate: float = Field(1.0, gt=0)
    """Times `learning_rate` for embeddings: a row is seldom looked up, and its numbers may be ten times a matrix's."""
    text_rate: float = Field(1.0, gt=0)
    """Times `learning_rate` for what an adapter changes of text encoders, often a half."""
    weight_decay: float = Field(0.01, ge=0)
    betas: tuple[float, float] = (0.9, 0.99)
    muon: bool = True
    prodigy: bool = False
    """The learning rate is found on the way, and `learning_rate` is a factor on it, 1 by itself."""
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
    best: bool = False
    """Export the average that had the lowest validation loss, instead of the last."""
    rise: float | None = Field(None, gt=1)
    """So many times the lowest validation loss ends the run."""
    channels_last: bool = True
    wandb: str | None = None
    """A Weights & Biases project that is told of the run as well."""
    opponent: OpponentConfig = OpponentConfig()

    @model_validator(mode="after")
    def _one_optimizer(self) -> Self:
        if self.prodigy and (self.muon or self.learning_rate < 0.01):
            wrong = "muon = true" if self.muon else f"learning_rate = {self.learning_rate:g}"
            raise ValueError(f"prodigy finds the learning rate, beside {wrong}; set learning_rate = 1 and muon = false")
        return self

    @model_validator(mode="after")
    def _even_shares(self) -> Self:
        if self.accumulate % self.processes:
            raise ValueError(f"accumulate={self.accumulate} must be a multiple of processes={self.processes}")
        return self


class Learner(Protocol):
    """What a step needs."""

    @property
    def model(self) -> nn.Module:
        """Its parameters are trained; `fit` hands it, or its average, back to each method."""
        ...

    @property
    def order(self) -> Callable[[int], Int[Tensor, " b"]]:
        """Which pictures make batch k."""
        ...

    def loss(self, model: nn.Module, indices: Int[Tensor, " b"], rng: torch.Generator) -> dict[str, Tensor]:
        """Named scalars for one micro-batch; "loss" is what is minimised."""
        ...


class Task(Learner, Protocol):
    """What is trained, judged and exported."""

    @property
    def content(self) -> dict[str, str]:
        """Digests of what the run learns from, by name: a run is not resumed on other content."""
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


@runtime_checkable
class AdversarialTask(Task, Protocol):
    """A task with a second network, the opponent, which learns against the model."""

    @property
    def opponent(self) -> nn.Module:
        """Its parameters are trained beside the model's; no average of them is kept."""
        ...

    def contest(
        self, model: nn.Module, indices: Int[Tensor, " b"], rng: torch.Generator, turn: int
    ) -> dict[str, Tensor]:
        """What `loss` gives, from step `loop.opponent.start` on, and "opponent", which the opponent minimises.

        `turn` counts steps from there. "loss" must not reach the opponent's parameters, nor "opponent" the model's.
        """
        ...

    def alarms(self, losses: Mapping[str, float]) -> list[str]:
        """What looks wrong with the contest, a line each, from the last logged means."""
        ...


class State:
    """What a run carries from step to step: weights, their average, optimisers, the number of steps done."""

    def __init__(self, networks: Mapping[str, nn.Module], config: LoopConfig) -> None:
        self.networks = networks
        self.model = model = networks["model"]
        opponent = networks.get("opponent")
        self.optimizers = build_optimizers(
            model,
            config.learning_rate,
            weight_decay=config.weight_decay,
            betas=config.betas,
            muon=config.muon,
            prodigy=config.prodigy,
            embedding_rate=config.embedding_rate,
            text_rate=config.text_rate,
        )
        if opponent is not None:
            its = config.opponent
            self.optimizers += build_optimizers(
                opponent, its.learning_rate, weight_decay=its.weight_decay, betas=its.betas, muon=False
            )
        self.peaks = [[group["lr"] for group in optimizer.param_groups] for optimizer in self.optimizers]
        self.ema = EMA(model, config.ema)
        self.step = 0

    def spread(self, spread: Spread) -> None:
        """Say by whom matrices are orthogonalised."""
        for optimizer in self.optimizers:
            if isinstance(optimizer, Muon):
                optimizer.spread = spread

    def clip(self, limit: float) -> dict[str, float]:
        """Clip each network's gradient by its norm; the norms before, by network."""
        return {
            name: float(nn.utils.clip_grad_norm_(network.parameters(), limit))
            for name, network in self.networks.items()
        }

    def update(self, factor: float) -> None:
        """One step of each optimiser at that share of its learning rate, followed by the average."""
        for optimizer, peaks in zip(self.optimizers, self.peaks, strict=True):
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = peak * factor
            optimizer.step()
        self.ema.update(self.model, self.step)

    def snapshot(self, identity: Mapping[str, Any]) -> Snapshot:
        """Everything, to be saved."""
        kept = {**self.networks, "ema": self.ema.model}
        tensors = {f"{name}/{k}": v for name, network in kept.items() for k, v in network.state_dict().items()}
        rests = []
        for i, optimizer in enumerate(self.optimizers):
            packed, rest = pack_optimizer(f"optimizer{i}", optimizer)
            tensors |= packed
            rests.append(rest)
        return Snapshot(tensors, {"step": self.step, "config": dict(identity), "optimizers": rests})

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot."""
        for name, network in {**self.networks, "ema": self.ema.model}.items():
            prefix = f"{name}/"
            part = {k.removeprefix(prefix): v for k, v in snapshot.tensors.items() if k.startswith(prefix)}
            network.load_state_dict(part)
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
    again: Callable[[], Learner] | None = None,
    on_step: Callable[[int], None] = lambda step: None,
) -> dict[str, float]:
    """Train `task` in the folder `run`, from its newest checkpoint if it has one; export when done.

    `identity` is stored with each checkpoint (who may resume is the caller's to check). `again` makes the task once
    more, in another process; only `processes` above 1 need it. Returns the last validation.

    Raises:
        TrainingError: a checkpoint cannot be read.
        OutputError: a checkpoint or the export cannot be written.
        DivergedError: after ten non-finite steps in a row, or when the validation loss rises as `rise` says; the last
            good checkpoint stays.
    """
    state = State(networks_of(task, config), config)
    if (snapshot := load_latest(run)) is not None:
        state.restore(snapshot)
    latest: dict[str, float] = {}
    best = Best(run)
    bad, confirmed = 0, True  # a checkpoint is confirmed by a finite step after it
    with (
        silent_threads(),
        closing(Tracker(run, config.wandb, state.step)) as tracker,
        _progress(console) as progress,
        WorkerPool(_trained(state.networks), config.processes, again and partial(enlist, again, config)) as pool,
    ):
        state.spread(pool.map)
        bar = progress.add_task(run.name, total=config.steps, completed=state.step, note="")

        def look(*, validated: bool, drawn: bool) -> None:
            """Validate and draw a sheet where that is due and not done."""
            last = state.step == config.steps
            if not validated and (state.step % config.validate_every == 0 or last):
                values = task.validate(state.ema.model)
                latest.update(values)
                tracker.scalars(state.step, {f"validation/{k}": v for k, v in values.items()})
                progress.console.print(state.step, {k: round(v, 5) for k, v in values.items()})
                if config.rise is not None and values["loss"] > config.rise * best.loss:
                    raise DivergedError(
                        f"the validation loss rose from {best.loss:.4g} to {values['loss']:.4g} at step {state.step} "
                        f"of {run}; what was best, at step {best.step}, is kept in {best.folder}; begin a new run with "
                        "a lower learning_rate"
                    )
                if config.best or config.rise is not None:
                    best.offer(state.step, values["loss"], state.ema.model)
            if not drawn and (state.step % config.sheet_every == 0 or last):
                tracker.sheet(state.step, task.sheet(state.ema.model))

        if state.step:  # a process may have died between its checkpoint and these
            look(validated=tracker.validated, drawn=tracker.sheet_file(state.step).is_file())
        since, counted = time.monotonic(), 0
        while state.step < config.steps:
            factor = rate(state.step, shape=config.shape, steps=config.steps, warmup=config.warmup, decay=config.decay)
            losses = pool.compute(state.step, partial(gradients, task, state.networks, config))
            norms = state.clip(config.clip)
            if all(map(math.isfinite, (losses["loss"], *norms.values()))):
                bad, confirmed = 0, True
                with pool.alone():
                    state.update(factor)
            else:
                bad += 1
                tracker.scalars(state.step, {"skipped": 1.0})
                if bad == MAX_BAD_STEPS:
                    if not confirmed:
                        drop_latest(run)
                    kept = "there is no checkpoint" if latest_facts(run) is None else "the last checkpoint is"
                    raise DivergedError(
                        f"{bad} non-finite steps in a row at step {state.step} of {run}; {kept} from before that; "
                        "begin a new run with a lower learning_rate"
                    )
            for optimizer in state.optimizers:
                optimizer.zero_grad(set_to_none=True)

            state.step += 1
            counted += config.batch * config.accumulate
            last = state.step == config.steps
            if state.step % config.log_every == 0:
                speed = counted / (time.monotonic() - since)
                since, counted = time.monotonic(), 0
                record = {f"train/{k}": v for k, v in losses.items()} | {"gradient_norm": norms.pop("model")}
                record |= {f"gradient_norm/{k}": v for k, v in norms.items()}
                tracker.scalars(state.step, record | {"rate": factor, "images_per_second": speed})
                for warning in task.alarms(losses) if isinstance(task, AdversarialTask) else ():
                    tracker.warning(state.step, warning)
                    progress.console.print(state.step, f"warning: {warning}")
                progress.update(bar, note=f"loss {losses['loss']:.4f}  {speed:.1f} images/s")
            if bad == 0 and (state.step % config.save_every == 0 or last):
                save(run, state.snapshot(identity), config.keep)
                confirmed = False
            look(validated=False, drawn=False)
            progress.update(bar, completed=state.step)
            on_step(state.step)
    plot(run, run / "loss.png")
    if config.best:
        best.restore(state.ema.model)
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


def networks_of(task: Learner, config: LoopConfig) -> dict[str, nn.Module]:
    """The task's networks by name, "model" and perhaps "opponent", in the memory format that is trained."""
    train_filtered(task.model)
    networks = {"model": task.model}
    if isinstance(task, AdversarialTask):
        networks["opponent"] = task.opponent
    if config.channels_last:
        for network in networks.values():
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return networks


def gradients(
    task: Learner, networks: Mapping[str, nn.Module], config: LoopConfig, step: int, rank: int = 0
) -> dict[str, float]:
    """Add up the gradients of a rank's micro-batches of one step; returns its part of the mean of each named loss."""
    for network in networks.values():
        network.train()
    play: Callable[[nn.Module, Tensor, torch.Generator], dict[str, Tensor]] = task.loss
    if isinstance(task, AdversarialTask) and step >= config.opponent.start:
        play = partial(task.contest, turn=step - config.opponent.start)
    total: dict[str, float] = {}
    for micro in range(rank, config.accumulate, config.processes):
        k = step * config.accumulate + micro
        with autocast(device_of(networks["model"]), config.precision):
            losses = play(networks["model"], task.order(k), generator_for(config.seed, 2, k))
        minimised = losses["loss"] + losses["opponent"] if "opponent" in losses else losses["loss"]
        (minimised / config.accumulate).backward()
        for name, value in losses.items():
            total[name] = total.get(name, 0.0) + float(value.detach()) / config.accumulate
    return total


def _trained(networks: Mapping[str, nn.Module]) -> list[nn.Parameter]:
    return [p for network in networks.values() for p in network.parameters() if p.requires_grad]


def enlist(again: Callable[[], Learner], config: LoopConfig) -> tuple[list[nn.Parameter], Share]:
    """The parameters and the work of another process."""
    task = again()
    networks = networks_of(task, config)
    return _trained(networks), partial(gradients, task, networks, config)
