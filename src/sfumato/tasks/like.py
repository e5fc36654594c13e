"""A picture as a part of the prompt, in a network of the request's own: read by an IP-Adapter, or without any file
looked at by the network's self-attention.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from PIL import Image
from torch import Tensor

from sfumato.diffusion.conditioning import Conditioning
from sfumato.diffusion.noise import ImageNoise
from sfumato.errors import RequestError
from sfumato.images import to_tensor
from sfumato.model import Model
from sfumato.models.clip_vision import DEVIATION, MEAN, CLIPVisionEncoder
from sfumato.models.ip_adapter import IPAdapter, attach
from sfumato.models.reference import Reference, look
from sfumato.models.unet import UNet
from sfumato.requests import Source
from sfumato.tasks.sources import padded_to, read


def reading(model: Model, adapter: IPAdapter, strength: float) -> Model:
    """A model like this one, whose U-Net reads a picture behind the text: its conditions must be `shown`."""
    own = model.sharing("unet")
    assert isinstance(own.network, UNet)
    attach(own.network, adapter, strength)
    return own


@torch.inference_mode()
def shown(
    model: Model,
    adapter: IPAdapter,
    encoder: CLIPVisionEncoder,
    picture: Source,
    conditions: Sequence[Sequence[Conditioning]],
) -> list[list[Conditioning]]:
    """Conditions by track, the last the negative's, with the picture; the negative's with none.

    Raises:
        RequestError: the picture cannot be read.
    """
    pixels = prepared(read(picture).image, encoder.config.image_size).to(model.device, model.dtype)
    seen = encoder(pixels)
    # As each was trained: the plain ones with a vector of zeros for no picture, the plus ones with a grey picture.
    if adapter.config.resampler is None:
        nothing = seen._replace(pooled=torch.zeros_like(seen.pooled))
    else:
        nothing = encoder(torch.zeros_like(pixels))
    ours, theirs = adapter.image_proj(seen), adapter.image_proj(nothing)
    last = len(conditions) - 1
    return [
        [replace(cond, seen=theirs if track == last else ours) for cond in each]
        for track, each in enumerate(conditions)
    ]


def prepared(image: Image.Image, side: int) -> Tensor:
    """A picture as CLIP takes it, (1, 3, side, side): its shorter side resized to that, the middle, normalised."""
    scale = side / min(image.size)
    width, height = (max(side, int(length * scale)) for length in image.size)
    small = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - side) // 2, (height - side) // 2
    pixels = (to_tensor(small.crop((left, top, left + side, top + side))) + 1) / 2
    mean, deviation = (torch.tensor(each)[None, :, None, None] for each in (MEAN, DEVIATION))
    return (pixels - mean) / deviation


def looking(model: Model, picture: Source, strength: float, size: tuple[int, int]) -> tuple[Model, Reference]:
    """A model like this one, whose self-attention looks at a picture, as much as `strength` says.

    Args:
        size: of what is painted at once, in pixels; the picture is shown in its own shape, on as many.

    Raises:
        RequestError: the model has no U-Net, or a task of its own; or the picture cannot be read.
    """
    if not isinstance(model.network, UNet) or model.task is not None:
        why = "has no U-Net" if model.task is None else f"is made for {model.task}"
        raise RequestError(
            f"like is given without like_model, and {model.name} {why}: without an IP-Adapter a picture is seen by "
            "the self-attention of a U-Net that takes a prompt alone; leave like out"
        )
    image = read(picture).image
    scale = (size[0] * size[1] / (image.width * image.height)) ** 0.5
    width, height = (max(1, round(side * scale)) for side in image.size)
    small = image.resize((width, height), Image.Resampling.LANCZOS)
    own = model.sharing("unet")
    assert isinstance(own.network, UNet)
    with torch.inference_mode():
        clean = model.encode_pixels(to_tensor(padded_to(small, model.grain)))
    noise = ImageNoise([0], clean.shape[1:], device=clean.device)()  # whatever the seed: the same alone and in a batch
    return own, Reference(look(own.network, strength), clean, noise)
