"""Text to image: encode the prompt, draw noise, sample the guided denoiser, decode."""

import time
from collections.abc import Callable
from functools import cache

import torch
from PIL import Image
from torch import Tensor

from sfumato.diffusion.denoiser import Denoise
from sfumato.diffusion.guidance import classifier_free, composed
from sfumato.diffusion.noise import ImageNoise
from sfumato.diffusion.samplers import SAMPLERS
from sfumato.errors import RequestError, SfumatoError
from sfumato.families import Model
from sfumato.images import to_pil
from sfumato.prompts import parse, timeline
from sfumato.prompts.encode import encode_all
from sfumato.requests import Txt2Img, draw_seed
from sfumato.results import Progress, Result

PRECISIONS = {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32"}


def resolve(model: Model, request: Txt2Img) -> Txt2Img:
    """The exact request: what is left open is filled in from the model.

    Raises:
        RequestError: a size that the model cannot paint, or a clip skip beyond its encoder.
    """
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
    for name, pixels in (("width", exact.width), ("height", exact.height)):
        assert pixels is not None
        # The U-Net halves its input once a level; odd sizes are painted, but only whole latents can be decoded.
        factor = model.autoencoder.factor
        if pixels % factor:
            near = max(factor, round(pixels / factor) * factor)
            raise RequestError(f"{name} is {pixels}; {model.name} paints multiples of {factor}, for example {near}")
    depth = model.text_encoder.config.num_hidden_layers
    if exact.clip_skip > depth:
        raise RequestError(f"clip_skip is {exact.clip_skip}; the text encoder of {model.name} has {depth} layers")
    return exact


@torch.inference_mode()
def txt2img(model: Model, request: Txt2Img, on_step: Callable[[Progress], None]) -> Result:
    """Paint `request`, which `resolve` made exact. Picture i has seed + i, alone as in any batch."""
    assert request.seed is not None
    assert request.steps is not None
    assert request.batch is not None
    assert request.guidance is not None
    assert request.width is not None
    assert request.height is not None
    clock = _Clock(model.device)

    sampling = model.sampling
    sampler = next(row for row in SAMPLERS if row.name == request.sampler)
    try:
        sigmas = sampling.sigmas(request.steps, request.schedule)
    except ValueError as error:
        raise RequestError(str(error)) from error
    denoise = conditioned(model, request, sigmas)
    clock.lap("encode")
    factor = model.autoencoder.factor
    shape = (model.autoencoder.latent_channels, request.height // factor, request.width // factor)
    images: list[Image.Image] = []
    all_seeds = list(range(request.seed, request.seed + request.count))
    for first in range(0, request.count, request.batch):
        seeds = all_seeds[first : first + request.batch]
        noise = ImageNoise(seeds, shape, device=model.device)
        x = sampling.start(noise(), sigmas[0])
        for step in sampler(denoise, x, sigmas, noise=noise, path=sampling.parameterisation.path):
            x = step.x

            def preview(clean: Tensor = step.clean) -> list[Image.Image]:
                with torch.inference_mode():
                    return [to_pil(pixels) for pixels in model.decode(clean)]

            on_step(Progress(first, len(seeds), step.index, step.total, step.sigma, preview))
        clock.lap("sample")
        latents = sampling.finish(x, sigmas[-1])
        for latent in latents.split(1):
            pixels = model.decode(latent)
            if not bool(pixels.isfinite().all()):
                raise SfumatoError(
                    f"{model.name} painted NaN or infinity in {PRECISIONS[model.dtype]}; try --precision fp32"
                )
            images += [to_pil(picture) for picture in pixels]
        clock.lap("decode")
    steps = request.steps * len(range(0, request.count, request.batch))
    timings = {"load": model.seconds.get("load", 0.0), **clock.laps}
    timings["steps_per_second"] = steps / clock.laps["sample"]
    return Result(images, request, all_seeds, timings, model.hash, str(model.device), PRECISIONS[model.dtype])


def conditioned(model: Model, request: Txt2Img, sigmas: Tensor) -> Denoise:
    """The guided denoiser of a request's prompts.

    What is said may change with the step (`[cat:dog:0.5]`): it is looked up by sigma, so that the denoiser carries no
    state and serves any sampler and any batch. Each wording is encoded once.

    Raises:
        RequestError: a prompt that cannot be read, or one that names networks such as LoRAs.
    """
    assert request.steps is not None
    assert request.guidance is not None
    scale, rescale = request.guidance, request.guidance_rescale
    prompt = parse(request.prompt, request.prompt_syntax)
    against = parse(request.negative, request.prompt_syntax, negative=True)
    if prompt.networks:
        named = prompt.networks[0]
        raise RequestError(
            f"the prompt asks for {named.kind} {named.name!r}; networks cannot be added yet, remove <{named.kind}:...>"
        )
    tracks = (*timeline(prompt, request.steps), *timeline(against, request.steps))  # the last is the negative
    encoded = iter(
        encode_all(
            [reading for track in tracks for reading in track.readings],
            model.tokenizer,
            model.text_encoder,
            clip_skip=request.clip_skip,
            emphasis=prompt.emphasis,
        )
    )
    told = [[next(encoded) for _ in track.readings] for track in tracks]
    levels = sigmas[1:].tolist()

    @cache
    def guided(*now: int) -> Denoise:
        *parts, (negative, _) = [(told[k][i], tracks[k].weight) for k, i in enumerate(now)]
        if len(parts) == 1:
            return classifier_free(model.denoiser(), parts[0][0], negative, scale, rescale=rescale)
        return composed(model.denoiser(), parts, negative, scale)

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        step = min(sum(level >= float(sigma) for level in levels), len(levels) - 1)
        return guided(*(track.order[step] for track in tracks))(x, sigma)

    return denoise


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
