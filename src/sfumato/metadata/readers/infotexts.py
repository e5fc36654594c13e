"""Infotexts of AUTOMATIC1111's web UI, and of what writes alike: Forge, SD.Next, Fooocus, Civitai, nodes of ComfyUI."""

import re
from collections.abc import Mapping
from typing import Any

from sfumato.metadata import infotext, names
from sfumato.metadata.carriers import PARAMETERS
from sfumato.metadata.gathering import Gathering, brief
from sfumato.metadata.infotext import Infotext
from sfumato.metadata.readers.texts import Texts, is_object, parsed

FIELDS: Mapping[str, tuple[str, ...]] = {
    "prompt_syntax": ("prompt syntax", "parser"),
    "steps": ("steps",),
    "sampler": ("sampler",),
    "guidance": ("cfg scale",),
    "guidance_rescale": ("guidance rescale", "cfg rescale"),
    "guidance_method": ("guidance method",),
    "guidance_low": ("guidance low",),
    "guidance_high": ("guidance high",),
    "dynamic_threshold": ("dynamic threshold",),
    "pag": ("pag", "cfg true"),
    "freeu": ("freeu",),
    "eta": ("eta ddim", "eta"),
    "ensd": ("ensd", "sampler eta delta"),
    "numerics": ("numerics",),
    "seed": ("seed",),
    "size": ("size",),
    "clip_skip": ("clip skip",),
    "model": ("model",),
    "vae": ("vae",),
}
"""Ours to the keys that tools write for it, without regard to case; the first that is there counts."""

_SCHEDULES = ("schedule type", "scheduler", "sampler sigma", "sampler spacing")  # A1111's, Fooocus's, SD.Next's
_USUAL = {"beta schedule alpha": "0.6", "beta schedule beta": "0.6", "operations": "txt2img"}
_SILENT = (
    *("version", "app", "user", "created date", "quality", "pipeline", "batch", "batch size", "batch pos", "index"),
    *("model hash", "hashes", "lora hashes", "ti hashes", "precision", "device", "torch"),
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
    sampler = fields.get("sampler", "")
    for ours, labels in FIELDS.items():
        values = [value for label in labels if (value := fields.pop(label, None)) is not None]
        if values and ours == "guidance" and names.read_sampler(sampler) == names.Named("ddim", None, "cfgpp"):
            found.scaled(ours, values[0], 1 / _CFGPP_RANGE)
        elif values:
            found.take(ours, values[0])
    _schedule([fields.pop(label, None) for label in _SCHEDULES], found)
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
