"""Bettering a photograph step by step, each measured: what spoiled it is taken out first, then tones are set.

read -> blocks of JPEG -> blur -> white balance -> light -> contrast -> sharpness
"""

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image

from sfumato.choices import DeblurPrior
from sfumato.errors import RequestError
from sfumato.metadata.provenance import Provenance
from sfumato.pictures import Painted
from sfumato.requests import Enhance
from sfumato.restoration import blur, classical, jpeg, network, tone
from sfumato.restoration.measures import compared
from sfumato.restoration.noise import LEVELS, Noise, patch_level
from sfumato.results import Progress, Report, Result
from sfumato.tasks.raster import NOT_FOR_DIAGNOSIS, Raster, eight_bit, read, reference
from sfumato.tasks.table import Studio

Pixels = Float[np.ndarray, "h w *c"]
Row = Mapping[str, str | int | float | None]

NARROWEST = 0.5
"""Pixels of blur; below that a picture is as sharp as its pixels are."""
QUIETEST, UNSURE = 0.5, 3.0
"""Levels of noise that a picture is taken to have at least: of rounding, and of blur that was estimated, which makes
errors of its own; trusting it more rings.
"""


def enhance(studio: Studio, request: Enhance) -> Iterator[Progress | Result]:
    """Carry out a request.

    Raises:
        RequestError: no picture, a reference of another size, or one that a step is not for.
    """
    begun = time.perf_counter()
    exact = request.changed(image=request.image.known(), clean=request.clean and request.clean.known())
    raster = read(exact.image)
    clean = None if exact.clean is None else reference(exact.clean, exact.image, raster)
    loaded = time.perf_counter()
    remarks = [NOT_FOR_DIAGNOSIS] if raster.depth == "dicom" else []
    if exact.deblur is not None:
        exact = _measured(exact, raster)
        remarks += [] if exact.deblur else ["there is hardly any blur to be taken out"]
    steps = _steps(studio, exact, raster)
    made = {"given": raster.pixels}
    rows = [_row("given", raster.pixels, clean)]
    pixels = raster.pixels
    for i, (name, step) in enumerate(steps.items()):
        pixels = made[name] = step(pixels)
        rows.append(_row(name, pixels, clean))
        yield Progress(0, 1, i, len(steps), 0.0, partial(_preview, pixels))
    answer = ", ".join(steps) or "nothing to be done"
    shown = made if clean is None else {**made, "clean": clean}
    views = {name: raster.view(each) for name, each in shown.items()}
    provenance = _provenance(studio, exact)
    remarks.append("blur: width of the edges in pixels; light, contrast and cast: in OKLab")
    report = Report(answer, rows, remarks, views)
    timings = {"load": loaded - begun, "enhance": time.perf_counter() - loaded}
    picture = Painted.of(raster.image_of(pixels), exact, provenance)
    yield Result([picture], exact, [exact.seed], timings, provenance, report=report)


def _measured(request: Enhance, raster: Raster) -> Enhance:
    """The request with the width of the blur, the noise beside it and the prior that are to be taken."""
    classical.require()
    noise = patch_level(raster.pixels)
    found, least = request.deblur, QUIETEST
    if found == "auto":
        width = round(min(blur.width(raster.pixels, noise), blur.WIDEST), 2)
        found, least = (width if width >= NARROWEST else 0.0), UNSURE
    sigma = round(max(noise * LEVELS, least), 3) if request.sigma is None else request.sigma
    prior = request.prior
    if prior == "auto":
        prior = "nlm" if network.folder_of("denoise") is None else "ours"
    return request.changed(deblur=found, sigma=sigma, prior=prior)


def _steps(studio: Studio, request: Enhance, raster: Raster) -> dict[str, Callable[[Pixels], Pixels]]:
    """What is asked for, in the order in which it is done, by what it is called.

    Raises:
        RequestError: a step that this picture or this installation cannot take.
    """
    alpha = raster.alpha
    seen = np.ones(raster.pixels.shape[:2], bool) if alpha is None else np.asarray(alpha) > 0
    seen = seen if seen.any() else ~seen
    found: dict[str, Callable[[Pixels], Pixels]] = {}
    if request.jpeg:
        found["jpeg mended"] = partial(jpeg.unblocked, data=request.image.read(), name=request.image.name)
    if isinstance(request.deblur, float) and request.deblur and request.sigma is not None:
        prior = _prior(studio, request.prior)
        name = f"deblurred by {request.deblur:g} px with {request.prior}"
        found[name] = partial(blur.deblurred, width=request.deblur, noise=request.sigma / LEVELS, prior=prior)
    if request.white_balance:
        if raster.pixels.ndim == 2:
            raise RequestError(f"{request.image.name} is grey, and has no white to balance; leave white_balance out")
        found["white balanced"] = partial(tone.balanced, seen=seen)
    if request.light:
        found[f"light {request.light:g}"] = partial(tone.lit, light=request.light)
    if request.contrast is not None:
        found[f"contrast {request.contrast}"] = partial(tone.contrasted, contrast=request.contrast, seen=seen)
    if request.sharpen:
        classical.require()
        found[f"sharpened {request.sharpen:g}"] = partial(tone.sharpened, amount=request.sharpen)
    return found


def _prior(studio: Studio, name: DeblurPrior) -> blur.Prior:
    if name != "ours":
        # What the step before leaves is noise less than half as strong as its level says.
        function, share = classical.CLASSICAL["tv" if name == "tv" else "nlm"], 0.5
        return lambda pixels, level: function(pixels, share * level)
    folder = network.folder_of("denoise")
    if folder is None:
        raise RequestError("prior ours has no weights in this installation; take nlm or tv")
    model = network.load(folder, str(studio.device))
    return lambda pixels, level: network.applied(model, pixels, Noise(level * LEVELS))


def _row(name: str, pixels: Pixels, clean: Pixels | None) -> Row:
    light = tone.lightness(pixels)
    figures = {
        "picture": name,
        "blur": round(blur.width(pixels, patch_level(pixels)), 2) if classical.available() else None,
        "light": round(float(light.mean()), 3),
        "contrast": round(float(light.std()), 3),
        "cast": round(tone.cast(pixels), 3),
    }
    return figures if clean is None else {**figures, **compared(clean, pixels)}


def _preview(pixels: Pixels) -> list[Image.Image]:
    return [eight_bit(pixels).convert("RGB")]


def _provenance(studio: Studio, request: Enhance) -> Provenance:
    folder = network.folder_of("denoise") if request.prior == "ours" and request.deblur else None
    digest = "" if folder is None else network.digest(folder)
    return Provenance(digest, "fp32", studio.device.type, torch.__version__.partition("+")[0])
