"""Networks without memory, to be given the tensors of a file."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

MAX_TENSORS = 100_000
"""The bound of files of weights: a network of more is none, and would fill the memory with nothing but its modules."""


_DRAWN = frozenset({nn.init.normal_, nn.init.uniform_, nn.init.kaiming_uniform_, nn.init.xavier_uniform_})


class _Undrawn(TorchFunctionMode):
    """Leaves out the drawing of first weights: there is nothing to fill, yet torch imports its compiler for
    `init.normal_`, which takes 2 s. Counts what is made."""

    def __init__(self) -> None:
        super().__init__()
        self.made = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _DRAWN:
            return args[0] if args else kwargs["tensor"]
        if func is torch.empty:
            self.made += 1
            if self.made > MAX_TENSORS:
                raise ValueError(f"more than {MAX_TENSORS} tensors")
        return func(*args, **kwargs)


@contextmanager
def on_meta() -> Iterator[None]:
    """Modules made inside are on the meta device: shapes alone, at once."""
    with torch.device("meta"), _Undrawn():
        yield
