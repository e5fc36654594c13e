"""Which jobs may be painted at the same time: those that ask one network about latents of one shape, so that they can
share its batches."""

from sfumato.prompts.grammar import names_network
from sfumato.requests import Painting, Request

ALIKE = ("task", "model", "vae", "prediction", "text_encoders", "width", "height", "batch", "loras", "embeddings")
"""Fields that are equal in all of a company: what is loaded, and the form of its latents."""
APART = (
    "pag",
    "seg",
    "slg",
    "freeu",
    "deep_cache",
    "fast",
    "budget",
    "ram",
    "tile",
    "tileable",
    "controls",
    "regions",
    "like",
    "refiner",
)
"""Fields with which a job is painted by itself: they change the network for a time, look into it, or plan for the whole
machine."""


def company(request: Request) -> tuple[object, ...] | None:
    """Equal for jobs that may be painted together; None for one that may not."""
    if not isinstance(request, Painting) or names_network(request.prompt, request.prompt_syntax):
        return None
    fields = type(request).model_fields
    if any(getattr(request, name) != fields[name].default for name in APART if name in fields):
        return None
    return tuple(getattr(request, name) for name in ALIKE)
