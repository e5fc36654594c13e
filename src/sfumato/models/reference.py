"""Reference attention: a picture's self-attention looks at another picture as well, noised to the same level, so that
it takes over what that is made of: colours, strokes, textures ("reference-only" of the web UI's ControlNet, 2023;
Hertz et al. 2024, arXiv:2312.02133, section 3.2, without its normalisation).
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool
from torch import Tensor, nn

from sfumato.diffusion.conditioning import Conditioning
from sfumato.diffusion.denoiser import Denoiser
from sfumato.models.unet import UNet
from sfumato.nn.attention import Attention, TransformerBlock, attention


@dataclass
class Sight:
    """What all self-attentions of one network read before it is called.

    Attributes:
        weight: how much each place of the reference counts beside one of the picture's own.
        recording: what is seen is the reference.
        rows: those of the batch that look at it; None: all.
    """

    weight: float
    recording: bool = False
    rows: Bool[Tensor, " b"] | None = field(default=None)

    @contextmanager
    def record(self) -> Iterator[None]:
        """In which the network is shown the reference."""
        self.recording = True
        try:
            yield
        finally:
            self.recording = False


class ReferenceAttention(nn.Module):
    """A self-attention that looks at what it was shown of the reference, too. (b, n, dim) -> (b, n, dim)."""

    def __init__(self, own: Attention, sight: Sight) -> None:
        super().__init__()
        self.own, self.sight = own, sight
        self.shown: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        rows = self.sight.rows
        if self.sight.recording:
            self.shown = x
        if self.sight.recording or self.shown is None or (rows is not None and not rows.any()):
            alone: Tensor = self.own(x)
            return alone
        if rows is None or rows.all():
            return self._both(x, self.shown)
        found: Tensor = self.own(x)
        found[rows] = self._both(x[rows], self.shown)
        return found

    def _both(self, x: Tensor, shown: Tensor) -> Tensor:
        own = self.own
        every = torch.cat([x, shown.expand(len(x), -1, -1)], dim=1)
        q, k, v = (
            rearrange(t, "b n (h d) -> b h n d", h=own.heads) for t in (own.to_q(x), own.to_k(every), own.to_v(every))
        )
        if self.sight.weight == 1:
            mixed = attention(q, k, v)
        else:
            bias = q.new_zeros(x.shape[1], every.shape[1])
            bias[:, x.shape[1] :] = math.log(self.sight.weight)
            mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        projected: Tensor = own.to_out[0](rearrange(mixed, "b h n d -> b n (h d)"))
        return projected


def look(unet: UNet, weight: float) -> Sight:
    """Let all self-attentions of a network, which must be the caller's own, look at a reference.

    Args:
        weight: above 0.
    """
    sight = Sight(weight)
    for block in [each for each in unet.modules() if isinstance(each, TransformerBlock) and not each.only_cross]:
        assert isinstance(block.attn1, Attention)
        block.add_module("attn1", ReferenceAttention(block.attn1, sight))
    return sight


@dataclass(frozen=True, eq=False)
class Reference:
    """A picture to look at: latents and unit noise, (1, c, h, w), and who looks."""

    sight: Sight
    clean: Tensor
    noise: Tensor

    def shown_to(self, plain: Denoiser, controlled: Denoiser) -> "Looking":
        """A denoiser that is shown it first at each level.

        Args:
            plain: the denoiser without controls.
            controlled: the one with them.
        """
        return Looking(**vars(controlled), plain=plain, reference=self)


@dataclass(frozen=True)
class Looking(Denoiser):
    """A denoiser whose network looks at a reference; that is seen under the last row's condition."""

    plain: Denoiser = field(kw_only=True)
    reference: Reference = field(kw_only=True)

    def __call__(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Tensor:
        seen, level = self.reference, sigma.reshape(-1)[-1]
        with seen.sight.record():
            noisy = self.parameterisation.path.mix(seen.clean, seen.noise, level)
            self.plain(noisy, level, cond.at(torch.tensor([len(cond) - 1], device=cond.tokens.device)))
        seen.sight.rows = None if cond.uncond is None else ~cond.uncond
        return super().__call__(x, sigma, cond)
