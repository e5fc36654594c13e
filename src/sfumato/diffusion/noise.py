"""Unit noise that belongs to an image and not to its place in a batch.

Drawn on the CPU, whatever the device of the model, since a seed should name the same picture on every
machine.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from functools import lru_cache

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
        seeds: one for each image, 0 to 2^64 - 1; torch's CPU generator looks at the lower 32 bits alone.
        shape: of one image's latents, (c, h, w).
        device: where the noise is returned.
        later: what is added to each seed for the draws after the first, which then begin anew, as
            AUTOMATIC1111's "eta noise seed delta" does; 0 goes on with the same generators.
        variations: a seed for each image whose noise the first draw is turned towards.
        share: how far, 0 to 1; see `slerp`.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        shape: Sequence[int],
        *,
        device: torch.device | str = "cpu",
        later: int = 0,
        variations: Sequence[int] = (),
        share: float = 0.0,
    ) -> None:
        if not seeds:
            raise ValueError("no seeds: give one seed for each image")
        self.seeds = tuple(seeds)
        self.shape = tuple(shape)
        self.device = torch.device(device)
        self._later = later
        self._variations, self._share = tuple(variations), share
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self) -> Float[Tensor, "b *shape"]:
        """The next unit normal draw, float32."""
        draws = self._drawn(self.shape)
        if self._variations:
            others = [torch.randn(self.shape, generator=torch.Generator().manual_seed(v)) for v in self._variations]
            draws = [slerp(draw, other, self._share) for draw, other in zip(draws, others, strict=True)]
            self._variations = ()
        if self._later:
            self._generators = [torch.Generator().manual_seed((seed + self._later) % 2**64) for seed in self.seeds]
            self._later = 0
        return torch.stack(draws).to(self.device)

    def draw(self, shape: Sequence[int]) -> Float[Tensor, "b *shape"]:
        """The next draw in another shape, of the same generators: what a task needs before the initial noise."""
        return torch.stack(self._drawn(shape)).to(self.device)

    def _drawn(self, shape: Sequence[int]) -> list[Tensor]:
        return [torch.randn(tuple(shape), generator=generator) for generator in self._generators]


def slerp(noise: Float[Tensor, "c h w"], other: Float[Tensor, "c h w"], share: float) -> Float[Tensor, "c h w"]:
    """From one noise, at share 0, to another, at 1, on a great circle; so that it keeps its deviation on the way.

    Each column of each channel has a circle of its own, as in AUTOMATIC1111's web UI, whose variations these are.
    """
    return _on_circles(noise, other, share)


def _on_circles(a: Tensor, b: Tensor, share: float) -> Tensor:
    """From `a` to `b`, at a share of the angle between their vectors, which lie along the axis 1 (Shoemake 1985).

    Those of nearly one direction are mixed straight.
    """
    length = a.norm(dim=1, keepdim=True), b.norm(dim=1, keepdim=True)
    angle = (a / length[0] * b / length[1]).sum(1, keepdim=True).clamp(-1, 1).acos()
    straight = angle.sin() < 1e-6
    sine = torch.where(straight, 1.0, angle.sin())
    first, last = (torch.where(straight, part, (part * angle).sin()) for part in (1 - share, share))
    return (first * a + last * b) / sine


class BrownianNoise(ImageNoise):
    """An `ImageNoise` whose later draws are increments of one Brownian motion an image.

    Steps of any lengths then follow the same path of noise: a seed paints nearly the same picture at any
    number of steps, and the more steps, the nearer. The motion runs on the clock ``1 / ratio^2``, with ratio
    the noise to signal, on which the noise that the reverse diffusion adds is Brownian.

    It is a virtual tree: nothing is stored, each node is drawn from a hash of the seed and its place. The
    clock is cut into octaves, whose increments are independent, and each octave into halves by Brownian
    bridges, `DEPTH` times, below which the path is straight.
    """

    DEPTH = 20
    FIRST_OCTAVE = -40
    """Below lies one more interval, from 0: ratios over a million."""

    def between(self, noisy: float, clean: float) -> Float[Tensor, "b *shape"]:
        """The unit increment from one noise to signal ratio down to a lower one, above 0; float32.

        Raises:
            ValueError: the first ratio is not above the second.
        """
        if not noisy > clean > 0:
            raise ValueError(f"noise is drawn from a ratio down to a lower one above 0, not from {noisy} to {clean}")
        start, end = noisy**-2, clean**-2
        images = [_motion(seed, self.shape, end) - _motion(seed, self.shape, start) for seed in self.seeds]
        return (torch.stack(images) / math.sqrt(end - start)).float().to(self.device)


def great_circle(a: Float[Tensor, "b *rest"], b: Float[Tensor, "b *rest"], share: float) -> Float[Tensor, "b *rest"]:
    """From each row of `a` to that of `b` on their one great circle, where `slerp` has one a column.

    Unit noise stays unit noise, which a straight mean would not. Share 0 is `a` and 1 is `b`, to the bit;
    rows of one direction are mixed straight.
    """
    if share in (0, 1):
        return b if share else a
    return _on_circles(a.flatten(1).double(), b.flatten(1).double(), share).view_as(a).to(a.dtype)


class BlendedNoise(ImageNoise):
    """All draws on the great circle between those of two sources."""

    def __init__(self, first: ImageNoise, last: ImageNoise, share: float) -> None:
        self.seeds, self.shape, self.device = first.seeds, first.shape, first.device
        self.first, self.last, self.share = first, last, share

    def __call__(self) -> Float[Tensor, "b *shape"]:
        return great_circle(self.first(), self.last(), self.share)


class BlendedBrownianNoise(BrownianNoise):
    """The same, of two Brownian motions."""

    def __init__(self, first: BrownianNoise, last: BrownianNoise, share: float) -> None:
        self.seeds, self.shape, self.device = first.seeds, first.shape, first.device
        self.first, self.last, self.share = first, last, share

    def __call__(self) -> Float[Tensor, "b *shape"]:
        return great_circle(self.first(), self.last(), self.share)

    def between(self, noisy: float, clean: float) -> Float[Tensor, "b *shape"]:
        return great_circle(self.first.between(noisy, clean), self.last.between(noisy, clean), self.share)


def blended(first: ImageNoise, last: ImageNoise, share: float) -> ImageNoise:
    """The source between two of one kind."""
    if isinstance(first, BrownianNoise) and isinstance(last, BrownianNoise):
        return BlendedBrownianNoise(first, last, share)
    return BlendedNoise(first, last, share)


@lru_cache(maxsize=8)
def _motion(seed: int, shape: tuple[int, ...], time: float) -> Tensor:
    """Brownian motion at a time from 0, float64."""
    first = BrownianNoise.FIRST_OCTAVE
    octave = first - 1 if time < 2.0**first else math.frexp(time)[1] - 1  # 2^octave <= time < 2^(octave + 1)
    position = torch.zeros(shape, dtype=torch.float64)
    for below in range(first - 1, octave):  # the first stands for all that lie lower, down to 0
        position += math.sqrt(2.0 ** max(below, first)) * _normal(seed, shape, "octave", below)
    low = 0.0 if octave < first else 2.0**octave
    length = 2.0 ** max(octave, first)
    step = math.sqrt(length) * _normal(seed, shape, "octave", octave)
    place = 1
    for _ in range(BrownianNoise.DEPTH):
        if time == low:
            break
        # The half of a bridge: half of the step, and normal noise of a quarter of its length as variance.
        half = step / 2 + math.sqrt(length) / 2 * _normal(seed, shape, f"bridge {octave}", place)
        length /= 2
        place *= 2
        if time >= low + length:
            position, low, step, place = position + half, low + length, step - half, place + 1
        else:
            step = half
    return position + step * ((time - low) / length)


def _normal(seed: int, shape: tuple[int, ...], kind: str, place: int) -> Tensor:
    digest = hashlib.blake2b(f"{seed} {kind} {place}".encode(), digest_size=8).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest, "little"))
    return torch.randn(shape, generator=generator, dtype=torch.float64)
