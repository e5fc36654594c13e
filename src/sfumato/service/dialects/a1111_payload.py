"""What clients of A1111's API send: a payload as a request, its values coerced as leniently as they are sent.

What has no counterpart here and would change the picture is refused by name; the rest is noted as lost.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Any

from sfumato.choices import OwnUpscaler
from sfumato.errors import RequestError
from sfumato.metadata import names
from sfumato.metadata.gathering import Gathering
from sfumato.requests import Inpaint, Painting, Txt2Img
from sfumato.service.refusals import Refusal

FIELDS: Mapping[str, str] = {
    "prompt": "prompt",
    "negative_prompt": "negative",
    "steps": "steps",
    "cfg_scale": "guidance",
    "width": "width",
    "height": "height",
    "batch_size": "batch",
    "eta": "eta",
    "clip_skip": "clip_skip",
    "denoising_strength": "strength",
    "mask_blur": "blur",
    "inpaint_full_res": "only_masked",
    "inpaint_full_res_padding": "padding",
    "subseed_strength": "subseed_strength",
    "initial_noise_multiplier": "noise_multiplier",
    "refiner_checkpoint": "refiner",
    "refiner_switch_at": "switch",
}
"""Theirs to ours, where a value means the same."""

OVERRIDES: Mapping[str, str] = {
    "sd_model_checkpoint": "model",
    "sd_vae": "vae",
    "CLIP_stop_at_last_layers": "clip_skip",
    "eta_noise_seed_delta": "ensd",
    "initial_noise_multiplier": "noise_multiplier",
}
"""Likewise among ``override_settings`` and ``options``."""

FILLS = ("blur", "original", "noise", "zeros")
REFUSED = ("script_name", "tiling", "restore_faces", "init_latent")
"""What would make another picture, and is not there."""

HIRES: Mapping[str, str] = {
    "hr_scale": "hires",
    "denoising_strength": "hires_strength",
    "hr_second_pass_steps": "hires_steps",
    "hr_upscaler": "hires_upscaler",
}
"""Theirs to ours where ``enable_hr`` is true; 0 steps are as many as of the first pass."""
HIRES_REFUSED = ("hr_resize_x", "hr_resize_y", "hr_checkpoint_name", "hr_prompt", "hr_negative_prompt")
HIRES_SAME = ("hr_sampler_name", "hr_scheduler")
"""The second pass has those of the first."""

UPSCALERS: Mapping[str, OwnUpscaler] = {
    "Lanczos": "lanczos",
    "Bicubic": "bicubic",
    "sfumato": "auto",
}
"""Theirs to ours; beside them there is "None", which leaves a picture as it is."""
FACES = ("gfpgan_visibility", "codeformer_visibility", "extras_upscaler_2_visibility")

NOTHING: tuple[object, ...] = (None, "", 0, False, [], {}, "None", "Automatic", "automatic")
NOTED = ("styles", "resize_mode")
"""What makes little difference, and is told."""


def gathered(
    kind: type[Painting], asked: Mapping[str, Any], chosen: Mapping[str, str], given: Mapping[str, object]
) -> Gathering[Any]:
    """A request of what a client sent, and what could not be taken.

    Args:
        chosen: the options that hold.
        given: pictures.

    Raises:
        Refusal: something is asked for that is not there, or a value breaks its rule.
    """
    _refuse(asked, REFUSED)
    for name, script in mapping(asked.get("alwayson_scripts")).items():
        if mapping(script).get("args") not in NOTHING:
            raise Refusal(422, f"alwayson_scripts asks for {name[:40]!r}, which is not there; leave it out")
    found: Gathering[Any] = Gathering(kind, **given)
    values = {name: value for name, value in asked.items() if value is not None}
    if "inpaint_full_res" in values:
        values["inpaint_full_res"] = truth(values["inpaint_full_res"])
    for theirs, ours in FIELDS.items():
        if ours in kind.model_fields and theirs in values:
            found.take(ours, values[theirs])
    for name in ("seed", "subseed"):
        if str(values.get(name, -1)) not in ("-1", "-1.0", ""):
            found.take(name, values[name])
    if kind is Txt2Img and truth(values.get("enable_hr", False)):
        _take_hires(found, values)
    pictures = whole(values.get("batch_size", 1)) * whole(values.get("n_iter", 1))
    found.take("count", pictures)
    sampler = values.get("sampler_name") or values.get("sampler_index")
    if sampler and names.read_sampler(str(sampler)).sampler is None:
        raise Refusal(404, f"Sampler not found: {str(sampler)[:60]!r}; GET samplers lists them")
    found.sampler(sampler or None)
    found.schedule(values.get("scheduler"))
    if kind is Inpaint:
        fill = whole(values.get("inpainting_fill", 0))
        found.take("fill", FILLS[fill] if 0 <= fill < len(FILLS) else fill)
        found.take("invert", bool(whole(values.get("inpainting_mask_invert", 0))))
    take_overrides(found, {**chosen, **mapping(values.get("override_settings"))})
    if found.lost:
        raise Refusal(422, "; ".join(found.lost))
    for name in NOTED:
        if values.get(name) not in NOTHING:
            found.lose(f"{name}: {str(values[name])[:60]}")
    return found


def enlarging(asked: Mapping[str, Any]) -> tuple[OwnUpscaler | None, int]:
    """How a picture is enlarged, None: not at all; and how many times.

    Raises:
        Refusal: it asks for what is not there.
    """
    _refuse(asked, FACES)
    upscaler = str(asked.get("upscaler_1") or "None")
    if upscaler == "None":
        return None, 1
    if upscaler not in UPSCALERS:
        raise Refusal(422, f"unknown upscaler {upscaler[:60]!r}; {', '.join(('None', *UPSCALERS))} are there")
    if whole(asked.get("resize_mode", 0)):
        raise Refusal(422, "resize_mode is 1, which is not there; give upscaling_resize, and resize_mode 0")
    scale = str(asked.get("upscaling_resize", 2))[:20]
    if scale not in ("2", "3", "4", "2.0", "3.0", "4.0"):
        raise Refusal(422, f"upscaling_resize is {scale}; 2, 3 and 4 are there")
    return UPSCALERS[upscaler], whole(scale)


def _refuse(asked: Mapping[str, Any], foreign: Iterable[str]) -> None:
    for name in foreign:
        if asked.get(name) not in NOTHING:
            raise Refusal(422, f"{name} is {str(asked[name])[:40]!r}, which is not there; leave it out")


def _take_hires(found: Gathering[Any], values: Mapping[str, Any]) -> None:
    """A second pass, twice as large unless it says otherwise."""
    same = {name: values.get("sampler_name" if name == "hr_sampler_name" else "scheduler") for name in HIRES_SAME}
    for name in (*HIRES_REFUSED, *HIRES_SAME):
        value = values.get(name)
        if value not in NOTHING and value != same.get(name) and not str(value).startswith("Use same"):
            raise Refusal(422, f"{name} is {str(value)[:40]!r}, which is not there for a second pass; leave it out")
    for theirs, ours in HIRES.items():
        value = values.get(theirs, 2 if theirs == "hr_scale" else None)
        if value not in NOTHING:
            found.take(ours, value)


def take_overrides(found: Gathering[Any], settings: Mapping[str, Any]) -> None:
    """Take what `OVERRIDES` names."""
    for theirs, ours in OVERRIDES.items():
        value = settings.get(theirs)
        if value in (None, ""):
            continue
        if theirs == "sd_model_checkpoint":
            value = str(value).rpartition(" [")[0] if str(value).endswith("]") else value
        found.take(ours, value)


def decoded(image: object, name: str) -> bytes:
    """The bytes of Base64, perhaps in a data URL. Raises RequestError for all else."""
    if not isinstance(image, str):
        raise RequestError(f"{name} is no text; give a picture in Base64")
    try:
        return base64.b64decode(image.partition(";base64,")[2] or image, validate=True)
    except (binascii.Error, ValueError):
        raise RequestError(f"{name} is no Base64; give a picture's bytes, never an address") from None


def mapping(value: object) -> Mapping[str, Any]:
    """An object, an empty one for all else."""
    return value if isinstance(value, dict) else {}


def truth(value: object) -> bool:
    """All is true but what is written as false."""
    return value not in (False, 0, "false", "False", "0")


def whole(value: object) -> int:
    """A whole number, or the text of one. Raises RequestError for all else."""
    try:
        return int(float(str(value)[:20]))
    except (ValueError, OverflowError):
        raise RequestError(f"{str(value)[:40]!r} is no whole number") from None
