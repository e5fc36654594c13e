"""Inpainting: inside of a mask is painted, and every byte outside of it stays.

A network of nine channels (Rombach et al. 2022, section 4.5) takes the mask and the masked picture beside the latents;
for any other the denoiser is held to the known latents outside, see `keep_outside`.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from PIL import Image, ImageChops, ImageFilter
from torch import Tensor

from sfumato.adapters.applied import Applied
from sfumato.diffusion.constraints import keep_outside
from sfumato.diffusion.denoiser import Denoise
from sfumato.errors import RequestError
from sfumato.families import Model
from sfumato.images import to_pil, to_tensor
from sfumato.requests import Inpaint
from sfumato.results import Progress, Result
from sfumato.tasks.paint import Canvas, paint
from sfumato.tasks.pictures import Opened, open_picture, padded_to, read
from sfumato.tasks.session import prepare, same, takes_latents_alone

NINE_CHANNELS = "inpainting"


def inpaint(applied: Applied, request: Inpaint, load: float = 0.0) -> Iterator[Progress | Result]:
    """Paint a request. Raises as `open_picture`, `mask_of`, `resolve` and `prepare`."""
    model = applied.model
    if model.task != NINE_CHANNELS:
        takes_latents_alone(model, "inpaint")
    exact, picture = open_picture(model, request)
    exact, mask = mask_of(exact, picture)
    where = to_latents(padded_to(mask, model.grain), model.autoencoder.factor).to(model.device)
    clean = model.encode_pixels(to_tensor(picture.padded))
    begin = filled(model, exact, picture.padded, padded_to(mask, model.grain), clean, where)
    constrain: Callable[[Denoise], Denoise] = same
    if model.task == NINE_CHANNELS:
        hidden = to_tensor(picture.padded) * (to_pixels(padded_to(mask, model.grain)) < 0.5)
        where = where.round()
        session = prepare(
            applied,
            exact,
            picture.padded.size,
            load=load,
            strength=exact.strength,
            channels=torch.cat([where, model.encode_pixels(hidden)], dim=1),
        )
    else:
        session = prepare(applied, exact, picture.padded.size, load=load, strength=exact.strength)
        constrain = partial(keep_outside, clean=clean, mask=where)
    finish = partial(pasted, picture, mask, exact.blur)
    yield from paint(session, Canvas(picture.padded.size, begin, constrain, finish))


def mask_of(request: Inpaint, picture: Opened) -> tuple[Inpaint, Image.Image]:
    """The exact request, and its mask at the size of the picture: 255 where to paint, 0 where to keep.

    Raises:
        RequestError: there is no mask, it is of another size, or it leaves all or nothing to paint.
    """
    if request.mask is not None:
        request = request.changed(mask=request.mask.known())
        assert request.mask is not None
        found = read(request.mask)
        mask = found.alpha if found.alpha is not None and found.image.convert("L").getextrema()[0] == 255 else None
        mask = found.image.convert("L") if mask is None else mask
        if mask.size != picture.image.size:
            raise RequestError(
                f"{request.mask.name} is {mask.width}x{mask.height}, and the picture {picture.image.width}x"
                f"{picture.image.height}; give a mask of the picture's size"
            )
    elif picture.alpha is not None:
        mask = ImageChops.invert(picture.alpha)
    else:
        raise RequestError(
            f"{request.image.name} has no transparent part to paint, and there is no mask; give --mask FILE, white "
            "where to paint"
        )
    if request.invert:
        mask = ImageChops.invert(mask)
    mask = mask.point(lambda value: 255 * (value >= 128))
    mask = grown(mask, request.grow)
    if mask.getextrema() in ((0, 0), (255, 255)):
        nothing = mask.getextrema() == (0, 0)
        raise RequestError(
            f"the mask leaves {'nothing to paint' if nothing else 'nothing of the picture'}; white is painted, black "
            f"kept{', and --invert swaps them' if request.grow == 0 else ''}"
        )
    return request, mask


def filled(
    model: Model, request: Inpaint, padded: Image.Image, mask: Image.Image, clean: Tensor, where: Tensor
) -> Tensor:
    """The latents that painting begins from: the picture's, and inside of the mask what the request says."""
    match request.fill:
        case "original":
            return clean
        case "blur":
            return model.encode_pixels(to_tensor(blurred(padded, mask)))
        case "zeros":
            return clean * (1 - where)
        case "noise":
            assert request.seed is not None
            noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(request.seed))
            return torch.lerp(clean, noise.to(clean), where)


def blurred(image: Image.Image, mask: Image.Image) -> Image.Image:
    """The masked part filled from its surroundings: what is known, averaged over as short a distance as reaches it."""
    known = 1 - to_pixels(mask)
    colours = to_tensor(image)
    found, reached = colours * known, known
    for radius in (4 * 2**k for k in range(16)):
        if bool((reached > 0).all()):
            break
        share = _averaged(known, radius)
        near = _averaged(colours * known, radius) / share.clamp_min(1e-6)
        found, reached = torch.where((reached > 0) | (share < 1e-4), found, near), reached + (share >= 1e-4)
    return to_pil(torch.lerp(found, colours, known)[0])


def _averaged(values: Tensor, radius: int) -> Tensor:
    size = 2 * radius + 1
    rows = torch.nn.functional.avg_pool2d(values, (1, size), 1, (0, radius))
    return torch.nn.functional.avg_pool2d(rows, (size, 1), 1, (radius, 0))


def grown(mask: Image.Image, pixels: int) -> Image.Image:
    """A mask that reaches so many pixels further, or less far below 0."""
    if not pixels:
        return mask
    if pixels < 0:
        return ImageChops.invert(grown(ImageChops.invert(mask), -pixels))
    size = 2 * pixels + 1
    rows = torch.nn.functional.max_pool2d(to_pixels(mask), (1, size), 1, (0, pixels))
    widest = torch.nn.functional.max_pool2d(rows, (size, 1), 1, (pixels, 0))
    return Image.fromarray((widest[0, 0] * 255).round().to(torch.uint8).numpy())


def to_latents(mask: Image.Image, factor: int) -> Tensor:
    """A mask as (1, 1, h, w) at the latents' size, 1 where to paint: any latent that touches what is painted."""
    pixels = to_pixels(mask)
    return torch.nn.functional.max_pool2d(pixels, factor)


def to_pixels(mask: Image.Image) -> Tensor:
    """A mask as (1, 1, h, w), 0 to 1."""
    return torch.from_numpy(np.array(mask)).float()[None, None] / 255


def pasted(picture: Opened, mask: Image.Image, blur: int, painted: Image.Image) -> Image.Image:
    """The painted picture inside of the mask, feathered outwards by `blur` pixels; the very bytes outside."""
    return Image.composite(picture.cropped(painted), picture.image, feathered(mask, blur))


def feathered(mask: Image.Image, blur: int) -> Image.Image:
    """A mask whose edge fades within `blur` pixels outwards, and is 0 beyond."""
    half = blur // 2
    soft = grown(mask, blur - half).filter(ImageFilter.BoxBlur(half))
    return ImageChops.lighter(soft, mask)
