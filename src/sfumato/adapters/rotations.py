"""Rotations of blocks of channels: orthogonal fine-tuning (Qiu et al. 2023), after which a weight W is R W or W R.

A block is told by a skew matrix Q, trained without constraints, whose Cayley transform is a rotation. Blocks lie along
the first axis; everything is float32.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

Blocks = Float[Tensor, "k n n"]


def skew(upper: Float[Tensor, "k m"]) -> Blocks:
    """The skew matrices whose upper triangles, row by row, are the rows of `upper`.

    Raises:
        ValueError: so many numbers fill no triangle.
    """
    size = (1 + math.isqrt(1 + 8 * upper.shape[1])) // 2
    if size * (size - 1) // 2 != upper.shape[1]:
        raise ValueError(f"{upper.shape[1]} numbers fill no triangle")
    matrices = upper.new_zeros(upper.shape[0], size, size)
    rows, columns = torch.triu_indices(size, size, 1)
    matrices[:, rows, columns] = upper
    return matrices - matrices.mT


def cayley(q: Blocks) -> Blocks:
    """(1 + Q) / (1 - Q), a rotation."""
    one = torch.eye(q.shape[-1], device=q.device)
    return torch.linalg.solve(one - q, one + q)


def neumann(q: Blocks, terms: int) -> Blocks:
    """About `cayley`, by the series 1 + 2 Q + 2 Q^2 + ... + Q^p, which PEFT ends at p = terms - 1, or 3 for 3 terms."""
    total = power = torch.eye(q.shape[-1], device=q.device).expand_as(q)
    last = terms - 1 if terms < 3 else max(terms - 1, 3)
    for place in range(1, last + 1):
        power = power @ q
        total = total + (power if place == last and terms > 2 else 2 * power)
    return total


def within(q: Blocks, most: float) -> Blocks:
    """Constrained (COFT): shrunk, all blocks alike, to a norm of at most `most`."""
    return q * (most / torch.linalg.vector_norm(q).clamp_min(most))


def within_each(q: Blocks, most: float) -> Blocks:
    """Constrained as PEFT does it: each block is shrunk to a norm of at most `most`."""
    return q * (most / torch.linalg.vector_norm(q, dim=(1, 2), keepdim=True).clamp_min(most))


def turn_rows(weight: Float[Tensor, "o ..."], rotations: Blocks) -> Float[Tensor, "o ..."]:
    """Block by block R^T W: a row of what comes out is a column of R times the block's rows."""
    rows = weight.unflatten(0, rotations.shape[:2])
    return torch.einsum("k n m, k n ... -> k m ...", rotations, rows).flatten(0, 1)


def turn_columns(weight: Float[Tensor, "o ..."], rotations: Blocks) -> Float[Tensor, "o ..."]:
    """Block by block W R^T, so that R turns what goes in; a single block serves all columns."""
    size = rotations.shape[1]
    columns = weight.flatten(1).unflatten(1, (-1, size))
    turns = rotations.expand(columns.shape[1], size, size)
    return torch.einsum("k n m, o k m -> o k n", turns, columns).reshape(weight.shape)
