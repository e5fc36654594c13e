"""From a network to what everything else here is about: D(x, sigma, cond), the clean estimate.

This is the border of precision: outside of the network everything is float32, inside it has the network's
dtype. The module knows nothing of guidance or samplers; they wrap or call what is defined here.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .conditioning import Conditioning
from .path import over
from .scalings import Parameterisation
from .schedules import Schedule

Network = Callable[[Tensor, Tensor, Conditioning], Tensor]
"""F(x, label, cond): x (b, c, h, w); label (b,) float32, a timestep, maybe fractional; returns x's shape."""

Denoise = Callable[[Tensor, Tensor], Tensor]
"""D(x, sigma) with the condition bound: x (b, c, h, w) float32, sigma a scalar tensor; returns x's shape."""


@dataclass(frozen=True)
class Denoiser:
    """A network with its parameterisation and schedule. ``dtype`` is what the network computes in."""

    network: Network
    parameterisation: Parameterisation
    schedule: Schedule
    dtype: torch.dtype = torch.float32

    def __call__(
        self, x: Float[Tensor, "b *rest"], sigma: Float[Tensor, "*b"], cond: Conditioning
    ) -> Float[Tensor, "b *rest"]:
        """The clean estimate for x at sigma, a scalar or (b,), on the parameterisation's path; x's dtype."""
        scaling = self.parameterisation.scaling(sigma)
        label = self.schedule.label(sigma).to(x.device, torch.float32).expand(len(x))
        output = self.network((over(scaling.input, x) * x).to(self.dtype), label, cond)
        return scaling.clean(x, output.to(x.dtype))
