"""Editing without inversion: what a picture has to change by for one condition to become another."""

from jaxtyping import Float
from torch import Tensor

from .denoiser import Denoise
from .noise import NoiseSource
from .path import Path


def carried(
    source: Denoise, target: Denoise, clean: Float[Tensor, "b c h w"], noise: NoiseSource, path: Path
) -> Denoise:
    """FlowEdit (Kulikov et al. 2024, arXiv:2412.08629, algorithm 1) as a denoiser, for any sampler without noise.

    The paper moves z, which begins as the clean latents, by the difference of two velocities, of the target's
    condition at ``z + x - clean`` and of the source's at ``x = mix(clean, noise)``. As ``v = (x - D) / sigma``, that is
    ``dz / dsigma = (z - D') / sigma`` for ``D' = clean + D_target - D_source``, on any path: of equal conditions
    nothing changes.

    Args:
        clean: the latents of the picture, where z begins.
        noise: drawn anew at each call.
    """

    def denoise(z: Float[Tensor, "b c h w"], sigma: Float[Tensor, ""]) -> Float[Tensor, "b c h w"]:
        x = path.mix(clean, noise(), sigma.to(clean))
        return clean + target(z + x - clean, sigma) - source(x, sigma)

    return denoise
