"""Denoising: the level of noise is given or estimated, something takes it out, and what that did is measured.

read -> [noise added] -> estimated -> each method -> PSNR, SSIM against a reference, else the residual -> the best
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from sfumato.choices import DenoiseMethod
from sfumato.errors import RequestError
from sfumato.metadata.provenance import Provenance
from sfumato.pictures import Painted
from sfumato.requests import Denoise
from sfumato.restoration import classical
from sfumato.restoration.measures import psnr, residual, ssim
from sfumato.restoration.noise import Noise, estimated
from sfumato.results import Progress, Report, Result
from sfumato.tasks.raster import Raster, read
from sfumato.tasks.table import Studio

Pixels = Float[np.ndarray, "h w *c"]

NOT_FOR_DIAGNOSIS = "not for diagnosis: what a denoiser takes out or leaves may matter"


@dataclass(frozen=True)
class Tried:
    """What a method made of a picture."""

    pixels: Pixels
    seconds: float


def denoise(studio: Studio, request: Denoise) -> Iterator[Progress | Result]:
    """Carry out a request.

    Raises:
        RequestError: no picture, a reference of another size, or a method that is not installed.
    """
    begun = time.perf_counter()
    exact = request.changed(image=request.image.known(), clean=request.clean and request.clean.known())
    raster = read(exact.image)
    clean, noisy = _reference(exact, raster), raster.pixels
    loaded = time.perf_counter()
    if exact.add_noise is not None:
        noisy = Noise.parse(exact.add_noise).added(raster.pixels, exact.seed)
    noise = _noise(exact, noisy)
    exact = exact.changed(sigma=noise.sigma, noise=noise.kind)
    tried = {}
    methods = _methods(exact, clean is not None)
    for i, method in enumerate(methods):
        since = time.perf_counter()
        tried[method] = Tried(_applied(method, noisy, noise), time.perf_counter() - since)
        yield Progress(0, 1, i, len(methods), noise.sigma, list)
    chosen = methods[0] if request.method == "auto" else request.method
    exact = exact.changed(method=chosen)
    restored = tried[chosen].pixels
    report = _report(raster, clean, noisy, noise, tried, chosen)
    provenance = Provenance("", "fp32", studio.device.type, torch.__version__.partition("+")[0])
    picture = Painted.of(raster.image_of(restored), exact, provenance)
    timings = {"load": loaded - begun, "restore": time.perf_counter() - loaded}
    yield Result([picture], exact, [exact.seed], timings, provenance, report=report)


def _reference(request: Denoise, raster: Raster) -> Pixels | None:
    if request.add_noise is not None:
        return raster.pixels
    if request.clean is None:
        return None
    clean = read(request.clean)
    if clean.size != raster.size:
        raise RequestError(
            f"{request.clean.name} is {clean.size[0]}x{clean.size[1]} and {request.image.name} {raster.size[0]}x"
            f"{raster.size[1]}; a reference shows the same, pixel by pixel"
        )
    if clean.pixels.ndim == raster.pixels.ndim:
        return clean.pixels
    return clean.pixels.mean(2) if clean.pixels.ndim == 3 else np.repeat(clean.pixels[..., None], 3, 2)


def _noise(request: Denoise, noisy: Pixels) -> Noise:
    if request.sigma is not None:
        return Noise(request.sigma, request.noise or "gaussian")
    found = estimated(noisy, request.noise)
    return Noise(max(round(found.sigma, 3), 0.001), found.kind)


def _methods(request: Denoise, measured: bool) -> list[DenoiseMethod]:
    """What is tried: where there is a reference to measure against, everything that is there; the best comes first."""
    if request.method != "auto" or not classical.available():
        classical.require()
    if request.method != "auto" and not measured:
        return [request.method]
    return [*(["nlm", "wavelet", "tv"] if measured or request.method != "auto" else ["nlm"])]  # type: ignore[list-item]


def _applied(method: DenoiseMethod, noisy: Pixels, noise: Noise) -> Pixels:
    even = noise.evened(noisy)
    return noise.restored(classical.CLASSICAL[method](even, noise.even / 255))


def _report(
    raster: Raster, clean: Pixels | None, noisy: Pixels, noise: Noise, tried: Mapping[DenoiseMethod, Tried], chosen: str
) -> Report:
    found = residual(noise.evened(noisy), noise.evened(tried[chosen].pixels))  # type: ignore[index]
    views = {} if clean is None else {"clean": raster.image_of(clean)}
    views |= {"noisy": raster.image_of(noisy)} | {name: raster.image_of(one.pixels) for name, one in tried.items()}
    rows: list[Mapping[str, str | int | float | None]] = []
    if clean is not None:
        rows.append({"picture": "noisy", "psnr": psnr(clean, noisy), "ssim": ssim(clean, noisy), "seconds": None})
    for name, one in tried.items():
        against = {} if clean is None else {"psnr": psnr(clean, one.pixels), "ssim": ssim(clean, one.pixels)}
        rows.append({"picture": name, **against, "seconds": one.seconds})
    remarks = []
    if not found.noise_like:
        remarks.append(
            f"warning: structure went with the noise (neighbours of what was removed correlate by "
            f"{found.correlation:.2f}, its strength with edges by {found.structure:.2f}); try a lower --sigma"
        )
    return Report(f"sigma {noise}, {chosen}", rows, remarks, views)
