"""How the estimate with the condition and the one without become one: plain numbers, no network.

A `Combine` takes ``(cond, uncond, scale, sigma)``; of any scale, equal estimates give themselves.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from .path import over

Combine = Callable[[Tensor, Tensor, float, float], Tensor]


def linear(
    cond: Float[Tensor, "b *rest"], uncond: Float[Tensor, "b *rest"], scale: float, sigma: float
) -> Float[Tensor, "b *rest"]:
    """On the line through both (Ho and Salimans 2022, arXiv:2207.12598, eq. 6)."""
    return uncond + scale * (cond - uncond)


def projected(*, parallel: float = 0.0, radius: float | None = None, momentum: float = 0.0) -> Combine:
    """Adaptive projected guidance (Sadat et al. 2024, arXiv:2410.02416, algorithm 1), which does not oversaturate.

    ``D = cond + (scale - 1) * change``, where of the change from ``uncond`` to ``cond`` the part along
    ``cond``, which raises contrast and saturation, counts ``parallel``. Parallel 1, without the rest, is
    `linear`.

    Args:
        parallel: the paper's eta.
        radius: the change of an image is shortened to this norm.
        momentum: how much of the last call's change is added; the paper takes it negative. It is remembered
            from one sigma to the next, and forgotten where sigma rises, as a new run does: do not share one
            among runs at the same time.
    """
    remembered: list[tuple[float, Tensor]] = []

    def combine(cond: Tensor, uncond: Tensor, scale: float, sigma: float) -> Tensor:
        change = cond - uncond
        if momentum:
            if remembered and sigma <= remembered[0][0] and remembered[0][1].shape == change.shape:
                change = change + momentum * remembered[0][1]
            remembered[:] = [(sigma, change)]
        if radius is not None:
            change = change * over((radius / _norm(change)).clamp(max=1), change)
        # In double precision: the two parts nearly cancel.
        direction = cond.double() / over(_norm(cond.double()).clamp(min=1e-12), cond)
        along = over((change * direction).flatten(1).sum(1), change) * direction
        return cond + (scale - 1) * (change + (parallel - 1) * along).to(cond.dtype)

    return combine


def thresholded(share: float, *, combine: Combine = linear, bound: float | None = None) -> Combine:
    """Dynamic thresholding (Saharia et al. 2022, arXiv:2205.11487, section 2.3), per image.

    Where the ``share`` quantile of the guided ``abs(D)`` lies above a bound, D is clipped to that quantile and
    scaled to the bound.

    Args:
        share: in (0, 1); the paper's is 0.995.
        combine: what it is done to.
        bound: the range of the data: 1 for pixels. Latents have no range, and None takes the same quantile of
            the estimate with the condition.
    """
    if not 0 < share < 1:
        raise ValueError(f"a threshold of {share} is no share of the values; give one in (0, 1), for example 0.995")

    def clipped(cond: Tensor, uncond: Tensor, scale: float, sigma: float) -> Tensor:
        guided = combine(cond, uncond, scale, sigma)
        top = guided.flatten(1).abs().quantile(share, dim=1)
        limit = cond.flatten(1).abs().quantile(share, dim=1) if bound is None else torch.full_like(top, bound)
        most = over(top, guided)
        return torch.where(most > over(limit, guided), guided.clamp(-most, most) * over(limit / top, guided), guided)

    return clipped


def _norm(x: Tensor) -> Float[Tensor, " b"]:
    return x.flatten(1).norm(dim=1)
