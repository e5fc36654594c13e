"""Tools that write one flat JSON object, or a PNG text a setting: each is a row of `FORMS`.

What the keys mean is told by each tool's own source, named in its row.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sfumato.metadata.gathering import Gathering
from sfumato.metadata.readers.texts import Texts

Object = Mapping[str, Any]
Adapter = tuple[object, object]
"""The name of a LoRA and its weight."""

_SIZE = {"width": ("width",), "height": ("height",), "steps": ("steps",), "seed": ("seed",)}


def _as_it_is(data: Object) -> Object:
    return data


def _none(data: Object) -> Iterable[Adapter]:
    return ()


@dataclass(frozen=True)
class Form:
    """What a tool writes.

    Attributes:
        source: the tool.
        marks: keys that no other tool has together.
        fields: ours to the keys for it; the first that is there counts.
        syntax: of its prompts, where it is not that of the web UI.
        prepare: makes the object flat and its numbers counted as ours are.
        loras: those in the prepared object.
        adapters: keys that `loras` has read.
        silent: keys whose loss changes no picture that we could paint.
    """

    source: str
    marks: Collection[str]
    fields: Mapping[str, tuple[str, ...]]
    syntax: str | None = None
    prepare: Callable[[Object], Object] = _as_it_is
    loras: Callable[[Object], Iterable[Adapter]] = _none
    adapters: Collection[str] = ()
    silent: Collection[str] = ()

    def read(self, texts: Texts, found: Gathering[Any]) -> bool:
        """Gather the first object that has all marks."""
        data = next((data for _, data in texts.objects if set(self.marks) <= set(data)), None)
        if data is None:
            return False
        values = dict(self.prepare(data))
        if self.syntax is not None:
            found.text("prompt_syntax", self.syntax)
        for ours, theirs in self.fields.items():
            told = [value for key in theirs if (value := values.pop(key, None)) is not None]
            if told:
                found.take(ours, told[0])
        for name, weight in self.loras(values):
            found.lora(name, weight)
        found.lose_rest({key: value for key, value in values.items() if key not in {*self.silent, *self.adapters}})
        return True


# ------------------------------------------------------------------------------------------------------------ tools


def _counted_from_zero(data: Object) -> Object:
    skipped = data.get("clip_skip")
    return {**data, "clip_skip": skipped + 1} if type(skipped) is int else data


def _invokeai(data: Object) -> Object:
    """InvokeAI 3 to 5: models are objects, layers skipped are counted from 0, and deis is of the second order."""
    names = {key: _name(data.get(key)) for key in ("model", "vae")}
    scheduler = data.get("scheduler")
    deis = isinstance(scheduler, str) and re.fullmatch(r"deis(_k)?", scheduler)
    flat = {**_counted_from_zero(data), **names, "scheduler": f"deis_2m{deis[1] or ''}" if deis else scheduler}
    if data.get("rand_device", "cpu") == "cpu":
        flat.pop("rand_device", None)
    if isinstance(mode := data.get("generation_mode"), str) and "txt2img" in mode:
        del flat["generation_mode"]
    return flat


def _name(model: object) -> object:
    return model.get("name", model.get("model_name")) if isinstance(model, dict) else model


def _invokeai_loras(data: Object) -> Iterable[Adapter]:
    for row in _rows(data.get("loras"), dict):
        yield _name(row.get("model", row.get("lora"))), row.get("weight", 1)


def _rows(value: object, kind: type) -> list[Any]:
    return [row for row in value if isinstance(row, kind)] if isinstance(value, list) else []


def _swarm(data: Object) -> Object:
    """What stands beside the settings is of the site and the files; the layer is counted from the end, below 0."""
    flat = data["sui_image_params"]
    flat = dict(flat) if isinstance(flat, dict) else {}
    layer = flat.pop("clipstopatlayer", None)
    return {**flat, "clip_skip": -layer if type(layer) is int else layer}


def _swarm_loras(data: Object) -> Iterable[Adapter]:
    names, weights = (_listed(data.get(key)) for key in ("loras", "loraweights"))
    for place, name in enumerate(names):
        yield name, weights[place] if place < len(weights) else 1


def _listed(value: object) -> list[object]:
    """A list, or a text with commas."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return list(value) if isinstance(value, list) else []


_FOOOCUS_LORAS = tuple(f"{key}{place}" for key in ("lora_combined_", "LoRA ") for place in range(1, 33))


def _fooocus_loras(data: Object) -> Iterable[Adapter]:
    """``[[name, weight, hash], ...]``, or texts ``name : weight`` in keys of their own."""
    for row in _rows(data.get("loras"), list):
        if len(row) >= 2:
            yield row[0], row[1]
    for key in _FOOOCUS_LORAS:
        if isinstance(text := data.get(key), str):
            *on, name, weight = ["True", *text.split(" : ")] if " : " in text else ["False", text, ""]
            if on[-1] != "False" and name != "None":
                yield name, weight


def _ruined_loras(data: Object) -> Iterable[Adapter]:
    """``[[hash, "weight - name"], ...]``, earlier ``Loras:<name:weight>,<...>``."""
    for row in _rows(data.get("loras"), list):
        weight, mark, name = str(row[-1] if row else "").partition(" - ")
        if mark:
            yield name, weight
    if isinstance(text := data.get("loras"), str):
        yield from re.findall(r"<([^<>:]{1,200}):([-0-9.]{1,20})>", text)


def _easy(data: Object) -> Object:
    skips = {key: 2 for key in ("clip_skip", "Clip Skip") if data.get(key) in (True, "True", "true")}
    return {**{key: value for key, value in data.items() if key.lower().replace(" ", "_") != "clip_skip"}, **skips}


_EASY_FIELDS: Mapping[str, tuple[str, ...]] = {
    "prompt": ("prompt", "Prompt"),
    "negative": ("negative_prompt", "Negative Prompt"),
    "seed": ("seed", "Seed"),
    "steps": ("num_inference_steps", "Steps"),
    "guidance": ("guidance_scale", "Guidance Scale"),
    "width": ("width", "Width"),
    "height": ("height", "Height"),
    "sampler": ("sampler_name", "Sampler"),
    "clip_skip": ("clip_skip", "Clip Skip"),
    "model": ("use_stable_diffusion_model", "Stable Diffusion model"),
    "vae": ("use_vae_model", "VAE model"),
}


def _diffusers(data: Object) -> Object:
    scheduler = data.get("scheduler", data.get("scheduler_class"))
    scheduler = scheduler.get("_class_name") if isinstance(scheduler, dict) else scheduler
    return {
        **{key: v for key, v in _counted_from_zero(data).items() if key != "scheduler_class"},
        "scheduler": scheduler,
    }


_DIFFUSERS_FIELDS: Mapping[str, tuple[str, ...]] = {
    "prompt": ("prompt",),
    "negative": ("negative_prompt",),
    "steps": ("num_inference_steps",),
    "guidance": ("guidance_scale",),
    "guidance_rescale": ("guidance_rescale",),
    "width": ("width",),
    "height": ("height",),
    "seed": ("seed",),
    "clip_skip": ("clip_skip",),
    "sampler": ("scheduler",),
    "model": ("model", "model_id", "pretrained_model_name_or_path"),
}

_FOOOCUS_FIELDS: Mapping[str, tuple[str, ...]] = {
    "prompt": ("prompt", "Prompt"),
    "negative": ("negative_prompt", "Negative Prompt"),
    "guidance": ("guidance_scale", "Guidance Scale", "cfg"),
    "sampler": ("sampler", "Sampler"),
    "schedule": ("scheduler", "Scheduler"),
    "size": ("resolution", "Resolution"),
    "width": ("width",),
    "height": ("height",),
    "steps": ("steps", "Steps"),
    "seed": ("seed", "Seed"),
    "clip_skip": ("clip_skip", "CLIP Skip"),
    "model": ("base_model", "Base Model"),
    "vae": ("vae", "VAE"),
}

FORMS: tuple[Form, ...] = (
    Form(
        "InvokeAI",  # invokeai/app/invocations/metadata.py
        ["positive_prompt"],
        {
            "prompt": ("positive_prompt",),
            "negative": ("negative_prompt",),
            **_SIZE,
            "guidance": ("cfg_scale",),
            "guidance_rescale": ("cfg_rescale_multiplier",),
            "clip_skip": ("clip_skip",),
            "sampler": ("scheduler",),
            "model": ("model",),
            "vae": ("vae",),
        },
        syntax="compel",
        prepare=_invokeai,
        loras=_invokeai_loras,
        adapters=["loras"],
        silent=["app_version"],
    ),
    Form(
        "SwarmUI",  # src/Text2Image/T2IParamInput.cs
        ["sui_image_params"],
        {
            "prompt": ("prompt",),
            "negative": ("negativeprompt",),
            **_SIZE,
            "guidance": ("cfgscale",),
            "sampler": ("sampler", "comfyuisampler", "autowebuisampler"),
            "schedule": ("scheduler", "comfyuischeduler"),
            "clip_skip": ("clip_skip",),
            "model": ("model",),
            "vae": ("vae",),
        },
        syntax="comfy",
        prepare=_swarm,
        loras=_swarm_loras,
        adapters=["loras", "loraweights"],
        silent=[
            *("aspectratio", "automaticvae", "date", "generation_time", "imageformat", "images", "nopreviews"),
            *("original_prompt", "swarm_version", "used_wildcards", "wildcardseed"),
        ],
    ),
    Form(
        "RuinedFooocus",  # modules/async_worker.py
        ["Prompt", "Negative", "software"],
        {
            "prompt": ("Prompt",),
            "negative": ("Negative",),
            **_SIZE,
            "guidance": ("cfg",),
            "sampler": ("sampler_name",),
            "schedule": ("scheduler",),
            "clip_skip": ("clip_skip",),
            "model": ("base_model_name",),
        },
        syntax="comfy",
        loras=_ruined_loras,
        adapters=["loras"],
        silent=["software", "base_model_hash"],
    ),
    *(
        Form(
            "Fooocus",  # modules/meta_parser.py; of layers skipped it counts the last as 1, as we do
            marks,
            _FOOOCUS_FIELDS,
            loras=_fooocus_loras,
            adapters=["loras", *_FOOOCUS_LORAS],
            silent=[
                *("metadata_scheme", "version", "Version", "created_by", "base_model_hash"),
                *("full_prompt", "full_negative_prompt"),
            ],
        )
        for marks in (["prompt", "base_model", "sampler"], ["Prompt", "Base Model", "Sampler"])  # the latter in its log
    ),
    *(
        Form("Easy Diffusion", [mark], _EASY_FIELDS, prepare=_easy)  # ui/easydiffusion/utils/save_utils.py
        for mark in ("use_stable_diffusion_model", "Stable Diffusion model")
    ),
    Form(
        "Draw Things",  # its exif:UserComment
        ["c", "uc", "sampler"],
        {
            "prompt": ("c",),
            "negative": ("uc",),
            "guidance": ("scale",),
            "sampler": ("sampler",),
            "seed": ("seed",),
            "steps": ("steps",),
            "size": ("size",),
            "model": ("model",),
        },
        loras=lambda data: [(row.get("model"), row.get("weight", 1)) for row in _rows(data.get("lora"), dict)],
        adapters=["lora", "v2"],
    ),
    *(
        Form("diffusers", ["prompt", mark], _DIFFUSERS_FIELDS, syntax="plain", prepare=_diffusers)
        for mark in ("num_inference_steps", "guidance_scale")  # arguments of a pipeline, as many scripts write them
    ),
    Form(
        "kohya",  # gen_img.py
        ["prompt", "sampler", "steps", "scale"],
        {
            "prompt": ("prompt",),
            "negative": ("negative-prompt",),
            "steps": ("steps",),
            "guidance": ("scale",),
            "seed": ("seed",),
            "sampler": ("sampler",),
        },
        silent=["raw-prompt"],
    ),
)
"""All forms; of two that fit the first reads."""
