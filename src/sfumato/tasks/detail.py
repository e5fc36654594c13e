"""A detail pass, as ADetailer makes it: each face is cut out, enlarged, painted anew a little, and laid back."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from PIL import Image

from sfumato.adapters.applied import Applied
from sfumato.recognition import faces
from sfumato.requests import Detail, Edit, Inpaint
from sfumato.results import Progress, Result
from sfumato.tasks.inpaint import boxed, grown, inpainted, seam
from sfumato.tasks.pictures import fitted
from sfumato.tasks.rounds import as_one
from sfumato.tasks.sources import read


def detail(applied: Applied, request: Detail, load: float = 0.0) -> Iterator[Progress | Result]:
    """Paint a request, a picture after the other, since a face may overlap the last. The exact one has the boxes.

    Raises:
        RequestError: no face is found; as `read`, `boxed` and `inpainted`.
    """
    known = request.changed(image=request.image.known())
    exact, opened = fitted(applied.model, known, read(known.image).image)
    picture = opened.image
    boxes = request.box or tuple(face.box for face in faces.found(picture, request.confidence)[: request.largest])
    exact = exact.changed(box=boxes)
    masks = [grown(boxed(box, picture), exact.grow) for box in boxes]
    for index in range(exact.count):
        yield from _one(applied, exact, index, picture, masks, load if index == 0 else 0.0)


def _one(
    applied: Applied,
    request: Detail,
    index: int,
    picture: Image.Image,
    masks: Sequence[Image.Image],
    load: float,
) -> Iterator[Progress | Result]:
    single, rounds, around = request.single(index), list[Result](), Image.new("L", picture.size)
    taken = [name for name in Edit.model_fields if name not in ("task", "width", "height")]
    shared = {name: getattr(single, name) for name in (*taken, "blur", "padding")}
    for number, mask in enumerate(masks):
        asked = Inpaint.build(**shared, only_masked=True)
        for event in inpainted(applied, asked, picture, mask, 0.0 if number else load):
            if isinstance(event, Progress):
                done, total = number * event.total + event.index, len(masks) * event.total
                yield replace(event, image=index, index=done, total=total)
            else:
                rounds.append(event)
                picture = event[0]
        around.paste(255, mask=mask)
    yield as_one(rounds, request, index, picture, seam(picture, around))
