"""Infotexts of AUTOMATIC1111's web UI, and of what writes alike: Forge, SD.Next, Fooocus, Civitai, nodes of ComfyUI."""

import re
from collections.abc import Mapping
from typing import Any

from sfumato.metadata import infotext, names
from sfumato.metadata.carriers import PARAMETERS
from sfumato.metadata.gathering import Gathering, brief
from sfumato.metadata.infotext import Infotext
from sfumato.metadata.readers.texts import Texts, is_object, parsed
from sfumato.requests import shown

_ALSO: Mapping[str, tuple[str, ...]] = {
    "prompt_syntax": ("parser",),
    "guidance_rescale": ("cfg rescale",),
    "pag": ("cfg true",),
    "ensd": ("sampler eta delta",),
    "eta": ("eta ddim",),
}
"""Keys of others, SD.Next's most, for fields whose own label is that of the web UI; all without regard to case."""
_SCHEDULES = ("schedule type", "scheduler", "sampler sigma", "sampler spacing")  # A1111's, Fooocus's, SD.Next's
_USUAL = {"beta schedule alpha": "0.6", "beta schedule beta": "0.6", "operations": "txt2img"}
_SILENT = (
    *("version", "app", "user", "created date", "quality", "pipeline", "batch", "batch size", "batch pos", "index"),
    *("model hash", "hashes", "lora hashes", "ti hashes", "controlnet hashes", "precision", "device", "torch"),
    *("civitai metadata", "raw prompt", "raw negative prompt"),
)
"""Fields whose loss changes no picture that we could paint."""
_CFGPP_RANGE = 12.5  # what the web UI divides guidance by for DDIM CFG++


def read(texts: Texts, found: Gathering[Any]) -> bool:
    """The settings of the first infotext among the texts."""
    info = _infotext(texts.plain)
    if info is None:
        return False
    fields = {key.lower(): value for key, value in info.fields.items()}
    keys = {key.lower(): key for key in info.fields}
    found.text("prompt", info.prompt)
    found.text("negative", info.negative)
    found.take("size", fields.pop("size", None))
    schedules = [fields.pop(label, None) for label in _SCHEDULES]
    if names.read_sampler(fields.get("sampler", "")) == names.Named("ddim", None, "cfgpp"):
        found.scaled("guidance", fields.pop("cfg scale", None), 1 / _CFGPP_RANGE)
    for ours, field in found.kind.model_fields.items():
        if ours == "hires_strength" and "hires upscale" not in fields and not found.has("hires"):
            continue  # a strength without a second pass is that of another task
        labels = (*_ALSO.get(ours, ()), shown(field).label.lower())
        values = [value for label in labels if (value := fields.pop(label, None)) is not None]
        found.take(ours, values[0] if values else None)
    _schedule(schedules, found)
    if (rng := fields.pop("rng", "GPU")) != "CPU":
        found.lose(f"RNG {brief(rng)}: the seed gives other noise here, where it is drawn on the CPU")
    _resources(fields.pop("civitai resources", None), found)
    for key, value in fields.items():
        if key not in _SILENT and not key.endswith(" hash") and value != _USUAL.get(key):
            found.lose(f"{keys[key]}: {brief(value)}")
    return True


def _infotext(texts: Mapping[str, str]) -> Infotext | None:
    """That of the usual name, or the first of another that tells the steps."""
    for name in (PARAMETERS, *texts):
        text = texts.get(name)
        if text is None or is_object(text) or (name != PARAMETERS and "Steps:" not in text):
            continue
        if len(text) <= infotext.MAX_LENGTH or name == PARAMETERS:
            info = infotext.parse(text)
            if info.fields:
                return info
    return None


def _schedule(values: list[str | None], found: Gathering[Any]) -> None:
    told = next((value for value in values if value is not None), None)
    if told is not None and names.is_automatic(told):
        found.schedule(names.automatic(found.sampler_found))
    else:
        found.schedule(told)


def _resources(text: str | None, found: Gathering[Any]) -> None:
    """Civitai's list of what a picture was made with, by the names and versions of its site."""
    resources = parsed(text)
    if text is not None and not isinstance(resources, list):
        found.lose(f"Civitai resources: {brief(text)}")
        return
    for resource in resources or ():
        if isinstance(resource, dict):
            address = str(resource.get("air", ""))  # urn:air:sd1:lora:civitai:82098@87153
            typed = re.match(r"urn:air:[^:]*:([a-z]+):", address)
            kind = resource.get("type", "resource") if typed is None else typed[1]
            name = resource.get("modelName", address or resource.get("modelVersionId"))
            if kind != "checkpoint":
                at = f" at {brief(resource['weight'])}" if "weight" in resource else ""
                found.lose(f"{brief(kind)} {brief(name)}{at}")
            elif not found.has("model"):
                found.text("model", name)
