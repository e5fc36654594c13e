"""What every sampler is given: the denoiser, and the way it goes."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from .denoiser import Denoise
from .noise import NoiseSource
from .path import VARIANCE_EXPLODING, Path
from .step import Level, Stride, strides


@dataclass(frozen=True, eq=False)
class Descent:
    """From noise at ``sigmas[0]`` down to ``sigmas[-1]``.

    Args:
        denoise: D(x, sigma); see `denoiser.Denoise`.
        x: at level ``sigmas[0]``; to start from nothing, ``path.prior(noise(), sigmas[0])``.
        sigmas: strictly descending, the last one 0 or above; see `grids.GRIDS`.
        noise: fresh unit noise at each call; called only by samplers which add noise, never for a step to 0.
        path: that of the denoiser's parameterisation.
    """

    denoise: Denoise
    x: Float[Tensor, "b *rest"]
    sigmas: Float[Tensor, " steps+1"]
    noise: NoiseSource | None = None
    path: Path = VARIANCE_EXPLODING

    def strides(self) -> list[Stride]:
        """The steps to be done. ValueError if sigmas do not descend strictly, to 0 or above."""
        return strides(self.sigmas, self.path)

    def clean(self, x: Float[Tensor, "b *rest"], level: Level) -> Float[Tensor, "b *rest"]:
        """D of ``x`` at a level."""
        return self.denoise(x, level.tensor)

    def stepped(self, x: Float[Tensor, "b *rest"], stride: Stride, eta: float = 0.0) -> tuple[Tensor, Tensor]:
        """``x`` after the one step of `step`, with the share eta of fresh noise, and the D found before it."""
        clean = self.clean(x, stride.now)
        kept = stride.kept(eta)
        return stride.remix(x, clean, kept, stride.fresh(self.noise, kept)), clean
