"""The one step which all samplers take, from a noise level to the next.

At level sigma, ``x = alpha * D + sigma * e``: the clean estimate D, and the noise e which it implies. A step
keeps D, keeps a part of e, tops the noise up with a fresh draw, and mixes both again at the next level
(`Stride.remix`):

    x' = alpha' * D + sigma' * (kept * e + sqrt(1 - kept^2) * fresh)

- ``kept = 1`` is DDIM, which is Euler's method on the exploding and on the straight path.
- ``kept = exp(-h)``, with h the gain in log SNR ``lambda = log(alpha / sigma)``, solves the reverse diffusion
  exactly for a constant D: Euler ancestral, DDPM, and SDE-DPM-Solver++ of first order.
- ``kept = 0`` is multistep consistency sampling.

A sampler of higher order puts a better D into the same step. Since alpha comes from the path, nothing here
branches on the family of the model, and whatever ``kept`` is, x' has the right amount of signal and of noise
for its level.
"""

import math
from dataclasses import dataclass, replace
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor

from .noise import BrownianNoise, NoiseSource
from .path import Path


@dataclass(frozen=True, eq=False)
class Step:
    """One step, done: ``sigma`` is the level of ``x`` before it, and ``clean`` the D found there.

    ``total`` is an estimate where a sampler chooses the length of its steps, and exact in the last step.
    """

    index: int
    total: int
    sigma: float
    x: Float[Tensor, "b *rest"]
    clean: Float[Tensor, "b *rest"]


@dataclass(frozen=True, eq=False)
class Level:
    """A noise level. Plain numbers, in double precision, change neither the dtype nor the device of ``x``."""

    sigma: float
    alpha: float
    tensor: Float[Tensor, ""]  # sigma again, as the denoiser wants it

    @property
    def log_snr(self) -> float:
        """lambda = log(alpha / sigma): infinite where there is no noise, minus infinite where no signal."""
        if self.sigma == 0:
            return math.inf
        return math.log(self.alpha / self.sigma) if self.alpha > 0 else -math.inf

    @property
    def ratio(self) -> float:
        """Noise to signal, sigma / alpha: the sigma of the exploding path; infinite where there is no signal."""
        return self.sigma / self.alpha if self.alpha > 0 else math.inf

    def noise(self, x: Tensor, clean: Tensor) -> Tensor:
        """The noise e which D implies, in ``x = alpha * D + sigma * e``."""
        return (x - self.alpha * clean) / self.sigma


def level(path: Path, sigma: Float[Tensor, ""]) -> Level:
    return Level(float(sigma), float(path.alpha(sigma.double())), sigma)


def level_of(path: Path, ratio: float, like: Tensor) -> Level:
    """The level of a finite noise to signal ratio; its tensor has the dtype and device of ``like``."""
    return level(path, path.level(like.new_tensor(ratio)))


@dataclass(frozen=True, eq=False)
class Stride:
    """A step to be done: from level ``now`` to level ``then``."""

    index: int
    total: int
    now: Level
    then: Level

    @property
    def gain(self) -> float:
        """h, the gain in log SNR; infinite for a step from pure noise, and for one to no noise."""
        return self.then.log_snr - self.now.log_snr

    def remix(self, x: Tensor, clean: Tensor, kept: float = 1.0, fresh: Tensor | None = None) -> Tensor:
        """``x`` at the next level, see above; ``fresh`` None means that all the noise is kept."""
        if self.then.sigma == 0:
            return clean
        noise = self.now.noise(x, clean)
        if fresh is not None:
            noise = kept * noise + math.sqrt(1 - kept**2) * fresh
        return self.then.alpha * clean + self.then.sigma * noise

    def kept(self, eta: float) -> float:
        """What an ancestral step keeps of the noise: of the next noise's variance, eta^2 (1 - e^{-2h}) is fresh.

        Song et al. 2021 (arXiv:2010.02502), eq. 16, and k-diffusion's ``get_ancestral_step``.
        """
        return math.sqrt(max(0.0, 1 + eta**2 * math.expm1(-2 * self.gain)))

    def fresh(self, noise: NoiseSource | None, kept: float) -> Tensor | None:
        """A draw, if the step has a use for it; of a `BrownianNoise`, the increment over the step."""
        if kept == 1 or self.then.sigma == 0:
            return None
        if isinstance(noise, BrownianNoise):
            return noise.between(self.now.ratio, self.then.ratio)
        return drawn(noise)

    def middle(self, path: Path) -> Level:
        """The level half way in log SNR; the gain must be finite."""
        ratio = math.exp(-(self.now.log_snr + self.then.log_snr) / 2)
        return level_of(path, ratio, self.now.tensor)

    def down(self, path: Path, kept: float) -> "Stride":
        """The same step to where only the kept noise is left: signal and noise as ``alpha' : kept * sigma'``."""
        return replace(self, then=level_of(path, kept * self.then.ratio, self.now.tensor))

    def along(self, x: Tensor, clean: Tensor, noise: Tensor) -> Tensor:
        """``x`` at the next level, if it went there along D and e of these values: ``dx = D dalpha + e dsigma``."""
        now, then = self.now, self.then
        return x + ((then.alpha - now.alpha) * clean + (then.sigma - now.sigma) * noise)

    def done(self, x: Tensor, clean: Tensor) -> Step:
        return Step(self.index, self.total, self.now.sigma, x, clean)


def strides(sigmas: Float[Tensor, " steps+1"], path: Path) -> list[Stride]:
    """A stride between each two neighbours. ValueError if sigmas do not descend strictly, to 0 or above."""
    if sigmas.ndim != 1 or len(sigmas) < 2 or not bool((sigmas.diff() < 0).all()) or float(sigmas[-1]) < 0:
        raise ValueError(f"sigmas {sigmas.tolist()} must be two or more, strictly descending to 0 or above")
    levels = [level(path, sigma) for sigma in sigmas.cpu()]
    return [Stride(i, len(levels) - 1, now, then) for i, (now, then) in enumerate(pairwise(levels))]


def drawn(noise: NoiseSource | None) -> Tensor:
    """Fresh noise; ValueError where there is no source of it."""
    if noise is None:
        raise ValueError("this sampler adds noise: give noise=ImageNoise(seeds, shape)")
    return noise()


def topped_up(x: Tensor, low: Level, high: Level, fresh: Tensor | None) -> Tensor:
    """``x`` of level ``low`` at the noisier level ``high``: its signal scaled, and fresh noise for what is missing."""
    if fresh is None:
        return x
    share = high.alpha / low.alpha
    return share * x + math.sqrt(max(0.0, high.sigma**2 - (share * low.sigma) ** 2)) * fresh
