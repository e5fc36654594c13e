"""A1111's ``/sdapi/v1`` over the queue: what its clients call, coerced as leniently as they send it.

What has no counterpart here and would change the picture is refused by name; the rest that is not taken is listed in
``info``, under ``extra_generation_params``. What is left out is the model's to choose, and not 512x512 in 50 steps.
"""

import asyncio
import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request

from sfumato.adapters import folders
from sfumato.checkpoints import catalogue
from sfumato.choices import OwnUpscaler
from sfumato.errors import RequestError
from sfumato.metadata import carriers, infotext, names
from sfumato.metadata.gathering import Gathering
from sfumato.metadata.infotext import model_name
from sfumato.requests import Img2Img, Inpaint, Painting, Source, Txt2Img, Upscale, parse_request
from sfumato.service import uploads
from sfumato.service.asked import check
from sfumato.service.desk import Desk, client_of, refuse_failed
from sfumato.service.jobs import Job
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
    "refiner_checkpoint": "refiner",
    "refiner_switch_at": "switch",
}
"""Theirs to ours, where a value means the same."""

OVERRIDES: Mapping[str, str] = {
    "sd_model_checkpoint": "model",
    "sd_vae": "vae",
    "CLIP_stop_at_last_layers": "clip_skip",
    "eta_noise_seed_delta": "ensd",
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
LATENT_MODES = (
    "Latent",
    *(f"Latent ({how})" for how in ("antialiased", "bicubic", "bicubic antialiased", "nearest", "nearest-exact")),
)


def router(desk: Desk) -> APIRouter:
    """All addresses of the dialect."""
    api = APIRouter(prefix="/sdapi/v1", tags=["A1111"])

    async def painted(request: Request, *, edit: bool) -> dict[str, Any]:
        asked = await _object(request)
        chosen = await asyncio.to_thread(desk.jobs.settings)
        kind, given = await _pictures(desk, asked) if edit else (Txt2Img, {})
        found = gathered(kind, asked, chosen, given)
        painting = found.request()
        await asyncio.to_thread(check, painting, desk.uploads)
        job, _ = await desk.submit(painting, client=client_of(request), dialect="a1111")
        job = await _ended_or_left(desk, job, request)
        refuse_failed(job)
        files = [desk.file(job, each.index).read_bytes() for each in job.pictures]
        send = _truth(asked.get("send_images", True))
        return {
            "images": [base64.b64encode(file).decode() for file in files] if send else [],
            "parameters": {name: value for name, value in asked.items() if name not in ("init_images", "mask")},
            "info": json.dumps(info(job, files, found.lost), ensure_ascii=False),
        }

    @api.post("/txt2img")
    async def txt2img(request: Request) -> dict[str, Any]:
        """Paint from a text."""
        return await painted(request, edit=False)

    @api.post("/img2img")
    async def img2img(request: Request) -> dict[str, Any]:
        """Paint from a picture, inside of ``mask`` where there is one."""
        return await painted(request, edit=True)

    @api.get("/progress")
    async def progress(skip_current_image: bool = False) -> dict[str, Any]:
        """How the present job goes."""
        live = desk.dispatcher.live
        state = {
            "skipped": False,
            "interrupted": False,
            "stopping_generation": False,
            "job": "" if live is None else live.job,
            "job_count": 0 if live is None else live.count,
            "job_timestamp": "0",
            "job_no": 0 if live is None else live.image,
            "sampling_step": 0 if live is None else live.index,
            "sampling_steps": 0 if live is None else live.total,
        }
        return {
            "progress": 0.0 if live is None else min(1.0, 0.01 + live.share),
            "eta_relative": 0.0 if live is None else live.seconds_left or 0.0,
            "state": state,
            "current_image": None if live is None or skip_current_image else live.preview,
            "textinfo": None,
        }

    @api.post("/interrupt")
    @api.post("/skip")
    async def interrupt() -> dict[str, Any]:
        """Cancel the present job of those that were asked for here."""
        running = await asyncio.to_thread(desk.jobs.running)
        for job in [each for each in running if each.dialect == "a1111"][:1]:
            await desk.dispatcher.cancel(job.id)
        return {}

    @api.get("/options")
    async def options() -> dict[str, Any]:
        """What holds for requests that say nothing else."""
        chosen = await asyncio.to_thread(desk.jobs.settings)
        return {
            "sd_model_checkpoint": chosen.get("sd_model_checkpoint", "nano"),
            "sd_checkpoint_hash": "",
            "sd_vae": chosen.get("sd_vae", "Automatic"),
            "CLIP_stop_at_last_layers": int(chosen.get("CLIP_stop_at_last_layers", 1)),
            "eta_noise_seed_delta": int(chosen.get("eta_noise_seed_delta", 0)),
            "samples_format": "png",
        }

    @api.post("/options")
    async def choose(request: Request) -> dict[str, Any]:
        """Choose what holds for requests that say nothing else; what is not known here is passed over."""
        found = Gathering(Txt2Img)
        asked = {name: value for name, value in (await _object(request)).items() if name in OVERRIDES}
        _overridden(found, asked)
        if found.lost:
            raise Refusal(422, "; ".join(found.lost))
        await asyncio.to_thread(check, found.request(), desk.uploads)
        for name, value in asked.items():
            await asyncio.to_thread(desk.jobs.set, name, str(value))
        return {}

    @api.get("/sd-models")
    async def models() -> list[dict[str, Any]]:
        """Models by their titles."""
        return [
            {
                "title": info.name,
                "model_name": info.name,
                "hash": None,
                "sha256": None,
                "filename": f"{info.name}{info.path.suffix}",
                "config": None,
            }
            for info in await asyncio.to_thread(catalogue.available)
        ]

    @api.get("/sd-vae")
    @api.get("/sd-modules")
    async def vaes() -> list[dict[str, Any]]:
        """Autoencoders."""
        return [{"model_name": name, "filename": path.name} for name, path in folders.available("vae").items()]

    @api.get("/loras")
    async def loras() -> list[dict[str, Any]]:
        """LoRAs and their kin."""
        known = folders.available("lora").items()
        return [{"name": name, "alias": name, "path": path.name, "metadata": {}} for name, path in known]

    @api.get("/embeddings")
    async def embeddings() -> dict[str, Any]:
        """Textual inversions; what they hold is not looked at here."""
        facts = {"step": None, "sd_checkpoint": None, "sd_checkpoint_name": None, "shape": 0, "vectors": 0}
        return {"loaded": dict.fromkeys(folders.available("embedding"), facts), "skipped": {}}

    @api.get("/samplers")
    async def samplers() -> list[dict[str, Any]]:
        """Samplers."""
        return [
            {"name": label, "aliases": [name, f"k_{name}"], "options": {}}
            for name, label in names.SAMPLER_LABELS.items()
        ]

    @api.get("/schedulers")
    async def schedulers() -> list[dict[str, Any]]:
        """Grids of noise levels."""
        labels: list[tuple[str, str]] = [("automatic", "Automatic"), *names.SCHEDULE_LABELS.items()]
        facts = {"aliases": None, "default_rho": -1, "need_inner_model": False}
        return [{"name": name, "label": label, **facts} for name, label in labels]

    @api.get("/upscalers")
    async def upscalers() -> list[dict[str, Any]]:
        """What enlarges pictures."""
        facts = {"model_name": None, "model_path": None, "model_url": None, "scale": 4}
        return [{"name": name, **facts} for name in ("None", *UPSCALERS)]

    async def enlarged(image: object, asked: Mapping[str, Any], request: Request) -> str:
        data = _decoded(image, "image")
        method, scale = _enlarging(asked)
        if method is None:
            return base64.b64encode(await uploads.handled(data, "pixels")).decode()
        source = Source(sha256=await uploads.keep(data, desk.uploads))
        upscale = Upscale.build(image=source, scale=scale, method=method)
        job, _ = await desk.submit(upscale, client=client_of(request), dialect="a1111")
        job = await _ended_or_left(desk, job, request)
        refuse_failed(job)
        return base64.b64encode(desk.file(job, 0).read_bytes()).decode()

    @api.post("/extra-single-image")
    async def extra_single_image(request: Request) -> dict[str, Any]:
        """Enlarge a picture."""
        asked = await _object(request)
        return {"image": await enlarged(asked.get("image"), asked, request), "html_info": ""}

    @api.post("/extra-batch-images")
    async def extra_batch_images(request: Request) -> dict[str, Any]:
        """Enlarge pictures, in turn."""
        asked = await _object(request)
        images = asked.get("imageList")
        if not isinstance(images, list):
            raise Refusal(422, 'imageList is missing; give [{"data": picture in Base64, "name": "..."}]')
        found = [await enlarged(_mapping(each).get("data"), asked, request) for each in images]
        return {"images": found, "html_info": ""}

    @api.get("/latent-upscale-modes")
    async def latent_modes() -> list[dict[str, str]]:
        """Names that clients expect."""
        return [{"name": name} for name in LATENT_MODES]

    @api.post("/png-info")
    async def png_info(request: Request) -> dict[str, Any]:
        """What a picture says of how it was made."""
        image = (await _object(request)).get("image")
        texts = await uploads.texts(_decoded(image, "image"))
        said = texts.get(carriers.PARAMETERS, "")
        fields = infotext.parse(said).fields if said else {}
        return {"info": said, "items": texts, "parameters": dict(fields)}

    @api.get("/scripts")
    async def scripts() -> dict[str, list[str]]:
        """None."""
        return {"txt2img": [], "img2img": []}

    @api.get("/memory")
    async def memory() -> dict[str, Any]:
        """The most that a worker had, in bytes."""
        return {"ram": {"used": desk.dispatcher.peak}, "cuda": {}}

    for name in ("prompt-styles", "script-info", "face-restorers", "realesrgan-models", "hypernetworks", "extensions"):
        api.add_api_route(f"/{name}", _no_list, methods=["GET"], name=name)
    api.add_api_route("/cmd-flags", _nothing, methods=["GET"], name="cmd-flags")
    for name in ("refresh-checkpoints", "refresh-vae", "refresh-loras", "unload-checkpoint", "reload-checkpoint"):
        api.add_api_route(f"/{name}", _nothing, methods=["POST"], name=name)
    return api


async def _no_list() -> list[str]:
    """None here."""
    return []


async def _nothing() -> dict[str, Any]:
    """Nothing to do: folders are read when they are asked for, and idle models are dropped."""
    return {}


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
    for name in REFUSED:
        if asked.get(name) not in NOTHING:
            raise Refusal(422, f"{name} is {str(asked[name])[:40]!r}, which is not there; leave it out")
    for name, script in (_mapping(asked.get("alwayson_scripts"))).items():
        if _mapping(script).get("args") not in NOTHING:
            raise Refusal(422, f"alwayson_scripts asks for {name[:40]!r}, which is not there; leave it out")
    found: Gathering[Any] = Gathering(kind, **given)
    values = {name: value for name, value in asked.items() if value is not None}
    if "inpaint_full_res" in values:
        values["inpaint_full_res"] = _truth(values["inpaint_full_res"])
    for theirs, ours in FIELDS.items():
        if ours in kind.model_fields and theirs in values:
            found.take(ours, values[theirs])
    for name in ("seed", "subseed"):
        if str(values.get(name, -1)) not in ("-1", "-1.0", ""):
            found.take(name, values[name])
    if kind is Txt2Img and _truth(values.get("enable_hr", False)):
        _take_hires(found, values)
    pictures = _whole(values.get("batch_size", 1)) * _whole(values.get("n_iter", 1))
    found.take("count", pictures)
    sampler = values.get("sampler_name") or values.get("sampler_index")
    if sampler and names.read_sampler(str(sampler)).sampler is None:
        raise Refusal(404, f"Sampler not found: {str(sampler)[:60]!r}; GET samplers lists them")
    found.sampler(sampler or None)
    found.schedule(values.get("scheduler"))
    if kind is Inpaint:
        fill = _whole(values.get("inpainting_fill", 0))
        found.take("fill", FILLS[fill] if 0 <= fill < len(FILLS) else fill)
        found.take("invert", bool(_whole(values.get("inpainting_mask_invert", 0))))
    _overridden(found, {**chosen, **_mapping(values.get("override_settings"))})
    if found.lost:
        raise Refusal(422, "; ".join(found.lost))
    for name in NOTED:
        if values.get(name) not in NOTHING:
            found.lose(f"{name}: {str(values[name])[:60]}")
    return found


def _enlarging(asked: Mapping[str, Any]) -> tuple[OwnUpscaler | None, int]:
    """How a picture is enlarged, None: not at all; and how many times.

    Raises:
        Refusal: it asks for what is not there.
    """
    for name in FACES:
        if asked.get(name) not in NOTHING:
            raise Refusal(422, f"{name} is {str(asked[name])[:40]!r}, which is not there; leave it out")
    upscaler = str(asked.get("upscaler_1") or "None")
    if upscaler == "None":
        return None, 1
    if upscaler not in UPSCALERS:
        raise Refusal(422, f"unknown upscaler {upscaler[:60]!r}; {', '.join(('None', *UPSCALERS))} are there")
    if _whole(asked.get("resize_mode", 0)):
        raise Refusal(422, "resize_mode is 1, which is not there; give upscaling_resize, and resize_mode 0")
    scale = str(asked.get("upscaling_resize", 2))[:20]
    if scale not in ("2", "3", "4", "2.0", "3.0", "4.0"):
        raise Refusal(422, f"upscaling_resize is {scale}; 2, 3 and 4 are there")
    return UPSCALERS[upscaler], _whole(scale)


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


def _overridden(found: Gathering[Any], settings: Mapping[str, Any]) -> None:
    for theirs, ours in OVERRIDES.items():
        value = settings.get(theirs)
        if value in (None, ""):
            continue
        if theirs == "sd_model_checkpoint":
            value = str(value).rpartition(" [")[0] if str(value).endswith("]") else value
        found.take(ours, value)


def info(job: Job, files: list[bytes], lost: tuple[str, ...]) -> dict[str, Any]:
    """The JSON that stands in an answer's ``info``."""
    request = parse_request(job.request)
    assert isinstance(request, Painting)
    texts = [carriers.read(file).texts.get(carriers.PARAMETERS, "") for file in files]
    report = job.report or {}
    seeds = [each.seed for each in job.pictures]
    count = len(files)
    return {
        "prompt": request.prompt,
        "all_prompts": [request.prompt] * count,
        "negative_prompt": request.negative,
        "all_negative_prompts": [request.negative] * count,
        "seed": request.seed,
        "all_seeds": seeds,
        "subseed": request.seed,
        "all_subseeds": seeds,
        "subseed_strength": 0,
        "width": request.width,
        "height": request.height,
        "sampler_name": names.SAMPLER_LABELS.get(request.sampler or "euler", ""),
        "cfg_scale": request.guidance,
        "steps": request.steps,
        "batch_size": request.batch,
        "restore_faces": False,
        "face_restoration_model": None,
        "sd_model_name": model_name(request.model),
        "sd_model_hash": str(_mapping(report.get("provenance")).get("model_hash", ""))[:10],
        "sd_vae_name": request.vae,
        "sd_vae_hash": None,
        "seed_resize_from_w": -1,
        "seed_resize_from_h": -1,
        "denoising_strength": getattr(request, "strength", None),
        "extra_generation_params": {"Not taken": "; ".join(lost)} if lost else {},
        "index_of_first_image": 0,
        "infotexts": texts,
        "styles": [],
        "job_timestamp": "0",
        "clip_skip": request.clip_skip,
        "is_using_inpainting_conditioning": False,
        "version": "sfumato",
    }


async def _pictures(desk: Desk, asked: Mapping[str, Any]) -> tuple[type[Painting], dict[str, object]]:
    """The kind of an edit, and its pictures as uploads."""
    images = asked.get("init_images")
    if not isinstance(images, list) or not images:
        raise Refusal(404, "init_images is missing; give one picture in Base64")
    given: dict[str, object] = {}
    for name, image in (("image", images[0]), ("mask", asked.get("mask"))):
        if image is not None:
            data = _decoded(image, "init_images" if name == "image" else "mask")
            given[name] = Source(sha256=await uploads.keep(data, desk.uploads))
    return (Inpaint if "mask" in given else Img2Img), given


async def _ended_or_left(desk: Desk, job: Job, request: Request) -> Job:
    """The job at its end; it is cancelled when nobody waits for it any more, who could not find it again."""
    waiting = asyncio.create_task(desk.ended(job.id))
    while not (await asyncio.wait({waiting}, timeout=1.0))[0]:
        if await request.is_disconnected():
            await desk.dispatcher.cancel(job.id)
    return await waiting


async def _object(request: Request) -> dict[str, Any]:
    """The body; nothing, null and the empty text are an empty object."""
    body = await request.body()
    try:
        found = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        raise RequestError("the body is not JSON; send an object") from None
    if found in (None, ""):
        return {}
    if not isinstance(found, dict):
        raise RequestError("the body is no JSON object")
    return found


def _decoded(image: object, name: str) -> bytes:
    """The bytes of Base64, perhaps in a data URL."""
    if not isinstance(image, str):
        raise RequestError(f"{name} is no text; give a picture in Base64")
    try:
        return base64.b64decode(image.partition(";base64,")[2] or image, validate=True)
    except (binascii.Error, ValueError):
        raise RequestError(f"{name} is no Base64; give a picture's bytes, never an address") from None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _truth(value: object) -> bool:
    return value not in (False, 0, "false", "False", "0")


def _whole(value: object) -> int:
    try:
        return int(float(str(value)[:20]))
    except (ValueError, OverflowError):
        raise RequestError(f"{str(value)[:40]!r} is no whole number") from None
