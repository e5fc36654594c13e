"""A module that takes the place of another and computes the same in another way."""

from torch import Tensor, nn

_OWN = ("_parameters", "_buffers", "_modules")


class StandIn(nn.Module):
    """It shares the tensors, the names and the settings of the module whose place it takes.

    Args:
        module: of the same class of torch's, which it is from then on.
    """

    weight: Tensor

    def __init__(self, module: nn.Module) -> None:
        nn.Module.__init__(self)
        mine = self.__dict__ | {name: value for name, value in module.__dict__.items() if name not in _OWN}
        self.__dict__.update(mine)
        self._parameters, self._buffers = dict(module._parameters), dict(module._buffers)
