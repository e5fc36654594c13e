"""Windows of tokens as tensors, with the weight of each token; a window has a begin, room for its words, an end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sfumato.models.tokenizer import ClipTokenizer
from sfumato.prompts.reading import FlatPrompt
from sfumato.prompts.windows import Window, windows


@dataclass(frozen=True, eq=False)
class Chunks:
    """Windows of token ids, with the weight of each token."""

    ids: Int[Tensor, "k n"]
    weights: Float[Tensor, "k n"]
    """The weight of the token's piece; of begin, end and padding 1."""
    segments: Int[Tensor, "k n"]
    """The place of the token's segment in the prompt; of begin, end and padding -1."""
    scales: Float[Tensor, "k 1"] | Float[Tensor, "k n"]
    """The weight of the segment, which counts for the whole window; in T5's, where it has none, for its words."""

    def __len__(self) -> int:
        return len(self.ids)


def pack(
    prompt: FlatPrompt, tokenizer: ClipTokenizer, *, embeddings: Mapping[str, Sequence[int]] | None = None
) -> Chunks:
    """The windows of a prompt as tensors. Takes and raises what `windows` does."""
    return _chunks(windows(prompt, tokenizer, embeddings=embeddings), tokenizer)


def padded(chunks: Chunks, count: int, tokenizer: ClipTokenizer) -> Chunks:
    """The windows, filled up to `count` with empty ones at the end, so that prompts of unequal length share a batch."""
    missing = count - len(chunks)
    if missing <= 0:
        return chunks
    empty = _chunks([Window()] * missing, tokenizer)
    return Chunks(
        torch.cat([chunks.ids, empty.ids]),
        torch.cat([chunks.weights, empty.weights]),
        torch.cat([chunks.segments, empty.segments]),
        torch.cat([chunks.scales, empty.scales]),
    )


def _chunks(found: Sequence[Window], tokenizer: ClipTokenizer) -> Chunks:
    """Whole rows. A full window ends at the end; in others padding follows it."""
    filler = tokenizer.vocabulary[tokenizer.padding]
    ids, weights, segments = [], [], []
    for window in found:
        spare = tokenizer.length - 2 - len(window.ids)
        ids.append([tokenizer.begin, *window.ids, tokenizer.end, *[filler] * spare])
        weights.append([1.0, *window.weights, 1.0, *[1.0] * spare])
        segments.append([-1, *[window.segment] * len(window.ids), -1, *[-1] * spare])
    scales = torch.tensor([[window.scale] for window in found])
    return Chunks(torch.tensor(ids), torch.tensor(weights), torch.tensor(segments), scales)
