"""k-diffusion's own samplers and grids, the oracle of `test_k_diffusion`.

Only its `sampling` is loaded. The rest of the package, which its `__init__` imports, trains and evaluates models, and
wants torchvision, wandb and more.
"""

import importlib
import importlib.util
import sys
from types import ModuleType

from torch import Tensor


def _append_dims(x: Tensor, dimensions: int) -> Tensor:
    """All that `sampling` takes of `k_diffusion.utils`: x with trailing dimensions of length 1."""
    return x[(..., *[None] * (dimensions - x.ndim))]


def _sampling() -> ModuleType:
    spec = importlib.util.find_spec("k_diffusion")
    if spec is None:
        raise ModuleNotFoundError("k-diffusion is not installed; run: make .venv/.dev")
    package = importlib.util.module_from_spec(spec)  # not run
    utils = ModuleType("k_diffusion.utils")
    utils.append_dims = _append_dims  # type: ignore[attr-defined]
    package.utils = utils  # type: ignore[attr-defined]
    sys.modules["k_diffusion"] = package
    return importlib.import_module("k_diffusion.sampling")


sampling = _sampling()
