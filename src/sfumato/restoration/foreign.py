"""Upscalers of other programs (ESRGAN and its kin, SwinIR, DAT ...): spandrel builds the network that weights are of.

Their files are read here: safetensors, or pickles through the list of what those may hold. spandrel is an extra
(``upscalers``), and is handed tensors alone.
"""

import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from sfumato.checkpoints.rules import check_finite
from sfumato.checkpoints.tensor_file import open_tensors
from sfumato.errors import CheckpointError, RequestError, installed_by
from sfumato.restoration.risk import typical
from sfumato.restoration.tiles import in_tiles

Pixels = Float[np.ndarray, "h w *c"]

TILE = 256
"""Pixels a side of a tile's own part, of the input."""
SAME = 0.5 / 255
"""How far a pixel may be from what the whole picture would give."""
MARGINS = (8, 16, 32, 64)
INSIDE = ("params_ema.", "params-ema.", "params.", "", "model_state_dict.", "model.", "net.")
"""Tables in which trainers keep the network, the better first; an empty name is the file itself."""


@dataclass(frozen=True, eq=False)
class Upscaler:
    """A network that enlarges.

    Attributes:
        architecture: as ESRGAN.
        scale: how many times.
        channels: 3 where it takes colours, 1 where it takes them one by one.
        grain: its input's sides are multiples of it, or are padded.
        apply: (1, channels, h, w) in [0, 1] to `scale` times the size.
        tiled: whether it may see a part of a picture at a time.
    """

    architecture: str
    scale: int
    channels: int
    grain: int
    apply: Any
    device: torch.device
    tiled: bool

    @torch.inference_mode()
    def enlarged(self, pixels: Pixels, tile: int = TILE) -> Pixels:
        """The picture `scale` times as large."""
        grey = pixels.ndim == 2
        planes = torch.from_numpy(np.ascontiguousarray(pixels.clip(0, 1), np.float32)).reshape(*pixels.shape[:2], -1)
        x = planes.permute(2, 0, 1)[:, None]  # each by itself
        if self.channels == 3:
            x = x.transpose(0, 1).expand(1, 3, -1, -1)
        tile = tile if self.tiled else max(pixels.shape)
        margin = 0 if max(pixels.shape[:2]) <= tile else self.reach(x[:1])
        made = [
            in_tiles(self._run, each[None], tile=tile, margin=margin, scale=self.scale, grain=self.grain) for each in x
        ]
        found = torch.cat(made, 1)[0].permute(1, 2, 0).numpy()
        return np.ascontiguousarray(found.mean(2) if grey else found)

    def reach(self, x: Float[Tensor, "1 c h w"]) -> int:
        """How far around itself a tile of this picture has to see: the first of `MARGINS` with which a square of it
        comes out as with the last.
        """
        rows, columns = typical(x[0].mean(0).numpy(), 4 * MARGINS[0])
        top, left = (place.start // self.grain * self.grain for place in (rows, columns))
        h, w, side, scale = *x.shape[-2:], 4 * MARGINS[0], self.scale

        def square(margin: int) -> Tensor:
            y0, x0 = max(0, top - margin), max(0, left - margin)
            made = self._run(x[..., y0 : min(h, top + side + margin), x0 : min(w, left + side + margin)]).cpu()
            return made[..., (top - y0) * scale :, (left - x0) * scale :][..., : side * scale, : side * scale]

        margins = [-(-margin // self.grain) * self.grain for margin in MARGINS]
        best = square(margins[-1])
        return next((m for m in margins[:-1] if float((square(m) - best).abs().max()) <= SAME), margins[-1])

    def _run(self, part: Tensor) -> Tensor:
        made: Tensor = self.apply(part.to(self.device))
        return made.float()


@cache
def load(path: Path, device: str = "cpu") -> Upscaler:
    """The upscaler of a file, in float32.

    Raises:
        CheckpointError: it is damaged, none that spandrel knows, or a network that does not enlarge.
        RequestError: spandrel is not there.
    """
    spandrel = _spandrel()
    state = open_tensors(path).read()
    check_finite(state, str(path), allow=False)
    state = {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
    found: Any = None
    for prefix in INSIDE:
        inside = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        if not inside:
            continue
        try:
            found = spandrel.ModelLoader(device).load_from_state_dict(inside)
            break
        except spandrel.UnsupportedModelError:
            continue
        except Exception as error:  # a network is guessed from shapes, and anything may be wrong with those
            said = " ".join(str(error).split())[:160]
            raise CheckpointError(f"{path} cannot be built by spandrel: {said}; download it again") from None
    if found is None:
        raise CheckpointError(f"{path} is no upscaler that spandrel knows; give weights of ESRGAN, SwinIR ...")
    name = str(found.architecture.name)
    if not isinstance(found, spandrel.ImageModelDescriptor) or found.scale < 2:
        raise CheckpointError(f"{path} ({name}) does not enlarge; give an upscaler")
    if found.input_channels not in (1, 3) or found.output_channels != found.input_channels:
        raise CheckpointError(f"{path} ({name}) takes {found.input_channels} channels; give one for pictures")
    found.eval().model.requires_grad_(False)
    grain = int(found.size_requirements.multiple_of)
    tiled = found.tiling is spandrel.ModelTiling.SUPPORTED
    return Upscaler(name, int(found.scale), int(found.input_channels), grain, found, torch.device(device), tiled)


def _spandrel() -> Any:
    if importlib.util.find_spec("spandrel") is None:
        raise RequestError(f"upscalers of other programs need more: {installed_by('upscalers')}")
    try:
        import spandrel
    except (ImportError, RuntimeError) as error:
        said = " ".join(str(error).split())[:120]
        raise RequestError(
            f"spandrel cannot be imported ({said}); install the torchvision that was built for this torch"
        ) from None
    return spandrel
