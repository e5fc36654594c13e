"""A denoiser as a classifier: the label that explains the noise in a picture best is its own.

Li et al. 2023, "Your Diffusion Model is Secretly a Zero-Shot Classifier" (arXiv:2303.16203); Clark and Jaini 2023
(arXiv:2303.15233). By Bayes' rule with the evidence lower bound in the place of log p(x | label),

    p(label | x)  ~  softmax(-E over level, noise of |velocity - D's velocity under label|^2 / temperature)

The error depends on the draw of level and noise far more than on the label, so all labels share their draws and only
paired differences are looked at (section 3.2 there). Labels whose difference to the best is above 0 with confidence
are dropped after each stage, and the draws that are left are spent on the others.

Which network or picture it is stays the caller's: here are the levels, the error and the race.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .path import Path, over
from .schedules import Schedule

RATIOS = (1.0, 9.0)
"""Noise to signal where labels count: below, the picture itself says what it is; above, hardly anything is left of it.
Of ten objects, nano's errors at a single level named eight at 0.6, ten at 1.1 to 9, and nine beyond."""
FIRST = 4
"""Draws of the first stage: fewer give no deviation to rely on. Each stage doubles the number."""


@dataclass(frozen=True)
class Cell:
    """What is to be evaluated: which picture, label and draw."""

    picture: int
    label: int
    draw: int


Errors = Callable[[Sequence[Cell]], Float[Tensor, " n"]]
"""The errors of cells. Draw j of a picture has the same level and the same noise for every label."""


def levels(path: Path, schedule: Schedule, draws: int) -> Float[Tensor, " draws"]:
    """The sigma of each draw: noise to signal log-uniform within `RATIOS` and the schedule, in van der Corput's order,
    so that the first draws are spread as all are."""
    low, high = (math.log(ratio) for ratio in RATIOS)
    places = torch.tensor([low + (high - low) * _van_der_corput(draw + 1) for draw in range(draws)])
    return path.level(places.exp()).clamp(schedule.sigma_min, schedule.sigma_max)


def velocity_error(
    estimate: Float[Tensor, "b *rest"], clean: Float[Tensor, "b *rest"], sigma: Float[Tensor, " b"], path: Path
) -> Float[Tensor, " b"]:
    """Mean squared error of the velocity that a clean estimate stands for, on the variance-preserving path, where it is
    that of the clean picture over sigma^2; so that all parameterisations have the same units."""
    weight = 1 + (path.alpha(sigma) / sigma) ** 2
    return (over(weight, clean) * (estimate - clean) ** 2).flatten(1).mean(1)


@dataclass(frozen=True)
class Race:
    """The errors that were evaluated.

    Attributes:
        errors: NaN where a label had been dropped.
        evaluations: how many were evaluated.
    """

    errors: Float[Tensor, "pictures labels draws"]
    evaluations: int

    @property
    def best(self) -> Int[Tensor, " pictures"]:
        """The label with the least error of those that had all the draws which any had."""
        counts = self.errors.isfinite().sum(2)
        means = self.errors.nanmean(2)
        return means.where(counts == counts.amax(1, keepdim=True), torch.inf).argmin(1)

    @property
    def excess(self) -> Float[Tensor, "pictures labels"]:
        """How far the error of each label is above that of the best, the mean over the draws of the label."""
        rows = torch.arange(len(self.errors))
        return (self.errors - self.errors[rows, self.best][:, None]).nanmean(2)

    def probabilities(self, temperature: float) -> Float[Tensor, "pictures labels"]:
        """Probabilities of the labels, given that one of them is right; `temperature` is an excess of error."""
        return (-self.excess / temperature).softmax(1)


def race(errors: Errors, pictures: int, labels: int, draws: int, risk: float = 0.05) -> Race:
    """Evaluate labels against each other, stage by stage, until one is left or all draws are spent.

    Args:
        draws: at most so many for each picture and label.
        risk: of a label to be dropped by chance in one stage, by Student's distribution of its differences to the
            best; 0 drops none.
    """
    table = torch.full((pictures, labels, draws), torch.nan)
    alive = torch.ones(pictures, labels, dtype=torch.bool)
    done = 0
    while done < draws and bool((racing := alive.sum(1) > 1 if risk else alive.any(1)).any()):
        upto = min(draws, max(FIRST, 2 * done))
        cells = [
            Cell(picture, label, draw)
            for picture in racing.nonzero().flatten().tolist()
            for label in alive[picture].nonzero().flatten().tolist()
            for draw in range(done, upto)
        ]
        places = torch.tensor([(cell.picture, cell.label, cell.draw) for cell in cells]).T
        table[tuple(places)] = errors(cells).to(table)
        done = upto
        if risk:
            for picture in racing.nonzero().flatten().tolist():
                alive[picture] &= _in_the_race(table[picture, :, :done], alive[picture], risk)
    return Race(table, int(table.isfinite().sum()))


def _in_the_race(table: Float[Tensor, "labels n"], alive: Tensor, risk: float) -> Tensor:
    """Which labels may still be the best: their mean difference to it is not above 0 with confidence."""
    n = table.shape[1]
    if n < 2:
        return alive
    means = table.mean(1).where(alive, torch.inf)
    differences = table - table[means.argmin()]
    spread = differences.std(1) / math.sqrt(n)
    return alive & (differences.mean(1) <= student_quantile(1 - risk, n - 1) * spread)


def student_quantile(share: float, freedom: int) -> float:
    """The quantile of Student's t distribution (Hill 1970, Communications of the ACM 13, algorithm 396), exact for 1
    and 2 degrees of freedom, within 1 % for others at shares up to 0.9999."""
    if freedom == 1:
        return math.tan(math.pi * (share - 0.5))
    if freedom == 2:
        return (2 * share - 1) / math.sqrt(2 * share * (1 - share))
    two_tailed, n = 2 * (1 - share), float(freedom)
    a = 1 / (n - 0.5)
    b = 48 / a**2
    c = ((20700 * a / b - 98) * a - 16) * a + 96.36
    d = ((94.5 / (b + c) - 3) / b + 1) * math.sqrt(a * math.pi / 2) * n
    y = (d * two_tailed) ** (2 / n)
    if y > 0.05 + a:
        x = NormalDist().inv_cdf(two_tailed / 2)
        y = x**2
        if n < 5:
            c += 0.3 * (n - 4.5) * (x + 0.6)
        c = (((0.05 * d * x - 5) * x - 7) * x - 2) * x + b + c
        y = (((((0.4 * y + 6.3) * y + 36) * y + 94.5) / c - y - 3) / b + 1) * x
        y = math.expm1(a * y**2)
    else:
        y = ((1 / (((n + 6) / (n * y) - 0.089 * d - 0.822) * (n + 2) * 3) + 0.5 / (n + 4)) * y - 1) * (n + 1) / (
            n + 2
        ) + 1 / y
    return math.sqrt(n * y)


def _van_der_corput(number: int) -> float:
    """The digits of a number in base 2, mirrored at the point."""
    value, digit = 0.0, 0.5
    while number:
        number, bit = divmod(number, 2)
        value += bit * digit
        digit /= 2
    return value
