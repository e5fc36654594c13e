"""The noise of diffusers' DPM++ SDE, drawn as ours."""

from functools import partial

import torch


class Halves:
    """In place of the Brownian tree of DPM++ SDE, whose numbers are torchsde's: the pipeline's own draws, as ours.

    It is asked for the noise of the first half of a step, and then for that of all of it, made of both halves.
    """

    def __init__(self, generator: torch.Generator, x: torch.Tensor, *ends_and_seed: object) -> None:
        self.draw = partial(torch.randn, x.shape, generator=generator)
        self.first: torch.Tensor | None = None

    def __call__(self, sigma: torch.Tensor, sigma_next: torch.Tensor) -> torch.Tensor:
        if self.first is None:
            self.first = self.draw()
            return self.first
        kept = (sigma_next / sigma).sqrt()
        whole, self.first = (kept * self.first + self.draw()) / (1 + kept**2).sqrt(), None
        return whole
