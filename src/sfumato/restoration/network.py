"""Our networks for restoring pictures: found, loaded, and applied to pictures of any size in tiles.

A tile sees as far around itself as the network reaches, and begins where the network's own grid does, so that what it
gives is what the whole picture would: differences are of rounding alone.
"""

from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from sfumato.checkpoints.folder import part_file, read_json
from sfumato.checkpoints.rules import fit
from sfumato.checkpoints.skeleton import on_meta
from sfumato.checkpoints.tensors import read_tensors
from sfumato.models.restorer import Restorer, RestorerConfig, noise_level_map
from sfumato.restoration import tiles
from sfumato.restoration.noise import LEVELS, Noise
from sfumato.runtime.digests import remembered_sha256

BUNDLED = Path(__file__).parents[1] / "data" / "restore"
PART = "restorer"
TILE = 512
"""Pixels a side of a tile's own part."""

Sort = Literal["denoise", "upscale4", "painted4"]


def folder_of(sort: Sort) -> Path | None:
    """Where the network of that name is, in the package; None where it is not bundled."""
    folder = BUNDLED / sort
    return folder if (folder / PART / "config.json").is_file() else None


@cache
def load(folder: Path, device: str = "cpu") -> Restorer:
    """The network of a folder, as training exports it, in float32.

    Raises:
        CheckpointError: there is none, it is damaged, or of another form.
    """
    part = folder / PART
    config = RestorerConfig.from_json(read_json(part / "config.json"), str(part / "config.json"))
    with on_meta():
        model = Restorer(config)
    file = part_file(part)
    fit(model, read_tensors(file), str(file), torch.float32)
    model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model.eval().requires_grad_(False)


def digest(folder: Path) -> str:
    """SHA-256 of its weights."""
    return remembered_sha256(part_file(folder / PART))


@torch.inference_mode()
def applied(
    model: Restorer,
    pixels: Float[np.ndarray, "h w *c"],
    noise: Noise,
    *,
    tile: int = TILE,
    scale: int | None = None,
) -> Float[np.ndarray, "H W *c"]:
    """The picture restored, and enlarged where that is what the network is for; not clipped.

    Args:
        noise: that is to be taken out.
        tile: pixels a side of a tile's own part, of the input.
        scale: how many times larger it is to be, at most as many as the network makes it, which is then resampled; as
            many when left out.
    """
    grey = pixels.ndim == 2
    planes = np.repeat(pixels[..., None], 3, 2) if grey else pixels
    x = torch.from_numpy(np.ascontiguousarray(planes, np.float32)).permute(2, 0, 1)[None]

    def number(value: float) -> Tensor:
        return torch.full((1, 1, 1, 1), value)

    poisson = number(float(noise.kind == "poisson"))
    deviation = noise_level_map(x, number(noise.sigma / LEVELS), number(float(grey)), poisson)
    found = in_tiles(model, x, deviation, tile, scale=scale)[0].permute(1, 2, 0).numpy()
    return np.ascontiguousarray(found.mean(2) if grey else found)


def ensembled(model: Restorer, pixels: Float[np.ndarray, "h w *c"], noise: Noise) -> Float[np.ndarray, "H W *c"]:
    """The mean of what the network gives for the picture turned and mirrored in all eight ways, each turned back: their
    errors differ (geometric self-ensemble, Timofte et al. 2016, arXiv:1511.02228). Takes eight times as long.
    """
    found = []
    for mirrored in (False, True):
        for quarters in range(4):
            seen = np.rot90(pixels[:, ::-1] if mirrored else pixels, quarters)
            back = np.rot90(applied(model, np.ascontiguousarray(seen), noise), -quarters)
            found.append(back[:, ::-1] if mirrored else back)
    return np.asarray(np.mean(found, 0), np.float32)


def in_tiles(
    model: Restorer,
    x: Float[Tensor, "1 3 h w"],
    deviation: Float[Tensor, "1 2 h w"],
    tile: int = TILE,
    margin: int | None = None,
    scale: int | None = None,
) -> Float[Tensor, "1 3 H W"]:
    """What the network gives for the whole, computed in tiles where it is larger than one.

    Args:
        margin: pixels that a tile sees around its own part; as many as the network reaches when left out.
        scale: as `applied` has it.
    """
    config, device = model.config, next(model.parameters()).device
    scale = config.scale if scale is None else scale

    def apply(part: Float[Tensor, "1 5 h w"]) -> Float[Tensor, "1 3 H W"]:
        part = part.to(device)
        found: Tensor = model(part[:, :3], part[:, 3:])
        if scale != config.scale:
            size = part.shape[-2] * scale, part.shape[-1] * scale
            found = F.interpolate(found, size=size, mode="bicubic", align_corners=False, antialias=True)
        return found

    around = config.reach if margin is None else margin
    whole = torch.cat([x, deviation], 1)
    return tiles.in_tiles(apply, whole, tile=tile, margin=around, scale=scale, grain=config.factor)
