"""What the network predicts, as data: three numbers turn its output F into the clean estimate D.

    D(x, sigma) = skip * x + out * F(input * x, label)        (Karras et al. 2022, arXiv:2206.00364, eq. 7)

Sampling reads this from right to left, and the training loss from left to right (`Parameterisation.target`),
so that the two cannot disagree. The module knows no network and no schedule; labels belong to `schedules`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .path import STRAIGHT, VARIANCE_EXPLODING, Path, over


@dataclass(frozen=True, eq=False)
class Scaling:
    """The numbers of one noise level, or of a batch of levels: tensors of sigma's shape, a scalar or (b,)."""

    skip: Tensor
    out: Tensor
    input: Tensor

    def clean(self, x: Float[Tensor, "b *rest"], output: Float[Tensor, "b *rest"]) -> Float[Tensor, "b *rest"]:
        """The clean estimate D of a network output F."""
        return over(self.skip, x) * x + over(self.out, x) * output

    def output(self, x: Float[Tensor, "b *rest"], clean: Float[Tensor, "b *rest"]) -> Float[Tensor, "b *rest"]:
        """The network output F of a clean estimate D: the inverse of `clean`. Needs sigma > 0."""
        return (clean - over(self.skip, x) * x) / over(self.out, x)


@dataclass(frozen=True)
class Parameterisation:
    """What F is, and on which path its x lives. ``scaling`` maps sigma, a scalar or (b,), to its numbers."""

    name: str
    path: Path
    scaling: Callable[[Tensor], Scaling]

    def target(
        self, clean: Float[Tensor, "b *rest"], x: Float[Tensor, "b *rest"], sigma: Float[Tensor, "*b"]
    ) -> Float[Tensor, "b *rest"]:
        """What F should predict for ``x = path.mix(clean, noise, sigma)``, with sigma > 0.

        It is the noise for epsilon; ``alpha * noise - sigma * clean`` in variance-preserving terms for v
        (Salimans and Ho 2022, arXiv:2202.00512, appendix D); ``noise - clean`` for flow; the picture for
        clean.
        """
        return self.scaling(sigma).output(x, clean)


def _unit(sigma: Tensor) -> Tensor:
    """Scales data of unit variance, plus noise of deviation sigma, to unit variance: the network's view."""
    return (1 + sigma**2).rsqrt()


EPSILON = Parameterisation(
    "epsilon",
    VARIANCE_EXPLODING,
    lambda sigma: Scaling(skip=torch.ones_like(sigma), out=-sigma, input=_unit(sigma)),
)
V = Parameterisation(
    "v_prediction",
    VARIANCE_EXPLODING,
    lambda sigma: Scaling(skip=_unit(sigma) ** 2, out=-sigma * _unit(sigma), input=_unit(sigma)),
)
FLOW = Parameterisation(
    "flow",
    STRAIGHT,
    lambda sigma: Scaling(skip=torch.ones_like(sigma), out=-sigma, input=torch.ones_like(sigma)),
)
CLEAN = Parameterisation(
    "sample",
    VARIANCE_EXPLODING,
    lambda sigma: Scaling(skip=torch.zeros_like(sigma), out=torch.ones_like(sigma), input=_unit(sigma)),
)


def edm(data: float = 0.5, sign: float = 1.0) -> Parameterisation:
    """The preconditioning of Karras et al. 2022 (table 1), for data of the deviation ``data``.

    With the sign -1 it is v-prediction, and of unit data exactly `V`.
    """

    def scaling(sigma: Tensor) -> Scaling:
        total = sigma**2 + data**2
        return Scaling(skip=data**2 / total, out=sign * sigma * data * total.rsqrt(), input=total.rsqrt())

    return Parameterisation("edm", VARIANCE_EXPLODING, scaling)


EDM = edm()

PARAMETERISATIONS: dict[str, Parameterisation] = {row.name: row for row in (EPSILON, V, FLOW, CLEAN, EDM)}
"""Named as a diffusers scheduler config has it as its ``prediction_type``; "flow" and "edm" are ours."""
