"""What pictures of the gallery show, as vectors beside those of texts: a child reads thumbnails, which were made here.

As a program it takes orders on stdin and reports on stdout, see `sfumato.service.wire`, until stdin ends:

    {"pictures": [path, ...]} or {"text": words}
    {"marks": [hex, ...]}

A mark is a unit vector of `sfumato.recognition.embedding`, each number in 8 bits; zeros where a picture cannot be read
or shows nothing of nano's domain, of which alone such vectors say anything.
"""

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sfumato.service import wire

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

UNIT = 127


def of_pictures(paths: Sequence[str]) -> list[str]:
    """A mark each."""
    from PIL import Image

    from sfumato.recognition.embedding import WIDTH, embedder

    found = ["00" * WIDTH] * len(paths)
    images: dict[int, Image.Image] = {}
    for place, path in enumerate(paths):
        try:
            with Image.open(path) as image:
                images[place] = image.convert("RGB")
        except (OSError, ValueError, SyntaxError):
            continue
    known = _known(images)
    if known:
        vectors = embedder().pictures([images[place] for place in known])
        for place, mark in zip(known, _packed(vectors), strict=True):
            found[place] = mark
    return found


def _known(images: "dict[int, Image]") -> list[int]:
    from sfumato.recognition.judge import bundled

    read = bundled().recognise(list(images.values())) if images else []
    return [place for place, each in zip(images, read, strict=True) if each.known]


def of_text(text: str) -> list[str]:
    """One mark."""
    from sfumato.recognition.embedding import embedder

    return _packed(embedder().texts([text]))


def _packed(vectors: "Tensor") -> list[str]:
    import torch

    return [each.numpy().tobytes().hex() for each in (vectors * UNIT).round().to(torch.int8)]


def main() -> None:
    """Read until stdin ends."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no report
    if hasattr(os, "nice"):
        os.nice(5)
    while (order := wire.read(sys.stdin.buffer)) is not None:
        marks = of_text(order["text"]) if "text" in order else of_pictures(order["pictures"])
        wire.write(out, {"marks": marks})


if __name__ == "__main__":
    main()
