"""Students of a tiny model: they learn, resume exactly, and each side of the contest has its own gradient."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from sfumato.errors import TrainingError
from sfumato.training.adapter import AdapterRun
from sfumato.training.data import generator_for
from sfumato.training.distill import ContestedDistillTask, DistillTask, adapter_task
from sfumato.training.run import train
from sfumato.training.tracking import read_log
from tests.training.test_adapter import photos, run_of, settings, tiny_model

__all__ = ["photos", "tiny_model"]

DISTILL = {"steps": 2, "guidance": 2.0, "grid": 4}
MATCHING = DISTILL | {"towards": "distribution"}


def student(tiny: Path, pictures: Path, **changes: Any) -> dict[str, Any]:
    whole = {"method": "full", "targets": ["attention"]}
    return settings(tiny, pictures, distill=DISTILL, adapter=whole, draws=1, **changes)


def test_a_consistency_loss_by_hand(tiny_model: Path, photos: Path, tmp_path: Path) -> None:
    """A student that is the teacher, guided by 1, agrees at the last level, whose target is the teacher's estimate; and
    not before, since its estimates differ along a trajectory."""
    values = student(tiny_model, photos) | {"distill": {"steps": 1, "guidance": 1.0, "grid": 2}}
    task = adapter_task(AdapterRun(**values), tmp_path)
    assert isinstance(task, DistillTask)
    grid = task._levels([task.examples.all[0]], 2)

    def losses(levels: Tensor) -> list[float]:
        task._levels = lambda chosen, steps: levels  # type: ignore[method-assign]
        every = (task.loss(task.model, torch.tensor([0]), generator_for(seed)) for seed in range(4))
        return [float(each["loss"].detach()) for each in every]

    assert losses(grid[1:]) == pytest.approx([0] * 4, abs=1e-6)
    assert max(losses(grid)) > 1e-3


def test_paintings_stay_where_teacher_and_follower_agree(tiny_model: Path, photos: Path, tmp_path: Path) -> None:
    """The follower begins as the teacher: unguided, it has the student stay; else the student goes to where guidance
    leads, by as much of it as the follower has not seen."""

    def pulls(guidance: float) -> tuple[float, float]:
        values = student(tiny_model, photos) | {"distill": MATCHING | {"guidance": guidance}}
        task = adapter_task(AdapterRun(**values), tmp_path)
        losses = task.contest(task.model, torch.tensor([0, 0]), generator_for(1), 0)  # type: ignore[attr-defined]
        losses["loss"].backward()
        pull = max(float(p.grad.abs().max()) for p in task.model.parameters() if p.grad is not None)
        return pull, float(losses["following"].detach())

    (still, error), (drawn, same) = pulls(1.0), pulls(3.0)
    assert still == pytest.approx(0, abs=1e-6)
    assert drawn > 1e-4
    assert error == same > 0


@pytest.mark.parametrize(
    "changes",
    [
        {"adversarial": {"weight": 0.5, "channels": [8]}},
        {"distill": MATCHING},
        {"distill": MATCHING, "adversarial": {"weight": 0.5, "channels": [8]}},
    ],
    ids=["adversarial", "matching", "both"],
)
def test_each_side_of_the_contest_has_its_own_gradient(
    changes: dict[str, Any], tiny_model: Path, photos: Path, tmp_path: Path
) -> None:
    values = student(tiny_model, photos) | changes
    task = adapter_task(AdapterRun(**values), tmp_path)
    assert isinstance(task, ContestedDistillTask)

    def gradients(name: str) -> tuple[list[Tensor | None], list[Tensor | None], dict[str, Tensor]]:
        for network in (task.model, task.opponent):
            network.zero_grad(set_to_none=True)
        losses = task.contest(task.model, torch.tensor([0]), generator_for(1), 0)
        losses[name].backward()
        return [p.grad for p in task.model.parameters()], [p.grad for p in task.opponent.parameters()], losses

    ours, theirs, losses = gradients("loss")
    assert any(grad is not None and bool(grad.any()) for grad in ours)
    assert all(grad is None for grad in theirs)
    assert ("adversarial" in losses) == ("adversarial" in changes)
    ours, theirs, losses = gradients("opponent")
    assert all(grad is None for grad in ours)
    assert all(grad is not None for grad in theirs)
    assert any(bool(grad.any()) for grad in theirs if grad is not None)
    base = task.base.network.state_dict()
    assert all(not tensor.requires_grad for tensor in base.values())


def test_the_slope_is_that_of_the_heads_and_not_of_the_teacher(
    tiny_model: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a scaled first layer the slope grows with the scale squared; no graph of the teacher is walked twice."""
    monkeypatch.setattr("sfumato.training.adversarial.R1_SHARE", 1.0)

    def opponents(r1: float, scale: float = 1.0) -> float:
        values = student(tiny_model, photos) | {"adversarial": {"weight": 0.5, "channels": [8], "r1": r1}}
        task = adapter_task(AdapterRun(**values), tmp_path)
        assert isinstance(task, ContestedDistillTask)
        assert task.opponent.heads is not None
        for head in task.opponent.heads.heads:
            last = list(head)[-1]  # type: ignore[call-overload]
            last.weight.data *= scale
            last.bias.data *= scale
        loss = task.contest(task.model, torch.tensor([0]), generator_for(1), 0)["opponent"]
        loss.backward()
        return float(loss.detach())

    once, twice = (opponents(1.0, scale) - opponents(0.0, scale) for scale in (1.0, 2.0))
    assert once > 1e-4
    assert twice == pytest.approx(4 * once, rel=1e-3)


def test_a_contest_joins_where_it_is_to_begin(tiny_model: Path, photos: Path, tmp_path: Path) -> None:
    loop = {"opponent": {"start": 2}, "steps": 4, "validate_every": 4, "sheet_every": 4, "save_every": 4}
    values = student(tiny_model, photos, loop=loop) | {"adversarial": {"weight": 0.5, "channels": [8]}}
    export = train(run_of(tmp_path, values), tmp_path / "run")
    log = read_log(tmp_path / "run")
    assert ["train/opponent" in record for record in log if "train/loss" in record] == [False, False, True, True]
    assert log[-1]["validation/diversity"] > 0
    with safe_open(export / "ink.safetensors", "pt") as opened:
        assert opened.metadata()["ss_distilled_steps"] == "2"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"word": {"word": "ink", "initial": "fox"}}, r"\[distill\] learns no word; leave one of them out"),
        ({"distill": None, "adversarial": {"weight": 1.0}}, r"add a \[distill\] table"),
    ],
)
def test_what_does_not_go_together(
    changes: dict[str, Any], message: str, tiny_model: Path, photos: Path, tmp_path: Path
) -> None:
    values = {k: v for k, v in (student(tiny_model, photos) | changes).items() if v is not None}
    with pytest.raises(TrainingError, match=message):
        train(run_of(tmp_path, values), tmp_path / "run")
