"""Attention head by head in blocks of queries, where that is faster than the fused kernel.

On CPUs whose fused kernel takes an old path (bfloat16 on AMD, docs/decisions/0032-packed-weights.md) a product, a
softmax and a product take less, as long as their scores stay in the cache. Which it is, is raced for each shape.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sfumato.nn.attention import attention
from sfumato.runtime.races import races

SCORES = 1 << 20
"""Of one block: 2 MB in bfloat16."""
LANES = 16
"""Columns that a product computes at once: 40 take a third longer than 48."""
FEWEST = 512 * 512
"""Query x key products of a head below which nothing is raced: there is little to win."""


def blockwise(
    q: Float[Tensor, "b h n d"], k: Float[Tensor, "b h m d"], v: Float[Tensor, "b h m d"]
) -> Float[Tensor, "b h n d"]:
    """Scaled dot-product attention, softmax over keys computed in float32."""
    b, h, n, d = q.shape
    out = q.new_empty(b, n, h, d).transpose(1, 2)
    rows = max(SCORES // k.shape[-2], 1)
    for picture in range(b):
        for head in range(h):
            queries = q[picture, head] * d**-0.5
            keys = k[picture, head].contiguous().t()
            values = nn.functional.pad(v[picture, head], (0, -d % LANES))
            for first in range(0, n, rows):
                scores = queries[first : first + rows] @ keys
                out[picture, head, first : first + rows] = (scores.softmax(-1) @ values)[:, :d]
    return out


def quickest(
    q: Float[Tensor, "b h n d"], k: Float[Tensor, "b h m d"], v: Float[Tensor, "b h m d"], *, causal: bool = False
) -> Float[Tensor, "b h n d"]:
    """`attention`, by the form that wins on this machine; a picture is the same alone and in a batch."""
    (_, h, n, d), m = q.shape, k.shape[-2]
    plain = q.device.type != "cpu" or q.dtype != torch.bfloat16 or causal or n * m < FEWEST
    if plain or (torch.is_grad_enabled() and q.requires_grad):
        return attention(q, k, v, causal=causal)
    one = q[:1], k[:1], v[:1]
    ways = {"fused": lambda: attention(*one), "blocks": lambda: blockwise(*one)}
    if races().winner(f"attention bfloat16 {(h, n, m, d)}", ways) == "fused":
        return attention(q, k, v)
    return blockwise(q, k, v)
