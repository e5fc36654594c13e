"""Deep features of a U-Net that serve several steps (DeepCache, Ma et al. 2024, arXiv:2312.00858, section 3.3).

From one step to the next, what the coarser levels say hardly changes. Of each few steps the first runs the whole
network; the others run its first convolution and its last block alone, on what came up to that block before.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from sfumato.diffusion.conditioning import Conditioning
from sfumato.models.unet import UNet


def sharing_deep(unet: UNet, every: int, labels: Sequence[float]) -> Callable[[Tensor, Tensor, Conditioning], Tensor]:
    """The network for one descent at a time, which runs whole in every so many steps.

    Args:
        labels: the time label that each step begins at, falling. A call belongs to the last step that has begun; the
            first step always runs whole, so that nothing is kept from one descent to the next.
    """
    kept: list[tuple[int, Tensor]] = []

    def network(x: Tensor, label: Tensor, cond: Conditioning) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        step = max(sum(begun >= float(label[0]) for begun in labels) - 1, 0)
        if kept and step and kept[0][0] == step // every and len(kept[0][1]) == len(x):
            return unet.shallow(x, label, cond, kept[0][1])
        found, deep = unet.whole(x, label, cond)
        kept[:] = [(step // every, deep)]
        return found

    return network
