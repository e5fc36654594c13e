"""ComfyUI's nodes, each carried out on the descriptions of `links`.

`NODES` is the whole of what is known; it is what ``/object_info`` shows too. `graph` follows a graph through them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import nextafter
from typing import Any

from sfumato.errors import RequestError
from sfumato.metadata import names
from sfumato.metadata.gathering import brief
from sfumato.requests import Source
from sfumato.service.dialects.inputs import (
    CFG,
    CHECKPOINT,
    IMAGE,
    LORA,
    MOST_STEPS,
    OWN,
    SAMPLER,
    SCHEDULE,
    SEED,
    SIDE,
    STEPS,
    UPSCALER,
    VAE,
    WEIGHT,
    Input,
    choice,
)
from sfumato.service.dialects.links import Clip, Enlarged, Latent, Mask, Net, Sampled, Shown, Upload, Vae, Words


@dataclass(frozen=True)
class Kind:
    """A kind of node.

    Attributes:
        make: its outputs, of the values of its inputs. Raises RequestError where they do not go together.
        outputs: their types.
        output: whether it is an end of the graph.
    """

    make: Callable[..., tuple[Any, ...]]
    inputs: Mapping[str, Input]
    outputs: tuple[str, ...]
    output: bool = False


def _checkpoint(ckpt_name: str) -> tuple[Net, Clip, Vae]:
    return Net(ckpt_name), Clip(ckpt_name), Vae(ckpt_name)


def _lora(model: Net, clip: Clip, lora_name: str, strength_model: float, strength_clip: float) -> tuple[Net, Clip]:
    return (
        replace(model, loras=(*model.loras, (lora_name, strength_model))),
        replace(clip, loras=(*clip.loras, (lora_name, strength_clip))),
    )


def _lora_of_model(model: Net, lora_name: str, strength_model: float) -> tuple[Net]:
    return (replace(model, loras=(*model.loras, (lora_name, strength_model))),)


def _patched(patch: names.Patch) -> Kind:
    """A node that says how its model is guided."""

    def make(model: Net, **value: float) -> tuple[Net]:
        return (replace(model, guided=(*model.guided, (patch.option, patch.method or value[patch.input]))),)

    own = {patch.input: Input("FLOAT", patch.usual, patch.range)} if patch.method is None else {}
    return Kind(make, {**_links(model="MODEL"), **own}, ("MODEL",))


def _skipped(clip: Clip, stop_at_clip_layer: int) -> tuple[Clip]:
    return (replace(clip, skip=-stop_at_clip_layer),)


def _placed(conditioning: Words, width: int, height: int, x: int, y: int, strength: float) -> tuple[Words]:
    if strength != 1 or conditioning.others:
        raise RequestError("an area is of one text, at strength 1; give each text its own")
    return (replace(conditioning, area=(x, y, width, height)),)


def _combined(conditioning_1: Words, conditioning_2: Words) -> tuple[Words]:
    every = [replace(each, others=()) for one in (conditioning_1, conditioning_2) for each in (one, *one.others)]
    whole = [each for each in every if each.area is None and each.text]
    areas = tuple(each for each in every if each.area is not None)
    if len(whole) > 1:
        raise RequestError("of texts that are combined one is for the whole picture, the others for areas of it")
    base = whole[0] if whole else Words("", every[0].clip)
    return (replace(base, others=areas),)


def _regions(positive: Words, negative: Words) -> list[str]:
    if negative.others or negative.area is not None:
        raise RequestError("a negative text is for the whole picture; leave out its area")
    found = [positive] if positive.area is not None else list(positive.others)
    if any(each.clip != positive.clip for each in found):
        raise RequestError("texts for areas must come of the same clip as the others")
    return [f"{','.join(map(str, each.area or ()))}:{each.text}" for each in found]


def _empty(width: int, height: int, batch_size: int) -> tuple[Latent]:
    return (Latent({"width": width, "height": height, "count": batch_size}),)


def _loaded(image: str) -> tuple[Upload, Mask]:
    return Upload(image), Mask(image, "mask")


def _uploaded(picture: Upload | Sampled) -> Upload:
    if not isinstance(picture, Upload):
        raise RequestError("a picture that the graph paints goes to SaveImage or PreviewImage; only uploads go here")
    return picture


def _scaled(image: Any, upscale_method: str, width: int, height: int, crop: str) -> tuple[Upload]:
    return (replace(_uploaded(image), size=(width, height)),)


def _encoded(pixels: Any, vae: Vae) -> tuple[Latent]:
    picture = _uploaded(pixels)
    options: dict[str, Any] = {"image": Source(sha256=picture.digest)}
    if picture.size is not None:
        options |= {"width": picture.size[0], "height": picture.size[1]}
    return (Latent(options, vae, picture=True),)


def _encoded_for_inpaint(pixels: Any, vae: Vae, mask: Mask, grow_mask_by: int) -> tuple[Latent]:
    (latent,) = _encoded(pixels, vae)
    return (replace(latent, mask=mask, options={**latent.options, "grow": grow_mask_by // 2, "fill": "zeros"}),)


def _masked(samples: Any, mask: Mask) -> tuple[Latent]:
    if not isinstance(samples, Latent) or not samples.picture:
        raise RequestError("a mask is for the latents of VAEEncode; begin from a picture")
    return (replace(samples, mask=mask),)


def _repeated(samples: Any, amount: int) -> tuple[Latent]:
    if not isinstance(samples, Latent):
        raise RequestError("latents are repeated before a sampler, not after one")
    return (replace(samples, options={**samples.options, "count": amount * samples.options.get("count", 1)}),)


def _enlarged_by(samples: Any, upscale_method: str, scale_by: float) -> tuple[Sampled]:
    if not isinstance(samples, Sampled) or samples.begun.picture:
        raise RequestError("latents are enlarged between two samplers, of which the first begins from an empty latent")
    return (replace(samples, enlarged=samples.enlarged * scale_by),)


def _enlarged_to(samples: Any, upscale_method: str, width: int, height: int, crop: str) -> tuple[Sampled]:
    (found,) = _enlarged_by(samples, upscale_method, 1.0)
    before = found.begun.options
    if width * before["height"] != height * before["width"]:
        raise RequestError(
            f"{width}x{height} has other proportions than {before['width']}x{before['height']}; keep them"
        )
    return (replace(found, enlarged=width / before["width"]),)


def _sampled(
    *,
    model: Net,
    positive: Words,
    negative: Words,
    latent_image: Latent | Sampled,
    seed: int,
    steps: int,
    cfg: float,
    sampler_name: names.Named,
    scheduler: str,
    denoise: float,
) -> tuple[Sampled]:
    if not denoise:
        raise RequestError("denoise 0 paints nothing; give more")
    if positive.clip != negative.clip or positive.clip.model != model.model:
        raise RequestError("positive, negative and model must come of one checkpoint, LoRAs and clip layer")
    settings = {
        "model": model,
        "positive": positive,
        "negative": negative,
        "seed": seed,
        "cfg": cfg,
        "sampler_name": sampler_name,
        "scheduler": scheduler,
    }
    if isinstance(latent_image, Sampled):
        return (_second_pass(latent_image, settings, steps, denoise),)
    regions = _regions(positive, negative)
    if regions and latent_image.picture:
        raise RequestError("areas are for what is painted from an empty latent")
    options: dict[str, Any] = {
        "model": model.model,
        "prompt": "" if positive.area is not None else positive.text,
        "negative": negative.text,
        "prompt_syntax": "comfy",
        "clip_skip": positive.clip.skip,
        "loras": _weighed(model, positive.clip),
        "seed": seed,
        "guidance": cfg,
        "sampler": sampler_name.sampler,
        "schedule": sampler_name.schedule or scheduler,
        "steps": steps,
        **({} if sampler_name.guidance_method is None else {"guidance_method": sampler_name.guidance_method}),
        **dict(model.guided),
        **({"regions": regions} if regions else {}),
    }
    if latent_image.picture:
        options |= {"steps": _steps_in_all(steps, denoise), "strength": denoise}
    elif denoise != 1:
        raise RequestError(f"denoise {denoise:g} of an empty latent; give 1, or begin from a picture")
    return (Sampled(latent_image, {**latent_image.options, **options}, settings),)


def _second_pass(first: Sampled, settings: Mapping[str, Any], steps: int, denoise: float) -> Sampled:
    """A sampler after a sampler is our second pass, which has the settings and the seed of the first."""
    others = [name for name, value in settings.items() if first.settings[name] != value]
    if "hires" in first.options or first.enlarged <= 1:
        raise RequestError("of two samplers, the first one's latents are enlarged for the second, once, and no more")
    if others:
        raise RequestError(f"a second pass has another {' and '.join(others)} than the first; give it the same")
    hires = {"hires": first.enlarged, "hires_steps": steps, "hires_strength": denoise, "hires_upscaler": "latent"}
    return replace(first, options={**first.options, **hires}, enlarged=1.0)


def _steps_in_all(steps: int, denoise: float) -> int:
    """The steps of a whole descent, of which `denoise` leaves `steps`: those are run there, of all of them here."""
    found = next((whole for whole in range(steps, MOST_STEPS + 1) if int(whole * denoise) >= steps), None)
    if found is None:
        raise RequestError(
            f"denoise {denoise:g} with {steps} steps is a descent of over {MOST_STEPS}; take fewer steps"
        )
    return found


def _sampled_from(
    *,
    add_noise: str,
    noise_seed: int,
    start_at_step: int,
    end_at_step: int,
    return_with_leftover_noise: str,
    **rest: Any,
) -> tuple[Sampled]:
    steps = rest["steps"]
    if end_at_step < steps:
        raise RequestError(f"end_at_step {end_at_step} leaves noise behind; paint to the end, {steps} or more")
    if start_at_step >= steps:
        raise RequestError(f"start_at_step {start_at_step} of {steps} steps leaves none; begin before")
    (found,) = _sampled(seed=noise_seed, denoise=1.0, **rest)
    if not start_at_step:
        return (found,)
    if not found.begun.picture:
        raise RequestError(f"start_at_step {start_at_step} of an empty latent; begin at 0, or from a picture")
    share = (steps - start_at_step) / steps
    strength = share if int(share * steps) == steps - start_at_step else nextafter(share, 1)
    return (replace(found, options={**found.options, "strength": strength}),)


def _weighed(model: Net, clip: Clip) -> list[dict[str, Any]]:
    """LoRAs with both their weights; one that is loaded twice counts as often."""
    weights: dict[str, list[float]] = {}
    for place, loras in enumerate((model.loras, clip.loras)):
        for name, weight in loras:
            weights.setdefault(name, [0.0, 0.0])[place] += weight
    return [
        {"name": name, "weight": weight, **({} if text == weight else {"text_weight": text})}
        for name, (weight, text) in weights.items()
    ]


def _decoded(samples: Any, vae: Vae) -> tuple[Sampled]:
    if not isinstance(samples, Sampled):
        raise RequestError("latents that no sampler has painted; put a KSampler before")
    if samples.enlarged != 1:
        raise RequestError("latents that are enlarged and not painted again; put a KSampler between")
    if samples.begun.vae not in (None, vae):
        raise RequestError("the picture is encoded by another vae; use one for both")
    if vae.file is None and vae.model != samples.options["model"]:
        raise RequestError("the vae is that of another checkpoint; use the model's own, or VAELoader")
    return (replace(samples, vae=vae),)


def _enlarged_with(upscale_model: str, image: Any) -> tuple[Enlarged | Sampled]:
    if isinstance(image, Upload) and image.size is None:
        return (Enlarged(image.digest, upscale_model),)
    if not isinstance(image, Sampled) or image.begun.picture or "upscale" in image.options:
        raise RequestError("an upload as it is can be enlarged, and what is painted from a text, once")
    if upscale_model not in OWN:
        raise RequestError(
            f"what is painted here is enlarged by {' or '.join(OWN)}; for {brief(upscale_model)} send the picture back"
        )
    return (replace(image, options={**image.options, "upscale": 2, "upscaler": upscale_model}),)


def _ended(images: Any, filename_prefix: str = "") -> tuple[Shown]:
    if not isinstance(images, Sampled | Enlarged):
        raise RequestError("a picture that no sampler has painted; put a KSampler before")
    return (Shown(images),)


SOCKET = "SaveImageWebsocket"
"""The output whose pictures are sent to who listens."""


def _links(**types: str) -> dict[str, Input]:
    return {name: Input(type) for name, type in types.items()}


_SAMPLED = {
    **_links(model="MODEL", positive="CONDITIONING", negative="CONDITIONING", latent_image="LATENT"),
    "steps": STEPS,
    "cfg": CFG,
    "sampler_name": SAMPLER,
    "scheduler": SCHEDULE,
}
_ENLARGED = {**_links(samples="LATENT"), "upscale_method": choice("bilinear")}

NODES: Mapping[str, Kind] = {
    "CheckpointLoaderSimple": Kind(_checkpoint, {"ckpt_name": CHECKPOINT}, ("MODEL", "CLIP", "VAE")),
    "UNETLoader": Kind(_checkpoint, {"unet_name": choice()}, ("MODEL",)),  # clients look for its list
    "VAELoader": Kind(lambda vae_name: (Vae(file=vae_name),), {"vae_name": VAE}, ("VAE",)),
    "LoraLoader": Kind(
        _lora,
        {
            **_links(model="MODEL", clip="CLIP"),
            "lora_name": LORA,
            "strength_model": WEIGHT,
            "strength_clip": WEIGHT,
        },
        ("MODEL", "CLIP"),
    ),
    "LoraLoaderModelOnly": Kind(
        _lora_of_model, {**_links(model="MODEL"), "lora_name": LORA, "strength_model": WEIGHT}, ("MODEL",)
    ),
    **{name: _patched(patch) for name, patch in names.MODEL_PATCHES.items()},
    "CLIPSetLastLayer": Kind(
        _skipped, {**_links(clip="CLIP"), "stop_at_clip_layer": Input("INT", -1, (-12, -1))}, ("CLIP",)
    ),
    "CLIPTextEncode": Kind(
        lambda text, clip: (Words(text, clip),),
        {"text": Input("STRING"), **_links(clip="CLIP")},
        ("CONDITIONING",),
    ),
    "ConditioningSetArea": Kind(
        _placed,
        {
            **_links(conditioning="CONDITIONING"),
            **dict.fromkeys(("width", "height"), Input("INT", 64, (8, 16384))),
            **dict.fromkeys(("x", "y"), Input("INT", 0, (0, 16384))),
            "strength": Input("FLOAT", 1.0, (0, 10)),
        },
        ("CONDITIONING",),
    ),
    "ConditioningCombine": Kind(
        _combined, _links(conditioning_1="CONDITIONING", conditioning_2="CONDITIONING"), ("CONDITIONING",)
    ),
    **dict.fromkeys(
        ("EmptyLatentImage", "EmptySD3LatentImage"),
        Kind(
            _empty,
            {"width": SIDE, "height": SIDE, "batch_size": Input("INT", 1, (1, 4096))},
            ("LATENT",),
        ),
    ),
    "LoadImage": Kind(_loaded, {"image": IMAGE}, ("IMAGE", "MASK")),
    "LoadImageMask": Kind(
        lambda image, channel: (Mask(image, "mask" if channel == "alpha" else channel),),
        {"image": IMAGE, "channel": choice("alpha", "red", "green", "blue")},
        ("MASK",),
    ),
    "ImageToMask": Kind(
        lambda image, channel: (Mask(_uploaded(image).digest, channel),),
        {**_links(image="IMAGE"), "channel": choice("red", "green", "blue")},
        ("MASK",),
    ),
    "InvertMask": Kind(lambda mask: (replace(mask, inverted=not mask.inverted),), _links(mask="MASK"), ("MASK",)),
    "ImageScale": Kind(
        _scaled,
        {
            **_links(image="IMAGE"),
            "upscale_method": choice("lanczos"),
            "width": SIDE,
            "height": SIDE,
            "crop": choice("disabled"),
        },
        ("IMAGE",),
    ),
    "UpscaleModelLoader": Kind(lambda model_name: (model_name,), {"model_name": UPSCALER}, ("UPSCALE_MODEL",)),
    "ImageUpscaleWithModel": Kind(_enlarged_with, _links(upscale_model="UPSCALE_MODEL", image="IMAGE"), ("IMAGE",)),
    "VAEEncode": Kind(_encoded, _links(pixels="IMAGE", vae="VAE"), ("LATENT",)),
    "VAEEncodeForInpaint": Kind(
        _encoded_for_inpaint,
        {**_links(pixels="IMAGE", vae="VAE", mask="MASK"), "grow_mask_by": Input("INT", 6, (0, 64))},
        ("LATENT",),
    ),
    "SetLatentNoiseMask": Kind(_masked, _links(samples="LATENT", mask="MASK"), ("LATENT",)),
    "RepeatLatentBatch": Kind(_repeated, {**_links(samples="LATENT"), "amount": Input("INT", 1, (1, 64))}, ("LATENT",)),
    "LatentUpscaleBy": Kind(_enlarged_by, {**_ENLARGED, "scale_by": Input("FLOAT", 1.5, (1, 8))}, ("LATENT",)),
    "LatentUpscale": Kind(
        _enlarged_to,
        {**_ENLARGED, "width": SIDE, "height": SIDE, "crop": choice("disabled")},
        ("LATENT",),
    ),
    "KSampler": Kind(_sampled, {**_SAMPLED, "seed": SEED, "denoise": Input("FLOAT", 1.0, (0, 1))}, ("LATENT",)),
    "KSamplerAdvanced": Kind(
        _sampled_from,
        {
            **_SAMPLED,
            "add_noise": choice("enable"),
            "noise_seed": SEED,
            "start_at_step": Input("INT", 0, (0, 10_000)),
            "end_at_step": Input("INT", 10_000, (0, 10_000)),
            "return_with_leftover_noise": choice("disable"),
        },
        ("LATENT",),
    ),
    "VAEDecode": Kind(_decoded, _links(samples="LATENT", vae="VAE"), ("IMAGE",)),
    "SaveImage": Kind(_ended, {**_links(images="IMAGE"), "filename_prefix": Input("STRING", "ComfyUI")}, (), True),
    SOCKET: Kind(_ended, _links(images="IMAGE"), (), True),
    "PreviewImage": Kind(_ended, _links(images="IMAGE"), (), True),
}
"""All nodes that are known here."""


def is_output(node: object) -> bool:
    """Whether a node of a graph is an end of it."""
    name = node.get("class_type") if isinstance(node, dict) else None
    return isinstance(name, str) and name in NODES and NODES[name].output


def described(name: str) -> dict[str, Any]:
    """A node as ``/object_info`` shows it."""
    kind = NODES[name]
    return {
        "input": {"required": {each: how.described for each, how in kind.inputs.items()}},
        "input_order": {"required": list(kind.inputs)},
        "output": kind.outputs,
        "output_is_list": [False] * len(kind.outputs),
        "output_name": kind.outputs,
        "name": name,
        "display_name": name,
        "description": "",
        "python_module": "nodes",
        "category": "sfumato",
        "output_node": kind.output,
    }
