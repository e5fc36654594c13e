"""Unit noise that belongs to an image and not to its place in a batch.

Drawn on the CPU, whatever the device of the model, since a seed should name the same picture on every
machine.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

NoiseSource = Callable[[], Tensor]
"""Returns fresh unit normal noise of the sampler's ``x`` shape, (b, c, h, w), at each call."""


class ImageNoise:
    """A `NoiseSource` with one generator an image: image i is the same alone or in a batch.

    The first draw is the initial noise; it equals ``torch.randn((1, c, h, w),
    generator=manual_seed(seed))``, which diffusers starts from.

    Args:
        seeds: one for each image.
        shape: of one image's latents, (c, h, w).
        device: where the noise is returned.
    """

    def __init__(self, seeds: Sequence[int], shape: Sequence[int], *, device: torch.device | str = "cpu") -> None:
        if not seeds:
            raise ValueError("no seeds: give one seed for each image")
        self.shape = tuple(shape)
        self.device = torch.device(device)
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self) -> Float[Tensor, "b *shape"]:
        """The next unit normal draw, float32."""
        draws = [torch.randn(self.shape, generator=generator) for generator in self._generators]
        return torch.stack(draws).to(self.device)
