"""Two evaluations a step, the second where the first one leads; nothing is remembered between steps."""

import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from ..descent import Descent
from ..step import Step, Stride, drawn, level, strides, topped_up


def heun(descent: Descent) -> Iterator[Step]:
    """Heun's method (Karras et al. 2022, algorithm 1): Euler, and again with the mean of the step's ends.

    Along the trajectory ``dx = D dalpha + e dsigma``, which is the paper's ``(x - D) / sigma dsigma`` on the
    exploding and on the straight path. Two evaluations a step; one for the step to 0.
    """
    x = descent.x
    for stride in descent.strides():
        x, clean = _heun(descent, x, stride)
        yield stride.done(x, clean)


def _heun(descent: Descent, x: Tensor, stride: Stride) -> tuple[Tensor, Tensor]:
    """x at the end of the step, and D at its start."""
    now, then = stride.now, stride.then
    clean = descent.clean(x, now)
    ahead = stride.remix(x, clean)
    if then.sigma > 0:
        clean_ahead = descent.clean(ahead, then)
        noise = (now.noise(x, clean) + then.noise(ahead, clean_ahead)) / 2
        ahead = stride.along(x, (clean + clean_ahead) / 2, noise)
    return ahead, clean


def dpm_2_a(descent: Descent, *, eta: float = 1.0) -> Iterator[Step]:
    """DPM2 ancestral (k-diffusion): the midpoint method to below the next level, and noise up to it.

    The midpoint lies half way in log SNR, as in DPM-Solver-2. Two evaluations a step; one for the step to 0,
    and for a step from pure noise, which has no middle.
    """
    x = descent.x
    for stride in descent.strides():
        clean = descent.clean(x, stride.now)
        kept = stride.kept(eta)
        fresh = stride.fresh(descent.noise, kept)
        down = stride.down(descent.path, kept)
        if math.isinf(down.gain):
            x = stride.remix(x, clean, kept, fresh)
        else:
            half = replace(stride, then=down.middle(descent.path))
            halfway = half.remix(x, clean)
            better = descent.clean(halfway, half.then)
            x = down.along(x, better, half.then.noise(halfway, better))
            x = topped_up(x, down.then, stride.then, fresh)
        yield stride.done(x, clean)


def dpm_2(descent: Descent) -> Iterator[Step]:
    """DPM2 (k-diffusion): the midpoint method of `dpm_2_a`, without noise."""
    return dpm_2_a(descent, eta=0.0)


def restart(descent: Descent) -> Iterator[Step]:
    """Restart sampling (Xu et al. 2023, arXiv:2306.14878, algorithm 1): `heun`, part of the descent again and again.

    From near a ratio of 0.1, noise is added back up to near 2, and the descent down taken again. Below 20 steps
    there are no restarts; to 35 there is one of 9 steps, from 36 there are two of a quarter of the steps, as
    in AUTOMATIC1111's web UI. The steps of restarts are taken from the main descent, which is spaced as by Karras
    et al. between the ends of ``sigmas``; nothing else of ``sigmas`` is used then.
    """
    x = descent.x
    plan = _with_restarts(descent)
    low = plan[0].now
    for stride in plan:
        if low.sigma < stride.now.sigma:
            x = topped_up(x, low, stride.now, drawn(descent.noise))
        x, clean = _heun(descent, x, stride)
        low = stride.then
        yield stride.done(x, clean)


RESTART_BELOW, RESTART_AT = 0.1, 2.0
"""Ratios of noise to signal, those of the paper for Stable Diffusion."""


def _with_restarts(descent: Descent) -> list[Stride]:
    given, sigmas = descent.strides(), descent.sigmas
    steps = len(given)
    if steps < 20:
        return given
    times, length = (1, 9) if steps < 36 else (2, steps // 4)
    main = _karras(steps - times * length, float(sigmas[0]), float(sigmas[-2]))
    ratios = torch.tensor([level(descent.path, sigma).ratio for sigma in main])
    top, bottom = (int((ratios - ratio).abs().argmin()) for ratio in (RESTART_AT, RESTART_BELOW))
    if top >= bottom:
        return given
    again = _karras(length + 1, float(main[top]), float(main[bottom]))
    down = [main[: bottom + 1], *[again] * times, torch.cat([main[bottom:], sigmas[-1:].cpu().double()])]
    plan = [stride for part in down for stride in strides(part.to(sigmas.dtype), descent.path)]
    return [replace(stride, index=i, total=len(plan)) for i, stride in enumerate(plan)]


def _karras(count: int, high: float, low: float) -> Tensor:
    return torch.linspace(high ** (1 / 7), low ** (1 / 7), count, dtype=torch.float64) ** 7
