"""Layers that compute from weights as they lie in their file, and cast them anew in each call.

`cast_in_use(network, dtype)` makes the large layers of a network so, before it is given its tensors. A weight that is
mapped from its file then takes memory only while it is looked at, and is never there a second time in another
precision: float16 files are computed with in float32, to the bit, in half the memory. What a cast costs is little
beside a product: a number is cast once for hundreds of multiplications.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sfumato.nn.standing_in import StandIn

WORDS = 1_000_000
"""Numbers of an embedding from which on it is left as it is stored."""


class StoredLinear(StandIn, nn.Linear):
    """A linear layer in the precision of what comes in."""

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.to(x.dtype), None if self.bias is None else self.bias.to(x.dtype))


class StoredConv2d(StandIn, nn.Conv2d):
    """A convolution in the precision of what comes in, its kernel with channels last."""

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight.to(x.dtype, memory_format=torch.channels_last)
        return self._conv_forward(x, weight, None if self.bias is None else self.bias.to(x.dtype))


class StoredEmbedding(StandIn, nn.Embedding):
    """Words, of which the rows that are looked up are cast."""

    def __init__(self, module: nn.Embedding, dtype: torch.dtype) -> None:
        super().__init__(module)
        self.dtype = dtype

    def forward(self, ids: Tensor) -> Tensor:
        return super().forward(ids).to(self.dtype)


def cast_in_use(network: nn.Module, dtype: torch.dtype) -> None:
    """Let the linear layers, convolutions and vocabularies of a network cast their weights when they are used.

    Args:
        dtype: what the network computes in.
    """
    for parent in network.modules():
        for name, child in list(parent.named_children()):
            if type(child) is nn.Linear:
                setattr(parent, name, StoredLinear(child))
            elif type(child) is nn.Conv2d:
                setattr(parent, name, StoredConv2d(child))
            elif type(child) is nn.Embedding and child.weight.numel() >= WORDS:
                setattr(parent, name, StoredEmbedding(child, dtype))


def stored(network: nn.Module) -> set[str]:
    """The names of a network's tensors that are taken as they are stored."""
    kinds = StoredLinear | StoredConv2d | StoredEmbedding
    return {f"{name}.weight" for name, module in network.named_modules() if isinstance(module, kinds)}


def largest_cast(network: nn.Module, dtype: torch.dtype) -> int:
    """Bytes of the largest weight once it is cast."""
    sizes = [m.weight.numel() * dtype.itemsize for m in network.modules() if isinstance(m, StoredLinear | StoredConv2d)]
    return max(sizes, default=0)
