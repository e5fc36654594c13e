"""Inpainting: inside of a mask is painted, and every byte outside of it stays.

A network of nine channels (Rombach et al. 2022, section 4.5) takes the mask and the masked picture beside the latents;
for any other the denoiser is held to the known latents outside, see `keep_outside`.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from PIL import Image, ImageChops, ImageFilter
from torch import Tensor

from sfumato.adapters.applied import Applied
from sfumato.diffusion.constraints import keep_outside
from sfumato.diffusion.denoiser import Denoise
from sfumato.errors import RequestError
from sfumato.families import INPAINTING
from sfumato.images import to_pil, to_tensor
from sfumato.model import Model
from sfumato.requests import Inpaint, Masked, Source
from sfumato.results import Progress, Result
from sfumato.tasks.paint import Canvas, paint
from sfumato.tasks.pictures import fitted
from sfumato.tasks.session import prepare, same, takes_latents_alone
from sfumato.tasks.sources import padded_to, read
from sfumato.tasks.where import described, located

NEAR = 8
"""Pixels on either side of a mask's edge that are its surroundings."""

Region = tuple[int, int, int, int]
"""Left, top, right and bottom, the latter two outside."""


def inpaint(applied: Applied, request: Inpaint, load: float = 0.0) -> Iterator[Progress | Result]:
    """Paint a request. Raises as `read`, `mask_of` and `inpainted`."""
    known = request.changed(image=request.image.known(), mask=None if request.mask is None else request.mask.known())
    found = read(known.image)
    image, alpha = found.image, found.alpha
    if not request.only_masked:
        known, opened = fitted(applied.model, known, image, alpha)
        image, alpha = opened.image, opened.alpha
    if known.where is None:
        mask = mask_of(known, image, alpha)
    else:
        shown = described(applied.model, image, known.where, known.prompt)
        mask = shaped(located(applied, known, image, known.where, shown), known)
    yield from inpainted(applied, known, image, mask, load)


def inpainted(
    applied: Applied,
    request: Masked,
    image: Image.Image,
    mask: Image.Image,
    load: float = 0.0,
    prompt: str | None = None,
) -> Iterator[Progress | Result]:
    """Paint inside of a mask: 255 there, 0 where the picture stays. A `Result` says how its seam is, see `seam`.

    Args:
        prompt: what to paint, where it isn't the request's prompt alone.

    Raises:
        RequestError: as `fitted` and `prepare`; a model made for something else.
    """
    model = applied.model
    if model.task != INPAINTING:
        takes_latents_alone(model, request.task)
    region: Region = (0, 0, *image.size)
    if request.only_masked:
        wanted = (request.width or model.size[0], request.height or model.size[1])
        region = around(mask, request.padding, wanted)
        width, height = _within(wanted, region, model.grain)
        request = request.changed(width=width, height=height)
    exact, picture = fitted(model, request, image.crop(region))
    part = mask.crop(region).resize(picture.image.size, Image.Resampling.LANCZOS).point(lambda v: 255 * (v >= 128))
    padded = padded_to(part, model.grain)
    where = to_latents(padded, model.autoencoder.factor).to(model.device)
    clean = model.encode_pixels(to_tensor(picture.padded))
    begin = filled(model, exact, picture.padded, padded, clean, where)
    constrain: Callable[[Denoise], Denoise] = same
    settle: Callable[[Tensor], Tensor] = same
    channels = None
    if model.task == INPAINTING:
        hidden = to_tensor(picture.padded) * (to_pixels(padded) < 0.5)
        channels = torch.cat([where, model.encode_pixels(hidden)], dim=1)
    else:
        constrain = partial(keep_outside, clean=clean, mask=where)
        settle = partial(torch.lerp, clean, weight=where)
    session = prepare(
        applied,
        exact if prompt is None else exact.changed(prompt=prompt),
        picture.padded.size,
        load=load,
        strength=exact.strength,
        channels=channels,
        region=_shares(region, image.size),
    )
    session = replace(session, request=exact)

    def finish(painted: Image.Image) -> Image.Image:
        return pasted(image, mask, exact.blur, region, picture.cropped(painted))

    for event in paint(session, Canvas(picture.padded.size, begin, constrain, settle, finish)):
        if isinstance(event, Result):
            event = replace(event, measures={**event.measures, "seam": [seam(each, mask) for each in event]})
        yield event


def _shares(region: Region, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """A region in shares of a picture's sides."""
    left, top, right, bottom = region
    return left / size[0], top / size[1], right / size[0], bottom / size[1]


def mask_of(request: Inpaint, image: Image.Image, alpha: Image.Image | None) -> Image.Image:
    """The mask of a request, at the size of the picture: 255 where to paint, 0 where to keep.

    Raises:
        RequestError: there is no mask, it is of another size, or it leaves all or nothing to paint.
    """
    if request.mask is not None:
        mask = _read_mask(request.mask)
        if mask.size != image.size:
            raise RequestError(
                f"{request.mask.name} is {mask.width}x{mask.height}, and the picture {image.width}x{image.height}; "
                "give a mask of the picture's size"
            )
    elif request.box is not None:
        mask = boxed(request.box, image)
    elif alpha is not None:
        mask = ImageChops.invert(alpha)
    else:
        raise RequestError(
            f"{request.image.name} has no transparent part to paint, and there is no mask; give --mask FILE, white "
            "where to paint, or --box X,Y,W,H"
        )
    return shaped(mask, request)


def boxed(box: tuple[int, int, int, int], image: Image.Image) -> Image.Image:
    """A mask of a box: left, top, width and height.

    Raises:
        RequestError: it reaches beyond the picture.
    """
    left, top, width, height = box
    if left + width > image.width or top + height > image.height:
        raise RequestError(
            f"box {','.join(map(str, box))} reaches beyond the picture, which is {image.width}x{image.height}; give "
            "left, top, width and height inside of it"
        )
    mask = Image.new("L", image.size)
    mask.paste(255, (left, top, left + width, top + height))
    return mask


def _read_mask(source: Source) -> Image.Image:
    """A picture's brightness; its opacity where it is white and partly transparent."""
    found = read(source)
    grey = found.image.convert("L")
    return found.alpha if found.alpha is not None and grey.getextrema()[0] == 255 else grey


def shaped(mask: Image.Image, request: Masked) -> Image.Image:
    """A mask of 0 and 255, inverted and grown as the request says.

    Raises:
        RequestError: it leaves all or nothing to paint.
    """
    if request.invert:
        mask = ImageChops.invert(mask)
    mask = grown(mask.point(lambda value: 255 * (value >= 128)), request.grow)
    if mask.getextrema() in ((0, 0), (255, 255)):
        nothing = mask.getextrema() == (0, 0)
        raise RequestError(
            f"the mask leaves {'nothing to paint' if nothing else 'nothing of the picture'}; white is painted, black "
            f"kept{', and --invert swaps them' if request.grow == 0 else ''}"
        )
    return mask


def around(mask: Image.Image, padding: int, shape: tuple[int, int]) -> Region:
    """What is masked and so many pixels around it, widened to the ratio of `shape` as far as the picture reaches."""
    box = mask.getbbox()
    assert box is not None
    left, top = max(box[0] - padding, 0), max(box[1] - padding, 0)
    right, bottom = min(box[2] + padding, mask.width), min(box[3] + padding, mask.height)
    width, height = right - left, bottom - top
    left, right = _widened(left, right, max(width, height * shape[0] // shape[1]), mask.width)
    top, bottom = _widened(top, bottom, max(height, width * shape[1] // shape[0]), mask.height)
    return left, top, right, bottom


def _widened(begin: int, end: int, length: int, limit: int) -> tuple[int, int]:
    """A stretch of that length around another, moved and cut to lie in 0 to `limit`."""
    begin = max(0, min(begin - (length - (end - begin)) // 2, limit - length))
    return begin, min(begin + length, limit)


def _within(size: tuple[int, int], region: Region, grain: int) -> tuple[int, int]:
    """The size at which a region is painted: of its own ratio, in multiples of `grain`, at most the one given."""
    sides = region[2] - region[0], region[3] - region[1]
    scale = min(size[0] / sides[0], size[1] / sides[1])
    width, height = (max(grain, round(side * scale / grain) * grain) for side in sides)
    return width, height


def seam(painted: Image.Image, mask: Image.Image) -> float:
    """How visible the edge of what was painted is: the mean step in brightness from each pixel to the next across the
    mask's edge, by that within 8 pixels of it on either side. 1 is no seam; infinite where all around is flat.
    """
    grey = torch.from_numpy(np.array(painted.convert("L"))).float()
    inside = to_pixels(mask)[0, 0]
    near = to_pixels(grown(mask, NEAR))[0, 0] - to_pixels(grown(mask, -NEAR))[0, 0] > 0.5
    across, beside = [], []
    for axis in (0, 1):
        steps, edge = grey.diff(dim=axis).abs(), inside.diff(dim=axis).abs() > 0.5
        close = near.narrow(axis, 0, near.shape[axis] - 1) & near.narrow(axis, 1, near.shape[axis] - 1)
        across.append(steps[edge])
        beside.append(steps[close & ~edge])
    edges, surroundings = (torch.cat(each).sum().item() / max(len(torch.cat(each)), 1) for each in (across, beside))
    if surroundings == 0:
        return 1.0 if edges == 0 else float("inf")
    return edges / surroundings


def filled(
    model: Model, request: Masked, padded: Image.Image, mask: Image.Image, clean: Tensor, where: Tensor
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
            noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(request.settled.seed))
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


def pasted(image: Image.Image, mask: Image.Image, blur: int, region: Region, painted: Image.Image) -> Image.Image:
    """What was painted of a region, inside of the mask, feathered outwards by `blur` pixels; the very bytes outside."""
    size = region[2] - region[0], region[3] - region[1]
    if painted.size != size:
        painted = painted.resize(size, Image.Resampling.LANCZOS)
    whole = image.copy()
    whole.paste(painted, region[:2])
    return Image.composite(whole, image, feathered(mask, blur))


def feathered(mask: Image.Image, blur: int) -> Image.Image:
    """A mask whose edge fades within `blur` pixels outwards, and is 0 beyond."""
    half = blur // 2
    soft = grown(mask, blur - half).filter(ImageFilter.BoxBlur(half))
    return ImageChops.lighter(soft, mask)
