"""What a level's loss is, for models of every kind."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from recipes.nano.levels import loss
from torch import Tensor

from sfumato.diffusion import EPSILON, FLOW, Parameterisation, V
from sfumato.diffusion.path import over
from sfumato.diffusion.schedules import DiscreteSchedule, FlowSchedule, Schedule
from sfumato.families import Model

SCHEDULES: dict[Parameterisation, Schedule] = {
    FLOW: FlowSchedule(5.0),
    V: DiscreteSchedule.from_betas(zero_terminal_snr=True),
    EPSILON: DiscreteSchedule.from_betas(),
}


def model_that_estimates(answer: Tensor, kind: Parameterisation) -> Model:
    """Its clean estimate is always the same, whatever its network has to predict for that."""
    schedule = SCHEDULES[kind]

    def network(seen: Tensor, label: Tensor, _: Any) -> Tensor:
        sigma = schedule.sigma(label).to(seen.dtype)
        x = seen / over(kind.scaling(sigma).input, seen)
        return kind.scaling(sigma).output(x, answer.expand_as(x))

    sampling = SimpleNamespace(parameterisation=kind, schedule=schedule)
    return cast(
        "Model", SimpleNamespace(sampling=sampling, network=network, dtype=torch.float32, encode=lambda texts: texts)
    )


@pytest.mark.parametrize("kind", [FLOW, V, EPSILON])
@pytest.mark.parametrize("level", [0.3, 0.9])
def test_models_of_all_kinds_are_measured_as_flows(kind: Parameterisation, level: float) -> None:
    torch.manual_seed(0)
    clean, answer = torch.randn(40, 2, 4, 4), torch.randn(2, 4, 4)
    measured = loss(model_that_estimates(answer, kind), clean, [""] * 40, level)
    # A flow's velocity is (x - clean) / level, so that its error is the clean estimate's over the level.
    expected = float((clean - answer).square().mean()) / level**2
    assert measured == pytest.approx(expected, rel=1e-3)
