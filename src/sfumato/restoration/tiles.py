"""What a network gives for a whole picture, computed in tiles that see far enough around themselves."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor


def in_tiles(
    apply: Callable[[Tensor], Tensor],
    x: Float[Tensor, "1 c h w"],
    *,
    tile: int,
    margin: int,
    scale: int = 1,
    grain: int = 1,
) -> Float[Tensor, "1 d H W"]:
    """The same as ``apply(x)``, where that depends on what is up to `margin` away alone.

    Args:
        apply: any size to `scale` times that size.
        tile: pixels a side of a tile's own part, of the input.
        margin: pixels that a tile sees around its own part.
        grain: tiles begin at multiples of it, as the network's own grid does.
    """
    h, w = x.shape[-2:]
    if max(h, w) <= tile:
        return apply(x).cpu()
    step, margin = (-(-length // grain) * grain for length in (tile, margin))
    out = torch.empty(0)
    for top in range(0, h, step):
        for left in range(0, w, step):
            bottom, right = min(h, top + step), min(w, left + step)
            y0, x0 = max(0, top - margin), max(0, left - margin)
            made = apply(x[..., y0 : min(h, bottom + margin), x0 : min(w, right + margin)]).cpu()
            if not len(out):
                out = torch.empty(1, made.shape[1], h * scale, w * scale)
            own = (slice((top - y0) * scale, (bottom - y0) * scale), slice((left - x0) * scale, (right - x0) * scale))
            out[..., top * scale : bottom * scale, left * scale : right * scale] = made[(..., *own)]
    return out
