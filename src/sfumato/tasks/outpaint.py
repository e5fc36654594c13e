"""Outpainting: a picture is laid on a larger canvas, whose empty part is inpainted, in rounds of the model's size."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from PIL import Image

from sfumato.adapters.applied import Applied
from sfumato.errors import RequestError
from sfumato.requests import Edit, Inpaint, Outpaint
from sfumato.requests.fields import MAX_SEED
from sfumato.results import Progress, Result
from sfumato.tasks.inpaint import Region, grown, inpainted, seam
from sfumato.tasks.pictures import fitted
from sfumato.tasks.rounds import as_one
from sfumato.tasks.sources import MAX_SIDE, read

TAKEN = ("task", "seed", "width", "height")
"""Fields that are a round's own."""
APART = 0x9E3779B1
"""Between the seeds of two rounds: the same noise in each would paint the same things side by side. It is odd, so that
the lower 32 bits, which alone count for torch's generator, differ in any two of 2^32 rounds (Knuth, 6.4)."""


def outpaint(applied: Applied, request: Outpaint, load: float = 0.0) -> Iterator[Progress | Result]:
    """Paint a request, a picture after the other, since a round begins from the last. Raises as `read` and `inpainted`.

    Raises:
        RequestError: the canvas is too large.
    """
    if request.controls:
        raise RequestError("outpaint takes no controls, whose pictures are of a whole canvas; inpaint takes them")
    known = request.changed(image=request.image.known())
    exact, opened = fitted(applied.model, known, read(known.image).image)
    picture = opened.image
    size = exact.left + picture.width + exact.right, exact.top + picture.height + exact.bottom
    if max(size) > MAX_SIDE:
        raise RequestError(f"the canvas is {size[0]}x{size[1]}, and sides of up to {MAX_SIDE} pixels are painted")
    place = exact.left, exact.top, exact.left + picture.width, exact.top + picture.height
    regions = rounds(size, place, applied.model.size)
    for index in range(exact.count):
        yield from _one(applied, exact, index, picture, size, regions, load if index == 0 else 0.0)


def _one(
    applied: Applied,
    request: Outpaint,
    index: int,
    picture: Image.Image,
    size: tuple[int, int],
    regions: Sequence[Region],
    load: float,
) -> Iterator[Progress | Result]:
    """Picture `index` of a request."""
    canvas, empty = Image.new("RGB", size), Image.new("L", size, 255)
    canvas.paste(picture, (request.left, request.top))
    empty.paste(0, (request.left, request.top, request.left + picture.width, request.top + picture.height))
    new, single = empty.copy(), request.single(index)
    results: list[Result] = []
    for number, region in enumerate(regions):
        part, width, height = empty.crop(region), region[2] - region[0], region[3] - region[1]
        shared = {name: getattr(single, name) for name in Edit.model_fields if name not in TAKEN}
        asked = Inpaint.build(
            **shared,
            seed=(single.settled.first_seed + number * APART) % (MAX_SEED + 1),
            width=width,
            height=height,
            fill="blur",
            blur=request.overlap - request.overlap // 2,
        )
        mask = grown(part, request.overlap // 2)
        for event in inpainted(applied, asked, canvas.crop(region), mask, 0.0 if number else load):
            if isinstance(event, Progress):
                done = number * event.total + event.index
                seen = _Preview(event, canvas.copy(), region)
                yield replace(
                    event, image=index, index=done, total=len(regions) * event.total, preview=seen, glimpse=None
                )
            else:
                results.append(event)
                canvas.paste(event[0], region[:2])
                empty.paste(0, region)
    yield as_one(results, request, index, canvas, seam(canvas, new))


class _Preview:
    """The canvas, with what is being painted in its place."""

    def __init__(self, progress: Progress, canvas: Image.Image, region: Region) -> None:
        self.progress, self.canvas, self.region = progress, canvas, region

    def __call__(self) -> list[Image.Image]:
        self.canvas.paste(self.progress.preview()[0], self.region[:2])
        return [self.canvas]


def rounds(size: tuple[int, int], known: Region, largest: tuple[int, int]) -> list[Region]:
    """What to paint after each other so that a canvas is full: one region where it is small enough.

    Otherwise strips at the sides of what is known, outwards by half of `largest` each, the last ones above and below;
    a strip longer than `largest` in regions that overlap by half.

    Args:
        size: of the canvas.
        known: what there is of it.
        largest: width and height that are painted at once.
    """
    width, height = size
    if width <= largest[0] and height <= largest[1]:
        return [(0, 0, width, height)]
    left, top, right, bottom = known
    found: list[Region] = []
    rows, columns = _spans(top, bottom, largest[1]), _spans(0, width, largest[0])
    while right < width:
        right = min(right + largest[0] // 2, width)
        found += [(max(left, right - largest[0]), first, right, last) for first, last in rows]
    while left > 0:
        left = max(left - largest[0] // 2, 0)
        found += [(left, first, min(right, left + largest[0]), last) for first, last in rows]
    while bottom < height:
        bottom = min(bottom + largest[1] // 2, height)
        found += [(first, max(top, bottom - largest[1]), last, bottom) for first, last in columns]
    while top > 0:
        top = max(top - largest[1] // 2, 0)
        found += [(first, top, last, min(bottom, top + largest[1])) for first, last in columns]
    return found


def _spans(begin: int, end: int, length: int) -> list[tuple[int, int]]:
    """Stretches of at most that length that cover another, with overlaps of half and more."""
    if end - begin <= length:
        return [(begin, end)]
    starts = [*range(begin, end - length, length // 2), end - length]
    return [(start, start + length) for start in starts]
