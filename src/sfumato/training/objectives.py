"""The loss of a denoiser: the weighted error of its clean estimate, on the same scalings that sampling uses."""

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from sfumato.diffusion.path import over
from sfumato.diffusion.scalings import Parameterisation
from sfumato.diffusion.schedules import Schedule

Draw = Callable[[int, torch.Generator], Tensor]
"""(count, generator) -> sigmas (count,)."""


def uniform(schedule: Schedule) -> Draw:
    """The levels of a schedule's table, each as likely (Ho et al. 2020, algorithm 1); those of a flow are shifted
    uniform ones (Esser et al. 2024, section 5.3.2). A batch takes one from each of as many equal shares of the table,
    which makes its loss vary less (after Kingma et al. 2021, appendix I.1)."""

    def draw(count: int, rng: torch.Generator) -> Tensor:
        place = (torch.arange(count) + torch.rand(count, generator=rng)) / count
        return schedule.level((place * schedule.num_timesteps).long().clamp_(max=schedule.num_timesteps - 1)).float()

    return draw


def denoising_error(
    output: Float[Tensor, "b *rest"],
    parameterisation: Parameterisation,
    clean: Float[Tensor, "b *rest"],
    x: Float[Tensor, "b *rest"],
    sigma: Float[Tensor, " b"],
    mask: Float[Tensor, "b 1 h w"] | None = None,
) -> Float[Tensor, " b"]:
    """Mean squared error of each picture, in units of the network's output.

    `output` is F. Since D = skip x + out F, this is the error of the clean estimate D weighted by 1 / out^2: the
    plain epsilon, v or flow loss, according to the parameterisation.

    Args:
        mask: how much each place counts, 0 to 1; places that count 0 teach nothing.
    """
    target = parameterisation.target(clean, x, sigma)
    error = (output.float() - target).square()
    return (error if mask is None else error * mask).flatten(1).mean(1)


Weighting = Literal["plain", "min_snr", "debiased"]


def loss_weight(
    parameterisation: Parameterisation, sigma: Float[Tensor, " b"], weighting: Weighting, gamma: float = 5.0
) -> Float[Tensor, " b"]:
    """A factor of `denoising_error` for each level, by its signal-to-noise ratio (alpha / sigma)^2.

    plain      1
    min_snr    min(SNR, gamma) in units of the clean estimate, so times out^2 here (Hang et al. 2023, section 3.4):
               min(SNR, gamma) / SNR for epsilon, / (SNR + 1) for v
    debiased   1 / sqrt(SNR), at most 1000 (Yu et al. 2023), for v 1 / (SNR + 1), as sd-scripts has them
    """
    if weighting == "plain":
        return torch.ones_like(sigma)
    snr = (parameterisation.path.alpha(sigma) / sigma).square()
    out = parameterisation.scaling(sigma).out.square()
    if weighting == "min_snr":
        return snr.clamp(max=gamma) * out
    if parameterisation.name == "v_prediction":
        return 1 / (snr + 1)
    return snr.clamp(1e-6, 1000).rsqrt()


def network_input(
    parameterisation: Parameterisation, x: Float[Tensor, "b *rest"], sigma: Float[Tensor, " b"]
) -> Float[Tensor, "b *rest"]:
    """What the network sees of x: input(sigma) * x."""
    return over(parameterisation.scaling(sigma).input, x) * x
