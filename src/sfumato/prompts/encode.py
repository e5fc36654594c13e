"""Readings through a text encoder into conditions: one pass for all windows of a wording, weights on what comes out.

How weights act on the tokens z of a window:

    original   z * w, then scaled back to the mean that z had (A1111's default)
    no_norm    z * w (A1111's "No norm", which suits SDXL: there the means are near 0, and the ratio wild)
    comfy      empty + w * (z - empty), with the tokens of the empty prompt (ComfyUI; compel, for weights above 1)
    ignore     z
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from sfumato.diffusion.conditioning import Conditioning
from sfumato.models.clip import CLIPTextEncoder, TextEncoding
from sfumato.models.tokenizer import ClipTokenizer
from sfumato.prompts.chunks import BACKTRACK, Chunks, pack, padded
from sfumato.prompts.reading import Emphasis, Reading, Wording

_NOTHING = Wording(())  # the empty prompt


def encode(
    reading: Reading,
    tokenizer: ClipTokenizer,
    text_encoder: CLIPTextEncoder,
    *,
    clip_skip: int = 1,
    emphasis: Emphasis = "original",
    windows: int = 1,
    backtrack: int = BACKTRACK,
    embeddings: Mapping[str, Sequence[int]] | None = None,
) -> Conditioning:
    """One row of tokens: (1, windows * n, d), and the pooled vector of the first window.

    Args:
        windows: at least so many, empty ones added, so that conditions of unequal length share a batch.
        backtrack: see `pack`; `embeddings` likewise.

    Raises:
        ValueError: a clip skip beyond the encoder's layers.
        RequestError: an embedding that fits no window.
    """
    [condition] = encode_all(
        [reading],
        tokenizer,
        text_encoder,
        clip_skip=clip_skip,
        emphasis=emphasis,
        windows=windows,
        backtrack=backtrack,
        embeddings=embeddings,
    )
    return condition


def encode_all(
    readings: Sequence[Reading],
    tokenizer: ClipTokenizer,
    text_encoder: CLIPTextEncoder,
    *,
    clip_skip: int = 1,
    emphasis: Emphasis = "original",
    windows: int = 1,
    backtrack: int = BACKTRACK,
    embeddings: Mapping[str, Sequence[int]] | None = None,
) -> list[Conditioning]:
    """A condition for each reading, all of the same number of windows. Raises as `encode`."""
    packed = [
        [pack(wording, tokenizer, backtrack=backtrack, embeddings=embeddings) for wording in reading.wordings]
        for reading in readings
    ]
    count = max([windows, *(len(chunks) for row in packed for chunks in row)])
    reader = _Reader(tokenizer, text_encoder, clip_skip, emphasis)
    conditions = []
    for reading, row in zip(readings, packed, strict=True):
        parts = [reader.read(padded(chunks, count, tokenizer)) for chunks in row]
        conditions.append(_blended(parts, [wording.share for wording in reading.wordings]))
    return conditions


@dataclass(frozen=True)
class _Reader:
    tokenizer: ClipTokenizer
    text_encoder: CLIPTextEncoder
    clip_skip: int
    emphasis: Emphasis

    def read(self, chunks: Chunks) -> Conditioning:
        encoding = self._run(chunks)
        tokens = encoding.tokens
        if self.emphasis != "ignore" and bool((chunks.weights != 1).any()):
            weights = chunks.weights.to(tokens.device).unsqueeze(-1)
            tokens = self._weighed(tokens.float(), weights).to(tokens.dtype)
        return Conditioning(rearrange(tokens, "k n d -> 1 (k n) d"), pooled=encoding.pooled[:1])

    def _run(self, chunks: Chunks) -> TextEncoding:
        device = self.text_encoder.text_model.final_layer_norm.weight.device
        encoding: TextEncoding = self.text_encoder(chunks.ids.to(device), clip_skip=self.clip_skip)
        return encoding

    def _weighed(self, tokens: Float[Tensor, "k n d"], weights: Float[Tensor, "k n 1"]) -> Float[Tensor, "k n d"]:
        if self.emphasis == "comfy":
            nothing = self._run(pack(_NOTHING, self.tokenizer)).tokens.float()
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
