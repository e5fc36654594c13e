"""The detail pass: faces are found in photographs and drawings, and only where they are is painted, each enlarged."""

import sys
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image
from recipes.nano.data import portraits
from recipes.nano.data.emoji import rasterise_rgba

from sfumato import Inpaint, Progress, Studio
from sfumato.errors import RequestError
from sfumato.metadata.describe import describe
from sfumato.recognition import faces
from sfumato.recognition.faces import Face, found, in_drawing, in_photograph, overlap


@pytest.fixture(scope="module")
def studio(tiny: Path) -> Studio:
    return Studio(tiny, device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    rows = np.indices((96, 160)).sum(0)
    return Image.fromarray(np.stack([rows, 255 - rows, rows * 37 % 256], -1).astype(np.uint8))


def test_only_the_boxes_are_painted_each_as_a_masked_part_is(studio: Studio, photo: Image.Image) -> None:
    boxes = ((8, 8, 24, 24), (100, 40, 30, 40))
    options = {"seed": 3, "steps": 2, "strength": 0.6, "padding": 8, "blur": 4, "grow": 0}
    seen: list[Progress] = []
    result = studio.detail(photo, "a red fox", box=boxes, on_step=seen.append, **options)  # type: ignore[arg-type]
    changed = (np.asarray(result[0]) != np.asarray(photo)).any(-1)
    near = np.zeros_like(changed)
    for left, top, width, height in boxes:
        assert changed[top : top + height, left : left + width].mean() > 0.5
        near[top - 4 : top + height + 4, left - 4 : left + width + 4] = True
    assert not changed[~near].any()
    first = studio.inpaint(photo, "a red fox", box=boxes[0], only_masked=True, **options)  # type: ignore[arg-type]
    again = studio.inpaint(first[0], "a red fox", box=boxes[1], only_masked=True, **options)  # type: ignore[arg-type]
    assert result[0].tobytes() == again[0].tobytes()
    assert [(each.index, each.total) for each in seen] == [(0, 2), (1, 2)]  # a step a face, at that strength
    assert studio.run(result.request)[0].tobytes() == result[0].tobytes()
    assert describe(result.request).fields["Detail boxes"] == "(8, 8, 24, 24),(100, 40, 30, 40)"
    assert isinstance(again.request, Inpaint)


def test_faces_that_are_found_are_the_boxes(
    studio: Studio, photo: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes = [(8, 8, 24, 24), (100, 40, 20, 20), (60, 60, 10, 10)]
    monkeypatch.setattr(faces, "in_drawing", lambda image, confidence: [])
    monkeypatch.setattr(faces, "in_photograph", lambda image, confidence: [Face(box, 0.8) for box in boxes[::-1]])
    result = studio.detail(photo, "a red fox", largest=2, steps=1, seed=1)
    assert result.request.model_dump()["box"] == (boxes[0], boxes[1])


def test_no_face_and_boxes_that_make_no_sense_are_refused(
    studio: Studio, photo: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faces, "in_drawing", lambda image, confidence: [])
    with pytest.raises(RequestError, match=r"no face was found by .*; give --box X,Y,W,H"):
        found(Image.new("RGB", (64, 64), "white"), 0.5)
    with pytest.raises(RequestError, match="box 150,0,20,20 reaches beyond the picture, which is 160x96"):
        studio.detail(photo, "a fox", box=[(0, 0, 9, 9), (150, 0, 20, 20)], steps=1)
    with pytest.raises(RequestError, match="box"):
        studio.detail(photo, "a fox", box=["1,2,3"], steps=1)


def test_without_its_package_photographs_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    monkeypatch.setattr(faces, "in_drawing", lambda image, confidence: [])
    with pytest.raises(RequestError, match=r"knows nano's portraits; for photographs, pip install .*; give --box"):
        found(Image.new("RGB", (64, 64), "white"), 0.5)


def test_a_photograph() -> None:
    from skimage import data

    image = Image.fromarray(data.astronaut())
    [face] = in_photograph(image, 0.5)
    assert overlap(face.box, (175, 70, 110, 110)) > 0.5
    assert in_photograph(Image.fromarray(data.coffee()), 0.5) == []


@pytest.mark.slow
def test_a_drawing() -> None:
    pictures = [portraits.draw(style, Random(5)) for style in ("avataaars", "big-smile")]
    left, right = (Image.fromarray(rasterise_rgba(portraits.svg(each), 200)[..., :3]) for each in pictures)
    canvas = Image.new("RGB", (520, 240), (40, 90, 160))
    canvas.paste(left, (20, 30))
    canvas.paste(right, (300, 20))
    seen = [face.box for face in in_drawing(canvas, 0.5)][:2]
    for box in ((20 + 44, 30 + 60, 116, 96), (300 + 44, 20 + 60, 116, 96)):
        assert max(overlap(box, each) for each in seen) > 0.4


def test_overlap() -> None:
    assert overlap((0, 0, 10, 10), (5, 0, 10, 10)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 10, 10), (20, 20, 10, 10)) == 0
