"""Denoising: the level of noise is given or estimated, something takes it out, and what that did is measured.

read -> [noise added] -> noise estimated -> each method tried -> the best by its own estimate -> the whole picture
                                                              -> PSNR, SSIM against a reference; the residual
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float

from sfumato.choices import DenoiseMethod
from sfumato.errors import RequestError
from sfumato.metadata.provenance import Provenance
from sfumato.models.restorer import Restorer
from sfumato.pictures import Painted
from sfumato.requests import Denoise
from sfumato.restoration import classical, network
from sfumato.restoration.measures import compared, residual
from sfumato.restoration.noise import LEVELS, Noise, estimated
from sfumato.restoration.risk import risk, typical
from sfumato.results import Progress, Report, Result
from sfumato.tasks.entered import Entered
from sfumato.tasks.raster import NOT_FOR_DIAGNOSIS, Raster, read, reference
from sfumato.tasks.table import Studio

Pixels = Float[np.ndarray, "h w *c"]
Apply = Callable[[Pixels], Pixels]


@dataclass(frozen=True)
class Tried:
    """What a method made of a picture."""

    pixels: Pixels
    seconds: float


def denoise(studio: Studio, request: Denoise) -> Iterator[Progress | Result]:
    """Carry out a request.

    Raises:
        RequestError: no picture, a reference of another size, or a method that is not there.
    """
    begun = time.perf_counter()
    exact = request.changed(image=request.image.known(), clean=request.clean and request.clean.known())
    raster = read(exact.image)
    clean, noisy = _reference(exact, raster), raster.pixels
    loaded = time.perf_counter()
    if exact.add_noise is not None:
        noisy = Noise.parse(exact.add_noise).added(raster.pixels, exact.seed)
    noise = _noise(exact, noisy)
    methods = _methods(studio, exact, noise)
    guesses: dict[DenoiseMethod, float] = {}
    chosen = request.method
    if chosen == "auto":
        guesses = _guesses(methods, noisy, noise)
        chosen = min(guesses, key=lambda name: guesses[name])
    exact = exact.changed(sigma=noise.sigma, noise=noise.kind, method=chosen)
    tried: dict[DenoiseMethod, Tried] = {}
    wanted = [chosen, *(name for name in methods if name != chosen and clean is not None)]
    for i, name in enumerate(wanted):
        since = time.perf_counter()
        tried[name] = Tried(methods[name](noisy), time.perf_counter() - since)
        yield Progress(0, 1, i, len(wanted), noise.sigma, list)
    restored = tried[chosen].pixels
    rows = _rows(clean, noisy, tried, guesses)
    if clean is not None and chosen == "diffusion":
        rows.append(_row("ceiling: the autoencoder's round trip", clean, _entered(studio, exact).round_trip(clean)))
    views = {} if clean is None else {"clean": raster.view(clean)}
    views |= {"noisy": raster.view(noisy)} | {name: raster.view(one.pixels) for name, one in tried.items()}
    report = Report(_answer(raster, noise, chosen, guesses), rows, _remarks(raster, noise, noisy, restored), views)
    provenance = _provenance(studio, exact)
    picture = Painted.of(raster.image_of(restored), exact, provenance)
    timings = {"load": loaded - begun, "restore": time.perf_counter() - loaded}
    yield Result([picture], exact, [exact.seed], timings, provenance, report=report)


def _reference(request: Denoise, raster: Raster) -> Pixels | None:
    if request.add_noise is not None:
        return raster.pixels
    if request.clean is None:
        return None
    return reference(request.clean, request.image, raster)


def _noise(request: Denoise, noisy: Pixels) -> Noise:
    if request.sigma is not None:
        return Noise(request.sigma, request.noise or "gaussian")
    found = estimated(noisy, request.noise)
    return Noise(min(max(round(found.sigma, 3), 0.001), LEVELS), found.kind)


def _methods(studio: Studio, request: Denoise, noise: Noise) -> dict[DenoiseMethod, Apply]:
    """What can be tried, by name: the one that is asked for, or of "auto" all but those that take their time.

    Raises:
        RequestError: the one that is asked for is not there; or none is.
    """
    found: dict[DenoiseMethod, Apply] = {}
    folder = network.folder_of("denoise")
    if folder is not None:
        model = network.load(folder, str(studio.device))
        found["ours"] = partial(_by_network, network.applied, model, noise)
        if request.method == "ensemble":
            found["ensemble"] = partial(_by_network, network.ensembled, model, noise)
    if classical.available():
        found |= {name: partial(_by_classical, function, noise) for name, function in classical.CLASSICAL.items()}
    if request.method == "diffusion":
        found["diffusion"] = partial(_by_diffusion, _entered(studio, request), noise)
    if request.method in classical.CLASSICAL or not found:
        classical.require()
    if request.method != "auto" and request.method not in found:
        raise RequestError(f"method {request.method} has no weights in this installation; take nlm, tv or wavelet")
    return found


def _by_network(
    way: Callable[[Restorer, Pixels, Noise], Pixels], model: Restorer, noise: Noise, noisy: Pixels
) -> Pixels:
    return way(model, noisy, noise)


def _by_classical(function: Callable[[Pixels, float], Pixels], noise: Noise, noisy: Pixels) -> Pixels:
    return noise.restored(function(noise.evened(noisy), noise.even / LEVELS))


def _by_diffusion(entered: Entered, noise: Noise, noisy: Pixels) -> Pixels:
    return entered.denoised(noisy, noise)


def _entered(studio: Studio, request: Denoise) -> Entered:
    return Entered(studio.load(request.model), request.seed)


def _guesses(methods: Mapping[DenoiseMethod, Apply], noisy: Pixels, noise: Noise) -> dict[DenoiseMethod, float]:
    """The squared error that each method says of itself, on a part of the picture, where noise is made even."""
    part = np.ascontiguousarray(noisy[typical(noisy)])
    even = noise.evened(part)

    def on_even(method: Apply, pixels: Pixels) -> Pixels:
        return noise.evened(method(noise.restored(pixels) if noise.kind == "poisson" else pixels))

    return {
        name: risk(partial(on_even, method), even, on_even(method, even), noise.even / LEVELS)
        for name, method in methods.items()
    }


def _row(name: str, clean: Pixels, pixels: Pixels) -> dict[str, str | int | float | None]:
    return {"picture": name, **compared(clean, pixels)}


def _rows(
    clean: Pixels | None, noisy: Pixels, tried: Mapping[DenoiseMethod, Tried], guesses: Mapping[DenoiseMethod, float]
) -> list[Mapping[str, str | int | float | None]]:
    """The table: what each method did, and what it said of itself."""
    rows: list[Mapping[str, str | int | float | None]] = []
    blank = {"estimated psnr": None, "seconds": None}
    if clean is not None:
        rows.append({**_row("noisy", clean, noisy), **blank})
    for name in [*tried, *(each for each in guesses if each not in tried)]:
        row: dict[str, str | int | float | None] = {"picture": name}
        if clean is not None and name in tried:
            row = _row(name, clean, tried[name].pixels)
        guess = round(-10 * float(np.log10(guesses[name])), 2) if name in guesses else None
        rows.append(
            {**row, "estimated psnr": guess, "seconds": round(tried[name].seconds, 3) if name in tried else None}
        )
    return rows


def _answer(raster: Raster, noise: Noise, chosen: str, guesses: Mapping[DenoiseMethod, float]) -> str:
    scale = (raster.high - raster.low) / LEVELS
    stored = "" if raster.depth == "8" else f", {noise.sigma * scale:.4g} of the stored values"
    why = f", which says {-10 * float(np.log10(guesses[chosen])):.1f} dB of itself" if chosen in guesses else ""  # type: ignore[index]
    return f"noise of sigma {noise} of 255 levels{stored}; taken out by {chosen}{why}"


def _remarks(raster: Raster, noise: Noise, noisy: Pixels, restored: Pixels) -> Sequence[str]:
    found = residual(noise.evened(noisy), noise.evened(restored))
    remarks = []
    if noise.sigma < 1:
        remarks.append("there is hardly any noise; the picture may be left as it is")
    elif not found.noise_like:
        remarks.append(
            f"warning: structure went with the noise (neighbours of what was removed correlate by "
            f"{found.correlation:.2f}, its strength with edges by {found.structure:.2f}); try a lower --sigma"
        )
    if raster.depth == "dicom":
        remarks.append(NOT_FOR_DIAGNOSIS)
    return remarks


def _provenance(studio: Studio, request: Denoise) -> Provenance:
    torch_version = torch.__version__.partition("+")[0]
    digest = ""
    if request.method in ("ours", "ensemble") and (folder := network.folder_of("denoise")) is not None:
        digest = network.digest(folder)
    elif request.method == "diffusion":
        digest = studio.load(request.model).hash
    return Provenance(digest, "fp32", studio.device.type, torch_version)
