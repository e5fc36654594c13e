"""Copies of networks for one use, which change without a trace in the original."""

from copy import deepcopy
from typing import TypeVar

from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def sharing(module: Network) -> Network:
    """A copy of the modules, with the very tensors."""
    tensors = (*module.parameters(), *module.buffers())
    return deepcopy(module, {id(tensor): tensor for tensor in tensors})
