"""Wrappers of a denoiser which steer it by its condition. Scheduled on sigma, never on a step index.

What comes out is a `Denoise`, so that guidance, constraints and samplers compose by plain calls. How the two
estimates, with and without the condition, become one is a `Combine`; see `combining`.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from .combining import Combine, across, linear
from .conditioning import Conditioning, batch
from .denoiser import Denoise, Denoiser
from .path import Path, over
from .step import strides

Scale = float | Callable[[float], float]
"""A guidance scale, or one for each sigma."""

EVERYWHERE = (0.0, math.inf)
"""A range of sigma, of which the lower end is left out."""


class Perturbed(NamedTuple):
    """A denoiser made worse on purpose, how far to move away from its D, and where, ``low < sigma <= high``."""

    denoiser: Denoiser
    strength: float
    sigma_range: tuple[float, float] = EVERYWHERE


def classifier_free(
    denoiser: Denoiser,
    cond: Conditioning,
    negative: Conditioning | None,
    scale: Scale,
    *,
    rescale: float = 0.0,
    sigma_range: tuple[float, float] = EVERYWHERE,
    combine: Combine = linear,
    of_output: bool = False,
    perturbed: Sequence[Perturbed] = (),
    beyond: tuple[Conditioning, float] | None = None,
    empty: Conditioning | None = None,
) -> Denoise:
    """Move D away from that of the negative condition (Ho and Salimans 2022, arXiv:2207.12598).

    ``D = D_negative + scale * (D_cond - D_negative)``, of one network call on the batch [negative, cond]. D
    is affine in the network's output, with numbers which both share, so this is the same as guiding epsilon,
    v or flow.

    Args:
        cond: one row, or one for each image.
        negative: likewise; may be None where scale is 1.
        scale: 1 is off, and then only ``cond`` is evaluated; 0 follows ``negative``.
        rescale: in [0, 1]; how far the deviation of the guided network output is brought back to that of the
            conditional one, which keeps large scales from overexposing (Lin et al. 2024, arXiv:2305.08891,
            eq. 15 and 16). It acts on the output F and not on D, as diffusers' ``rescale_noise_cfg`` does.
        sigma_range: guide where ``low < sigma <= high``; elsewhere only ``cond`` is evaluated
            (Kynkäänniemi et al. 2024, arXiv:2404.07724).
        combine: in place of the line above.
        of_output: `combine` is given network outputs F in the place of D; for the line above that is the same.
        perturbed: moves D by ``strength * (D_cond - D_worse)`` as well: perturbed attention guidance (Ahn et al. 2024,
            arXiv:2403.17377, eq. 16), smoothed energy guidance, skip layer guidance. Needs no negative. Each costs an
            evaluation of half the batch.
        beyond: a condition that has even less than ``negative``, and a scale of its own for the way from there to
            ``negative`` (Brooks et al. 2022, arXiv:2211.09800, eq. 3, where it lacks the picture as well as the
            words); a third row of the batch.
        empty: the condition that says nothing. Then of the negative only what is across the prompt's own direction
            counts (Perp-Neg, Armandpour et al. 2023, arXiv:2304.04968, eq. 7), so that what both name stays; a third
            row of the batch.

    Raises:
        ValueError: guidance is on and there is no ``negative``, ``rescale`` is outside of [0, 1], or ``beyond`` and
            ``empty`` are both given.
    """
    if not 0 <= rescale <= 1:
        raise ValueError(f"guidance rescale {rescale} is outside of [0, 1]; 0 is off, 0.7 is usual")
    if scale != 1 and negative is None:
        raise ValueError(f"guidance scale {scale} needs a negative condition (an empty prompt); 1 is off")
    if beyond is not None and empty is not None:
        raise ValueError("a third condition is either beyond or empty; give one of them")
    third = empty if beyond is None else beyond[0]
    low, high = sigma_range

    def denoise(x: Float[Tensor, "b *rest"], sigma: Float[Tensor, ""]) -> Float[Tensor, "b *rest"]:
        inside = low < float(sigma) <= high
        if negative is None or (scale == 1 and beyond is None) or not inside:
            clean = guided = denoiser(x, sigma, cond.expand(len(x)))
        else:
            now = scale(float(sigma)) if callable(scale) else scale
            conds = [negative, cond] if third is None else [negative, cond, third]
            rows = batch(*(each.expand(len(x)) for each in conds))
            uncond, clean, *least = denoiser(torch.cat([x] * len(conds)), sigma, rows).chunk(len(conds))
            against = across(clean, uncond, least[0], now) if empty is not None else uncond
            if of_output:
                scaling = denoiser.parameterisation.scaling(sigma)
                output, other = scaling.output(x, clean), scaling.output(x, against)
                guided = scaling.clean(x, combine(output, other, now, float(sigma)))
            else:
                guided = combine(clean, against, now, float(sigma))
            if beyond is not None:
                guided = guided + (beyond[1] - 1) * (uncond - least[0])
        for worse, strength, (lowest, highest) in perturbed:
            if lowest < float(sigma) <= highest:
                guided = guided + strength * (clean - worse(x, sigma, cond.expand(len(x))))
        if rescale == 0 or guided is clean:
            return guided
        scaling = denoiser.parameterisation.scaling(sigma)
        output = scaling.output(x, guided)
        ratio = _deviation(scaling.output(x, clean)) / _deviation(output)
        return scaling.clean(x, output * over(rescale * ratio + (1 - rescale), x))

    return denoise


def renoised(
    share: float, sigmas: Float[Tensor, " steps+1"], path: Path, *, eta: float = 0.0
) -> Callable[[float], float]:
    """The scales with which `classifier_free` is CFG++ (Chung et al. 2024, arXiv:2406.08070, algorithm 2).

    CFG++ moves D by ``share``, in [0, 1], of the way from the negative to the condition, and takes the noise
    e of the next level from the negative alone. On a step of `step` which keeps the part k of e, with the gain
    h in log SNR, that is plain guidance with the scale ``share / (1 - k e^{-h})``: high at first, and falling
    to ``share`` at the step to 0. So it is exact with Euler, DDIM (eta 0) and the ancestral ones of that eta;
    with a sampler of higher order it guides by the same scales, and is no longer the published algorithm.
    """
    plan = strides(sigmas, path)
    scales = [share / (1 - stride.kept(eta) * math.exp(-stride.gain)) for stride in plan]
    ends = [stride.then.sigma for stride in plan]

    def scale(sigma: float) -> float:
        return scales[min(sum(end >= sigma for end in ends), len(ends) - 1)]

    return scale


def composed(
    denoiser: Denoiser,
    parts: Sequence[tuple[Conditioning, float]],
    negative: Conditioning,
    scale: float,
) -> Denoise:
    """Several conditions at once, each with a weight (Liu et al. 2022, arXiv:2206.01714, eq. 11).

    ``D = D_negative + scale * sum_i weight_i * (D_i - D_negative)``, out of one network call. One part of weight 1
    is `classifier_free`; unlike there, the negative is needed at scale 1 as well.
    """

    def denoise(x: Float[Tensor, "b *rest"], sigma: Float[Tensor, ""]) -> Float[Tensor, "b *rest"]:
        rows = batch(negative.expand(len(x)), *(cond.expand(len(x)) for cond, _ in parts))
        uncond, *cleans = denoiser(torch.cat([x] * (len(parts) + 1)), sigma, rows).chunk(len(parts) + 1)
        changes = (weight * (clean - uncond) for clean, (_, weight) in zip(cleans, parts, strict=True))
        return uncond + scale * torch.stack(list(changes)).sum(0)

    return denoise


def in_turn(first: Denoise, last: Denoise, sigma: float) -> Denoise:
    """One denoiser above a noise level, and another from there on: an ensemble of experts (Balaji et al. 2022,
    arXiv:2211.01324), as SDXL and its refiner are. Both live on one path.
    """

    def denoise(x: Float[Tensor, "b *rest"], now: Float[Tensor, ""]) -> Float[Tensor, "b *rest"]:
        return (first if float(now) > sigma else last)(x, now)

    return denoise


def _deviation(output: Float[Tensor, "b *rest"]) -> Float[Tensor, " b"]:
    return output.flatten(1).std(dim=1)
