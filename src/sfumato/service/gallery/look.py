"""What is to be seen in a picture's file. A child with limits looks, since decoders meet bytes of anybody here.

As a program it takes orders on stdin and reports on stdout, see `sfumato.service.wire`, until stdin ends:

    {"path", "uploads", "thumbnail"}
    {"width", "height", "format", "digest", "pixels", "look", "tool", "exact", "task", "request", "prompt", "negative",
     "model", "seed", "loras", "sources", "unrestored"} or {"refused": why}
"""

import contextlib
import hashlib
import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfumato.errors import RequestError
from sfumato.files import write_atomic
from sfumato.requests import Lora, Painting, Source
from sfumato.service import wire
from sfumato.service.decoder import limit_memory, opened

if TYPE_CHECKING:
    from PIL.Image import Image

    from sfumato.metadata.carriers import Carried

SIDE = 384
"""Pixels of a thumbnail's longer side."""
MAX_LORAS = 64
_PROMPTS = ("prompt", "to", "old", "description", "where")


def seen(path: Path, uploads: Path, thumbnail: Path) -> dict[str, Any]:
    """All that the gallery keeps of a file; its thumbnail is written.

    Raises:
        RequestError: it is no picture, is damaged or too large.
    """
    from sfumato.metadata import carriers
    from sfumato.service.gallery.marks import look

    data = carriers.load(path)
    image = opened(data).image
    carried = carriers.read(data)
    small = image.copy()
    small.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=80, method=4)
    thumbnail.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(thumbnail, buffer.getvalue())
    return {
        "width": image.width,
        "height": image.height,
        "format": carried.format,
        "digest": hashlib.sha256(data).hexdigest(),
        "pixels": _pixels(image),
        "look": look(image).hex(),
        **_said(carried, uploads),
    }


def _said(carried: "Carried", uploads: Path) -> dict[str, Any]:
    """How it was made, as far as it says."""
    from sfumato.metadata.readers import restore
    from sfumato.prompts import parse
    from sfumato.service.asked import parts

    try:
        restored = restore(carried)
    except RequestError:
        nothing = {"tool": "", "exact": False, "task": "", "request": None, "prompt": "", "negative": "", "model": ""}
        return {**nothing, "seed": None, "loras": [], "sources": [], "unrestored": []}
    request, beyond = restored.request, restored.beyond
    if restored.exact:
        request = request.single(0)
    found = list(parts(request))
    prompts = [beyond.get(name, value) for name, value in request if name in _PROMPTS and isinstance(value, str)]
    prompts += [text for name, text in beyond.items() if name == "prompt" and text not in prompts]
    loras = [each.name for each in found if isinstance(each, Lora)]
    if isinstance(request, Painting):
        with contextlib.suppress(RequestError):  # a foreign prompt that breaks our grammar names none
            loras += [each.name for each in parse(request.prompt, request.prompt_syntax).networks]
    sources = {each.sha256 for each in found if isinstance(each, Source) and each.sha256}
    return {
        "tool": restored.source,
        "exact": restored.exact,
        "task": request.task,
        "request": request.to_json(),
        "prompt": "\n".join(filter(None, prompts)),
        "negative": beyond.get("negative", getattr(request, "negative", "")),
        "model": getattr(request, "model", ""),
        "seed": None if request.first_seed is None else str(request.first_seed),
        "loras": list(dict.fromkeys(Path(name).stem[:200] for name in loras))[:MAX_LORAS],
        "sources": sorted(sources | {_pixels_of(uploads / f"{digest}.png") for digest in sources} - {""}),
        "unrestored": [words[:200] for words in restored.unrestored],
    }


def _pixels(image: "Image") -> str:
    """The digest of what is seen, the same in every lossless file."""
    return hashlib.sha256(b"%dx%d %s" % (*image.size, image.tobytes())).hexdigest()


def _pixels_of(upload: Path) -> str:
    """Likewise of an upload; empty where there is none."""
    try:
        return _pixels(opened(upload.read_bytes()).image)
    except (OSError, RequestError):
        return ""


def main() -> None:
    """Look until stdin ends."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no report
    limit_memory()
    if hasattr(os, "nice"):
        os.nice(5)
    while (order := wire.read(sys.stdin.buffer)) is not None:
        try:
            report = seen(Path(order["path"]), Path(order["uploads"]), Path(order["thumbnail"]))
        except RequestError as error:
            report = {"refused": str(error)}
        except MemoryError:
            report = {"refused": "the picture needs more memory than it may have; save it smaller"}
        wire.write(out, report)


if __name__ == "__main__":
    main()
