"""What enlarges a picture: resampling, our network, or an upscaler of another program."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath
from typing import get_args

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image

from sfumato.adapters import folders
from sfumato.choices import OwnUpscaler
from sfumato.errors import RequestError, UnknownNameError
from sfumato.models.restorer import Restorer
from sfumato.restoration import foreign, network
from sfumato.restoration.noise import Noise
from sfumato.runtime.digests import remembered_sha256

Pixels = Float[np.ndarray, "h w *c"]
Size = tuple[int, int]
RESAMPLINGS = {"lanczos": Image.Resampling.LANCZOS, "bicubic": Image.Resampling.BICUBIC}
OWN = get_args(OwnUpscaler)
NETWORKS: Mapping[str, network.Sort] = {"ours": "upscale4", "painted": "painted4"}
"""By method: for photographs and drawings as they are, and for drawings that nano has painted, which are softer."""
RESAMPLED = 2
"""How much is enlarged where nobody says it."""


@dataclass(frozen=True)
class Enlarger:
    """What was found by a name.

    Attributes:
        name: as a request has it, but for "auto".
        scale: how many times it enlarges.
        run: pixels, and width and height of what comes back, `scale` times theirs.
        digest: SHA-256 of its weights, if it has any.
    """

    name: str
    scale: int
    run: Callable[[Pixels, Size], Pixels]
    digest: str = ""

    @property
    def title(self) -> str:
        """What reports call it."""
        return self.name if self.name in OWN else PurePath(self.name).stem


def find(name: str, scale: int | None, device: torch.device) -> Enlarger:
    """What is called so.

    Args:
        name: an `OwnUpscaler`, or the name or path of an upscaler of another program.
        scale: its own when left out.

    Raises:
        UnknownNameError: there is none of that name.
        RequestError, CheckpointError: it is not installed, or no upscaler.
    """
    if name not in OWN:
        return _foreign(name, scale, device)
    scale = RESAMPLED if scale is None else scale
    ours = "ours" if name == "auto" else name
    folder = network.folder_of(NETWORKS[ours]) if ours in NETWORKS else None
    if folder is not None:
        run = partial(_by_network, network.load(folder, str(device)), scale)
        return Enlarger(ours, scale, run, network.digest(folder))
    if name == "diffusion":
        raise RequestError("--method diffusion is of upscale, and takes a x4 or a latent upscaler by --model")
    if name in NETWORKS:
        raise RequestError(f"method {name} has no weights in this installation; take lanczos")
    name = "lanczos" if name == "auto" else name
    return Enlarger(name, scale, partial(resized, how=RESAMPLINGS[name]))


def _by_network(model: Restorer, scale: int, pixels: Pixels, size: Size) -> Pixels:
    return network.applied(model, pixels, Noise(0.0), scale=scale)


def _foreign(name: str, scale: int | None, device: torch.device) -> Enlarger:
    try:
        path = folders.find("upscaler", name)
    except UnknownNameError:
        raise UnknownNameError("upscaler", name[:200], [*OWN, *folders.available("upscaler")]) from None
    upscaler = foreign.load(path, str(device))

    def run(pixels: Pixels, size: Size) -> Pixels:
        while pixels.shape[1] < size[0]:
            pixels = upscaler.enlarged(pixels)
        return pixels if pixels.shape[1] == size[0] else resized(pixels, size, Image.Resampling.LANCZOS)

    return Enlarger(name, upscaler.scale if scale is None else scale, run, remembered_sha256(path))


def resized(pixels: Pixels, size: Size, how: Image.Resampling) -> Pixels:
    """Pixels at another size, in floating point, by Pillow."""
    planes = pixels[..., None] if pixels.ndim == 2 else pixels
    found = [np.asarray(Image.fromarray(np.ascontiguousarray(p)).resize(size, how)) for p in np.moveaxis(planes, 2, 0)]
    return found[0] if pixels.ndim == 2 else np.stack(found, 2)
