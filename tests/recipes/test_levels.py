"""What a level's loss is, for models of every kind, and which levels and captions are asked."""

import random
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from recipes.nano.levels import as_trained, loss, misled
from torch import Tensor

from sfumato.diffusion import EPSILON, FLOW, Parameterisation, V
from sfumato.diffusion.path import over
from sfumato.diffusion.schedules import DiscreteSchedule, FlowSchedule, Schedule
from sfumato.model import Model

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
        "Model",
        SimpleNamespace(sampling=sampling, network=network, dtype=torch.float32, encode_text=lambda texts: texts),
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


def test_levels_as_trained_are_those_of_the_models_own_schedule() -> None:
    flow = as_trained(model_that_estimates(torch.zeros(1), FLOW))
    plain = torch.tensor([(k + 0.5) / 8 for k in range(8)])
    torch.testing.assert_close(torch.tensor(flow), 5 * plain / (1 + 4 * plain))
    torch.testing.assert_close(torch.tensor(as_trained(model_that_estimates(torch.zeros(1), V))), plain)


def test_a_misleading_caption_differs_in_one_word() -> None:
    planet = {"kind": "planet", "style": "planets", "planet_color": "red", "ring": "wide ring", "background": "black"}
    words = ["no ring", "thin ring", "wide ring"]
    told = {misled(planet, "ring", words, random.Random(seed)) for seed in range(20)}
    assert len(told) == 2
    assert not any("wide" in text for text in told)
    assert all("red planet" in text for text in told)
