"""Exponential moving average of weights."""

import copy

import torch
from torch import nn


class EMA:
    """A shadow of `model` whose weights follow it: shadow <- decay * shadow + (1 - decay) * weights.

    The decay warms up as (1 + step) / (10 + step), so that the first steps are forgotten.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.model = copy.deepcopy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Follow `model` after optimiser step number `step` (0-based)."""
        weight = 1 - min(self.decay, (1 + step) / (10 + step))
        shadow, live = list(self.model.parameters()), list(model.parameters())
        torch._foreach_lerp_([p.data for p in shadow], [p.data for p in live], weight)
