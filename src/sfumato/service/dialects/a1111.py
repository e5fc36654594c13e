"""A1111's ``/sdapi/v1`` over the queue: what its clients call.

What of a payload is not taken is listed in ``info``, under ``extra_generation_params``. What is left out is the model's
to choose, and not 512x512 in 50 steps.
"""

import asyncio
import base64
import json
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request

from sfumato.adapters import folders
from sfumato.checkpoints import catalogue
from sfumato.metadata import carriers, infotext, names
from sfumato.metadata.gathering import Gathering
from sfumato.metadata.infotext import model_name
from sfumato.requests import Img2Img, Inpaint, Painting, Source, Txt2Img, Upscale, parse_request
from sfumato.service import uploads
from sfumato.service.asked import check
from sfumato.service.desk import Desk, client_of, refuse_failed
from sfumato.service.dialects.a1111_payload import (
    OVERRIDES,
    UPSCALERS,
    decoded,
    enlarging,
    gathered,
    mapping,
    take_overrides,
    truth,
)
from sfumato.service.dialects.body import json_object
from sfumato.service.jobs import Job
from sfumato.service.refusals import Refusal

LATENT_MODES = (
    "Latent",
    *(f"Latent ({how})" for how in ("antialiased", "bicubic", "bicubic antialiased", "nearest", "nearest-exact")),
)


def router(desk: Desk) -> APIRouter:
    """All addresses of the dialect."""
    api = APIRouter(prefix="/sdapi/v1", tags=["A1111"])

    async def painted(request: Request, *, edit: bool) -> dict[str, Any]:
        asked = await json_object(request)
        chosen = await asyncio.to_thread(desk.jobs.settings)
        kind, given = await _pictures(desk, asked) if edit else (Txt2Img, {})
        found = gathered(kind, asked, chosen, given)
        painting = found.request()
        await asyncio.to_thread(check, painting, desk.uploads)
        job, _ = await desk.submit(painting, client=client_of(request), dialect="a1111")
        job = await _ended_or_left(desk, job, request)
        refuse_failed(job)
        files = [desk.file(job, each.index).read_bytes() for each in job.pictures]
        send = truth(asked.get("send_images", True))
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
        asked = {name: value for name, value in (await json_object(request)).items() if name in OVERRIDES}
        take_overrides(found, asked)
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
        data = decoded(image, "image")
        method, scale = enlarging(asked)
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
        asked = await json_object(request)
        return {"image": await enlarged(asked.get("image"), asked, request), "html_info": ""}

    @api.post("/extra-batch-images")
    async def extra_batch_images(request: Request) -> dict[str, Any]:
        """Enlarge pictures, in turn."""
        asked = await json_object(request)
        images = asked.get("imageList")
        if not isinstance(images, list):
            raise Refusal(422, 'imageList is missing; give [{"data": picture in Base64, "name": "..."}]')
        found = [await enlarged(mapping(each).get("data"), asked, request) for each in images]
        return {"images": found, "html_info": ""}

    @api.get("/latent-upscale-modes")
    async def latent_modes() -> list[dict[str, str]]:
        """Names that clients expect."""
        return [{"name": name} for name in LATENT_MODES]

    @api.post("/png-info")
    async def png_info(request: Request) -> dict[str, Any]:
        """What a picture says of how it was made."""
        image = (await json_object(request)).get("image")
        texts = await uploads.texts(decoded(image, "image"))
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
        "sd_model_hash": str(mapping(report.get("provenance")).get("model_hash", ""))[:10],
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
            data = decoded(image, "init_images" if name == "image" else "mask")
            given[name] = Source(sha256=await uploads.keep(data, desk.uploads))
    return (Inpaint if "mask" in given else Img2Img), given


async def _ended_or_left(desk: Desk, job: Job, request: Request) -> Job:
    """The job at its end; it is cancelled when nobody waits for it any more, who could not find it again."""
    waiting = asyncio.create_task(desk.ended(job.id))
    while not (await asyncio.wait({waiting}, timeout=1.0))[0]:
        if await request.is_disconnected():
            await desk.dispatcher.cancel(job.id)
    return await waiting
