"""Optimisers and learning-rate schedules.

`Muon` steps along the orthogonalised momentum of each weight matrix, AdamW takes the rest; scaled so that both have
the same root-mean-square update, they share one learning rate. `Prodigy` finds its learning rate by itself.
"""

import math
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import cache, reduce
from typing import Any, Final, Literal, overload

import torch
from torch import Tensor, nn

from sfumato.runtime.precision import choose

Shape = Literal["constant", "cosine", "warmup_stable_decay"]


TEXT_PARTS: Final = "parts.text_encoder"
"""How the names of an adapter's parts for text encoders begin, see `adapters.trained.Adapters`."""
WIDE: Final = 3
"""From this ratio of sides on, iterating on the small Gram matrix is the cheaper way."""


@cache
def _iterated_in(device: torch.device) -> torch.dtype:
    return choose(device).dtype if device.type == "cpu" else torch.bfloat16


def orthogonalise(g: Tensor) -> Tensor:
    """The nearest semi-orthogonal matrix to `g` (m, n), roughly: singular values end in 0.7 to 1.2.

    Five quintic Newton-Schulz iterations, x <- (a + b G + c G^2) x with G = x x^T (Jordan et al. 2024, "Muon"), in
    bfloat16 as there, or in float32 where a processor has no products of bfloat16. Polynomials of G commute, so that of
    a wide matrix several iterations need only G: it becomes p G p and x waits for the product of the p. Rounding of G
    then grows, so x takes part after the third.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g.to(_iterated_in(g.device))
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T
    x = x / (x.norm() + 1e-7)
    for iterations in (3, 2) if x.shape[1] >= WIDE * x.shape[0] else (1, 1, 1, 1, 1):
        gram = x @ x.T
        polynomials: list[Tensor] = []
        for k in range(iterations):
            if k:
                gram = polynomials[-1] @ gram @ polynomials[-1]
            polynomials.append(torch.addmm(gram, gram, gram, beta=b, alpha=c))
            polynomials[-1].diagonal().add_(a)
        x = reduce(torch.mm, polynomials) @ x
    return (x.T if tall else x).to(g.dtype)


Spread = Callable[[Callable[[Tensor], Tensor], Sequence[Tensor]], Iterable[Tensor]]
"""A function of each tensor, as `map` gives it, computed wherever there is room."""


class _Closureless(torch.optim.Optimizer):
    """An optimiser that steps on gradients that are there."""

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One update of every parameter that has a gradient. `closure` is not supported (it must be None)."""
        if closure is not None:
            raise ValueError(f"{type(self).__name__} takes no closure; call step() after backward()")
        self.update()
        return None

    @abstractmethod
    def update(self) -> None:
        """One update of every parameter that has a gradient."""


class Muon(_Closureless):
    """Momentum, orthogonalised by Newton-Schulz; convolutions are seen as (out, in * kernel) matrices.

    The update is scaled by 0.2 sqrt(max(m, n)), AdamW's usual root mean square (Liu et al. 2025, eq. 4), with
    decoupled weight decay.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        lr: float,
        *,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.spread: Spread = map
        """Who orthogonalises the matrices, all of a group at once."""

    def update(self) -> None:
        """See the class."""
        for group in self.param_groups:
            moved = [p for p in group["params"] if p.grad is not None]
            updates = [self._look_ahead(p, group["momentum"]) for p in moved]
            for p, update in zip(moved, self.spread(orthogonalise, updates), strict=True):
                scale = 0.2 * math.sqrt(max(update.shape))
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(update.view_as(p), alpha=-group["lr"] * scale)

    def _look_ahead(self, p: nn.Parameter, momentum: float) -> Tensor:
        """Nesterov's: the gradient, moved towards its average by another step. (m, n)"""
        state = self.state[p]
        if not state:
            state["momentum"] = torch.zeros_like(p)
        buffer: Tensor = state["momentum"]
        assert p.grad is not None
        buffer.lerp_(p.grad, 1 - momentum)
        return p.grad.lerp(buffer, momentum).flatten(1)


class Prodigy(_Closureless):
    """Adam, whose learning rate d is found on the way (Mishchenko and Defazio 2024, arXiv:2306.06101, algorithm 4).

    d is the largest of the estimates sum <g, x0 - x> / |sum g|_1 of how far the weights x have to go from where they
    began, over gradients g that fade as the root of Adam's second beta. With bias correction, and the warm-up kept out
    of the estimate, as is usual for diffusion models.

    Args:
        lr: a factor on d, 1 by itself; schedules of learning rates act on it.
        first: what d begins with, far too small.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        lr: float = 1.0,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.0,
        first: float = 1e-6,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})
        self.first = first

    def update(self) -> None:
        """See the class."""
        moved = [(p, group) for group in self.param_groups for p in group["params"] if p.grad is not None]
        if not moved:
            return
        for p, _ in moved:
            if not self.state[p]:
                zeros = {name: torch.zeros_like(p) for name in ("mean", "square", "gradients")}
                self.state[p].update(zeros, begun=p.clone(), estimate=torch.tensor([0.0, self.first, 0.0]))
        steps, d, gone = self.state[moved[0][0]]["estimate"].tolist()
        beta1, beta2 = self.param_groups[0]["betas"]
        fading, corrected = math.sqrt(beta2), math.sqrt(1 - beta2 ** (steps + 1)) / (1 - beta1 ** (steps + 1))
        gone, length = fading * gone, 0.0
        for p, group in moved:
            state, scale = self.state[p], d / self.first
            assert p.grad is not None
            gone += scale * d * group["lr"] * corrected * float((p.grad * (state["begun"] - p)).sum())
            length += float(state["gradients"].mul_(fading).add_(p.grad, alpha=scale * d).abs().sum())
            state["mean"].mul_(beta1).add_(p.grad, alpha=d * (1 - beta1))
            state["square"].mul_(beta2).addcmul_(p.grad, p.grad, value=d * d * (1 - beta2))
        if not length:
            return
        for p, group in moved:
            state, rate = self.state[p], d * group["lr"] * corrected
            p.mul_(1 - rate * group["weight_decay"])
            p.addcdiv_(state["mean"], state["square"].sqrt().add_(d * 1e-8), value=-rate)
            state["estimate"] = torch.tensor([steps + 1, max(d, gone / length), gone])


def build_optimizers(
    model: nn.Module,
    lr: float,
    *,
    weight_decay: float,
    betas: tuple[float, float],
    muon: bool,
    prodigy: bool = False,
    embedding_rate: float = 1.0,
    text_rate: float = 1.0,
) -> list[torch.optim.Optimizer]:
    """AdamW for vectors, embeddings, `conv_in` and `conv_out`; Muon (where asked) for the matrices in between; or
    Prodigy for all. Embeddings have `embedding_rate` times the learning rate, adapters of text encoders `text_rate`.

    Weight decay touches matrices only, never norms, biases or embeddings.
    """
    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]

    def kind(name: str, p: nn.Parameter) -> tuple[bool, bool, float]:
        """Whether it is no matrix, whether it steps otherwise, and at what share of the learning rate."""
        looked_up = id(p) in embeddings
        share = embedding_rate if looked_up else text_rate if name.startswith(TEXT_PARTS) else 1.0
        return p.ndim < 2 or looked_up, share != 1, share

    def groups(own: Iterable[tuple[str, nn.Parameter]]) -> list[dict[str, Any]]:
        found: dict[tuple[bool, bool, float], list[nn.Parameter]] = {}
        for name, p in sorted(own, key=lambda each: kind(*each)[:2]):
            found.setdefault(kind(name, p), []).append(p)
        return [
            {"params": ps, "lr": lr * share, "weight_decay": 0.0 if no_matrix else weight_decay}
            for (no_matrix, _, share), ps in found.items()
        ]

    if prodigy:
        return [Prodigy(groups(named), lr, betas=betas)]
    inner = {
        name for name, p in named if muon and not kind(name, p)[0] and "conv_in" not in name and "conv_out" not in name
    }
    # Not `fused`: on CPU that kernel reads a channels_last weight and its contiguous, restored moments in memory order,
    # which mixes up their elements (seen with torch 2.13: a resumed run went another way).
    by_muon, by_adam = (groups(each for each in named if (each[0] in inner) == so) for so in (True, False))
    optimizers: list[torch.optim.Optimizer] = []
    if by_adam:
        optimizers.append(torch.optim.AdamW(by_adam, lr=lr, betas=betas, foreach=True))
    if by_muon:
        optimizers.append(Muon(by_muon, lr))
    return optimizers


def rate(step: int, *, shape: Shape, steps: int, warmup: int, decay: int) -> float:
    """The factor on the learning rate at `step` (0-based): linear warm-up, then constant, cosine, or constant with
    a linear decay to zero over the last `decay` steps (warmup-stable-decay, Hu et al. 2024)."""
    if step < warmup:
        return (step + 1) / warmup
    if shape == "cosine":
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
    if shape == "warmup_stable_decay" and step >= steps - decay:
        return (steps - step) / (decay + 1)
    return 1.0
