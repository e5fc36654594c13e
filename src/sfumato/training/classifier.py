"""Training the picture classifier on renders alone: one head an attribute, mild distortions, held-out accuracy."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from sfumato.checkpoints.classifiers import PART, load_classifier
from sfumato.checkpoints.save import save_part
from sfumato.errors import TrainingError
from sfumato.images import contact_sheet, to_pil
from sfumato.models.picture_classifier import PictureClassifier, PictureClassifierConfig
from sfumato.runtime.devices import device_of
from sfumato.training.augment import Augment
from sfumato.training.checkpoint import take_over
from sfumato.training.data import Order, Pictures, generator_for, shares_of, taken
from sfumato.training.growth import preceded
from sfumato.training.heads import IGNORE_INDEX, AttributeTargets, accuracy, error
from sfumato.training.latents import autoencoder_digest, cached_latents, load_autoencoder
from sfumato.training.loop import LoopConfig


class ClassifierRun(BaseModel):
    """A training TOML with `task = "classifier"`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Literal["classifier"]
    data: Path
    autoencoder: Path | None = None
    """Classify the pictures' latents by this `vae` folder (with `fold` 1, say) instead of their pixels."""
    ignored: tuple[str, ...] = ("split",)
    """Attributes that get no head: what the picture does not show."""
    channels: tuple[int, ...] = (32, 64, 128, 256)
    blocks: int = Field(1, gt=0)
    fold: int = Field(4, gt=0)
    size: int | None = Field(None, gt=0)
    """Pixels a side to classify at; None: the data's own."""
    distortion: float = Field(1.0, ge=0)
    """How strongly pictures are distorted in training: 0 is none, see `distort` and `noised`."""
    shares: dict[str, float] = {}
    """How often each kind of picture is drawn; as the data has them without it."""
    validation: int = Field(512, gt=0)
    start: Path | None = None
    """Begin with the classifier in this export, which must be of this form but for its words and for stages nearer to
    the pixels: those that it lacks (`fold` is smaller then) begin at random, and the others as they are."""
    loop: LoopConfig


Heads = Sequence[tuple[str, Sequence[str]]]


def reworded(model: PictureClassifier, known: Heads, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a classifier of the words `known`, for a `model` of others: a word that both know keeps its row,
    and new ones have the model's own."""

    def rows(heads: Heads) -> dict[tuple[str, str], int]:
        return {answer: row for row, answer in enumerate((name, word) for name, words in heads for word in words)}

    old, new, ready = rows(known), rows(model.config.heads), dict(tensors)
    both = [(at, old[answer]) for answer, at in new.items() if answer in old]
    for name, own in (("head.weight", model.head.weight), ("head.bias", model.head.bias)):
        ready[name] = own.detach().clone()
        ready[name][[at for at, _ in both]] = tensors[name][[at for _, at in both]].to(own.dtype)
    return ready


def boxed(pixels: Float[Tensor, "b c h w"], side: int) -> Float[Tensor, "b c h w"]:
    """The mean of `side` x `side` pixels (odd) around each, along one axis and then the other: twice as fast as pooling
    three channels."""
    *_, h, w = pixels.shape
    x = F.pad(pixels, (side // 2,) * 4, mode="replicate")
    x = sum((x[..., k : k + w] for k in range(1, side)), start=x[..., :w])
    x = sum((x[..., k : k + h, :] for k in range(1, side)), start=x[..., :h, :])
    return x / side**2


def distort(pixels: Float[Tensor, "b 3 h w"], strength: float, rng: torch.Generator) -> Float[Tensor, "b 3 h w"]:
    """Shift, zoom, blur, colour and grain of a picture's own amount, up to what a painted picture may have of them.

    At strength 1: 6 % of the side, 8 % of the size, a 5 px box half of the time, 8 % of contrast, 0.06 of brightness
    and 0.06 of noise, in the units of [-1, 1].
    """
    b = len(pixels)

    def drawn(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand((b, *shape), generator=rng)

    place = torch.zeros(b, 2, 3)
    place[:, 0, 0] = place[:, 1, 1] = 1 + strength * drawn(-0.08, 0.08)
    place[:, :, 2] = strength * drawn(-0.12, 0.12, 2)  # the side is 2 long here
    grid = F.affine_grid(place, list(pixels.shape), align_corners=False)
    x = F.grid_sample(pixels, grid, padding_mode="border", align_corners=False)
    x = x.lerp(boxed(x, 5), (strength * drawn(-1, 1, 1, 1, 1)).clamp(0, 1))
    x = x * (1 + strength * drawn(-0.08, 0.08, 1, 1, 1)) + strength * drawn(-0.06, 0.06, 3, 1, 1)
    x = x + strength * drawn(0, 0.06, 1, 1, 1) * torch.randn(x.shape, generator=rng)
    return x.clamp(-1, 1)


def noised(latents: Float[Tensor, "b c h w"], strength: float, rng: torch.Generator) -> Float[Tensor, "b c h w"]:
    """Latents on the way of a flow to noise, each by a share of its own: up to a half at strength 1."""
    share = 0.5 * strength * torch.rand((len(latents), 1, 1, 1), generator=rng)
    return latents.lerp(torch.randn(latents.shape, generator=rng), share)


class ClassifierTask:
    """Every question that the attributes allow, asked of the picture: of the training split and of the half of the
    held-out one of `Pictures.judge_train`, since it is to judge what models put together by themselves."""

    def __init__(self, run: ClassifierRun, folder: Path) -> None:
        self.run = run
        self.pictures = Pictures.for_training(run.data)
        train = [self.pictures.attributes[i] for i in self.pictures.train.tolist()]
        self.attributes = AttributeTargets(train, run.ignored)
        heads = self.attributes.heads
        if not heads:
            raise TrainingError(f"{run.data} has no attribute of two words or more; nothing can be learned from it")
        self.latents: np.memmap | None = None
        self.content = {"data": self.pictures.digest}
        if run.autoencoder is not None:
            autoencoder = load_autoencoder(run.autoencoder)
            self.latents = cached_latents(self.pictures, autoencoder, run.autoencoder, 0, Augment(), run.loop.seed)
            self.content["autoencoder"] = autoencoder_digest(run.autoencoder)
        whole = self.pictures.size if self.latents is None else self.latents.shape[-1]
        torch.manual_seed(run.loop.seed)
        self.model = PictureClassifier(
            PictureClassifierConfig(
                heads,
                in_channels=3 if self.latents is None else self.latents.shape[1],
                fold=run.fold,
                channels=run.channels,
                blocks=run.blocks,
                size=run.size,
            )
        )
        if run.start is not None:
            known = load_classifier(run.start, self.model.config.in_channels).config.heads
            own = self.model

            def grown(part: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
                return reworded(own, known, preceded(part, tensors, "stages"))

            take_over(own, run.start / PART, grown)
        size = whole if run.size is None else run.size
        if size % self.model.config.factor or whole % size:
            raise TrainingError(
                f"{'pictures' if self.latents is None else 'latents'} of {whole} px at size={size} do not fit "
                f"fold={run.fold} and {len(run.channels)} channels, which need a multiple of {self.model.config.factor}"
            )
        indices = torch.cat([self.pictures.train, self.pictures.judge_train])
        shares = shares_of(self.pictures, indices, run.shares)
        self.order = Order(indices, run.loop.batch, run.loop.seed, shares)

    def _seen(self, indices: Int[Tensor, " b"]) -> Float[Tensor, "b c h w"]:
        """What is classified, without distortion."""
        if self.latents is None:
            return self.model.shrunk(self.pictures.pixels(indices))
        return self.model.shrunk(taken(self.latents, indices))

    def _targets(self, indices: Int[Tensor, " b"]) -> dict[str, Int[Tensor, " b"]]:
        return self.attributes.targets([self.pictures.attributes[i] for i in indices.tolist()])

    def loss(self, model: nn.Module, indices: Int[Tensor, " b"], rng: torch.Generator) -> dict[str, Tensor]:
        """See the class."""
        with torch.autocast(device_of(model).type, enabled=False):  # places on a grid need float32
            seen = (distort if self.latents is None else noised)(self._seen(indices), self.run.distortion, rng)
        answers: dict[str, Tensor] = model(seen.to(memory_format=torch.channels_last))
        return {"loss": error(answers, self._targets(indices))}

    @torch.no_grad()
    def _held_out(self, model: nn.Module) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
        """Indices of some held-out pictures, each head's logits and its targets."""
        indices = self.pictures.test
        chosen = indices[torch.randperm(len(indices), generator=generator_for(0))[: self.run.validation]]
        parts: list[dict[str, Tensor]] = []
        for part in chosen.split(32):
            parts.append(model(self._seen(part).to(memory_format=torch.channels_last)))
        answers = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        return chosen, answers, self._targets(chosen)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """The share of right answers of each head on held-out pictures as they are, and the heads' mean."""
        _, answers, targets = self._held_out(model)
        return accuracy(answers, targets)

    def sheet(self, model: nn.Module) -> Image.Image:
        """The held-out pictures of which most answers are wrong."""
        chosen, answers, targets = self._held_out(model)
        wrong = [(answers[name].argmax(1) != target) & (target != IGNORE_INDEX) for name, target in targets.items()]
        worst = torch.stack(wrong).sum(0).argsort(descending=True, stable=True)[:16]
        return contact_sheet([to_pil(x) for x in self.pictures.pixels(chosen[worst])])

    def export(self, model: nn.Module, folder: Path) -> None:
        """`classifier/`, as `load_classifier` reads it."""
        assert isinstance(model, PictureClassifier)
        save_part(folder, PART, model, model.config, torch.float16)
