"""Which fields of requests belong together, and in which order help texts and forms show them.

Those in no group are the task's own.
"""

from collections.abc import Mapping

from sfumato.requests.base import Request
from sfumato.requests.painting import Painting

GROUPS: Mapping[str, str] = {
    "words": "prompt negative",
    "shape": "width height",
    "chance": "seed count",
    "means": "model steps fast budget ram guidance sampler schedule",
    "adapters": "loras embeddings vae text_encoders",
    "second": "hires hires_strength hires_steps hires_upscaler refiner switch upscale upscaler",
    "control": "regions controls preprocess guess like like_strength like_model image_encoder",
    "guidance": "guidance_rescale guidance_method guidance_low guidance_high dynamic_threshold pag seg slg freeu",
    "noise": "subseed_strength subseed batch eta ensd noise_multiplier numerics prediction deep_cache",
    "reading": "as_written prompt_syntax clip_skip",
    "tiles": "tileable tile tile_overlap",
    "conditioning": "original_size target_size crop aesthetic negative_aesthetic",
}
"""Names of fields by group, the most used first."""
_PLACES = {
    name: (group, place)
    for place, (group, name) in enumerate((group, name) for group, names in GROUPS.items() for name in names.split())
}


def place_of(kind: type[Request], name: str) -> tuple[str, int] | None:
    """The group of a field and its rank among all; None where it is the task's own."""
    # What enlarges has a tile of its own.
    if name == "tile" and not issubclass(kind, Painting):
        return None
    return _PLACES.get(name)
