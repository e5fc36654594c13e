"""How much is painted, and how."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from sfumato.errors import RequestError
from sfumato.validation import brief

Method = Literal["img2img", "variations", "txt2img", "mix"]
"""How a picture is made: of one that is there; of the caption of one that is there, by the bundled judge; of the name
of the class; or the three in turn."""
Classifier = Literal["auto", "features", "model"]
"""Whose agreement counts: the nearest class in the judge's features, which learns from the pictures themselves, or the
model's own zero-shot classifier; auto takes the first where it tells the pictures apart that are there."""

METHODS: tuple[Literal["img2img", "variations", "txt2img"], ...] = ("img2img", "variations", "txt2img")


@dataclass(frozen=True)
class Plan:
    """How much is painted, and how.

    Attributes:
        per_class: how many pictures each class is to have, those that are there included.
        method: see `Method`.
        strength: of img2img, 0 to 1; chosen by agreement when None.
        classifier: see `Classifier`.
        template: a text with {} in the place of the class's name; by default the model's own.
        seed: of the first attempt of each class.
        options: into every request, as ``{"steps": 8}``.
    """

    per_class: int
    method: Method = "mix"
    strength: float | None = None
    classifier: Classifier = "auto"
    template: str | None = None
    seed: int = 0
    options: Mapping[str, object] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if not 1 <= self.per_class <= 100_000:
            raise RequestError(f"per_class is {self.per_class}; give 1 to 100000 pictures of each class")
        if self.method not in (*METHODS, "mix"):
            raise RequestError(f"method {brief(self.method)} must be one of {', '.join((*METHODS, 'mix'))}")
        if self.classifier not in ("auto", "features", "model"):
            raise RequestError(f"classifier {brief(self.classifier)} must be one of auto, features, model")
        if self.strength is not None and not 0 < self.strength <= 1:
            raise RequestError(f"strength is {self.strength:g}; give more than 0 and at most 1, for example 0.5")
        object.__setattr__(self, "options", dict(self.options or {}))

    def facts(self) -> dict[str, Any]:
        """All of it, as JSON has it."""
        return asdict(self)
