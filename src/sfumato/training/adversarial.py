"""Learning against a discriminator: hinge losses, the adaptive weight, and alarms for a contest that went wrong.

The model's loss and the discriminator's come from one pass: `contest` cuts the graph at the picture, so that neither
loss reaches the other's weights.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn


class AdversarialConfig(BaseModel):
    """The `[adversarial]` table of a training TOML; how the discriminator steps is `[loop.opponent]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weight: float = Field(0.0, ge=0)
    """On top of the adaptive weight; 0 leaves the discriminator out."""
    lead: int = Field(0, ge=0)
    """For so many steps after loop.opponent.start the discriminator learns alone: untrained, it would only disturb."""
    limit: float = Field(1e4, gt=0)
    """The adaptive weight's largest value."""
    r1: float = Field(0.0, ge=0)
    """Weight of the penalty on the discriminator's slope at real pictures; 0 leaves it out."""
    channels: tuple[Annotated[int, Field(gt=0, multiple_of=8)], ...] = Field((64, 128, 256), min_length=1)
    """The discriminator's widths; multiples of its 8 groups."""
    patience: int = Field(20, gt=0)
    """An alarm is raised after so many logs of the same trouble."""


ALIKE = 0.3
"""Variety of a batch, in units of that of pictures, below which a model has collapsed."""
R1_SHARE = 1 / 16
"""The penalty is taken on this share of the steps and multiplied accordingly (Karras et al. 2020, appendix B)."""


def hinge_model(fake: Tensor) -> Float[Tensor, ""]:
    """What the model minimises: its pictures' logits should be high (Lim and Ye 2017)."""
    return -fake.mean()


def hinge_opponent(real: Tensor, fake: Tensor) -> Float[Tensor, ""]:
    """What the discriminator minimises: real logits should exceed 1, those of the model's pictures stay below -1."""
    return 0.5 * (F.relu(1 - real).mean() + F.relu(1 + fake).mean())


def slope_penalty(discriminator: Callable[..., Tensor], *shown: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
    """R1 without its weight (Mescheder et al. 2018): half the squared gradient at what it is shown of real pictures,
    float32.

    Of the sum of a picture's logits, over their number: about one logit's, whatever the size of the picture.
    """
    with torch.autocast(shown[0].device.type, enabled=False):
        shown = tuple(each.detach().float().requires_grad_() for each in shown)
        logits = discriminator(*shown)
        slopes = torch.autograd.grad(logits.sum(), shown, create_graph=True)
    return 0.5 * torch.stack([slope.square().sum() for slope in slopes]).sum() / logits.numel()


def adaptive_weight(reconstruction: Tensor, adversarial: Tensor, limit: float) -> Float[Tensor, ""]:
    """The ratio of both gradients' norms, in [0, limit]: the two pull equally hard (Esser et al. 2021, eq. 7)."""
    return (reconstruction.norm() / adversarial.norm().clamp_min(1e-12)).clamp_max(limit)


def with_gradient(value: Tensor, x: Tensor, gradient: Tensor) -> Tensor:
    """A scalar of that value whose derivative by `x` is `gradient`, known already."""
    carrier = (x * gradient).sum()
    return value.detach() + (carrier - carrier.detach())


def variety(painted: Float[Tensor, "b *rest"], real: Float[Tensor, "b *rest"]) -> Float[Tensor, ""]:
    """How far paintings of a batch are from their mean, in units of how far pictures are; 1 for one alone."""
    if len(real) < 2:
        return torch.ones(())
    own, other = ((each - each.mean(0)).norm() for each in (painted.detach().float(), real.float()))
    return own / other.clamp_min(1e-12)


def contest(
    discriminator: Callable[..., Tensor],
    painted: Float[Tensor, "b c h w"],
    real: Float[Tensor, "b c h w"],
    reconstruction: Callable[[Tensor], dict[str, Tensor]],
    last: nn.Parameter | None,
    config: AdversarialConfig,
    rng: torch.Generator,
    turn: int,
    eye: Callable[[Tensor], Sequence[Tensor]] = lambda pictures: (pictures,),
) -> dict[str, Tensor]:
    """Named scalars of one micro-batch: "loss" for the model that made `painted`, "opponent" for the discriminator.

    Args:
        reconstruction: `painted` -> named scalars, of which "loss" is weighed against the adversarial loss.
        last: the weight of the model's last layer, at which the gradients are compared; None: they are not.
        turn: optimiser steps since the discriminator joined.
        eye: what the discriminator is shown of pictures, where it is not them: the features of a network that stays.
            At these its slope is taken, as Sauer et al. 2023 do.
    """
    seen = painted.detach().requires_grad_()
    losses = reconstruction(seen)
    shown = eye(real)
    fake, true = discriminator(*eye(seen)).float(), discriminator(*shown).float()
    adversarial = hinge_model(fake)
    (pull,) = torch.autograd.grad(losses["loss"], seen)
    (push,) = torch.autograd.grad(adversarial, seen, retain_graph=True)
    adaptive = torch.ones(())
    if last is not None:
        pull_last, push_last = (
            torch.autograd.grad(painted, last, gradient, retain_graph=True)[0] for gradient in (pull, push)
        )
        adaptive = adaptive_weight(pull_last, push_last, config.limit)
    weight = config.weight * adaptive if turn >= config.lead else 0.0
    opponent = hinge_opponent(true, fake)
    if config.r1 and float(torch.rand((), generator=rng)) < R1_SHARE:
        opponent = opponent + config.r1 / R1_SHARE * slope_penalty(discriminator, *shown)
    return losses | {
        "loss": with_gradient(losses["loss"] + weight * adversarial, painted, pull + weight * push),
        "adversarial": adversarial,
        "adaptive_weight": adaptive,
        "opponent": opponent,
        "logits_real": true.mean(),
        "logits_fake": fake.mean(),
        "logits_spread": torch.cat([true.flatten(), fake.flatten()]).std(),
        "variety": variety(painted, real),
        "accuracy": 0.5 * ((true > 0).float().mean() + (fake < 0).float().mean()),
    }


class Alarms:
    """Watches `contest`'s scalars from log to log; each trouble is reported once when it sets in."""

    def __init__(self, config: AdversarialConfig) -> None:
        self.limit = config.limit
        self.logs: deque[Mapping[str, float]] = deque(maxlen=config.patience)
        self.reported: set[str] = set()

    def __call__(self, losses: Mapping[str, float]) -> list[str]:
        """The troubles that are new with these means; steps before the contest do not count."""
        if "adversarial" not in losses:
            return []
        self.logs.append(losses)
        troubles = self._troubles() if len(self.logs) == self.logs.maxlen else set()
        new = troubles - self.reported
        self.reported = troubles
        return [f"{trouble} (for {len(self.logs)} logs)" for trouble in sorted(new)]

    def _troubles(self) -> set[str]:
        def column(name: str) -> list[float]:
            return [log[name] for log in self.logs]

        adversarial = column("adversarial")
        flat = max(adversarial) - min(adversarial) <= 0.1 * max(1.0, *map(abs, adversarial))
        troubles = set()
        if flat and min(column("accuracy")) >= 0.99:
            troubles.add(
                "the discriminator has won: it is always right and the adversarial loss is flat; raise adversarial.r1 "
                "or lower loop.opponent.learning_rate"
            )
        if max(column("logits_spread")) < 0.01:
            troubles.add(
                "the discriminator has collapsed: it says the same of every patch; lower adversarial.r1 or "
                "loop.opponent.learning_rate"
            )
        if max(column("variety")) < ALIKE:
            troubles.add(
                "the model has collapsed: it paints nearly the same whatever is asked for; raise adversarial.r1, lower "
                "the model's learning rate, or hold it to something besides the discriminator"
            )
        if min(column("adaptive_weight")) >= 0.999 * self.limit:  # a mean of float32
            troubles.add(
                f"the adaptive weight is stuck at its limit of {self.limit:g}: the discriminator gives hardly any "
                "gradient; lower adversarial.limit or raise loop.opponent.start"
            )
        return troubles
