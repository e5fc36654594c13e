"""Wrappers of a denoiser that hold parts of the picture fast. Plain calls, as guidance is."""

import torch
from jaxtyping import Float
from torch import Tensor

from .denoiser import Denoise


def keep_outside(denoise: Denoise, clean: Float[Tensor, "b c h w"], mask: Float[Tensor, "1 1 h w"]) -> Denoise:
    """D inside of the mask, the known clean latents outside (Lugmayr et al. 2022, arXiv:2201.09865, eq. 8, as a D).

    Nothing else is needed: where D is constant, ``dx / dsigma = (x - D) / sigma`` keeps x on the straight way from its
    first noise to the known latents, so that x outside is ``alpha * clean + sigma * noise`` at each level, with the
    sampler's own noise, for every sampler.

    Args:
        clean: the known latents, a row or one for each image.
        mask: 1 where to paint, 0 where to keep; values between blend.
    """

    def constrained(x: Float[Tensor, "b c h w"], sigma: Float[Tensor, ""]) -> Float[Tensor, "b c h w"]:
        painted = denoise(x, sigma)
        return torch.lerp(clean.to(painted).expand_as(painted), painted, mask.to(painted).expand_as(painted))

    return constrained
