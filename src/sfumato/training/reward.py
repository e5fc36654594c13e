"""Reward fine-tuning: in training the denoiser paints as it is going to, and learns what its own paintings lack.

The denoising error, and what `auxiliary` adds to it, are of pictures mixed with noise. At all but the highest levels a
picture shows through, so that whether a planet has stripes is to be seen there and need not be read. In a painting the
caption alone knows, and what the first steps leave out is seen by none of the later ones. Here paintings are begun from
noise with guidance, as in use, and at some of their steps the clean estimate must satisfy the auxiliary classifier. The
gradient goes through that step's estimate and not through those before (ReFL: Xu et al. 2023, arXiv:2304.05977,
algorithm 1), nor through the estimate without a caption, which would learn to be worse.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

import torch
from jaxtyping import Float, Int
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from sfumato.diffusion.combining import linear
from sfumato.diffusion.conditioning import Conditioning
from sfumato.diffusion.denoiser import Denoiser
from sfumato.diffusion.guidance import classifier_free
from sfumato.diffusion.samplers import Descent, euler

FEWEST, MOST = 6, 10
"""Steps of a painting, drawn anew for each batch: few are enough to see what is missing, and levels should differ."""


class RewardConfig(BaseModel):
    """The `[reward]` table of a denoiser's TOML; it needs an `[auxiliary]` one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weight: float = Field(0.03, gt=0)
    """Weight of the cross entropy in nats, beside the denoising error."""
    captions: str | None = None
    """Captions like the denoiser's own, which are used without it, but that leave nothing out: what was not said
    cannot be missing."""
    pictures: int = Field(8, gt=0)
    """Painted for each micro-batch."""
    moments: int = Field(3, gt=0, le=FEWEST)
    """At which so many estimates of each painting are judged."""


@dataclass(frozen=True)
class Moments:
    """Paintings on their way, at levels of their own; `rows` says which painting each is."""

    x: Float[Tensor, "n c h w"]
    sigma: Float[Tensor, " n"]
    rows: Int[Tensor, " n"]


@torch.no_grad()
def moments(
    denoiser: Denoiser,
    conds: tuple[Conditioning, Conditioning],
    scale: float,
    grid: Callable[[int], Float[Tensor, " steps+1"]],
    noise: Float[Tensor, "b c h w"],
    count: int,
    rng: torch.Generator,
) -> Moments:
    """Paint, and keep each painting before `count` of its steps, drawn without repetition.

    Args:
        conds: what is painted, a row each, and what guidance leads away from.
        grid: a number of steps to its levels.
    """
    sigmas = grid(int(torch.randint(FEWEST, MOST + 1, (), generator=rng)))
    path = denoiser.parameterisation.path
    x = path.prior(noise, sigmas[0])
    steps = euler(Descent(classifier_free(denoiser, *conds, scale), x, sigmas, path=path))
    states = torch.stack([x, *(step.x for step in islice(steps, len(sigmas) - 2))])
    drawn = torch.rand(len(x), len(states), generator=rng).argsort(1)[:, :count].flatten()
    rows = torch.arange(len(x)).repeat_interleave(count)
    return Moments(states[drawn, rows], sigmas[drawn], rows)


def guided(
    denoiser: Denoiser, conds: tuple[Conditioning, Conditioning], scale: float, seen: Moments
) -> Float[Tensor, "n c h w"]:
    """The guided clean estimates at those moments, with a gradient through what the caption says alone."""
    cond, negative = conds
    with torch.no_grad():
        without = denoiser(seen.x, seen.sigma, negative.expand(len(seen.x)))
    with_caption = denoiser(seen.x, seen.sigma, cond.at(seen.rows))
    return linear(with_caption, without, scale, 0.0)
