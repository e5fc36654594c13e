"""How a clean picture and noise mix at a noise level: ``x = alpha(sigma) * clean + sigma * noise``.

A path says only how much of the clean picture is left at each sigma. It knows no network, schedule or
sampler.

=====================  =================  ===========  ==================================================
path                   alpha(sigma)       sigma        source
=====================  =================  ===========  ==================================================
`VARIANCE_EXPLODING`   1                  [0, inf)     Karras et al. 2022, arXiv:2206.00364
`VARIANCE_PRESERVING`  sqrt(1 - sigma^2)  [0, 1)       Ho et al. 2020, arXiv:2006.11239
`STRAIGHT`             1 - sigma          [0, 1]       rectified flow, Liu et al. 2022, arXiv:2209.03003
=====================  =================  ===========  ==================================================

Epsilon and v models are trained in variance-preserving coordinates, and sampled here in variance-exploding
ones: dividing x by alpha turns the first into the second, with ``sigma_ve = sigma_vp / alpha`` (Karras et al.
2022, table 1). The input scaling of the network undoes the division, so that the network sees what it was
trained on.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


def over(values: Float[Tensor, "*b"], x: Float[Tensor, "b *rest"]) -> Tensor:
    """Shape a scalar, or one value an image, so that it broadcasts over the trailing dimensions of x."""
    if values.ndim == 0:
        return values
    return values.reshape(-1, *(1 for _ in x.shape[1:]))


@dataclass(frozen=True)
class Path:
    """A way from data, at sigma 0, to noise.

    Args:
        name: as in `PATHS`.
        alpha: the share of the clean picture at sigma; any shape.
        level: the sigma at which there is ``ratio = sigma / alpha`` times as much noise as signal; any shape.
    """

    name: str
    alpha: Callable[[Tensor], Tensor]
    level: Callable[[Tensor], Tensor]

    def mix(
        self, clean: Float[Tensor, "b *rest"], noise: Float[Tensor, "b *rest"], sigma: Float[Tensor, "*b"]
    ) -> Float[Tensor, "b *rest"]:
        """``alpha(sigma) * clean + sigma * noise``; sigma is a scalar, or (b,), a level for each image."""
        return over(self.alpha(sigma), clean) * clean + over(sigma, clean) * noise

    def prior(self, noise: Float[Tensor, "b *rest"], sigma: Float[Tensor, "*b"]) -> Float[Tensor, "b *rest"]:
        """Where sampling starts: unit noise, of the deviation which data of unit variance has at sigma.

        It is the noise itself on the variance-preserving path, and at sigma 1 of the straight one, and
        ``noise * sqrt(1 + sigma^2)`` on the variance-exploding path.
        """
        return over((self.alpha(sigma) ** 2 + sigma**2).sqrt(), noise) * noise


VARIANCE_EXPLODING = Path("variance_exploding", torch.ones_like, lambda ratio: ratio)
VARIANCE_PRESERVING = Path(
    "variance_preserving", lambda sigma: (1 - sigma**2).sqrt(), lambda ratio: ratio / (1 + ratio**2).sqrt()
)
STRAIGHT = Path("straight", lambda sigma: 1 - sigma, lambda ratio: ratio / (1 + ratio))

PATHS: dict[str, Path] = {path.name: path for path in (VARIANCE_EXPLODING, VARIANCE_PRESERVING, STRAIGHT)}
