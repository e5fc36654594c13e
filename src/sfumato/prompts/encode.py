"""Readings through text encoders into conditions: one pass for all windows of a prompt, weights on what comes out.

Where a model has several text encoders, each reads the same windows, and their tokens stand side by side; the pooled
vector is that of the last one. Stable Diffusion 3 joins them otherwise, see `t5.py`.

How weights act on the tokens z of a window:

    original   z * w, then scaled back to the mean that z had (A1111's default)
    no_norm    z * w (A1111's "No norm", which suits SDXL: there the means are near 0, and the ratio wild)
    comfy      empty + w * (z - empty), with the tokens of the empty prompt (ComfyUI)
    compel     the same, and for words of w < 1 the mean with the tokens of a prompt in which no token sees these words,
               of share tan((1 - w) pi / 2) to 1 (compel, `DownweightMode.MASK`)
    ignore     z
"""

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sfumato.diffusion.conditioning import Conditioning
from sfumato.models.clip import CLIPTextEncoder, TextEncoding
from sfumato.models.tokenizer import ClipTokenizer
from sfumato.prompts.chunks import Chunks, pack, padded
from sfumato.prompts.reading import Emphasis, FlatPrompt, Reading
from sfumato.prompts.t5 import T5Part
from sfumato.prompts.windows import unknown

_NOTHING = FlatPrompt(())  # the empty prompt
_LEAST = 1e-5  # compel's least weight of words that it lightens: at 0 the share of the prompt without them is infinite

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TextPart:
    """A text encoder and the tokenizer whose tokens it reads."""

    tokenizer: ClipTokenizer
    encoder: CLIPTextEncoder
    penultimate: bool = False
    """Reads the last layer but one, without the final norm, as SDXL does; a clip skip counts from there."""
    normed: bool = True
    """Reads the last layer with the final norm; the latent upscaler reads it without."""

    @property
    def depth(self) -> int:
        """The largest clip skip."""
        return self.encoder.config.num_hidden_layers - self.penultimate

    def pack(self, prompt: FlatPrompt, *, embeddings: Mapping[str, Sequence[int]] | None = None) -> Chunks:
        """Windows of its tokenizer, see `chunks.pack`."""
        return pack(prompt, self.tokenizer, embeddings=embeddings)

    def padded(self, chunks: Chunks, count: int) -> Chunks:
        """The windows, filled up to `count`."""
        return padded(chunks, count, self.tokenizer)

    def run(self, ids: Int[Tensor, "k n"], clip_skip: int = 1, mask: Bool[Tensor, "k n"] | None = None) -> TextEncoding:
        """Without a look at tokens whose `mask` is False. Raises ValueError for a clip skip beyond `depth`."""
        device = self.encoder.text_model.final_layer_norm.weight.device
        encoding: TextEncoding = self.encoder(
            ids.to(device),
            clip_skip=clip_skip + self.penultimate,
            norm=self.normed and not self.penultimate,
            mask=None if mask is None else mask.to(device),
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
    embeddings: Mapping[str, Sequence[int]] | None = None,
    join: Join = joined,
) -> list[Conditioning]:
    """A condition for each reading, a row of tokens (1, n * windows, d) and the pooled vector of the first window; all
    of the same number of windows, so that they share a batch.

    Args:
        windows: at least so many; empty ones are added.
        embeddings: see `pack`.

    Raises:
        ValueError: a clip skip beyond the encoder's layers.
        RequestError: an embedding that fits no window.
    """
    prompts = [prompt for reading in readings for prompt in reading.prompts]
    for name in dict.fromkeys(name for prompt in prompts for name in unknown(prompt, embeddings or {})):
        log.warning("there is no embedding %r that fits; embedding:%s is left out", name[:64], name[:64])
    shares = [[prompt.share for prompt in reading.prompts] for reading in readings]
    by_encoder = []
    for part in texts:
        packed = [[part.pack(prompt, embeddings=embeddings) for prompt in reading.prompts] for reading in readings]
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
        weights = (chunks.weights * chunks.scales).to(tokens.device).unsqueeze(-1)
        if self.emphasis != "ignore" and bool((weights != 1).any()):
            tokens = self._weighed(chunks, tokens.float(), weights).to(tokens.dtype)
        return Conditioning(rearrange(tokens, "k n d -> 1 (k n) d"), pooled=encoding.pooled[:1])

    def _weighed(
        self, chunks: Chunks, tokens: Float[Tensor, "k n d"], weights: Float[Tensor, "k n 1"]
    ) -> Float[Tensor, "k n d"]:
        if self.emphasis == "comfy":
            return self._from_nothing(tokens, weights)
        if self.emphasis == "compel":
            return self._lightened(chunks, self._from_nothing(tokens, weights), weights)
        weighed = tokens * weights
        if self.emphasis == "no_norm":
            return weighed
        ratio = tokens.mean(dim=(1, 2), keepdim=True) / weighed.mean(dim=(1, 2), keepdim=True)
        # A window without a mean has none to restore; one whose weights are all 1 is left as it is, to the bit.
        usable = ratio.isfinite() & (weights != 1).any(dim=1, keepdim=True)
        return weighed * torch.where(usable, ratio, 1.0)

    @cached_property
    def _nothing(self) -> Float[Tensor, "1 n d"]:
        return self.part.run(self.part.pack(_NOTHING).ids, self.clip_skip).tokens.float()

    def _from_nothing(self, tokens: Float[Tensor, "k n d"], weights: Float[Tensor, "k n 1"]) -> Float[Tensor, "k n d"]:
        return torch.where(weights == 1, tokens, self._nothing + weights * (tokens - self._nothing))

    def _lightened(
        self, chunks: Chunks, tokens: Float[Tensor, "k n d"], weights: Float[Tensor, "k n 1"]
    ) -> Float[Tensor, "k n d"]:
        """The mean of weighed tokens and those without the words of weights below 1; each segment is a prompt."""
        mean = tokens.clone()
        for _, light in groupby(_light(chunks), key=lambda words: words.segment):
            shares = [(words, math.tan((1 - max(words.weight, _LEAST)) * math.pi / 2)) for words in light]
            total = 1 + sum(share for _, share in shares)
            for words, share in shares:
                rows = words.places[0].unique()
                mask = torch.ones(chunks.ids.shape, dtype=torch.bool)
                mask[words.places] = False
                without = self.part.run(chunks.ids[rows], self.clip_skip, mask[rows]).tokens.float()
                rows = rows.to(tokens.device)  # the other windows are the same without them
                mean[rows] += share / total * (self._from_nothing(without, weights[rows]) - tokens[rows])
        return mean


@dataclass(frozen=True)
class _Light:
    """Neighbouring words of a segment, of one weight below 1, and where they stand: windows and tokens."""

    segment: int
    weight: float
    places: tuple[Tensor, Tensor]


def _light(chunks: Chunks) -> Iterator[_Light]:
    """In their order, over the windows of each segment."""
    rows, columns = torch.nonzero(chunks.segments >= 0, as_tuple=True)
    words = zip(chunks.segments[rows, columns].tolist(), chunks.weights[rows, columns].tolist(), strict=True)
    start = 0
    for (segment, weight), run in groupby(words):
        end = start + len(list(run))
        if weight < 1:
            yield _Light(segment, weight, (rows[start:end], columns[start:end]))
        start = end


def _blended(parts: Sequence[Conditioning], shares: Sequence[float]) -> Conditioning:
    if list(shares) == [1.0]:
        return parts[0]
    pairs = list(zip(parts, shares, strict=True))
    tokens = torch.stack([part.tokens.float() * share for part, share in pairs]).sum(dim=0)
    vectors = [part.pooled.float() * share for part, share in pairs if part.pooled is not None]
    first = parts[0]
    return Conditioning(tokens.to(first.tokens.dtype), pooled=torch.stack(vectors).sum(dim=0).to(first.tokens.dtype))
