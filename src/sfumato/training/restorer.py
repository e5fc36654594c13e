"""Training the restorer: pictures are made worse in a known way, and the network is to give them back; where asked for
so that a discriminator of patches takes them for true (Ledig et al. 2017, Wang et al. 2018).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from sfumato.checkpoints.classifiers import classifier_digest, load_classifier
from sfumato.checkpoints.folder import part_file
from sfumato.checkpoints.rules import fit
from sfumato.checkpoints.save import save_part
from sfumato.checkpoints.tensors import read_tensors
from sfumato.errors import TrainingError
from sfumato.images import contact_sheet, to_pil
from sfumato.models.discriminator import PatchDiscriminator, PatchDiscriminatorConfig
from sfumato.models.picture_classifier import PictureClassifier
from sfumato.models.restorer import Restorer, RestorerConfig, noise_level_map
from sfumato.training.adversarial import AdversarialConfig, Alarms, contest
from sfumato.training.autoencoder import perceptual_distance
from sfumato.training.data import Order, Pictures, generator_for, squares
from sfumato.training.loop import LoopConfig

PART = "restorer"
PAINTED = "painted.npy"
"""Beside the pictures of a data set, (n, size / scale, size / scale, 3) uint8: the same smaller as a model might have
painted them, softened by its autoencoder; of those whose attributes have `painted`."""
LEVELS = (15, 25, 50)
"""Levels of noise, of 255, at which held-out pictures are measured."""


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
    adversarial: AdversarialConfig = AdversarialConfig()
    perceptual_weight: float = Field(0.0, ge=0)
    """Weight of the distance in a classifier's features, once the discriminator takes part."""
    perceptual: Path | None = None
    """The export of that classifier."""
    start: Path | None = None
    """The export of a trained restorer of the same form, from which to begin."""
    painted: float = Field(0.0, ge=0, le=1)
    """Share of pictures that have a painted counterpart (`PAINTED`) which are enlarged from that."""
    validation: int = Field(24, gt=0)
    """Held-out pictures of each kind."""
    loop: LoopConfig


@dataclass(frozen=True)
class Worse:
    """Pictures made worse.

    Attributes:
        pixels: (b, 3, h, w), 0 to 1 and beyond.
        deviation: (b, 2, h, w), of their noise, as the network takes it in.
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

    The network is given the deviation that the noisy picture itself shows, since no other will be known.
    """
    noise = torch.randn(clean.shape, generator=rng)
    noise = torch.where(grey > 0, noise[:, :1], noise)
    light = torch.where(poisson > 0, clean.clamp_min(0).sqrt(), 1.0)
    noisy = clean + sigma * light * noise
    return Worse(noisy, noise_level_map(noisy, sigma, grey, poisson), clean)


def shrunk(clean: Float[Tensor, "b 3 h w"], scale: int, *, area: bool = False) -> Float[Tensor, "b 3 h/s w/s"]:
    """Made smaller, in 8 bits.

    Args:
        area: by the mean of each square, as renderers of drawings have it; else bicubic with antialiasing, as everybody
            measures.
    """
    if area:
        small = F.avg_pool2d(clean, scale)
    else:
        small = F.interpolate(clean, scale_factor=1 / scale, mode="bicubic", align_corners=False, antialias=True)
    return (small.clamp(0, 1) * 255).round() / 255


AREA = 0.5
"""Share of pictures that are made smaller by the mean of each square."""
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
        if run.start is not None:
            fit(self.model, read_tensors(part_file(run.start / PART)), str(run.start), torch.float32)
        self.order = Order(self.pictures.train, run.loop.batch, run.loop.seed)
        file = run.data / PAINTED
        self.painted: np.memmap | None = np.load(file, mmap_mode="r") if run.painted and file.is_file() else None

    def _cut(self, indices: Int[Tensor, " b"], rng: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """Crops, 0 to 1, and of the painted counterparts the same part, where there are any."""
        crop, scale = self.run.crop, self.run.scale
        if self.painted is None:
            return self.pictures.pixels(indices, crop, rng) / 2 + 0.5, None
        most = (self.pictures.size - crop) // scale
        corners = torch.randint(0, most + 1, (len(indices), 2), generator=rng).tolist()

        whole = squares(self.pictures.array, indices, [(y * scale, x * scale) for y, x in corners], crop)
        return whole.float() / 255, squares(self.painted, indices, corners, crop // scale).float() / 255

    def _has_painted(self, indices: Int[Tensor, " b"]) -> Float[Tensor, "b 1 1 1"]:
        return torch.tensor([float(self.pictures.attributes[k].get("painted", False)) for k in indices.tolist()])[
            :, None, None, None
        ]

    def _worse(self, indices: Int[Tensor, " b"], rng: torch.Generator) -> Worse:
        """Crops of these pictures, turned, made worse."""
        clean, painted = self._cut(indices, rng)
        turn = int(torch.randint(0, 8, (), generator=rng))

        def turned(pixels: Tensor) -> Tensor:
            return torch.rot90(pixels.flip(-1) if turn >= 4 else pixels, turn % 4, (-2, -1))

        clean = turned(clean)
        b = len(clean)

        def chosen(share: float) -> Tensor:
            return (torch.rand(b, 1, 1, 1, generator=rng) < share).float()

        grey, poisson = chosen(self.run.grey), chosen(self.run.poisson)
        clean = torch.where(grey > 0, clean.mean(1, keepdim=True), clean)
        if self.run.scale > 1:
            small = shrunk(clean, self.run.scale, area=bool(torch.rand((), generator=rng) < AREA))
            if painted is not None:
                instead = chosen(self.run.painted) * self._has_painted(indices)
                painted = torch.where(grey > 0, turned(painted).mean(1, keepdim=True), turned(painted))
                small = torch.where(instead > 0, painted, small)
            sigma = self.run.sigma / 255 * torch.rand(b, 1, 1, 1, generator=rng) * chosen(0.5)
            return replace(noised(small, sigma, grey, poisson * 0, rng), clean=clean)
        sigma = self.run.sigma / 255 * torch.rand(b, 1, 1, 1, generator=rng) ** 1.5
        return noised(clean, sigma, grey, poisson, rng)

    def loss(self, model: nn.Module, indices: Int[Tensor, " b"], rng: torch.Generator) -> dict[str, Tensor]:
        """See the class."""
        worse = self._worse(indices, rng)
        return self._reconstruction(model(worse.pixels, worse.deviation), worse)

    def _reconstruction(self, given: Tensor, worse: Worse) -> dict[str, Tensor]:
        error = (given - worse.clean).abs().flatten(1).mean(1)
        if self.run.scale == 1:
            error = error / (worse.deviation.amax(1).flatten(1).mean(1) / USUAL).clamp_min(0.05).sqrt()
        return {"loss": error.mean() * 10}

    def _cases(self) -> Iterator[tuple[str, Int[Tensor, " n"], int, float]]:
        """Name, held-out pictures, level of noise, and 1 for grey: every level, or every kind of picture enlarged."""
        held_out = self.pictures.validation
        held_out = held_out[torch.randperm(len(held_out), generator=generator_for(0))]
        if self.run.scale == 1:
            for grey in (0, 1):
                for level in LEVELS:
                    yield f"{'grey' if grey else 'colour'}_{level}", held_out[: self.run.validation], level, grey
            return
        kinds = [str(self.pictures.attributes[k].get("kind", "picture")) for k in held_out.tolist()]
        for kind in sorted(set(kinds)):
            chosen = held_out[torch.tensor([each == kind for each in kinds])]
            yield kind, chosen[: self.run.validation], 0, 0.0
        if self.painted is not None:
            chosen = held_out[self._has_painted(held_out).flatten() > 0]
            yield "painted", chosen[: self.run.validation], 0, 0.0

    @torch.no_grad()
    def _held_out(self, model: nn.Module) -> dict[str, list[tuple[Worse, Tensor]]]:
        """Held-out pictures made worse, and given back, by how."""
        found: dict[str, list[tuple[Worse, Tensor]]] = {}
        for k, (name, some, level, grey) in enumerate(self._cases()):
            wholes, painted = self._cut(some, generator_for(1))
            for first in range(0, len(some), 8):
                part = wholes[first : first + 8]
                one = torch.ones(len(part), 1, 1, 1)
                whole = part.mean(1, keepdim=True).expand_as(part) if grey else part
                small = whole if self.run.scale == 1 else shrunk(whole, self.run.scale)
                if name == "painted" and painted is not None:
                    small = painted[first : first + 8]
                worse = noised(small, one * level / 255, one * grey, one * 0, generator_for(2, k))
                worse = replace(worse, clean=whole)
                found.setdefault(name, []).append((worse, model(worse.pixels, worse.deviation)))
        return found

    def validate(self, model: nn.Module) -> dict[str, float]:
        """The mean PSNR in dB of held-out pictures, by what was done to them, or when enlarged by what they are; then
        beside it how much it is above that of bicubic resampling.
        """

        def decibels(pairs: list[tuple[Worse, Tensor]]) -> float:
            errors = torch.cat([(given - worse.clean).square().flatten(1).mean(1) for worse, given in pairs])
            return float(-10 * errors.clamp_min(1e-10).log10().mean())

        found = self._held_out(model)
        values = {f"psnr_{name}": decibels(pairs) for name, pairs in found.items()}
        mean = {"psnr": sum(values.values()) / len(values)}
        if self.run.scale > 1:
            for name, pairs in found.items():
                bicubic = [(worse, _enlarged(worse, "bicubic").clamp(0, 1)) for worse, _ in pairs]
                values[f"gain_{name}"] = values[f"psnr_{name}"] - decibels(bicubic)
        return {**values, **mean}

    def sheet(self, model: nn.Module) -> Image.Image:
        """Rows of a held-out picture made worse, given back, and as it was."""
        rows = []
        for pairs in self._held_out(model).values():
            worse, given = pairs[0]
            rows += [to_pil(x[0] * 2 - 1) for x in (_enlarged(worse, "nearest"), given, worse.clean)]
        return contact_sheet(rows, columns=3)

    def export(self, model: nn.Module, folder: Path) -> None:
        """`restorer/`, as `sfumato.restoration.network` reads it."""
        assert isinstance(model, Restorer)
        save_part(folder, PART, model, model.config, torch.float16)


class AdversarialRestorerTask(RestorerTask):
    """Against a discriminator of patches as well, from `loop.opponent.start` on; then features count too."""

    def __init__(self, run: RestorerRun, folder: Path) -> None:
        super().__init__(run, folder)
        self.opponent = PatchDiscriminator(PatchDiscriminatorConfig(channels=run.adversarial.channels))
        self.alarms = Alarms(run.adversarial)
        self.classifier: PictureClassifier | None = None
        if run.perceptual is not None:
            self.classifier = load_classifier(run.perceptual)
            self.content["perceptual"] = classifier_digest(run.perceptual)

    def contest(
        self, model: nn.Module, indices: Int[Tensor, " b"], rng: torch.Generator, turn: int
    ) -> dict[str, Tensor]:
        """See `adversarial.contest`."""
        assert isinstance(model, Restorer)
        worse = self._worse(indices, rng)
        true = worse.clean * 2 - 1
        painted = model(worse.pixels, worse.deviation) * 2 - 1

        def reconstruction(seen: Tensor) -> dict[str, Tensor]:
            losses = self._reconstruction(seen / 2 + 0.5, worse)
            if self.classifier is not None and self.run.perceptual_weight:
                losses["perceptual"] = perceptual_distance(self.classifier, true, seen).mean()
                losses["loss"] = losses["loss"] + self.run.perceptual_weight * losses["perceptual"]
            return losses

        return contest(self.opponent, painted, true, reconstruction, model.last_weight, self.run.adversarial, rng, turn)


def restorer_task(run: RestorerRun, folder: Path) -> RestorerTask:
    """With a discriminator where it has a weight.

    Raises:
        TrainingError: features are to count, and no discriminator or no classifier is given.
    """
    if run.perceptual_weight and (run.perceptual is None or not run.adversarial.weight):
        raise TrainingError(
            "perceptual_weight needs perceptual, the export of a trained classifier, and adversarial.weight above 0"
        )
    return (AdversarialRestorerTask if run.adversarial.weight else RestorerTask)(run, folder)


def _enlarged(worse: Worse, mode: str) -> Tensor:
    """The input at the size of what is to be given back."""
    corners = None if mode == "nearest" else False
    return F.interpolate(worse.pixels, size=worse.clean.shape[-2:], mode=mode, align_corners=corners)
