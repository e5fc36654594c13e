"""Students of bundled models: adapters with which a model paints in few steps what it paints in many by itself.

Imports no torch.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sfumato.adapters.folders import available
from sfumato.requests import Lora, Painting, Txt2Img


@dataclass(frozen=True)
class Student:
    """How a student paints."""

    lora: str
    steps: int
    sampler: str = "lcm"
    guidance: float = 1.0
    """Its teacher's is learned: nothing is to be added, and a negative prompt says nothing."""


STUDENTS: Mapping[str, Student] = {"nano": Student("nano-turbo", 1)}
"""By the name of the model."""

PLAIN = (
    *("prompt", "model", "seed", "subseed", "subseed_strength", "ensd", "noise_multiplier", "count", "batch", "fast"),
    *("width", "height", "loras", "embeddings", "vae", "as_written", "prompt_syntax", "ram", "upscale", "upscaler"),
)
"""Fields that a request may have set to be painted by a student, which knows only the way from noise alone."""


def brings_words(loras: Iterable[Lora]) -> bool:
    """Whether any of them may know words that its model does not: students know theirs."""
    return any(lora.name not in {student.lora for student in STUDENTS.values()} for lora in loras)


def hurried(request: Painting) -> Painting:
    """A fast request as the student of its model paints it, where it has one and all that goes another way is left
    open; any other request as it is."""
    student = STUDENTS.get(request.model)
    if not request.fast or student is None or type(request) is not Txt2Img or student.lora not in available("lora"):
        return request
    given = type(request)(prompt=request.prompt)
    if any(getattr(request, name) != getattr(given, name) for name in Txt2Img.model_fields if name not in PLAIN):
        return request
    return request.changed(
        fast=False,
        loras=[*request.loras, Lora(name=student.lora)],
        steps=student.steps,
        sampler=student.sampler,
        guidance=student.guidance,
    )
