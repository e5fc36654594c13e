"""Pictures of other tools as requests of ours, with what could not be carried over said in words.

Each reader takes the texts of a file and knows one tool's form. Values that break a rule of `Txt2Img` are left out and
said, so that what comes back is always a request that can be changed and run.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sfumato.errors import RequestError
from sfumato.metadata import comfyui, infotext, names
from sfumato.metadata.carriers import PARAMETERS, REQUEST, Carried
from sfumato.metadata.gathering import Gathering, brief
from sfumato.requests import Txt2Img


@dataclass(frozen=True)
class Restored:
    """What a picture says of how it was made.

    Attributes:
        request: what could be restored; what is not stored is None, and the model's to choose.
        source: the tool: ``sfumato``, ``A1111`` and what writes alike, ``ComfyUI``, ``InvokeAI``, ``NovelAI`` or
            ``diffusers``.
        unrestored: in words, what has no counterpart here or breaks a rule.
        exact: the request is the one that ran.
    """

    request: Txt2Img
    source: str
    unrestored: tuple[str, ...] = ()
    exact: bool = False


def restore(carried: Carried) -> Restored:
    """What a file's texts say of how it was made.

    Raises:
        RequestError: they hold no settings of a tool that we know.
    """
    texts = carried.texts
    trouble: list[str] = []
    if REQUEST in texts:
        try:
            return Restored(Txt2Img.from_json(texts[REQUEST]), "sfumato", exact=True)
        except RequestError as error:
            trouble.append(f"the exact request: {error}")
    for source, reader in _READERS:
        gathered = reader(texts)
        if gathered is not None:
            return Restored(gathered.request(), source, (*trouble, *gathered.lost))
    if trouble:
        raise RequestError(trouble[0])
    raise RequestError("it carries no settings of sfumato, A1111, ComfyUI, InvokeAI, NovelAI or diffusers")


# ------------------------------------------------------------------------------------------------------------ tools


_OWN_VAE = ("None", "Automatic")
"""Values of VAE that mean the model's own."""
_SILENT = frozenset({"Version", "User", "Model hash", "Hashes", "Precision", "Device", "Torch", "Quality", "App"}) | {
    "Lora hashes",
    "TI hashes",
}
"""Fields of an infotext whose loss changes no picture that we could paint."""


def _a1111(texts: Mapping[str, str]) -> Gathering | None:
    text = texts.get(PARAMETERS)
    if text is None or text.lstrip().startswith("{"):
        return None
    info = infotext.parse(text)
    if not info.fields:
        return None
    fields = dict(info.fields)
    found = Gathering()
    found.text("prompt", info.prompt)
    found.text("negative", info.negative)
    found.text("prompt_syntax", fields.pop("Prompt syntax", None))
    found.text("model", fields.pop("Model", None))
    vae = fields.pop("VAE", None)
    found.text("vae", None if vae is None or vae in _OWN_VAE else infotext.model_name(vae))
    found.whole("steps", fields.pop("Steps", None))
    found.real("guidance", fields.pop("CFG scale", None))
    found.real("guidance_rescale", fields.pop("Guidance rescale", None))
    for ours in ("guidance_method", "numerics"):
        found.text(ours, fields.pop(ours.capitalize().replace("_", " "), None))
    for ours in ("guidance_low", "guidance_high", "dynamic_threshold"):
        found.real(ours, fields.pop(ours.capitalize().replace("_", " "), None))
    found.real("pag", fields.pop("PAG", None))
    found.real("freeu", fields.pop("FreeU", None))
    found.real("eta", fields.pop("Eta DDIM", fields.pop("Eta", None)))
    found.whole("ensd", fields.pop("ENSD", None))
    found.whole("seed", fields.pop("Seed", None))
    found.whole("clip_skip", fields.pop("Clip skip", None))
    found.size(fields.pop("Size", None))
    found.sampler(fields.pop("Sampler", None))
    schedule = fields.pop("Schedule type", None)
    if schedule is not None and names.is_automatic(schedule):
        found.schedule(names.automatic(found.sampler_found))
    else:
        found.schedule(schedule)
    rng = fields.pop("RNG", "GPU")
    if rng != "CPU":
        found.lose(f"RNG {brief(rng)}: the seed gives other noise here, where it is drawn on the CPU")
    for key, value in fields.items():
        if key not in _SILENT and not key.endswith(" hash"):
            found.lose(f"{key}: {brief(value)}")
    return found


def _comfyui(texts: Mapping[str, str]) -> Gathering | None:
    graph = _object(texts.get("prompt"))
    return None if graph is None else comfyui.read(graph)


def _invokeai(texts: Mapping[str, str]) -> Gathering | None:
    """InvokeAI 3 and later."""
    data = _object(texts.get("invokeai_metadata"))
    if data is None:
        return None
    found = Gathering()
    mode = data.pop("generation_mode", None)
    if isinstance(mode, str) and "txt2img" not in mode:
        found.lose(f"generation_mode {brief(mode)}")
    found.text("prompt", data.pop("positive_prompt", None))
    found.text("negative", data.pop("negative_prompt", None))
    found.text("prompt_syntax", "compel")
    for ours, theirs in (("width", "width"), ("height", "height"), ("steps", "steps"), ("seed", "seed")):
        found.whole(ours, data.pop(theirs, None))
    found.real("guidance", data.pop("cfg_scale", None))
    found.real("guidance_rescale", data.pop("cfg_rescale_multiplier", None))
    skipped = data.pop("clip_skip", None)  # counted from 0
    found.whole("clip_skip", skipped + 1 if type(skipped) is int else skipped)
    found.sampler(data.pop("scheduler", None))
    model = data.pop("model", None)
    if isinstance(model, dict):
        model = model.get("name", model.get("model_name"))
    found.text("model", model)
    if data.pop("rand_device", "cpu") != "cpu":
        found.lose("rand_device: the seed gives other noise here, where it is drawn on the CPU")
    data.pop("app_version", None)
    found.lose_rest(data)
    return found


def _novelai(texts: Mapping[str, str]) -> Gathering | None:
    data = _object(texts.get("Comment"))
    if data is None or not ("uc" in data or texts.get("Software") == "NovelAI"):
        return None
    found = Gathering()
    found.text("prompt", data.pop("prompt", texts.get("Description")))
    found.text("negative", data.pop("uc", None))
    for name in ("width", "height", "steps", "seed"):
        found.whole(name, data.pop(name, None))
    found.real("guidance", data.pop("scale", None))
    found.real("guidance_rescale", data.pop("cfg_rescale", None))
    found.sampler(data.pop("sampler", None))
    found.schedule(data.pop("noise_schedule", None))
    source = texts.get("Source")
    if source:
        found.lose(f"model {brief(source)}")
    for name in ("n_samples", "request_type", "signed_hash", "version"):
        data.pop(name, None)
    found.lose_rest(data)
    return found


def _diffusers(texts: Mapping[str, str]) -> Gathering | None:
    """A JSON object of a pipeline's arguments under whatever name, as many scripts write it."""
    for text in texts.values():
        data = _object(text)
        if data is None or "prompt" not in data or not {"num_inference_steps", "guidance_scale"} & set(data):
            continue
        found = Gathering()
        found.text("prompt", data.pop("prompt"))
        found.text("negative", data.pop("negative_prompt", None))
        found.text("prompt_syntax", "plain")
        found.whole("steps", data.pop("num_inference_steps", None))
        found.real("guidance", data.pop("guidance_scale", None))
        found.real("guidance_rescale", data.pop("guidance_rescale", None))
        for name in ("width", "height", "seed"):
            found.whole(name, data.pop(name, None))
        skipped = data.pop("clip_skip", None)  # counted from 0
        found.whole("clip_skip", skipped + 1 if type(skipped) is int else skipped)
        scheduler = data.pop("scheduler", data.pop("scheduler_class", None))
        if isinstance(scheduler, dict):
            scheduler = scheduler.get("_class_name")
        found.sampler(scheduler)
        models = [data.pop(name, None) for name in ("model", "model_id", "pretrained_model_name_or_path")]
        found.text("model", next((model for model in models if model is not None), None))
        found.lose_rest(data)
        return found
    return None


_READERS: tuple[tuple[str, Callable[[Mapping[str, str]], Gathering | None]], ...] = (
    ("A1111", _a1111),
    ("ComfyUI", _comfyui),
    ("InvokeAI", _invokeai),
    ("NovelAI", _novelai),
    ("diffusers", _diffusers),
)


def _object(text: str | None) -> dict[str, Any] | None:
    """The JSON object that a text is; None for anything else, however deep or broken."""
    if text is None or not re.match(r"\s*\{", text):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
