"""Where faces are in a picture.

In photographs by the cascade of Haar features (Viola and Jones 2001) that comes with OpenCV 4; the confidence is by how
many of its windows agree. In drawings of nano's domain by the bundled judge, which is shown windows of the picture:
where it is sure of a portrait, the face is where portraits have theirs.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from sfumato.errors import RequestError, installed_by
from sfumato.recognition.judge import bundled

Box = tuple[int, int, int, int]
"""Left, top, width and height in pixels."""
Window = tuple[int, int, int]
"""Left, top and side."""

CASCADE = "haarcascade_frontalface_alt2.xml"
LARGEST = 1024
"""Pixels a side to which a picture is reduced for the cascade."""
AGREEING = 5
"""So many windows of the cascade that agree are a confidence of 0.5."""
SURE = 0.9
"""Certainty of the judge from which on a window is a portrait. It is asked of many windows, so that it takes more than
for a whole picture: of 12 renders 11 have a window of that, of 4 photographs none; the next of theirs has 0.82."""
SCALES = (1.0, 0.7, 0.5)
"""Sides of the judge's windows, of the picture's shorter side."""
STRIDE = 0.25
"""From one window to the next, of its side."""
FACE = (0.22, 0.3, 0.58, 0.48)
"""Where a portrait has its face, in shares of its sides: eyes and mouths of 24 renders are within."""


@dataclass(frozen=True)
class Face:
    """A face and how sure it is, 0 to 1."""

    box: Box
    confidence: float


def found(image: Image.Image, confidence: float) -> list[Face]:
    """Faces of at least that confidence, the largest first: those of a photograph, or else of a drawing.

    Raises:
        RequestError: there is none; the message says by what was looked.
    """
    judge = "the bundled judge, which knows nano's portraits"
    try:
        faces, looked = in_photograph(image, confidence), f"a cascade for photographs, nor by {judge}"
    except ImportError:
        faces, looked = [], f"{judge}; for photographs, {installed_by('faces')}"
    faces = faces or in_drawing(image, max(confidence, SURE))
    if not faces:
        raise RequestError(f"no face was found by {looked}; give --box X,Y,W,H")
    return sorted(faces, key=lambda face: -face.box[2] * face.box[3])


def in_photograph(image: Image.Image, confidence: float) -> list[Face]:
    """Faces that the cascade finds.

    Raises:
        ImportError: OpenCV is not installed, or one that comes without the cascade.
    """
    import cv2

    file = Path(cv2.__file__).parent / "data" / CASCADE
    if not file.is_file():
        raise ImportError(f"OpenCV {cv2.__version__} has no {CASCADE}; version 4 has")
    scale = min(1.0, LARGEST / max(image.size))
    small = image.convert("L").resize([max(1, round(side * scale)) for side in image.size], Image.Resampling.BOX)
    boxes, agreeing = cv2.CascadeClassifier(str(file)).detectMultiScale2(np.asarray(small), 1.1, 1)
    faces = []
    for box, count in zip(boxes, agreeing, strict=True):
        left, top, width, height = (round(int(side) / scale) for side in box)
        faces.append(Face((left, top, width, height), int(count) / (int(count) + AGREEING)))
    return [face for face in faces if face.confidence >= confidence]


def in_drawing(image: Image.Image, confidence: float) -> list[Face]:
    """Faces of portraits that the judge sees in windows of the picture, the surest first; of windows one of which has
    the middle of the other the surer.
    """
    windows = _windows(image.size)
    crops = [image.crop((left, top, left + side, top + side)) for left, top, side in windows]
    seen = bundled().recognise(crops)
    sure = [
        (each.certainty, window)
        for window, each in zip(windows, seen, strict=True)
        if each.answers["kind"].word == "portrait" and each.certainty >= confidence
    ]
    kept: list[tuple[float, Window]] = []
    for certainty, window in sorted(sure, reverse=True):
        if not any(_middle_in(window, other) or _middle_in(other, window) for _, other in kept):
            kept.append((certainty, window))
    faces = []
    for certainty, (left, top, side) in kept:
        x, y, width, height = (round(share * side) for share in FACE)
        faces.append(Face((left + x, top + y, width, height), certainty))
    return faces


def _middle_in(one: Window, other: Window) -> bool:
    return all(other[i] <= one[i] + one[2] / 2 <= other[i] + other[2] for i in (0, 1))


def _windows(size: tuple[int, int]) -> list[Window]:
    """Squares in a picture, of several sizes."""
    found: list[Window] = []
    for scale in SCALES:
        side = max(1, round(min(size) * scale))
        columns, rows = (_starts(length - side, max(1, round(side * STRIDE))) for length in size)
        found += [(left, top, side) for top in rows for left in columns]
    return found


def _starts(room: int, stride: int) -> list[int]:
    return [round(room * step / max(-(-room // stride), 1)) for step in range(-(-room // stride) + 1)]


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes."""
    sides = [min(one[i] + one[i + 2], other[i] + other[i + 2]) - max(one[i], other[i]) for i in (0, 1)]
    shared = max(sides[0], 0) * max(sides[1], 0)
    return shared / (one[2] * one[3] + other[2] * other[3] - shared)
