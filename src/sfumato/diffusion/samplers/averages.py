"""What a multistep sampler needs of calculus: the mean of a function over a step, from its values at some places."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def averaging(places: Sequence[float], growth: float = 0.0) -> list[float]:
    """Weights, one for each place u, whose sum of value times weight is the mean over u in [0, 1].

    It is exact for polynomials of as many terms as there are places. The mean is weighted by ``e^(growth u)``:
    by ``growth = h``, the gain in log SNR, for a mean of D, and by ``-h`` for one of the noise, as the exact
    solution has it (DPM-Solver, arXiv:2206.00927, eq. 3.4; DPM-Solver++, arXiv:2211.01095, eq. 8).

    The places 0, -1, -2 ... without growth give the weights of Adams and Bashforth.
    """
    powers = torch.tensor([[place**k for place in places] for k in range(len(places))], dtype=torch.float64)
    solved: list[float] = torch.linalg.solve(
        powers, torch.tensor(moments(growth, len(places)), dtype=torch.float64)
    ).tolist()
    return solved


def moments(growth: float, count: int) -> list[float]:
    """Means over [0, 1], weighted by ``e^(growth u)``, of u^0, u^1 ... to ``count`` of them."""
    if abs(growth) < 1:  # where the closed form takes differences of what is nearly equal
        series = [math.fsum(growth**j / math.factorial(j) / (j + k + 1) for j in range(20)) for k in range(count)]
        return [value / series[0] for value in series]
    means = [1.0]
    for k in range(1, count):
        means.append(-1 / math.expm1(-growth) - k / growth * means[-1])
    return means


def mean(weights: Sequence[float], values: Sequence[Tensor]) -> Tensor:
    """The sum of value times weight."""
    total = weights[0] * values[0]
    for weight, value in zip(weights[1:], values[1:], strict=True):
        total = total + weight * value
    return total
