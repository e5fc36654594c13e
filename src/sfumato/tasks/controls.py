"""Controls of a request: networks that hold a painting to pictures, around the network of a denoiser.

Each knows in which steps it counts; the guided denoiser, the samplers and the canvas know nothing of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from sfumato.adapters.applied import Applied
from sfumato.diffusion.conditioning import Conditioning
from sfumato.diffusion.denoiser import Denoiser
from sfumato.errors import RequestError
from sfumato.images import to_tensor
from sfumato.model import Model
from sfumato.models.autoencoder_kl import AutoencoderKLConfig
from sfumato.models.controls import ControlNetwork
from sfumato.models.residuals import NO_RESIDUALS, Residuals
from sfumato.models.sd3_controlnet import SD3ControlNet
from sfumato.preprocess import preprocessed
from sfumato.requests import Control, Painting
from sfumato.tasks.plan import Plan
from sfumato.tasks.sources import padded_to, read

Region = tuple[float, float, float, float]
"""Left, top, right and bottom in shares of a picture's sides."""
WHOLE: Region = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class Unit:
    """A control that is ready.

    Attributes:
        seen: its picture as the network takes it: the same at every step.
        begin, end: time labels between which it counts, `end < label <= begin`.
        cond_only: the rows that guidance moves away from are left as they are.
    """

    network: ControlNetwork
    seen: Any
    weight: float
    begin: float
    end: float
    guess: bool

    @property
    def cond_only(self) -> bool:
        return self.guess or self.network.cond_only

    def residuals(self, x: Tensor, label: Tensor, cond: Conditioning) -> Residuals:
        """What it adds to each row of a batch."""
        if not self.cond_only or cond.uncond is None:
            return self._own(x, label, cond)
        rows = (~cond.uncond).nonzero()[:, 0]
        if not len(rows):
            return NO_RESIDUALS
        return self._own(x[rows], label[rows], cond.at(rows)).spread(rows, len(x))

    def _own(self, x: Tensor, label: Tensor, cond: Conditioning) -> Residuals:
        found: Residuals = self.network(x, label, cond, self.seen, weight=self.weight, guess=self.guess)
        return found


def attached(
    applied: Applied, request: Painting, plan: Plan, size: tuple[int, int], region: Region = WHOLE
) -> list[Unit]:
    """The controls of an exact request; those of weight 0 or without a step are left out.

    Args:
        size: of the canvas in pixels.
        region: the part of what they see that lies on the canvas.

    Raises:
        RequestError: a picture cannot be read.
    """
    units = []
    labels = [*plan.schedule.label(plan.sigmas[:-1]).tolist(), float("-inf")]
    steps = plan.steps
    for control, network in zip(request.controls, applied.controls, strict=True):
        # As diffusers counts: a step is one of the control's if it lies whole between start and end.
        counted = [i for i in range(steps) if i / steps >= control.start and (i + 1) / steps <= control.end]
        if counted and control.weight:
            picture = taken(network, seen(control, request, applied, size, region), applied.model, control)
            begin, end = labels[counted[0]], labels[counted[-1] + 1]
            units.append(Unit(network, picture, control.weight, begin, end, request.guess))
    return units


def seen(
    control: Control, request: Painting, applied: Applied, size: tuple[int, int], region: Region = WHOLE
) -> Tensor:
    """What a control sees, (1, 3, h, w) in [0, 1]: its picture stretched to that of the request, and made ready.

    In a second pass over an enlarged picture it is stretched to that.
    """
    grain, asked = applied.model.grain, request.settled.size
    inner = asked if all(-(-side // grain) * grain == whole for side, whole in zip(asked, size, strict=True)) else size
    how = control.preprocess or request.preprocess
    image = read(control.image).image
    sides = (*image.size, *image.size)
    resample = Image.Resampling.NEAREST if how == "segmentation" else Image.Resampling.LANCZOS
    box = tuple(share * side for share, side in zip(region, sides, strict=True))
    image = image.resize(inner, resample, box=box)  # type: ignore[arg-type]
    padded = padded_to(preprocessed(image, how), grain)
    return (to_tensor(padded) + 1) / 2


def taken(network: ControlNetwork, picture: Tensor, model: Model, control: Control) -> Any:
    """What is `seen`, as the network takes it: those of Stable Diffusion 3 see the autoencoder's latents.

    Raises:
        RequestError: the picture has more patches a side than such a network has positions for.
    """
    if not isinstance(network, SD3ControlNet):
        return network.embedded(picture.to(model.device, model.dtype))
    most, side = network.config.pos_embed_max_size, max(picture.shape[2:])
    if most is not None and side > most * model.grain:
        raise RequestError(
            f"{control.model} knows positions up to {most * model.grain} pixels a side, and the picture has {side}; "
            "paint smaller"
        )
    with torch.inference_mode():
        latents = model.encode_pixels(network.prepared(picture))
        known = model.family.autoencoder
        if network.config.force_zeros_for_pooled_projection and isinstance(known, AutoencoderKLConfig):
            latents = latents + (known.shift_factor or 0.0) * known.scaling_factor
        return network.embedded(latents.to(model.dtype))


def marked(conditions: Sequence[Sequence[Conditioning]]) -> list[list[Conditioning]]:
    """Conditions by track, the last the negative's, which say so."""
    last = len(conditions) - 1
    return [
        [replace(cond, uncond=torch.full((len(cond),), track == last, device=cond.tokens.device)) for cond in each]
        for track, each in enumerate(conditions)
    ]


def controlled(denoiser: Denoiser, network: nn.Module, units: Sequence[Unit]) -> Denoiser:
    """The denoiser, whose network is that one, held to the pictures of the units."""
    if not units:
        return denoiser

    def controlled_network(x: Tensor, label: Tensor, cond: Conditioning) -> Tensor:
        now = float(label[0])
        active = [unit for unit in units if unit.end < now <= unit.begin]
        if not active:
            return denoiser.network(x, label, cond)
        x = x.contiguous(memory_format=torch.channels_last)
        residuals = sum((unit.residuals(x, label, cond) for unit in active), start=NO_RESIDUALS)
        prediction: Tensor = network(x, label, cond, residuals)
        return prediction

    return replace(denoiser, network=controlled_network)
