"""Measures the samplers on data whose trajectory is known, and writes what it finds to ``docs/samplers.md``.

    python -m tests.diffusion.sampler_page

The tests measure with the same functions, and check that the page is current.
"""

import math
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path as File

import torch
from torch import Tensor

from sfumato.diffusion import (
    GRIDS,
    SAMPLERS,
    STRAIGHT,
    VARIANCE_EXPLODING,
    DiscreteSchedule,
    FlowSchedule,
    Path,
    Sampler,
    Schedule,
)
from tests.diffusion.closed_form import GAUSSIAN, TWO_HILLS, Mixture

PAGE = File(__file__).parents[2] / "docs" / "samplers.md"
ENDS = {VARIANCE_EXPLODING: (10.0, 0.05), STRAIGHT: (1.0, 0.05)}


def smooth_grid(path: Path, steps: int) -> Tensor:
    """A family of grids with fixed ends above 0, which refines evenly: what an order is defined on. Float64."""
    high, low = ENDS[path]
    rho = 7.0 if path is VARIANCE_EXPLODING else 1.0
    return torch.linspace(high ** (1 / rho), low ** (1 / rho), steps + 1, dtype=torch.float64) ** rho


def last(sampler: Sampler, data: Mixture, path: Path, x: Tensor, sigmas: Tensor) -> Tensor:
    """Where the sampler ends, without fresh noise."""
    eta = None if sampler.eta is None else 0.0
    for step in sampler(data.denoise(path), x, sigmas, path=path, eta=eta):
        x = step.x
    return x


def trajectory_error(sampler: Sampler, path: Path, sigmas: Tensor) -> float:
    """Root mean square distance from the exact trajectories of the two hills, of 41 starts."""
    sigmas = sigmas.double()
    x = path.prior(torch.linspace(-2, 2, 41, dtype=torch.float64), sigmas[0])
    exact = TWO_HILLS.trajectory(path, sigmas[0], sigmas[-1], x)
    return float((last(sampler, TWO_HILLS, path, x, sigmas) - exact).square().mean().sqrt())


def slope(steps: Sequence[int], errors: Sequence[float]) -> float:
    """Of log error against log step length, by least squares."""
    across = -torch.tensor(steps, dtype=torch.float64).log()
    up = torch.tensor(errors, dtype=torch.float64).log()
    across = across - across.mean()
    return float((across * up).sum() / (across**2).sum())


@cache
def order(sampler: Sampler, path: Path) -> float:
    """Of convergence to the trajectory, without fresh noise."""
    steps = (80, 160, 320)
    return slope(steps, [trajectory_error(sampler, path, smooth_grid(path, n)) for n in steps])


def variance_error(sampler: Sampler, path: Path, steps: int) -> float:
    """Relative error of the variance of Gaussian samples, with fresh noise; exact, without drawing any.

    For Gaussian data D is affine in x, and so is the sampler, in its start and in each of its draws. Feeding 1 to one
    of them in each column, and 0 to the others, gives the factor of each; the variance is the sum of their squares.
    """
    sigmas = smooth_grid(path, steps)
    mean, variance = GAUSSIAN.moments()

    def marginal(sigma: Tensor) -> tuple[float, float]:
        alpha = float(path.alpha(sigma))
        return alpha * mean, alpha**2 * variance + float(sigma) ** 2

    columns = 2 * steps + 3  # the start, at most two draws a step, and at last one with nothing at all
    start, start_variance = marginal(sigmas[0])
    x = torch.full((columns,), start, dtype=torch.float64)
    x[0] += math.sqrt(start_variance)
    draws = iter(torch.eye(columns, dtype=torch.float64)[1:-1])
    for step in sampler(GAUSSIAN.denoise(path), x, sigmas, path=path, noise=lambda: next(draws), eta=sampler.eta):
        x = step.x
    found = float(((x - x[-1]) ** 2).sum())
    return abs(found / marginal(sigmas[-1])[1] - 1)


@cache
def variance_order(sampler: Sampler, path: Path) -> float:
    """Of convergence of the variance, with fresh noise."""
    steps = (40, 80, 160)
    return slope(steps, [variance_error(sampler, path, n) for n in steps])


SCHEDULES: dict[Path, Schedule] = {VARIANCE_EXPLODING: DiscreteSchedule.from_betas(), STRAIGHT: FlowSchedule()}
GRID = {VARIANCE_EXPLODING: "karras", STRAIGHT: "trailing"}


def practical_error(sampler: Sampler, path: Path, steps: int, grid: str | None = None) -> float:
    """From noise to data on a grid as people use, of Stable Diffusion's schedule or of an unshifted flow one."""
    return trajectory_error(sampler, path, GRIDS[grid or GRID[path]](SCHEDULES[path], steps))


def converging() -> tuple[Sampler, ...]:
    return tuple(sampler for sampler in SAMPLERS if sampler.order > 0 and not sampler.distilled)


def rows() -> Iterator[list[str]]:
    for sampler in SAMPLERS:
        evaluations = str(sampler.evaluations)
        noise = "yes" if sampler.stochastic else "by eta" if sampler.eta is not None else "no"
        cells = [sampler.label, f"`{sampler.name}`", evaluations, noise]
        for measured in (order, variance_order):
            applies = sampler in converging() if measured is order else sampler.stochastic and not sampler.distilled
            cells += [f"{measured(sampler, path):.1f}" if applies else "-" for path in (VARIANCE_EXPLODING, STRAIGHT)]
        yield cells


def error_rows() -> Iterator[list[str]]:
    for sampler in converging():
        errors = [practical_error(sampler, path, n) for path in ENDS for n in (10, 20, 40)]
        yield [sampler.label, *(f"{error:.1e}" for error in errors)]


def grid_rows() -> Iterator[list[str]]:
    chosen = [sampler for sampler in SAMPLERS if sampler.name in ("euler", "heun", "dpmpp_2m", "unipc")]
    for grid in GRIDS.values():
        cells = [grid.label]
        for path in ENDS:
            known = not (grid.discrete_only if path is STRAIGHT else grid.flow_only)
            cells += [f"{practical_error(s, path, 20, grid.name):.1e}" if known else "-" for s in chosen]
        yield cells


def table(head: list[str], body: Iterator[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def page() -> str:
    orders = table(
        [
            "sampler",
            "name",
            "evaluations a step",
            "adds noise",
            "order, exploding",
            "order, straight",
            "order of variance, exploding",
            "order of variance, straight",
        ],
        rows(),
    )
    errors = table(
        [
            "sampler",
            *(f"{path}, {steps} steps" for path in ("exploding", "straight") for steps in (10, 20, 40)),
        ],
        error_rows(),
    )
    grids = table(
        [
            "grid",
            *(f"{name}, {path}" for path in ("exploding", "straight") for name in ("Euler", "Heun", "2M", "UniPC")),
        ],
        grid_rows(),
    )
    return f"""# Samplers

<!-- Written by tests/diffusion/sampler_page.py; do not edit. -->

Everything on this page is measured, on data for which the right answer is known. Regenerate it with

    python -m tests.diffusion.sampler_page

## Orders

An order of 2 means that half the step length leaves a quarter of the error. "Exploding" is the path of epsilon and v
models, "straight" that of flow models. Fresh noise has no trajectory to follow, so the first two orders are measured
without it (`eta=0`), and the last two compare the variance of the samples, with noise, with that of the data.

{orders}

- Without noise, Euler a and DDIM are Euler: on both paths the three are one formula.
- Without noise, DPM2 a is DPM2, DPM++ 2M SDE is DPM++ 2M, and DPM++ 2S a is DPM++ SDE. DDPM is Euler a. RES multistep
  is DPM++ 2M SDE Heun without its noise, and SA-Solver is UniPC of order 3 with noise. SEEDS-2 is DPM++ SDE.
- LMS and IPNDM take four points on the exploding path, and two on the straight one, where four diverge under guidance;
  SA-Solver three to predict and four to correct, and one and two.
- LMS and DEIS would have orders 4 and 3, but begin with a step of order 1; the error of that one step is left. DPM fast
  ends with one. Where such a step is short, as on the exploding path, it does not show as much. On the straight path
  the first two steps of DEIS are of order 1, and DEIS 2M comes to its order 2 late.
- DPM++ 3M SDE, as published, takes half of its second difference, which leaves it order 2. On the exploding path its
  error is below that of 2M all the same.
- SA-Solver ends with steps of order 2 and 1, which leaves it order 2 on the exploding path.
- Gradient estimation carries its slopes twice as far beyond the last two as order 2 asks for, and is of order 1. Its
  authors chose that by the Fréchet distance of pictures of few steps, which no table here measures.
- IPNDM is PLMS without the first step's second evaluation.
- DPM fast has one evaluation for each step asked for, and a third as many steps. DPM adaptive chooses its steps by
  itself, as many as a tolerance of a twentieth needs; each has three evaluations.
- Restart goes part of the way again, with fresh noise, from 20 steps on. Below, it is Heun.
- DPM++ SDE has order 2 in the variance because the noise of the half and of the whole step come from one Brownian
  path. Drawn apart, they would leave it order 1.
- LCM and TCD are for networks which were distilled to give the end of the trajectory. With any other they do not
  converge.
- Compare samplers of two evaluations a step with others at half the steps. The step to sigma 0 needs one. PLMS needs
  one more, at its first step. UniPC's corrector needs none.
- PLMS has order 2 where the steps are not even in sigma, and better where they are.

## Errors

Whole runs from noise to data: root mean square distance from where the exact trajectory ends, without fresh noise. The
data have deviation about 1.

Exploding is Stable Diffusion's schedule with the Karras grid, straight an unshifted flow schedule with the trailing
grid.

{errors}

## Grids

The same error at 20 steps, on every grid.

{grids}

- Linspace, trailing, SGM uniform, simple and LCM go to 0 from a level which is not small. That step is of first order,
  and on Stable Diffusion's schedule it is most of the error, whatever the sampler; but for LMS, which alone carries on
  what it found before into that step too, and has a quarter of the error.
- Normal, leading and shifted go to 0 from the lowest level of the table. The step before is then much longer in log SNR
  than the ones before it, and DPM++ 2M and UniPC, which carry on the line through the last two estimates, carry it too
  far. Heun does not mind.
- DDIM is leading, but for step counts which do not divide 1000. Polyexponential is exponential, as its power is 1.
- The aligned steps are a table for Stable Diffusion 1.5, and end as normal does; so does KL optimal.
- So with DPM++ 2M and UniPC, take Karras or exponential for Stable Diffusion, and trailing, simple or SGM uniform for
  flow models.

## How it is measured

The data are numbers from two Gaussian hills, at -1.0 and 0.8, with deviations 0.5 and 0.35 and weights 0.4 and 0.6. The
clean estimate is then a formula; and the exact trajectory keeps each number's quantile, so that it is found by
bisection and not by another solver. Orders are slopes of log error against log step length over 80, 160 and 320 steps,
between sigma 10 and 0.05 with Karras spacing (exploding), or 1 and 0.05 with even spacing (straight). Variances are
exact as well: for Gaussian data a sampler is affine in its start and in each of its draws, and the factor of each can
be read off; the slope is over 40, 80 and 160 steps.
"""


if __name__ == "__main__":
    torch.set_num_threads(1)
    PAGE.write_text(page(), encoding="utf-8")
