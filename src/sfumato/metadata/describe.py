"""Requests as infotext: each field under the label that stands beside it in the request's class.

Readers go the other way by the same labels. What an infotext cannot say is in the exact request that is stored with it.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sfumato.metadata.infotext import Infotext, model_name
from sfumato.metadata.names import SAMPLER_LABELS, SCHEDULE_LABELS
from sfumato.metadata.provenance import HASH_DIGITS, Provenance
from sfumato.requests import Control, Painting, Request, Source, shown

ORDER = (
    *("Steps", "Sampler", "Schedule type", "CFG scale", "Seed", "Size", "Model hash", "Model", "VAE hash", "VAE"),
    *("Denoising strength", "Clip skip", "RNG"),
)
"""Labels that come first, as A1111 has them; the others follow in the order of the class."""
LAST = (
    *("Precision", "Device", "Torch", "Engine", "Quality", "Lora hashes", "TI hashes", "ControlNet hashes", "Caption"),
    "Version",
)


MODULES: Mapping[str, str] = {
    "lineart": "lineart_standard",
    "scribble": "scribble_xdog",
    "color": "t2ia_color_grid",
    "tile": "tile_resample",
    "blur": "blur_gaussian",
    "segmentation": "none",
}
"""Preprocessors by what the web UI's extension calls the nearest of its own, where it is not the same."""

_LABELS: Mapping[str, Mapping[Any, str]] = {
    "sampler": SAMPLER_LABELS,
    "schedule": SCHEDULE_LABELS,
    "hires_upscaler": {"latent": "Latent", "lanczos": "Lanczos"},
    "only_masked": {True: "Only masked"},
}


def describe(request: Request, provenance: Provenance | None = None, *, quality: int | None = None) -> Infotext:
    """The infotext of a request for one picture. What the request leaves open is left out.

    Args:
        quality: of the file, when it is not the default.
    """
    painting = request if isinstance(request, Painting) else None
    fields = dict(labelled(request)) | ({} if painting is None else {"RNG": "CPU"})
    fields |= {} if provenance is None else provenance.fields()
    if quality is not None:
        fields["Quality"] = str(quality)
    fields["Version"] = f"sfumato {_version()}"
    first, last = [key for key in ORDER if key in fields], [key for key in LAST if key in fields]
    middle = [key for key in fields if key not in ORDER and key not in LAST]
    ordered = {key: fields[key] for key in (*first, *middle, *last)}
    if painting is None:
        return Infotext("", "", {"Task": request.task, **ordered})
    return Infotext(_with_tags(painting).strip(), painting.negative.strip(), ordered)


def labelled(request: Request) -> Iterator[tuple[str, str]]:
    """The label and text of each field that has one; values of defaults are left out unless always shown."""
    if isinstance(request, Painting) and request.width is not None and request.height is not None:
        yield "Size", f"{request.width}x{request.height}"
    for name, field in type(request).model_fields.items():
        how, value = shown(field), getattr(request, name)
        if isinstance(request, Painting) and name == "controls":
            yield from ((f"{how.label} {i}", _unit(each, request)) for i, each in enumerate(request.controls))
        elif how.label and value is not None and (how.always or value != field.default):
            yield label_of(name, request, how.label), _text(name, value)


def label_of(name: str, request: Request, label: str) -> str:
    """A field's label, which depends on the sampler in one case."""
    return "Eta DDIM" if name == "eta" and getattr(request, "sampler", None) == "ddim" else label


def _text(name: str, value: object) -> str:
    match value:
        case float():
            return number(value)
        case Source():
            return (value.sha256 or "")[:HASH_DIGITS]
        case str() if name in ("model", "vae", "refiner", "like_model", "method", "upscaler"):
            return model_name(value)
        case tuple():
            return ",".join(map(str, value))
        case str() | bool():
            return _LABELS.get(name, {}).get(value, str(value))
    return str(value)


def _unit(control: Control, request: Painting) -> str:
    """A control as the web UI's extension writes its units."""
    preprocess = control.preprocess or request.preprocess
    values = {
        "Module": MODULES.get(preprocess, preprocess),
        "Model": re.sub("[,:]", "_", model_name(control.model)),
        "Weight": str(control.weight),
        "Resize Mode": "Just Resize",
        "Guidance Start": str(control.start),
        "Guidance End": str(control.end),
        "Pixel Perfect": "True",
        "Control Mode": "ControlNet is more important" if request.guess else "Balanced",
        "Image hash": (control.image.sha256 or "")[:HASH_DIGITS],
    }
    return ", ".join(f"{key}: {value}" for key, value in values.items() if value)


def _with_tags(request: Painting) -> str:
    """The prompt with the LoRAs that were given beside it, as the web UI writes them, where its syntax has them."""
    tags = []
    for lora in request.loras if request.prompt_syntax == "a1111" else ():
        text = lora.weight if lora.text_weight is None else lora.text_weight
        weights = [text] if text == lora.weight else [text, lora.weight]
        name = re.sub(r"[<>:]", "_", model_name(lora.name))
        tags.append(f"<lora:{name}:{':'.join(map(number, weights))}>")
    return " ".join([request.prompt, *tags])


def number(value: float) -> str:
    """The shortest text that reads back as the same number."""
    return repr(value).removesuffix(".0")


def _version() -> str:
    from importlib.metadata import version

    return version("sfumato")
