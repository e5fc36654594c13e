"""Readings through text encoders into conditions: one pass for all windows of a wording, weights on what comes out.

Where a model has several text encoders, each reads the same windows, and their tokens stand side by side; the pooled
vector is that of the last one. Stable Diffusion 3 joins them otherwise, see `t5.py`.

How weights act on the tokens z of a window:

    original   z * w, then scaled back to the mean that z had (A1111's default)
    no_norm    z * w (A1111's "No norm", which suits SDXL: there the means are near 0, and the ratio wild)
    comfy      empty + w * (z - empty), with the tokens of the empty prompt (ComfyUI; compel, for weights above 1)
    ignore     z
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from sfumato.diffusion.conditioning import Conditioning
from sfumato.models.clip import CLIPTextEncoder, TextEncoding
from sfumato.models.tokenizer import ClipTokenizer
from sfumato.prompts.chunks import BACKTRACK, Chunks, pack, padded
from sfumato.prompts.reading import Emphasis, Reading, Wording
from sfumato.prompts.t5 import T5Part

_NOTHING = Wording(())  # the empty prompt


@dataclass(frozen=True)
class TextPart:
    """A text encoder and the tokenizer whose tokens it reads."""

    tokenizer: ClipTokenizer
    encoder: CLIPTextEncoder
    penultimate: bool = False
    """Reads the last layer but one, without the final norm, as SDXL does; a clip skip counts from there."""

    @property
    def depth(self) -> int:
        """The largest clip skip."""
        return self.encoder.config.num_hidden_layers - self.penultimate

    def pack(
        self, wording: Wording, *, backtrack: int = BACKTRACK, embeddings: Mapping[str, Sequence[int]] | None = None
    ) -> Chunks:
        """Windows of its tokenizer, see `chunks.pack`."""
        return pack(wording, self.tokenizer, backtrack=backtrack, embeddings=embeddings)

    def padded(self, chunks: Chunks, count: int) -> Chunks:
        """As many windows as `count`."""
        return padded(chunks, count, self.tokenizer)

    def run(self, ids: Int[Tensor, "k n"], clip_skip: int = 1) -> TextEncoding:
        """Raises ValueError for a clip skip beyond `depth`."""
        device = self.encoder.text_model.final_layer_norm.weight.device
        encoding: TextEncoding = self.encoder(
            ids.to(device), clip_skip=clip_skip + self.penultimate, norm=not self.penultimate
        )
        return encoding


def joined(conditions: Sequence[Conditioning]) -> Conditioning:
    """What several encoders say of the same texts: tokens side by side, the last one's pooled vector."""
    return Conditioning(torch.cat([each.tokens for each in conditions], dim=-1), pooled=conditions[-1].pooled)


Join = Callable[[Sequence[Conditioning]], Conditioning]
"""`joined`, or `t5.stacked` for some width."""


def encode(
    readings: Sequence[Reading],
    texts: Sequence[TextPart | T5Part],
    *,
    clip_skip: int = 1,
    emphasis: Emphasis = "original",
    windows: int = 1,
    backtrack: int = BACKTRACK,
    embeddings: Mapping[str, Sequence[int]] | None = None,
    join: Join = joined,
) -> list[Conditioning]:
    """A condition for each reading, a row of tokens (1, n * windows, d) and the pooled vector of the first window; all
    of the same number of windows, so that they share a batch.

    Args:
        windows: at least so many; empty ones are added.
        backtrack: see `pack`; `embeddings` likewise.

    Raises:
        ValueError: a clip skip beyond the encoder's layers.
        RequestError: an embedding that fits no window.
    """
    shares = [[wording.share for wording in reading.wordings] for reading in readings]
    by_encoder = []
    for part in texts:
        packed = [
            [part.pack(wording, backtrack=backtrack, embeddings=embeddings) for wording in reading.wordings]
            for reading in readings
        ]
        count = max([windows, *(len(chunks) for row in packed for chunks in row)])
        reader = _Reader(part, clip_skip, emphasis)
        by_encoder.append(
            [
                _blended([reader.read(part.padded(chunks, count)) for chunks in row], share)
                for row, share in zip(packed, shares, strict=True)
            ]
        )
    return [join(conditions) for conditions in zip(*by_encoder, strict=True)]


@dataclass(frozen=True)
class _Reader:
    part: TextPart | T5Part
    clip_skip: int
    emphasis: Emphasis

    def read(self, chunks: Chunks) -> Conditioning:
        encoding = self.part.run(chunks.ids, self.clip_skip)
        tokens = encoding.tokens
        if self.emphasis != "ignore" and bool((chunks.weights != 1).any()):
            weights = chunks.weights.to(tokens.device).unsqueeze(-1)
            tokens = self._weighed(tokens.float(), weights).to(tokens.dtype)
        return Conditioning(rearrange(tokens, "k n d -> 1 (k n) d"), pooled=encoding.pooled[:1])

    def _weighed(self, tokens: Float[Tensor, "k n d"], weights: Float[Tensor, "k n 1"]) -> Float[Tensor, "k n d"]:
        if self.emphasis == "comfy":
            nothing = self.part.run(self.part.pack(_NOTHING).ids, self.clip_skip).tokens.float()
            return torch.where(weights == 1, tokens, nothing + weights * (tokens - nothing))
        weighed = tokens * weights
        if self.emphasis == "no_norm":
            return weighed
        ratio = tokens.mean(dim=(1, 2), keepdim=True) / weighed.mean(dim=(1, 2), keepdim=True)
        # A window without a mean has none to restore; one whose weights are all 1 is left as it is, to the bit.
        usable = ratio.isfinite() & (weights != 1).any(dim=1, keepdim=True)
        return weighed * torch.where(usable, ratio, 1.0)


def _blended(parts: Sequence[Conditioning], shares: Sequence[float]) -> Conditioning:
    if list(shares) == [1.0]:
        return parts[0]
    pairs = list(zip(parts, shares, strict=True))
    tokens = torch.stack([part.tokens.float() * share for part, share in pairs]).sum(dim=0)
    vectors = [part.pooled.float() * share for part, share in pairs if part.pooled is not None]
    first = parts[0]
    return Conditioning(tokens.to(first.tokens.dtype), pooled=torch.stack(vectors).sum(dim=0).to(first.tokens.dtype))
