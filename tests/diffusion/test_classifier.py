"""The race of labels on errors that are known, and the error itself on Gaussians, whose denoiser is exact."""

import math

import pytest
import torch
from torch import Tensor

from sfumato.diffusion.classifier import FIRST, RATIOS, Cell, levels, race, student_quantile, velocity_error
from sfumato.diffusion.path import PATHS, STRAIGHT, VARIANCE_EXPLODING, Path
from sfumato.diffusion.schedules import DiscreteSchedule, FlowSchedule, Schedule


def drawn(means: Tensor, spread: float, shared: float = 10.0) -> Tensor:
    """Errors (pictures, labels, 32) around means: what a draw adds to all labels is large, what is each one's small."""
    rng = torch.Generator().manual_seed(0)
    pictures, labels = means.shape
    common = shared * torch.randn(pictures, 1, 32, generator=rng)
    return means[:, :, None] + common + spread * torch.randn(pictures, labels, 32, generator=rng)


def looked_up(table: Tensor) -> object:
    return lambda cells: torch.stack([table[c.picture, c.label, c.draw] for c in cells])


def test_pairing_finds_what_single_errors_hide() -> None:
    """The label's part is a hundredth of the draw's, and a quarter of the evaluations find it."""
    means = 0.1 * (1 - torch.eye(8))
    table = drawn(means, spread=0.02)
    found = race(looked_up(table), 8, 8, 32)  # type: ignore[arg-type]
    assert found.best.tolist() == list(range(8))
    assert found.evaluations < 0.25 * table.numel()
    assert found.evaluations >= 8 * 8 * FIRST
    assert race(looked_up(table), 8, 8, 32, risk=0).evaluations == table.numel()  # type: ignore[arg-type]


def test_near_labels_stay_in_the_race() -> None:
    means = torch.tensor([[0.0, 0.001, 1.0, 1.0]])
    found = race(looked_up(drawn(means, spread=0.2)), 1, 4, 32, risk=0.001)  # type: ignore[arg-type]
    assert found.errors.isfinite().sum(2)[0, :2].tolist() == [32, 32]
    assert (found.errors.isfinite().sum(2)[0, 2:] < 32).all()


def test_no_cell_is_evaluated_twice_and_a_picture_does_not_depend_on_others() -> None:
    table, seen = drawn(torch.rand(3, 5, generator=torch.Generator().manual_seed(1)), spread=0.3), []

    def errors(cells: list[Cell]) -> Tensor:
        seen.extend(cells)
        return torch.stack([table[c.picture, c.label, c.draw] for c in cells])

    together = race(errors, 3, 5, 32)  # type: ignore[arg-type]
    assert len(seen) == len(set(seen)) == together.evaluations
    alone = race(looked_up(table[1:2]), 1, 5, 32)  # type: ignore[arg-type]
    assert torch.equal(alone.errors[0].nan_to_num(-1), together.errors[1].nan_to_num(-1))


def test_probabilities_follow_the_excess() -> None:
    found = race(looked_up(torch.tensor([[[1.0] * 8, [1.5] * 8, [1.5] * 8]])), 1, 3, 8, risk=0)  # type: ignore[arg-type]
    assert found.excess.tolist() == [[0.0, 0.5, 0.5]]
    expected = 1 / (1 + 2 * math.exp(-2))
    assert found.probabilities(0.25)[0, 0] == pytest.approx(expected)


def test_equal_labels_are_equally_likely_and_none_is_dropped() -> None:
    found = race(looked_up(torch.rand(1, 1, 16).expand(1, 2, 16)), 1, 2, 16)  # type: ignore[arg-type]
    assert found.evaluations == 32
    assert found.probabilities(0.1).tolist() == [[0.5, 0.5]]


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_the_error_is_that_of_the_velocity_at_every_parameterisation(path: Path) -> None:
    """Where noise is as strong as signal, half of what the network sees is noise: weight 2 on variance-exploding and
    variance-preserving paths alike, and on the straight one, whose alpha and sigma are both 1/2."""
    sigma = path.level(torch.ones(1))
    clean, estimate = torch.zeros(1, 2, 2, 2), torch.full((1, 2, 2, 2), 3.0)
    assert float(velocity_error(estimate, clean, sigma, path)) == pytest.approx(2 * 9.0)


@pytest.mark.parametrize(
    ("path", "schedule"), [(STRAIGHT, FlowSchedule(3.0)), (VARIANCE_EXPLODING, DiscreteSchedule.from_betas())]
)
def test_levels_are_spread_from_the_first_draw_on(path: Path, schedule: Schedule) -> None:
    sigmas = levels(path, schedule, 64)
    ratios = sigmas / path.alpha(sigmas)
    assert RATIOS[0] <= ratios.min() < 1.1
    assert 8 < ratios.max() <= RATIOS[1]
    assert len(set(ratios.tolist())) == 64
    quarters = (ratios[:FIRST].log() / math.log(RATIOS[1]) * 4).long()
    assert len(set(quarters.tolist())) >= 3
    assert torch.equal(levels(path, schedule, 8), sigmas[:8])


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 7, 15, 31])
def test_students_quantiles(freedom: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    for share in (0.75, 0.95, 0.975, 0.99, 0.999):
        assert student_quantile(share, freedom) == pytest.approx(stats.t.ppf(share, freedom), rel=0.01)
