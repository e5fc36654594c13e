"""Two evaluations a step, the second where the first one leads; nothing is remembered between steps."""

import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from ..denoiser import Denoise
from ..noise import NoiseSource
from ..path import VARIANCE_EXPLODING, Path
from ..step import Step, Stride, drawn, level, strides, topped_up


def heun(
    denoise: Denoise,
    x: Float[Tensor, "b *rest"],
    sigmas: Float[Tensor, " steps+1"],
    *,
    noise: NoiseSource | None = None,
    path: Path = VARIANCE_EXPLODING,
) -> Iterator[Step]:
    """Heun's method (Karras et al. 2022, algorithm 1): Euler, and again with the mean of the step's ends.

    Along the trajectory ``dx = D dalpha + e dsigma``, which is the paper's ``(x - D) / sigma dsigma`` on the
    exploding and on the straight path. Two evaluations a step; one for the step to 0.
    """
    for stride in strides(sigmas, path):
        x, clean = _heun(denoise, x, stride)
        yield stride.done(x, clean)


def _heun(denoise: Denoise, x: Tensor, stride: Stride) -> tuple[Tensor, Tensor]:
    """x at the end of the step, and D at its start."""
    now, then = stride.now, stride.then
    clean = denoise(x, now.tensor)
    ahead = stride.remix(x, clean)
    if then.sigma > 0:
        clean_ahead = denoise(ahead, then.tensor)
        noise = (now.noise(x, clean) + then.noise(ahead, clean_ahead)) / 2
        ahead = stride.along(x, (clean + clean_ahead) / 2, noise)
    return ahead, clean


def dpm_2_a(
    denoise: Denoise,
    x: Float[Tensor, "b *rest"],
    sigmas: Float[Tensor, " steps+1"],
    *,
    noise: NoiseSource | None = None,
    path: Path = VARIANCE_EXPLODING,
    eta: float = 1.0,
) -> Iterator[Step]:
    """DPM2 ancestral (k-diffusion): the midpoint method to below the next level, and noise up to it.

    The midpoint lies half way in log SNR, as in DPM-Solver-2. Two evaluations a step; one for the step to 0,
    and for a step from pure noise, which has no middle.
    """
    for stride in strides(sigmas, path):
        clean = denoise(x, stride.now.tensor)
        kept = stride.kept(eta)
        fresh = stride.fresh(noise, kept)
        down = stride.down(path, kept)
        if math.isinf(down.gain):
            x = stride.remix(x, clean, kept, fresh)
        else:
            half = replace(stride, then=down.middle(path))
            halfway = half.remix(x, clean)
            better = denoise(halfway, half.then.tensor)
            x = down.along(x, better, half.then.noise(halfway, better))
            x = topped_up(x, down.then, stride.then, fresh)
        yield stride.done(x, clean)


def dpm_2(
    denoise: Denoise,
    x: Float[Tensor, "b *rest"],
    sigmas: Float[Tensor, " steps+1"],
    *,
    noise: NoiseSource | None = None,
    path: Path = VARIANCE_EXPLODING,
) -> Iterator[Step]:
    """DPM2 (k-diffusion): the midpoint method of `dpm_2_a`, without noise."""
    return dpm_2_a(denoise, x, sigmas, path=path, eta=0.0)


def restart(
    denoise: Denoise,
    x: Float[Tensor, "b *rest"],
    sigmas: Float[Tensor, " steps+1"],
    *,
    noise: NoiseSource | None = None,
    path: Path = VARIANCE_EXPLODING,
) -> Iterator[Step]:
    """Restart sampling (Xu et al. 2023, arXiv:2306.14878, algorithm 1): `heun`, part of the way again and again.

    From near a ratio of 0.1, noise is added back up to near 2, and the way down taken again. Below 20 steps
    there are no restarts; to 35 there is one of 9 steps, from 36 there are two of a quarter of the steps, as
    in AUTOMATIC1111's web UI. The steps of restarts are taken from the main way, which is spaced as by Karras
    et al. between the ends of ``sigmas``; nothing else of ``sigmas`` is used then.
    """
    plan = _with_restarts(sigmas, path)
    low = plan[0].now
    for stride in plan:
        if low.sigma < stride.now.sigma:
            x = topped_up(x, low, stride.now, drawn(noise))
        x, clean = _heun(denoise, x, stride)
        low = stride.then
        yield stride.done(x, clean)


RESTART_BELOW, RESTART_AT = 0.1, 2.0
"""Ratios of noise to signal, those of the paper for Stable Diffusion."""


def _with_restarts(sigmas: Tensor, path: Path) -> list[Stride]:
    given = strides(sigmas, path)
    steps = len(given)
    if steps < 20:
        return given
    times, length = (1, 9) if steps < 36 else (2, steps // 4)
    way = _karras(steps - times * length, float(sigmas[0]), float(sigmas[-2]))
    ratios = torch.tensor([level(path, sigma).ratio for sigma in way])
    top, bottom = (int((ratios - ratio).abs().argmin()) for ratio in (RESTART_AT, RESTART_BELOW))
    if top >= bottom:
        return given
    again = _karras(length + 1, float(way[top]), float(way[bottom]))
    down = [way[: bottom + 1], *[again] * times, torch.cat([way[bottom:], sigmas[-1:].cpu().double()])]
    plan = [stride for part in down for stride in strides(part.to(sigmas.dtype), path)]
    return [replace(stride, index=i, total=len(plan)) for i, stride in enumerate(plan)]


def _karras(count: int, high: float, low: float) -> Tensor:
    return torch.linspace(high ** (1 / 7), low ** (1 / 7), count, dtype=torch.float64) ** 7
