"""The loop that all painting goes through, once: noise, sampling, decoding, with reports on the way."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d

from sfumato.diffusion.denoiser import Denoise
from sfumato.errors import SfumatoError
from sfumato.images import tile_seam, to_pil
from sfumato.metadata.trace import Trace, digest
from sfumato.pictures import Painted
from sfumato.results import Progress, Result
from sfumato.runtime.devices import rounding
from sfumato.tasks.memory import let_go
from sfumato.tasks.session import Session, same


@dataclass(frozen=True)
class Canvas:
    """Where a session paints.

    Attributes:
        size: width and height in pixels, multiples of the model's grain.
        clean: latents to begin from, (1, c, h, w); None: noise alone.
        constrain: wraps D(x, sigma), to hold parts fast.
        settle: the last touch on the latents, (b, c, h, w), whose grid may have ended above 0.
        finish: the last touch on each picture.
        still: begin from the clean latents themselves, without noise.
    """

    size: tuple[int, int]
    clean: Tensor | None = None
    constrain: Callable[[Denoise], Denoise] = same
    settle: Callable[[Tensor], Tensor] = same
    finish: Callable[[Image.Image], Image.Image] = same
    still: bool = False


@torch.inference_mode()
def paint(session: Session, canvas: Canvas, first: int = 0) -> Iterator[Progress | Result]:
    """Paint: a `Progress` after each step, a `Result` after each batch. Picture i has seed + i, alone as in any batch.

    Args:
        first: which of the request's pictures is the first of the plan's seeds.

    Where the plan has no step, the clean latents are decoded as they are. Leaving the loop cancels.
    """
    model, plan, clock = session.model, session.plan, session.clock
    denoise = canvas.constrain(session.saving(session.denoise))
    factor = model.autoencoder.factor
    width, height = canvas.size
    shape = (model.autoencoder.latent_channels, height // factor, width // factor)
    machine, steps = rounding(model.device), 0
    for seeds in plan.batches():
        clock.skip()
        noise = plan.noise(seeds, shape, device=model.device)
        if canvas.still and canvas.clean is not None:
            x = canvas.clean.expand(len(seeds), *shape)
        else:
            x = plan.begin(noise(), canvas.clean)
        digests, levels = [_digests(x)], []
        if len(plan.sigmas) > 1:
            descent = plan.sampler(
                denoise, x, plan.sigmas, noise=noise, path=plan.path, eta=plan.eta, schedule=plan.schedule
            )
            for step in descent:
                steps += 1
                x = step.x
                digests.append(_digests(x))
                levels.append(step.sigma)
                preview = _Preview(session, canvas, step.clean)
                glimpse = replace(preview, halved=True)
                yield Progress(first, len(seeds), step.index, step.total, step.sigma, preview, glimpse)
            x = canvas.settle(plan.finish(x, plan.sigmas[-1]))
        elif canvas.clean is not None:
            x = canvas.clean.expand(len(seeds), *shape)
        clock.lap("sample")
        let_go(model, (model.network,))
        traces = [Trace(of_one, len(seeds), machine, tuple(levels)) for of_one in zip(*digests, strict=True)]
        images = [picture for latent in x.split(1) for picture in _decoded(session, canvas, latent, checked=True)]
        clock.lap("decode")
        timings = {**clock.laps, "steps_per_second": steps / clock.laps["sample"] if clock.laps["sample"] else 0.0}
        painted: list[Image.Image] = [
            Painted.of(image, session.request.single(first + i), session.provenance, trace)
            for i, (image, trace) in enumerate(zip(images, traces, strict=True))
        ]
        seams = _seams(session, canvas, images)
        yield Result(painted, session.request, list(seeds), timings, session.provenance, traces, seams)
        first += len(seeds)


def _seams(session: Session, canvas: Canvas, images: Sequence[Image.Image]) -> dict[str, list[float]]:
    """How tiles meet; nothing for pictures that are not the canvas, but for what was padded."""
    grain = session.model.grain
    whole = all(0 <= side - own < grain for each in images for side, own in zip(canvas.size, each.size, strict=True))
    if not any(session.borders) or not whole:
        return {}
    factor = session.model.autoencoder.factor
    return {"tile_seam": [tile_seam(each, *session.borders, factor) for each in images]}


@dataclass(frozen=True)
class _Preview:
    """Decodes the present clean estimate when called."""

    session: Session
    canvas: Canvas
    clean: Tensor
    halved: bool = False

    @torch.inference_mode()
    def __call__(self) -> list[Image.Image]:
        if not self.halved:
            return _decoded(self.session, self.canvas, self.clean)
        pixels = self.session.model.decode(avg_pool2d(self.clean, 2, ceil_mode=True))
        return [self.canvas.finish(to_pil(picture).resize(self.canvas.size)) for picture in pixels]


def _decoded(session: Session, canvas: Canvas, latents: Tensor, *, checked: bool = False) -> list[Image.Image]:
    model = session.model
    pixels = model.decode(latents)
    if checked and not bool(pixels.isfinite().all()):
        raise SfumatoError(f"{model.name} painted NaN or infinity in {model.precision}; try --precision fp32")
    return [canvas.finish(to_pil(picture)) for picture in pixels]


def _digests(x: Tensor) -> list[str]:
    """Digests of each picture's latents."""
    return [digest(picture.numpy().data) for picture in x.float().cpu().contiguous()]
