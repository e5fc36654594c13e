"""Changes to a network for the time of a call: it is as before once the context is left.

They are put on the modules, so that the plain network pays nothing for them. Not for two threads at once.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from sfumato.diffusion.conditioning import Conditioning
from sfumato.diffusion.denoiser import Denoiser
from sfumato.models.mmdit import MMDiT
from sfumato.models.unet import Level, UNet
from sfumato.nn.attention import Attention, TransformerBlock
from sfumato.nn.blocks import ResnetBlock


def inside(denoiser: Denoiser, *contexts: Callable[[], AbstractContextManager[None]]) -> Denoiser:
    """The denoiser, each call of whose network is made in these contexts."""

    def network(x: Tensor, label: Tensor, cond: Conditioning) -> Tensor:
        with ExitStack() as stack:
            for context in contexts:
                stack.enter_context(context())
            return denoiser.network(x, label, cond)

    return replace(denoiser, network=network)


MIDDLE = "mid_block"


class _Identity(nn.Module):
    """Self-attention in which every position looks at itself alone."""

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, x: Tensor) -> Tensor:
        projected: Tensor = self.attention.to_out[0](self.attention.to_v(x))
        return projected


class _Mean(nn.Module):
    """Self-attention in which every position asks the mean of all questions: the softmax's energy without a slope."""

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, x: Tensor) -> Tensor:
        seen: Tensor = self.attention(x.mean(1, keepdim=True), x)
        return seen.expand_as(x).contiguous()


def identity_attention(unet: UNet, part: str = MIDDLE) -> AbstractContextManager[None]:
    """Self-attention by the identity, for perturbed attention guidance (Ahn et al. 2024, arXiv:2403.17377, eq. 14).

    Args:
        part: of the network, by the name of its module: ``mid_block``, which the paper takes for Stable Diffusion,
            ``down_blocks.2``, ``up_blocks`` ...
    """
    return _self_attention(unet, part, _Identity)


def mean_attention(unet: UNet, part: str = MIDDLE) -> AbstractContextManager[None]:
    """Self-attention whose queries are blurred without bound, to their mean, for smoothed energy guidance (Hong 2024,
    arXiv:2408.00760, eq. 12, sigma infinite). `part` as in `identity_attention`.
    """
    return _self_attention(unet, part, _Mean)


@contextmanager
def _self_attention(unet: UNet, part: str, form: Callable[[Attention], nn.Module]) -> Iterator[None]:
    modules = unet.get_submodule(part).modules()
    blocks = [each for each in modules if isinstance(each, TransformerBlock) and not each.only_cross]
    before = [block.attn1 for block in blocks]
    try:
        for block, attention in zip(blocks, before, strict=True):
            block.add_module("attn1", form(attention))
        yield
    finally:
        for block, attention in zip(blocks, before, strict=True):
            block.attn1 = attention


SKIPPED = (7, 8, 9)
"""Blocks that Stable Diffusion 3.5 Medium is published to skip, counted from 0."""


class _Nothing(nn.Module):
    """A joint block that changes neither picture nor text."""

    def forward(self, x: Tensor, text: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        return x, text


@contextmanager
def skipped_layers(mmdit: MMDiT, layers: Sequence[int] = SKIPPED) -> Iterator[None]:
    """Without some of its blocks, for skip layer guidance (Stability AI's published `sd3.5` and diffusers).

    Raises:
        IndexError: there is no such block.
    """
    blocks = mmdit.transformer_blocks
    before = [blocks[i] for i in layers]
    try:
        for i in layers:
            blocks[i] = _Nothing()
        yield
    finally:
        for i, block in zip(layers, before, strict=True):
            blocks[i] = block


FREEU_BACKBONE, FREEU_SKIP = (1.5, 1.6), (0.9, 0.2)
"""For Stable Diffusion 1.x, the coarsest level first."""


@contextmanager
def freeu(unet: UNet, strength: float = 1.0) -> Iterator[None]:
    """FreeU (Si et al. 2023, arXiv:2309.11497, eq. 4 to 6): more backbone, and less of the skips' low frequencies.

    In the two coarsest levels on the way up. ``strength`` 1 is as published, 0 is nothing. As in diffusers, half of
    the backbone's channels are raised, by a number that is the same everywhere.
    """
    levels = [level for level in unet.up_blocks[: len(FREEU_BACKBONE)] if isinstance(level, Level)]
    width = unet.config.block_out_channels[-1]
    try:
        for level, backbone, skip in zip(levels, FREEU_BACKBONE[: len(levels)], FREEU_SKIP[: len(levels)], strict=True):
            _raise(level, width, 1 + strength * (backbone - 1), 1 + strength * (skip - 1))
            width = _widths(level)[-1]
        yield
    finally:
        for level in levels:
            level.__dict__.pop("layer", None)


def _widths(level: Level) -> list[int]:
    return [block.conv2.out_channels for block in level.resnets if isinstance(block, ResnetBlock)]


def _raise(level: Level, width: int, backbone: float, skip: float) -> None:
    """Put a `layer` on the level which changes its input: ``width`` channels of backbone, and the skip's."""
    plain, widths = level.layer, [width, *_widths(level)]

    def layer(i: int, x: Tensor, time: Tensor, context: Tensor) -> Tensor:
        half = widths[i] // 2
        parts = (x[:, :half] * backbone, x[:, half : widths[i]], _damped(x[:, widths[i] :], skip))
        return plain(i, torch.cat(parts, dim=1), time, context)

    level.layer = layer  # type: ignore[method-assign]


def _damped(x: Tensor, factor: float) -> Tensor:
    """Scale the lowest frequencies: the mean, and those of one period a picture towards the negative side."""
    spectrum = torch.fft.fftshift(torch.fft.fft2(x.float()), dim=(-2, -1))
    row, column = (size // 2 for size in x.shape[-2:])
    spectrum[..., max(0, row - 1) : row + 1, max(0, column - 1) : column + 1] *= factor
    return torch.fft.ifft2(torch.fft.ifftshift(spectrum, dim=(-2, -1))).real.to(x.dtype)
