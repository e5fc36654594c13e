"""Text to image: encode the prompt, draw noise, sample the guided denoiser, decode."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache

import torch
from PIL import Image
from torch import Tensor

from sfumato.adapters.wanted import wanted
from sfumato.adapters.wearing import BARE, Worn
from sfumato.diffusion.denoiser import Denoise
from sfumato.errors import RequestError, SfumatoError
from sfumato.families import Model
from sfumato.images import to_pil
from sfumato.metadata.trace import Trace, digest
from sfumato.numerics import Plan, plan
from sfumato.prompts import parse, timeline
from sfumato.prompts.encode import encode
from sfumato.requests import Txt2Img, draw_seed
from sfumato.results import Progress, Result
from sfumato.runtime.devices import rounding
from sfumato.tasks.beside_text import beside_text, filled
from sfumato.tasks.steering import steered

PRECISIONS = {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32"}


def resolve(model: Model, request: Txt2Img) -> Txt2Img:
    """The exact request: what is left open is filled in from the model.

    Raises:
        RequestError: a size that the model cannot paint, or a clip skip beyond its encoder.
    """
    if model.task is not None:
        raise RequestError(f"{model.name} is made for {model.task}; txt2img needs a model that takes a prompt alone")
    width, height = model.size
    values = {
        "seed": draw_seed() if request.seed is None else request.seed,
        "batch": 1 if request.batch is None else request.batch,
        "steps": model.family.steps if request.steps is None else request.steps,
        "sampler": model.sampling.sampler if request.sampler is None else request.sampler,
        "guidance": model.family.guidance if request.guidance is None else request.guidance,
        "width": width if request.width is None else request.width,
        "height": height if request.height is None else request.height,
    }
    exact = request.changed(**values)
    exact = exact.changed(**filled(model, exact))
    for name, pixels in (("width", exact.width), ("height", exact.height)):
        assert pixels is not None
        grain = model.grain
        if pixels % grain:
            near = max(grain, round(pixels / grain) * grain)
            raise RequestError(f"{name} is {pixels}; {model.name} paints multiples of {grain}, for example {near}")
        if model.largest is not None and pixels > model.largest:
            raise RequestError(f"{name} is {pixels}; {model.name} paints up to {model.largest}")
    depth = min(part.depth for part in model.texts.values())
    if exact.clip_skip > depth:
        raise RequestError(f"clip_skip is {exact.clip_skip}; the text encoder of {model.name} has {depth} layers")
    return exact


@torch.inference_mode()
def txt2img(
    model: Model,
    request: Txt2Img,
    on_step: Callable[[Progress], None],
    on_batch: Callable[[Result], None],
    worn: Worn = BARE,
) -> Result:
    """Paint `request`, which `resolve` made exact. Picture i has seed + i, alone as in any batch.

    Args:
        on_step: is told of each sampling step.
        on_batch: is given each batch of pictures when it is painted.
        worn: the adapters that the model wears, which are those that the request asks for.

    Raises:
        RequestError: a prompt that cannot be read, or adapters that are asked for and not worn.
    """
    if worn.wanted != wanted(request):
        raise RequestError("the request asks for adapters that the model does not wear; run it by Studio.run")
    assert request.seed is not None
    assert request.steps is not None
    assert request.batch is not None
    assert request.guidance is not None
    assert request.width is not None
    assert request.height is not None
    clock = _Clock(model.device)

    sampling = model.sampling
    way = plan(sampling, request)
    sigmas, path = way.sigmas, sampling.parameterisation.path
    denoise = conditioned(model, request, way, worn.words)
    clock.lap("encode")
    factor = model.autoencoder.factor
    shape = (model.autoencoder.latent_channels, request.height // factor, request.width // factor)
    images: list[Image.Image] = []
    traces: list[Trace] = []
    all_seeds = list(range(request.seed, request.seed + request.count))
    steps = 0

    def painted(since: int) -> Result:
        timings = {"load": model.seconds.get("load", 0.0), **clock.laps}
        timings["steps_per_second"] = steps / clock.laps["sample"]
        return Result(
            images[since:],
            request,
            all_seeds[since : len(images)],
            timings,
            model.hash,
            str(model.device),
            PRECISIONS[model.dtype],
            worn.lora_hashes,
            worn.embedding_hashes,
            model.vae_hash,
            traces[since:],
        )

    for seeds in way.batches(all_seeds, request.batch):
        first = len(images)
        noise = way.noise(seeds, shape, device=model.device)
        x = way.start(noise(), sigmas[0])
        digests, levels = [_digests(x)], []
        for step in way.sampler(denoise, x, sigmas, noise=noise, path=path, eta=way.eta, schedule=way.schedule):
            steps += 1
            x = step.x
            digests.append(_digests(x))
            levels.append(step.sigma)

            def preview(clean: Tensor = step.clean) -> list[Image.Image]:
                with torch.inference_mode():
                    return [to_pil(pixels) for pixels in model.decode(clean)]

            on_step(Progress(first, len(seeds), step.index, step.total, step.sigma, preview))
        clock.lap("sample")
        machine = rounding(model.device)
        traces += [Trace(of_one, len(seeds), machine, tuple(levels)) for of_one in zip(*digests, strict=True)]
        latents = way.finish(x, sigmas[-1])
        for latent in latents.split(1):
            pixels = model.decode(latent)
            if not bool(pixels.isfinite().all()):
                raise SfumatoError(
                    f"{model.name} painted NaN or infinity in {PRECISIONS[model.dtype]}; try --precision fp32"
                )
            images += [to_pil(picture) for picture in pixels]
        clock.lap("decode")
        on_batch(painted(first))
        clock.skip()
    return painted(0)


def conditioned(model: Model, request: Txt2Img, way: Plan, words: Mapping[str, Sequence[int]] | None = None) -> Denoise:
    """The guided denoiser of a request's prompts.

    What is said may change with the step (`[cat:dog:0.5]`): it is looked up by sigma, so that the denoiser carries no
    state and serves any sampler and any batch. Each wording is encoded once.

    Args:
        words: names of embeddings, as the text encoder's rows.

    Raises:
        RequestError: a prompt that cannot be read.
    """
    assert request.steps is not None
    assert request.guidance is not None
    prompt = parse(request.prompt, request.prompt_syntax)
    against = parse(request.negative, request.prompt_syntax, negative=True)
    tracks = (*timeline(prompt, request.steps), *timeline(against, request.steps))  # the last is the negative
    encoded = iter(
        encode(
            [reading for track in tracks for reading in track.readings],
            list(model.texts.values()),
            clip_skip=request.clip_skip,
            emphasis=prompt.emphasis,
            embeddings=words,
            join=model.join,
        )
    )
    told = [
        [beside_text(model, request, next(encoded), negative=track is tracks[-1]) for _ in track.readings]
        for track in tracks
    ]
    # A network that was distilled with guidance is told its scale, and has no use for it outside.
    outside = request.changed(guidance=1.0) if model.told_guidance else request
    levels = way.sigmas[1:].tolist()
    last = min(len(levels), request.steps) - 1
    denoiser = way.wearing(model.denoiser())

    @cache
    def guided(*now: int) -> Denoise:
        *parts, (negative, _) = [(told[k][i], tracks[k].weight) for k, i in enumerate(now)]
        return steered(denoiser, model.network, way, outside, parts, negative)

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        step = min(sum(level >= float(sigma) for level in levels), last)
        return guided(*(track.order[step] for track in tracks))(x, sigma)

    return denoise


def _digests(x: Tensor) -> list[str]:
    """Of each picture's latents."""
    return [digest(picture.numpy().data) for picture in x.float().cpu().contiguous()]


class _Clock:
    """Seconds by name, summed."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.laps: dict[str, float] = {}
        self._since = time.perf_counter()

    def lap(self, name: str) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        elif self.device.type == "mps":
            torch.mps.synchronize()
        now = time.perf_counter()
        self.laps[name] = self.laps.get(name, 0.0) + now - self._since
        self._since = now

    def skip(self) -> None:
        """What was done since the last lap is not ours."""
        self._since = time.perf_counter()
