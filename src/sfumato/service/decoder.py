"""The child that decodes pictures from outside, since decoders meet bytes of anybody here. It imports nothing of the
service, for it starts anew with each picture.

As a program it reads a picture on stdin: ``pixels`` writes its pixels as a PNG, ``mask`` a mask that is white where the
picture is transparent, ``red`` and the like one of its channels, ``masked`` a picture as transparent as another, see
`sfumato.service.uploads.pair`, ``texts`` what it says of itself as JSON; ``moving`` makes an animation of files that it
is told. A decoder that is tricked harms nobody but this process.
"""

import io
import json
import struct
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sfumato.errors import RequestError

if TYPE_CHECKING:
    from sfumato.decoding import Decoded

MAX_BYTES = 2**26
MAX_PIXELS = 8192 * 8192
MAX_SECONDS = 30
"""Of CPU."""
_MAX_MEMORY = 2**31
Doing = Literal["pixels", "mask", "texts", "red", "green", "blue", "masked", "moving"]


def pixels(data: bytes) -> bytes:
    """A PNG of what is seen, upright and without metadata; transparent where the picture is.

    Raises:
        RequestError: it is no picture, is damaged or too large.
    """
    found = opened(data)
    image, alpha = found.image, found.alpha
    if alpha is not None:
        import numpy as np
        from PIL import Image

        opaque = np.asarray(alpha, np.float32)[..., None] / 255
        on_white = np.asarray(image, np.float32)
        with np.errstate(divide="ignore", invalid="ignore"):  # as it was before it was laid on white
            colours = np.where(opaque > 0, 255 - (255 - on_white) / opaque, 255).clip(0, 255).round()
        image = Image.fromarray(colours.astype(np.uint8))
        image.putalpha(alpha)
    return _png(image)


def mask(data: bytes) -> bytes:
    """White where a picture is transparent, black elsewhere. Raises as `pixels`."""
    from PIL import ImageChops

    alpha = opened(data).alpha
    if alpha is None:
        raise RequestError("the mask has no transparent part; make what is to be painted transparent")
    return _png(ImageChops.invert(alpha))


def channel(data: bytes, index: int) -> bytes:
    """One of a picture's channels. Raises as `pixels`."""
    return _png(opened(data).image.getchannel(index))


def masked(data: bytes) -> bytes:
    """The first of a pair, as transparent as the second. Raises as `pixels`."""
    (length,) = struct.unpack(">I", data[:4])
    image, alpha = opened(data[4 : 4 + length]).image, opened(data[4 + length :]).alpha
    if alpha is None:
        raise RequestError("the mask has no transparent part; make what is to be painted transparent")
    if alpha.size != image.size:
        raise RequestError(
            f"the mask is {alpha.width}x{alpha.height}, and the picture {image.width}x{image.height}; "
            "give a mask of the picture's size"
        )
    image.putalpha(alpha)
    return _png(image)


def moving(data: bytes) -> bytes:
    """A file that moves. `data` is JSON: the ``files`` of its frames, how many a second (``fps``), and its ``format``.

    Raises:
        RequestError: the frames have several sizes, or what writes the format is not installed.
    """
    import tempfile

    from PIL import Image

    from sfumato.animation import check_name, save

    asked = json.loads(data)
    frames = [Image.open(file) for file in asked["files"]]
    sizes = sorted({f"{each.width}x{each.height}" for each in frames})
    if len(sizes) > 1:
        raise RequestError(f"the pictures are {' and '.join(sizes)}; frames have one size")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"moving.{asked['format']}"
        check_name(file)
        save(frames, file, asked["fps"])
        return file.read_bytes()


def _texts(data: bytes) -> bytes:
    from sfumato.metadata import carriers

    return json.dumps(dict(carriers.read(data).texts)).encode()


def opened(data: bytes) -> "Decoded":
    """A picture of at most `MAX_PIXELS`. To be called in a child alone. Raises as `pixels`."""
    from sfumato.decoding import RejectedPicture, decoded

    try:
        return decoded(data, max_pixels=MAX_PIXELS)
    except RejectedPicture as rejected:
        remedy = "make it smaller" if rejected.reason == "too large" else "save it anew as PNG, JPEG or WebP"
        raise RequestError(f"the picture is {rejected}; {remedy}") from None


def limit_memory(seconds: int | None = None) -> None:
    """From now on this process has 2 GiB, and perhaps so many seconds of its CPU."""
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_AS, (_MAX_MEMORY, _MAX_MEMORY))
    if seconds is not None:
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))


def _png(image: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


_DOERS: dict[str, Callable[[bytes], bytes]] = {
    "pixels": pixels,
    "mask": mask,
    "masked": masked,
    "texts": _texts,
    "moving": moving,
    **{name: partial(channel, index=index) for index, name in enumerate(("red", "green", "blue"))},
}


def main(doing: str) -> int:
    """Do one thing with the picture on stdin."""
    limit_memory(MAX_SECONDS)
    data = sys.stdin.buffer.read(MAX_BYTES + 1)
    try:
        out = _DOERS[doing](data)
    except RequestError as error:
        print(error, file=sys.stderr)
        return 2
    sys.stdout.buffer.write(out)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
