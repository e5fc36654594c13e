"""ComfyUI's nodes, each carried out on descriptions: of a model, a text, an uploaded picture, latents, a painting.

`NODES` is the whole of what is known; it is what ``/object_info`` shows too. `graph` follows a graph through them.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite, nextafter
from pathlib import Path
from typing import Any

from sfumato.adapters import folders
from sfumato.checkpoints import catalogue
from sfumato.errors import RequestError, UnknownNameError
from sfumato.metadata import names
from sfumato.metadata.gathering import brief
from sfumato.requests import Source
from sfumato.requests.fields import MAX_SEED
from sfumato.service.decoder import Doing

_MOST_STEPS = 1000


class GraphError(RequestError):
    """A graph that is no request of ours.

    Attributes:
        type: ComfyUI's word for what is wrong.
        node: the node that is at fault; None where it is the whole graph.
        input: its input that is.
    """

    def __init__(self, type: str, message: str, *, node: str | None = None, input: str | None = None) -> None:
        super().__init__(message)
        self.type, self.node, self.input = type, node, input


# ------------------------------------------------------------------------------------------- what flows along links


@dataclass(frozen=True)
class Net:
    """A denoiser: of a checkpoint, with LoRAs and their weights."""

    model: str
    loras: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Clip(Net):
    """Its text encoders, of which layer `skip` from the last is read."""

    skip: int = 1


@dataclass(frozen=True)
class Vae:
    """The autoencoder of a checkpoint, or of a file."""

    model: str | None = None
    file: str | None = None


@dataclass(frozen=True)
class Words:
    """A text, and what encodes it."""

    text: str
    clip: Clip


@dataclass(frozen=True)
class Upload:
    """A picture that was uploaded, resized to `size` where that is given."""

    digest: str
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Mask:
    """What is made of an upload: ``mask`` is where it is transparent."""

    digest: str
    made: Doing
    inverted: bool = False


@dataclass(frozen=True)
class Latent:
    """What a sampler begins from: nothing of a size, or a picture, and where to paint.

    Attributes:
        options: of the request.
    """

    options: Mapping[str, Any]
    vae: Vae | None = None
    mask: Mask | None = None
    picture: bool = False


@dataclass(frozen=True)
class Sampled:
    """What a sampler has made, and perhaps how many times it was enlarged since.

    Attributes:
        settings: inputs of its node that a second pass must have too.
    """

    begun: Latent
    options: Mapping[str, Any]
    settings: Mapping[str, Any]
    enlarged: float = 1.0
    vae: Vae | None = None


@dataclass(frozen=True)
class Enlarged:
    """An upload that is enlarged."""

    digest: str
    upscaler: str


@dataclass(frozen=True)
class Shown:
    """An output node's pictures."""

    painting: Sampled | Enlarged


# ----------------------------------------------------------------------------------------------------------- inputs


@dataclass(frozen=True)
class Input:
    """An input of a node.

    Attributes:
        type: of the link, or INT, FLOAT, STRING, COMBO.
        default: where it is left out; None: it must be given.
        range: least and most of a number.
        choices: what is offered of a COMBO.
        read: a COMBO's value in our terms; None where there is no such choice.
    """

    type: str
    default: Any = None
    range: tuple[float, float] | None = None
    choices: Callable[[], Sequence[str]] | None = None
    read: Callable[[str], Any] | None = None

    def value(self, given: object, name: str) -> Any:
        """A value that is no link, checked.

        Raises:
            GraphError: it breaks the input's rule.
        """
        match self.type:
            case "INT" | "FLOAT":
                return self._number(given, name)
            case "STRING":
                return str(given)
            case "COMBO":
                return self._choice(given, name)
        raise GraphError("bad_linked_input", f"{name} {brief(given)} must be a link to a {self.type}", input=name)

    def _number(self, given: Any, name: str) -> Any:
        try:
            number = int(given) if self.type == "INT" else float(given)
        except (TypeError, ValueError, OverflowError):
            raise GraphError("invalid_input_type", f"{name} {brief(given)} is no {self.type}", input=name) from None
        if self.range is not None and not (isfinite(number) and self.range[0] <= number <= self.range[1]):
            sort = "smaller_than_min" if number < self.range[0] else "bigger_than_max"
            least, most = self.range
            raise GraphError(f"value_{sort}", f"{name} {brief(given)} must be {least} to {most}", input=name)
        return number

    def _choice(self, given: object, name: str) -> Any:
        assert self.choices is not None
        known = self.choices()
        text = given if isinstance(given, str) else brief(given)
        found = (text if text in known else None) if self.read is None else self.read(text)
        if found is None:
            raise GraphError("value_not_in_list", str(UnknownNameError(name, text[:80], known)), input=name)
        return found

    @property
    def described(self) -> list[Any]:
        """The input as ``/object_info`` has it."""
        if self.type == "COMBO":
            assert self.choices is not None
            return [list(self.choices())]
        told = {} if self.default is None else {"default": self.default}
        if self.range is not None:
            told |= {"min": self.range[0], "max": self.range[1]}
        return [self.type, told | ({"multiline": True} if self.type == "STRING" else {})]


def _files(known: Callable[[], Mapping[str, Path]]) -> Input:
    """One of these, by its name or its file's."""

    def read(name: str) -> str | None:
        return name if any(name in (each, f"{each}{path.suffix}") for each, path in known().items()) else None

    return Input("COMBO", choices=lambda: list(known()), read=read)


def _choice(*choices: str) -> Input:
    return Input("COMBO", choices=lambda: choices)


def _checkpoints() -> dict[str, Path]:
    return {info.name: info.path for info in catalogue.available()}


_THEIRS = (
    *("euler", "euler_cfg_pp", "euler_ancestral", "heun", "dpm_2", "dpm_2_ancestral", "lms", "dpm_fast"),
    *("dpm_adaptive", "dpmpp_2s_ancestral", "dpmpp_sde", "dpmpp_2m", "dpmpp_2m_sde", "dpmpp_3m_sde", "ddpm", "lcm"),
    *("deis", "ddim", "uni_pc", "uni_pc_bh2"),
)
"""ComfyUI's names of samplers that are here."""
_GRIDS = ("normal", "karras", "exponential", "sgm_uniform", "simple", "ddim_uniform", "beta", "kl_optimal")
_UPLOADED = re.compile(r"([0-9a-f]{64})\.png(?: \[input\])?")


def _sampler_of(name: str) -> names.Named | None:
    found = names.read_sampler(name)
    return None if found.sampler is None else found


def _upload_of(name: str) -> str | None:
    found = _UPLOADED.fullmatch(name)
    return None if found is None else found[1]


_CHECKPOINT = _files(_checkpoints)
_LORA = _files(lambda: folders.available("lora"))
_VAE = _files(lambda: folders.available("vae"))
_OWN = ("ours", "painted", "lanczos", "bicubic")
_UPSCALER = _files(lambda: dict.fromkeys(_OWN, Path()) | folders.available("upscaler"))
_SAMPLER = Input("COMBO", choices=lambda: list(dict.fromkeys((*_THEIRS, *names.SAMPLER_LABELS))), read=_sampler_of)
_SCHEDULE = Input("COMBO", choices=lambda: _GRIDS, read=names.read_schedule)
_IMAGE = Input("COMBO", choices=lambda: ("a name that POST /upload/image has given",), read=_upload_of)
_SEED = Input("INT", 0, (0, MAX_SEED))
_STEPS = Input("INT", 20, (1, _MOST_STEPS))
_CFG = Input("FLOAT", 8.0, (0, 100))
_SIDE = Input("INT", 512, (16, 16384))
_WEIGHT = Input("FLOAT", 1.0, (-100, 100))


# ------------------------------------------------------------------------------------------------------------ nodes


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


def _skipped(clip: Clip, stop_at_clip_layer: int) -> tuple[Clip]:
    return (replace(clip, skip=-stop_at_clip_layer),)


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
    options: dict[str, Any] = {
        "model": model.model,
        "prompt": positive.text,
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
    found = next((whole for whole in range(steps, _MOST_STEPS + 1) if int(whole * denoise) >= steps), None)
    if found is None:
        raise RequestError(
            f"denoise {denoise:g} with {steps} steps is a descent of over {_MOST_STEPS}; take fewer steps"
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
    if upscale_model not in _OWN:
        raise RequestError(
            f"what is painted here is enlarged by {' or '.join(_OWN)}; for {brief(upscale_model)} send the picture back"
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
    "steps": _STEPS,
    "cfg": _CFG,
    "sampler_name": _SAMPLER,
    "scheduler": _SCHEDULE,
}
_ENLARGED = {**_links(samples="LATENT"), "upscale_method": _choice("bilinear")}

NODES: Mapping[str, Kind] = {
    "CheckpointLoaderSimple": Kind(_checkpoint, {"ckpt_name": _CHECKPOINT}, ("MODEL", "CLIP", "VAE")),
    "UNETLoader": Kind(_checkpoint, {"unet_name": _choice()}, ("MODEL",)),  # clients look for its list
    "VAELoader": Kind(lambda vae_name: (Vae(file=vae_name),), {"vae_name": _VAE}, ("VAE",)),
    "LoraLoader": Kind(
        _lora,
        {
            **_links(model="MODEL", clip="CLIP"),
            "lora_name": _LORA,
            "strength_model": _WEIGHT,
            "strength_clip": _WEIGHT,
        },
        ("MODEL", "CLIP"),
    ),
    "LoraLoaderModelOnly": Kind(
        _lora_of_model, {**_links(model="MODEL"), "lora_name": _LORA, "strength_model": _WEIGHT}, ("MODEL",)
    ),
    "CLIPSetLastLayer": Kind(
        _skipped, {**_links(clip="CLIP"), "stop_at_clip_layer": Input("INT", -1, (-12, -1))}, ("CLIP",)
    ),
    "CLIPTextEncode": Kind(
        lambda text, clip: (Words(text, clip),), {"text": Input("STRING"), **_links(clip="CLIP")}, ("CONDITIONING",)
    ),
    **dict.fromkeys(
        ("EmptyLatentImage", "EmptySD3LatentImage"),
        Kind(_empty, {"width": _SIDE, "height": _SIDE, "batch_size": Input("INT", 1, (1, 4096))}, ("LATENT",)),
    ),
    "LoadImage": Kind(_loaded, {"image": _IMAGE}, ("IMAGE", "MASK")),
    "LoadImageMask": Kind(
        lambda image, channel: (Mask(image, "mask" if channel == "alpha" else channel),),
        {"image": _IMAGE, "channel": _choice("alpha", "red", "green", "blue")},
        ("MASK",),
    ),
    "ImageToMask": Kind(
        lambda image, channel: (Mask(_uploaded(image).digest, channel),),
        {**_links(image="IMAGE"), "channel": _choice("red", "green", "blue")},
        ("MASK",),
    ),
    "InvertMask": Kind(lambda mask: (replace(mask, inverted=not mask.inverted),), _links(mask="MASK"), ("MASK",)),
    "ImageScale": Kind(
        _scaled,
        {
            **_links(image="IMAGE"),
            "upscale_method": _choice("lanczos"),
            "width": _SIDE,
            "height": _SIDE,
            "crop": _choice("disabled"),
        },
        ("IMAGE",),
    ),
    "UpscaleModelLoader": Kind(lambda model_name: (model_name,), {"model_name": _UPSCALER}, ("UPSCALE_MODEL",)),
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
        _enlarged_to, {**_ENLARGED, "width": _SIDE, "height": _SIDE, "crop": _choice("disabled")}, ("LATENT",)
    ),
    "KSampler": Kind(_sampled, {**_SAMPLED, "seed": _SEED, "denoise": Input("FLOAT", 1.0, (0, 1))}, ("LATENT",)),
    "KSamplerAdvanced": Kind(
        _sampled_from,
        {
            **_SAMPLED,
            "add_noise": _choice("enable"),
            "noise_seed": _SEED,
            "start_at_step": Input("INT", 0, (0, 10_000)),
            "end_at_step": Input("INT", 10_000, (0, 10_000)),
            "return_with_leftover_noise": _choice("disable"),
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
