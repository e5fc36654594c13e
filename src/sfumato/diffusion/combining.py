"""How the estimate with the condition and the one without become one: plain numbers, no network.

A `Combine` takes ``(cond, uncond, scale, sigma)``; of any scale, equal estimates give themselves. Estimates are D, or
where it is said network outputs.
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


def zero_star(
    cond: Float[Tensor, "b *rest"], uncond: Float[Tensor, "b *rest"], scale: float, sigma: float
) -> Float[Tensor, "b *rest"]:
    """CFG-Zero* (Fan et al. 2025, arXiv:2503.18886, eq. 14 and 15), of network outputs: the one without the condition
    is first scaled to come as near as it can to the one with it. Its zero first step is left out.
    """
    return linear(cond, _along(cond, uncond), scale, sigma)


def tangential(
    cond: Float[Tensor, "b *rest"], uncond: Float[Tensor, "b *rest"], scale: float, sigma: float
) -> Float[Tensor, "b *rest"]:
    """Tangential damping (Kwon et al. 2025, arXiv:2503.18137, algorithm 1), of network outputs: of the one without the
    condition only the part along what both have most in common, the first singular vector of the two.
    """
    both = torch.stack([cond.flatten(1), uncond.flatten(1)], dim=1).double()
    _, shares = torch.linalg.eigh(both @ both.mT)  # of the two in each singular vector, the last the first
    common = (shares[..., -1:].mT @ both).reshape(cond.shape)
    return linear(cond, _along(uncond, common), scale, sigma)


def across(
    cond: Float[Tensor, "b *rest"], negative: Float[Tensor, "b *rest"], empty: Float[Tensor, "b *rest"], scale: float
) -> Float[Tensor, "b *rest"]:
    """What to guide away from so that, at this scale, of the negative counts what is across the prompt's direction:
    ``linear(cond, this, scale) = empty + scale * (towards - part of (negative - empty) across towards)``, with
    ``towards = cond - empty``.
    """
    against = negative - empty
    return empty + scale / (scale - 1) * (against - _along(against, cond - empty))


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


def _along(x: Float[Tensor, "b *rest"], direction: Float[Tensor, "b *rest"]) -> Float[Tensor, "b *rest"]:
    """The part of each along its direction, summed in double precision."""
    twice, d = x.double(), direction.double()
    share = (twice * d).flatten(1).sum(1) / d.square().flatten(1).sum(1).clamp(min=1e-24)
    return (over(share, d) * d).to(x.dtype)


def _norm(x: Tensor) -> Float[Tensor, " b"]:
    return x.flatten(1).norm(dim=1)
