"""Enlarging: by resampling, our network, an upscaler of another program or a diffusion model made for it, measured; and
where asked for painted over by img2img.
"""

import time
from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image

from sfumato.checkpoints import catalogue
from sfumato.checkpoints.folder import enlarges
from sfumato.errors import RequestError
from sfumato.metadata.provenance import Provenance
from sfumato.pictures import Painted
from sfumato.requests import Img2Img, Upscale
from sfumato.restoration.measures import compared, psnr
from sfumato.results import Progress, Report, Result
from sfumato.tasks.enlarging import RESAMPLINGS, Enlarger, find, resized
from sfumato.tasks.raster import Raster, eight_bit, read
from sfumato.tasks.sources import MAX_SIDE
from sfumato.tasks.table import Studio
from sfumato.tasks.upscaler import PaintingEnlarger, enlarged, scale_of

Pixels = Float[np.ndarray, "h w *c"]


def upscale(studio: Studio, request: Upscale) -> Iterator[Progress | Result]:
    """Carry out a request.

    Raises:
        RequestError: no picture, one too large, a reference of another size, or a network that is not there.
    """
    begun = time.perf_counter()
    exact = request.changed(image=request.image.known(), clean=request.clean and request.clean.known())
    raster = read(exact.image)
    enlarger = _painter(studio, exact) or find(exact.method, exact.scale, studio.device)
    exact = exact.changed(method=enlarger.name, scale=enlarger.scale)
    size = raster.size[0] * enlarger.scale, raster.size[1] * enlarger.scale
    if max(size) > MAX_SIDE:
        raise RequestError(f"{exact.image.name} would be {size[0]}x{size[1]}; sides of up to {MAX_SIDE} are written")
    clean = _reference(exact, size)
    loaded = time.perf_counter()
    made = {name: resized(raster.pixels, size, how) for name, how in RESAMPLINGS.items()}
    if isinstance(enlarger, Enlarger) and enlarger.title not in made:
        made[enlarger.title] = enlarger.run(raster.pixels, size)
    pixels = made.get(enlarger.title, made["lanczos"])
    torch_version = torch.__version__.partition("+")[0]
    provenance = Provenance(enlarger.digest, "fp32", studio.device.type, torch_version)
    yield Progress(0, 1, 0, 1, 0.0, partial(_preview, pixels))
    painting: Iterator[Progress | Result] = iter(())
    if isinstance(enlarger, PaintingEnlarger):
        painting = enlarged(enlarger.model, exact, eight_bit(raster.pixels).convert("RGB"))
    elif exact.refine is not None:
        painting = studio.events(_painting(exact, exact.refine, pixels, size))
    for event in painting:
        if isinstance(event, Progress):
            yield event
            continue
        painted = np.asarray(event.images[0].convert("RGB"), np.float32) / 255
        pixels = resized(painted.mean(2) if pixels.ndim == 2 else painted, size, Image.Resampling.LANCZOS)
        made["refined" if isinstance(enlarger, Enlarger) else enlarger.title] = pixels
        provenance = event.provenance
    rows: list[Mapping[str, str | int | float | None]] = []
    for name, one in made.items():
        against = {} if clean is None else compared(clean, one)
        rows.append({"picture": name, **against, "consistency": consistency(raster, one)})
    answer = f"{raster.size[0]}x{raster.size[1]} to {size[0]}x{size[1]} by {enlarger.title}"
    picture = Painted.of(raster.image_of(np.clip(pixels, 0, 1)), exact, provenance)
    picture.info.pop("dicom", None)  # whose file says how many rows and columns it has
    shown = made if clean is None else {**made, "clean": clean}
    views = {str(name): eight_bit(one) for name, one in shown.items()}
    timings = {"load": loaded - begun, "enlarge": time.perf_counter() - loaded}
    report = Report(answer, rows, ["consistency: PSNR in dB of the result, made small again, to what was given"], views)
    yield Result([picture], exact, [exact.seed], timings, provenance, report=report)


def _painter(studio: Studio, request: Upscale) -> PaintingEnlarger | None:
    """The diffusion model that is to enlarge: where that is asked for, or "auto" is given a model that is one.

    Raises:
        RequestError: the model is none.
    """
    given = request.model != Upscale.model_fields["model"].default
    automatic = request.method == "auto" and given and enlarges(catalogue.find(request.model))
    if request.method != "diffusion" and not automatic:
        return None
    model = studio.load(request.model)
    scale = scale_of(model)
    if scale is None:
        raise RequestError(
            f"{model.name} does not enlarge; give --model a x4 upscaler or a latent upscaler, as a folder"
        )
    return PaintingEnlarger(model, request.scale or scale)


def consistency(raster: Raster, enlarged: Pixels) -> float:
    """PSNR in dB between a picture and its enlargement made small again: what was there is still there."""
    again = resized(np.clip(enlarged, 0, 1), raster.size, Image.Resampling.BICUBIC)
    return round(min(psnr(raster.pixels, again), 99.0), 2)


def _reference(request: Upscale, size: tuple[int, int]) -> Pixels | None:
    if request.clean is None:
        return None
    clean = read(request.clean)
    if clean.size != size:
        raise RequestError(
            f"{request.clean.name} is {clean.size[0]}x{clean.size[1]}, and the result is {size[0]}x{size[1]}; "
            "a reference shows the same, pixel by pixel"
        )
    return clean.pixels


def _painting(request: Upscale, prompt: str, pixels: Pixels, size: tuple[int, int]) -> Img2Img:
    return Img2Img.build(
        prompt=prompt, image=eight_bit(pixels).convert("RGB"), width=size[0], height=size[1],
        model=request.model, seed=request.seed, strength=request.strength, tile=request.tile,
    )  # fmt: skip


def _preview(pixels: Pixels) -> list[Image.Image]:
    return [eight_bit(pixels).convert("RGB")]
