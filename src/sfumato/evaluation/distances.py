"""How far sets of pictures are apart, in the features of a named network."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def frechet(a: Float[Tensor, "n c"], b: Float[Tensor, "m c"]) -> float:
    """Squared Frechet (2-Wasserstein) distance of the Gaussians with the two sets' means and covariances.

    |m_a - m_b|^2 + tr(A + B - 2 (A^1/2 B A^1/2)^1/2), as in FID (Heusel et al. 2017), whose network this is not. It is
    too large for few pictures, so compare only sets of one size.

    Raises:
        ValueError: a set of fewer than two.
    """
    if min(len(a), len(b)) < 2:
        raise ValueError(f"a Frechet distance needs two pictures or more on each side, not {len(a)} and {len(b)}")
    a, b = a.double(), b.double()
    root = _root(a.T.cov())
    cross = torch.linalg.eigvalsh(root @ b.T.cov() @ root).clamp_min(0).sqrt().sum()
    spread = a.var(0).sum() + b.var(0).sum() - 2 * cross
    return float((a.mean(0) - b.mean(0)).square().sum() + spread)


def _root(matrix: Float[Tensor, "c c"]) -> Float[Tensor, "c c"]:
    """The symmetric root of a symmetric, positive matrix."""
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp_min(0).sqrt()) @ vectors.T


def diversity(embedded: Float[Tensor, "prompts seeds c"]) -> float:
    """1 - cosine between two seeds of one prompt, the mean over pairs and prompts; 0 says that seeds do nothing.

    Raises:
        ValueError: one seed a prompt.
    """
    seeds = embedded.shape[1]
    if seeds < 2:
        raise ValueError("diversity needs two seeds or more of each prompt")
    unit = F.normalize(embedded.float(), dim=2)
    cosines = unit @ unit.transpose(1, 2)
    upper = torch.triu_indices(seeds, seeds, offset=1)
    return float(1 - cosines[:, upper[0], upper[1]].mean())


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The training pictures most like each picture, nearest first: their cosine and their index."""

    cosine: Float[Tensor, "n k"]
    index: Int[Tensor, "n k"]


def neighbours(embedded: Float[Tensor, "n c"], training: Float[Tensor, "m c"], k: int = 5) -> Neighbours:
    """The nearest by the cosine of features; at most as many as there are."""
    wanted = F.normalize(training.float(), dim=1)
    parts = [(F.normalize(part.float(), dim=1) @ wanted.T).topk(min(k, len(training))) for part in embedded.split(256)]
    return Neighbours(torch.cat([p.values for p in parts]), torch.cat([p.indices for p in parts]))
