"""Convolutions that see a picture as if it were repeated: what they pad with is taken from the opposite edge.

A network of such convolutions, of normalisation and of attention without places is equivariant: a picture rolled
around its edges comes out rolled, so that nothing tells where the edges are, and the picture can be laid in tiles.
"""

from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sfumato.nn.blocks import Downsample
from sfumato.nn.quantised import whole_weight
from sfumato.nn.standing_in import StandIn

Axes = Literal["x", "y", "both"]


class CircularConv2d(StandIn, nn.Conv2d):
    """A convolution, sharing the tensors of another, that pads around the edges of some axes and with zeros elsewhere.

    Args:
        margins: what is padded left, right, top and bottom, in positions.
    """

    def __init__(self, plain: nn.Conv2d, axes: Axes, margins: tuple[int, int, int, int]) -> None:
        super().__init__(plain)
        if self.weight.is_mkldnn:
            self.weight = nn.Parameter(whole_weight(plain), requires_grad=False)
        self.axes, self.margins = axes, margins

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        left, right, top, bottom = self.margins
        x = F.pad(input, (left, right, 0, 0), mode="constant" if self.axes == "y" else "circular")
        x = F.pad(x, (0, 0, top, bottom), mode="constant" if self.axes == "x" else "circular")
        bias = None if bias is None else bias.to(x.dtype)
        weight = weight.to(x.dtype, memory_format=torch.channels_last)
        return F.conv2d(x, weight, bias, self.stride, 0, self.dilation, self.groups)


def make_circular(network: nn.Module, axes: Axes) -> None:
    """Let all convolutions of a network that pad do so around the edges; it must share no modules with others."""
    for module in list(network.modules()):
        if isinstance(module, Downsample) and module.asymmetric:
            module.asymmetric = False
            module.conv = CircularConv2d(module.conv, axes, (0, 1, 0, 1))
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Conv2d) and not isinstance(child, CircularConv2d) and any(_padding(child)):
                height, width = _padding(child)
                setattr(module, name, CircularConv2d(child, axes, (width, width, height, height)))


def is_circular(network: nn.Module) -> bool:
    """Whether `make_circular` changed it."""
    return any(isinstance(module, CircularConv2d) for module in network.modules())


def _padding(conv: nn.Conv2d) -> tuple[int, int]:
    assert not isinstance(conv.padding, str)
    return cast("Any", conv.padding)
