"""Training the restorer: pictures are made worse in a known way, and the network is to give them back."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from sfumato.checkpoints.save import save_part
from sfumato.errors import TrainingError
from sfumato.images import contact_sheet, to_pil
from sfumato.models.restorer import Restorer, RestorerConfig, told
from sfumato.training.data import Order, Pictures, generator_for
from sfumato.training.loop import LoopConfig

PART = "restorer"
LEVELS = (15, 25, 50)
"""Of noise, of 255, at which held-out pictures are measured."""


class RestorerRun(BaseModel):
    """A training TOML with `task = "restorer"`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Literal["restorer"]
    data: Path
    channels: tuple[int, ...] = (32, 64, 128)
    blocks: int = Field(2, gt=0)
    fold: int = Field(2, gt=0)
    scale: int = Field(1, ge=1, le=4)
    """1: noise is to be taken out; above: the picture is to be enlarged by so much."""
    crop: int = Field(96, gt=0)
    """Pixels a side of what is to be given back."""
    sigma: float = Field(100.0, ge=0)
    """The most noise, of 255 levels; little is drawn oftener than much."""
    grey: float = Field(0.35, ge=0, le=1)
    """Share of pictures without colour."""
    poisson: float = Field(0.3, ge=0, le=1)
    """Share of pictures whose noise follows the light."""
    validation: int = Field(24, gt=0)
    loop: LoopConfig


@dataclass(frozen=True)
class Worse:
    """Pictures made worse.

    Attributes:
        pixels: (b, 3, h, w), 0 to 1 and beyond.
        deviation: (b, 2, h, w), of their noise, as the network is told it.
        clean: what is to be given back.
    """

    pixels: Tensor
    deviation: Tensor
    clean: Tensor


def noised(
    clean: Float[Tensor, "b 3 h w"],
    sigma: Float[Tensor, "b 1 1 1"],
    grey: Float[Tensor, "b 1 1 1"],
    poisson: Float[Tensor, "b 1 1 1"],
    rng: torch.Generator,
) -> Worse:
    """Noise of deviation `sigma`, in the units of the pixels; of those marked `poisson` it is that at white.

    The network is told the deviation that the noisy picture itself shows, since no other will be known.
    """
    noise = torch.randn(clean.shape, generator=rng)
    noise = torch.where(grey > 0, noise[:, :1], noise)
    light = torch.where(poisson > 0, clean.clamp_min(0).sqrt(), 1.0)
    noisy = clean + sigma * light * noise
    return Worse(noisy, told(noisy, sigma, grey, poisson), clean)


def shrunk(clean: Float[Tensor, "b 3 h w"], scale: int) -> Float[Tensor, "b 3 h/s w/s"]:
    """Made smaller, bicubic with antialiasing as everybody measures it, in 8 bits."""
    small = F.interpolate(clean, scale_factor=1 / scale, mode="bicubic", align_corners=False, antialias=True)
    return (small.clamp(0, 1) * 255).round() / 255


USUAL = 25 / 255
"""A level of noise, at which errors count as they are."""


class RestorerTask:
    """L1 between what the network gives and the picture as it was; of noise, by the root of its level.

    Errors grow so (from level 15 to 50 by 1.8), and the network would learn strong noise alone.
    """

    content: dict[str, str]

    def __init__(self, run: RestorerRun, folder: Path) -> None:
        self.run = run
        self.pictures = Pictures.for_training(run.data)
        self.content = {"data": self.pictures.digest}
        torch.manual_seed(run.loop.seed)
        self.model = Restorer(RestorerConfig(run.channels, run.blocks, run.fold, run.scale))
        if run.crop % (self.model.config.factor * run.scale) or run.crop > self.pictures.size:
            raise TrainingError(
                f"crop={run.crop} must be a multiple of {self.model.config.factor * run.scale}, and at most the "
                f"pictures' {self.pictures.size}"
            )
        self.order = Order(self.pictures.train, run.loop.batch, run.loop.seed)

    def _worse(self, clean: Tensor, rng: torch.Generator) -> Worse:
        b = len(clean)

        def chosen(share: float) -> Tensor:
            return (torch.rand(b, 1, 1, 1, generator=rng) < share).float()

        grey, poisson = chosen(self.run.grey), chosen(self.run.poisson)
        clean = torch.where(grey > 0, clean.mean(1, keepdim=True), clean)
        if self.run.scale > 1:
            small = shrunk(clean, self.run.scale)
            sigma = self.run.sigma / 255 * torch.rand(b, 1, 1, 1, generator=rng) * chosen(0.5)
            return Worse(**{**vars(noised(small, sigma, grey, poisson * 0, rng)), "clean": clean})
        sigma = self.run.sigma / 255 * torch.rand(b, 1, 1, 1, generator=rng) ** 1.5
        return noised(clean, sigma, grey, poisson, rng)

    def loss(self, model: nn.Module, indices: Int[Tensor, " b"], rng: torch.Generator) -> dict[str, Tensor]:
        """See the class."""
        clean = self.pictures.pixels(indices, self.run.crop, rng) / 2 + 0.5
        turn = torch.randint(0, 8, (), generator=rng).item()
        clean = torch.rot90(clean.flip(-1) if turn >= 4 else clean, int(turn) % 4, (-2, -1))
        worse = self._worse(clean, rng)
        given = model(worse.pixels, worse.deviation)
        error = (given - worse.clean).abs().flatten(1).mean(1)
        if self.run.scale == 1:
            error = error / (worse.deviation.amax(1).flatten(1).mean(1) / USUAL).clamp_min(0.05).sqrt()
        return {"loss": error.mean() * 10}

    @torch.no_grad()
    def _held_out(self, model: nn.Module) -> dict[str, list[tuple[Worse, Tensor]]]:
        """Held-out pictures made worse, and given back, by how."""
        some = self.pictures.validation
        some = some[torch.randperm(len(some), generator=generator_for(0))[: self.run.validation]]
        clean = self.pictures.pixels(some, self.run.crop, generator_for(1)) / 2 + 0.5
        kinds = [(f"x{self.run.scale}", 0, 0.0)] if self.run.scale > 1 else []
        if self.run.scale == 1:
            kinds = [(f"{'grey' if g else 'colour'}_{s}", s, float(g)) for g in (0, 1) for s in LEVELS]
        found: dict[str, list[tuple[Worse, Tensor]]] = {}
        for k, (name, level, g) in enumerate(kinds):
            for part in clean.split(8):
                one = torch.ones(len(part), 1, 1, 1)
                whole = part.mean(1, keepdim=True).expand_as(part) if g else part
                small = whole if self.run.scale == 1 else shrunk(whole, self.run.scale)
                worse = noised(small, one * level / 255, one * g, one * 0, generator_for(2, k))
                worse = Worse(worse.pixels, worse.deviation, whole)
                found.setdefault(name, []).append((worse, model(worse.pixels, worse.deviation)))
        return found

    def validate(self, model: nn.Module) -> dict[str, float]:
        """The mean PSNR in dB of held-out pictures, by what was done to them."""
        values = {}
        for name, pairs in self._held_out(model).items():
            errors = torch.cat([(given - worse.clean).square().flatten(1).mean(1) for worse, given in pairs])
            values[f"psnr_{name}"] = float(-10 * errors.log10().mean())
        return {**values, "psnr": sum(values.values()) / len(values)}

    def sheet(self, model: nn.Module) -> Image.Image:
        """Rows of a held-out picture made worse, given back, and as it was."""
        rows = []
        for pairs in self._held_out(model).values():
            worse, given = pairs[0]
            near = F.interpolate(worse.pixels, size=worse.clean.shape[-2:], mode="nearest")
            rows += [to_pil(x[0] * 2 - 1) for x in (near, given, worse.clean)]
        return contact_sheet(rows, columns=3)

    def export(self, model: nn.Module, folder: Path) -> None:
        """`restorer/`, as `sfumato.restoration.network` reads it."""
        assert isinstance(model, Restorer)
        save_part(folder, PART, model, model.config, torch.float16)
