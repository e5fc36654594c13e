"""The decoder of a KL autoencoder in bands of rows: the pixels of the whole, in a fraction of its memory.

What is large is never there twice. The decoder is parted into stages, a residual block each, with the doubling of the
map before it. A stage is run band by band, each with the few rows around it that its convolutions look at, and where
its result has the shape of its map, in the map's place. Group normalisation needs the mean and variance of the whole
map: for each of its norms a stage is run once as far as that norm, which only measures. So nothing is estimated, and
the result is that of the whole but for rounding; the price is what is computed more than once.
"""

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sfumato.models.autoencoder_kl import AutoencoderKL, Level
from sfumato.models.tiles import Place, SharedNorm, replaced_norms
from sfumato.nn.blocks import Upsample
from sfumato.nn.sharing import sharing

REACH = 2
"""Rows of its map that a stage looks at above and below: two convolutions, or three after a doubling."""
BAND = 1 << 25
"""Bytes of the largest map within a band; smaller ones compute more rows twice."""


def decode(autoencoder: AutoencoderKL, latents: Float[Tensor, "b c y x"], band: int = BAND) -> Float[Tensor, "b 3 h w"]:
    """Pixels as ``autoencoder.decode`` has them, one picture after the other.

    Args:
        band: bytes of the largest map that a band may have.
    """
    return torch.cat([_decoded(autoencoder, latent, band) for latent in latents.split(1)])


def _decoded(autoencoder: AutoencoderKL, latents: Tensor, band: int) -> Tensor:
    decoder = sharing(autoencoder.decoder)
    x = decoder.middle(autoencoder.unscaled(latents))
    doubling: list[nn.Module] = []
    for level in cast("list[Level]", decoder.up_blocks):
        for block in level.resnets:
            x = _run(nn.Sequential(*doubling, block), x, band)
            doubling = []
        doubling = list(level.upsamplers)
    return _run(nn.Sequential(decoder.conv_norm_out, nn.SiLU(inplace=True), decoder.conv_out), x, band)


class _Enough(Exception):  # noqa: N818  it is no error
    """Raised by a norm that has seen what it came for: the rest of the stage is not needed."""


class _MeasuringNorm(SharedNorm):
    """Group normalisation by given moments; without them it measures, and nothing after it is run."""

    def forward(self, x: Tensor) -> Tensor:
        if self.given is None:
            self.measure(x)
            raise _Enough
        return self.normalised(x)


def _run(stage: nn.Sequential, x: Tensor, band: int) -> Tensor:
    """A stage on a map (1, c, h, w), which may be written over."""
    place = Place()
    norms = replaced_norms(stage, place, _MeasuringNorm)
    up = 2 if isinstance(stage[0], Upsample) else 1
    widest = max(norm.plain.num_channels for norm in norms)
    height, width = x.shape[-2:]
    rows = max(2 * REACH, band // (widest * width * up * up * x.itemsize))
    length = min(height, rows + 2 * REACH)

    def part(top: int) -> Tensor:
        start = min(max(top - REACH, 0), height - length)
        place.rows = top - start, min(top + rows, height) - start
        place.columns, place.size = (0, width), (length, width)
        return x[..., start : start + length, :]

    tops = range(0, height, rows)
    for norm in norms:
        for top in tops:
            try:
                stage(part(top))
            except _Enough:
                continue
        norm.settle()
    result: Tensor | None = None
    waiting: tuple[int, Tensor] | None = None
    for top in tops:
        own = place.own(stage(part(top)))
        if result is None:
            same = up == 1 and own.shape[1] == x.shape[1]
            result = x if same else own.new_empty(1, own.shape[1], up * height, up * width)
            if not same:
                result = result.contiguous(memory_format=torch.channels_last)
        if waiting is not None:  # rows in whose place they come are read once more by the next band
            _written(result, *waiting)
        waiting = up * top, own
    assert result is not None
    assert waiting is not None
    _written(result, *waiting)
    return result


def _written(result: Tensor, top: int, own: Tensor) -> None:
    result[..., top : top + own.shape[-2], :] = own
