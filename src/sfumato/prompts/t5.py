"""Wordings through T5, and the condition of Stable Diffusion 3 (Esser et al. 2024, arXiv:2403.03206, section 4).

T5 reads a prompt at once, up to its own length, where CLIP reads windows; a break is a space to it.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Int
from torch import Tensor

from sfumato.diffusion.conditioning import Conditioning
from sfumato.models.clip import TextEncoding
from sfumato.models.t5 import T5Encoder
from sfumato.models.t5_tokenizer import T5Tokenizer
from sfumato.prompts.chunks import Chunks
from sfumato.prompts.reading import FlatPrompt
from sfumato.prompts.windows import CALLED

LENGTH = 256
"""Tokens of T5, or zeros where it is left out."""


@dataclass(frozen=True)
class T5Part:
    """T5 and its tokenizer. Learned embeddings are none of T5's: their names are words to it."""

    tokenizer: T5Tokenizer
    encoder: T5Encoder
    depth: ClassVar[int] = sys.maxsize
    """A clip skip is none of T5's."""

    def pack(self, prompt: FlatPrompt, *, embeddings: Mapping[str, Sequence[int]] | None = None) -> Chunks:
        """One row of ids and the weight of each: that of the piece in which its last character stands."""
        text, weights, scales = "", [1.0], [1.0]
        for segment in prompt.segments:
            for piece in segment.pieces:
                said = CALLED.sub("", piece.text) if prompt.packing == "words" else piece.text
                text += said
                weights += [piece.weight] * len(said)
            text, weights = text + " ", [*weights, 1.0]
            scales += [segment.weight] * (len(weights) - len(scales))
        ends = [end for _, end in self.tokenizer.places(text)[: self.tokenizer.length - 1]]
        spare = self.tokenizer.length - len(ends)
        row, scale = ([of[end] for end in ends] + [1.0] * spare for of in (weights, scales))
        segments = [0] * len(ends) + [-1] * spare
        return Chunks(self.tokenizer([text]), torch.tensor([row]), torch.tensor([segments]), torch.tensor([scale]))

    def padded(self, chunks: Chunks, count: int) -> Chunks:
        """The row itself, however many windows CLIP reads."""
        return chunks

    def run(self, ids: Int[Tensor, "k n"], clip_skip: int = 1, mask: Bool[Tensor, "k n"] | None = None) -> TextEncoding:
        """The tokens, and a pooled vector of no width."""
        device = self.encoder.shared.weight.device
        tokens = self.encoder(ids.to(device), None if mask is None else mask.to(device))
        return TextEncoding(tokens, tokens.new_zeros(len(tokens), 0))


def stacked(conditions: Sequence[Conditioning], width: int) -> Conditioning:
    """The tokens of two CLIP encoders side by side, widened with zeros; below them T5's, or zeros where it is left out;
    the pooled vectors side by side.

    Args:
        width: that of T5's tokens.
    """
    first, second, *third = conditions
    clip = torch.cat([first.tokens, second.tokens], dim=-1)
    clip = F.pad(clip, (0, width - clip.shape[-1]))
    t5 = third[0].tokens if third else clip.new_zeros(len(clip), LENGTH, width)
    pooled = [each.pooled for each in conditions if each.pooled is not None]
    return Conditioning(torch.cat([clip, t5], dim=1), pooled=torch.cat(pooled, dim=-1))
