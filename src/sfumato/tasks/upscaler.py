"""Enlarging by a diffusion model that was made for it: it sees the small picture beside the latents that it paints.

x4 upscaler       the picture's pixels, with noise of a level that the network is told; its autoencoder has 4 pixels a
                  side for one latent, so that these are as many
latent upscaler   the picture's latents at double the size; told are 128 numbers for noise of level 0, and the pooled
                  text (https://huggingface.co/stabilityai/sd-x2-latent-upscaler)
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from sfumato.adapters.applied import Applied
from sfumato.diffusion.conditioning import Conditioning
from sfumato.diffusion.noise import ImageNoise
from sfumato.families import ENLARGING
from sfumato.images import to_tensor
from sfumato.model import Model
from sfumato.models.k_unet import KUNet
from sfumato.requests import Txt2Img, Upscale
from sfumato.results import Progress, Result
from sfumato.tasks.paint import Canvas, paint
from sfumato.tasks.plan import Plan
from sfumato.tasks.session import Prompts, encode_prompts, prepare, resolve
from sfumato.tasks.sources import padded_to

PIXELS_SCALE, LATENTS_SCALE = 4, 2
GRAIN = 8
"""Sides of the latent upscaler's small latents are multiples of it: it halves the large ones three times, and mirrors
edges of two at least."""
NOISELESS = torch.cat([torch.ones(64), torch.zeros(64)])
"""What a latent upscaler is told of a small picture without noise: cosines and sines of 0."""


@dataclass(frozen=True)
class Seen:
    """What a network is told beside the prompt.

    Attributes:
        channels: (1, c, h, w), of the small picture.
        kind: (1,) the noise in it, where that is told as a class.
        beside: (128,) the same, where it is told in numbers.
    """

    channels: Tensor
    kind: Tensor | None = None
    beside: Tensor | None = None

    def told(self, cond: Conditioning) -> Conditioning:
        """The condition with it."""
        if self.kind is not None:
            return replace(cond, kind=self.kind.to(cond.tokens.device))
        assert self.beside is not None
        assert cond.pooled is not None
        return replace(cond, pooled=torch.cat([self.beside.to(cond.pooled)[None], cond.pooled], dim=1))


@dataclass(frozen=True)
class PaintingEnlarger:
    """A model that enlarges by painting: its steps are watched, where an `Enlarger` is called and done.

    Attributes:
        model: of which `scale_of` is a number.
        scale: how many times larger the result is to be; what the model itself gives is resampled to it.
    """

    model: Model
    scale: int
    name: ClassVar[str] = "diffusion"
    title: ClassVar[str] = name

    @property
    def digest(self) -> str:
        """Of its weights."""
        return self.model.hash


def scale_of(model: Model) -> int | None:
    """How much a model enlarges; None where it is made for something else."""
    if model.task != ENLARGING:
        return None
    return LATENTS_SCALE if isinstance(model.network, KUNet) else PIXELS_SCALE


@torch.inference_mode()
def enlarged(model: Model, request: Upscale, image: Image.Image) -> Iterator[Progress | Result]:
    """Paint an RGB picture larger, by `scale_of` the model.

    Raises:
        RequestError: as `resolve` and `prepare`.
    """
    scale = scale_of(model)
    assert scale is not None
    latents = isinstance(model.network, KUNet)
    padded = padded_to(image, GRAIN * model.autoencoder.factor) if latents else image
    size = scale * padded.width, scale * padded.height
    asked = Txt2Img.build(
        prompt=request.refine or "", model=request.model, seed=request.seed, steps=request.steps,
        guidance=request.guidance, width=size[0], height=size[1],
    )  # fmt: skip
    exact = resolve(model, asked)
    factor = model.autoencoder.factor
    shape = model.autoencoder.latent_channels, size[1] // factor, size[0] // factor
    noise = ImageNoise([request.seed], shape, device=model.device)
    pixels = to_tensor(padded)
    if latents:
        seen = Seen(F.interpolate(model.encode_pixels(pixels), scale_factor=2, mode="nearest"), beside=NOISELESS)
    else:
        assert model.small_schedule is not None
        sigma = model.small_schedule.level(torch.tensor(float(request.noise_level)))
        noisy = (pixels + sigma * noise.draw(tuple(pixels.shape[1:])).cpu()) * (1 + sigma**2).rsqrt()
        seen = Seen(noisy.to(model.device), kind=torch.tensor([request.noise_level]))

    def said(how: Plan) -> Prompts:
        prompts = encode_prompts(model, exact, how)
        return replace(prompts, conditions=[[seen.told(cond) for cond in conds] for conds in prompts.conditions])

    session = prepare(Applied(model, model), exact, size, channels=seen.channels, said=said)
    session = replace(session, plan=replace(session.plan, noise=lambda *_, **__: noise))

    def cropped(painted: Image.Image) -> Image.Image:
        return painted.crop((0, 0, scale * image.width, scale * image.height))

    yield from paint(session, Canvas(size, finish=cropped))
