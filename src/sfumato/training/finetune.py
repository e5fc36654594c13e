"""What fine-tuning a finished model by people's pictures shares, whatever it is that learns.

Latents are encoded once, and so are texts where no text encoder learns. The model itself never changes.
"""

import hashlib
import random
import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal, cast

import torch
from jaxtyping import Float, Int
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from sfumato.adapters.applied import Applied
from sfumato.checkpoints.catalogue import find
from sfumato.checkpoints.folder import load_folder
from sfumato.checkpoints.single import load_single
from sfumato.diffusion.conditioning import Conditioning, batch
from sfumato.errors import TrainingError
from sfumato.images import contact_sheet
from sfumato.lettering import captioned
from sfumato.model import Model, Sampling
from sfumato.nn.filtered import train_filtered
from sfumato.prompts.encode import encode
from sfumato.prompts.reading import literal
from sfumato.requests import Txt2Img
from sfumato.results import Result
from sfumato.runtime.precision import autocast
from sfumato.tasks.table import runner
from sfumato.training.data import generator_for
from sfumato.training.examples import BucketConfig, BucketOrder, Example, Examples, SourceConfig, said, worded
from sfumato.training.loop import LoopConfig
from sfumato.training.objectives import Weighting, denoising_error, loss_weight, network_input, uniform

MAX_WINDOWS = 4
"""Windows of tokens of the longest caption; what goes beyond is not learned."""


class FineTuneLoop(LoopConfig):
    """The `[loop]` of a fine-tuning TOML: gentler than that of training from nothing."""

    batch: int = Field(1, gt=0)
    learning_rate: float = Field(1e-4, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    muon: bool = False
    shape: Literal["constant", "cosine", "warmup_stable_decay"] = "cosine"
    warmup: int = Field(10, ge=0)
    ema: float = Field(0.98, ge=0, lt=1)
    validate_every: int = Field(100, gt=0)
    sheet_every: int = Field(200, gt=0)
    save_every: int = Field(100, gt=0)
    best: bool = True
    rise: float | None = Field(3.0, gt=1)


class LossConfig(BaseModel):
    """How errors count; the table `[loss]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weighting: Weighting = "plain"
    """"min_snr" or "debiased": by the signal-to-noise ratio of the level, see `objectives.loss_weight`."""
    gamma: float = Field(5.0, gt=0)
    """The gamma of min_snr."""
    noise_offset: float = Field(0.0, ge=0, le=1)
    """Noise that is the same all over a channel, for brighter and darker pictures."""
    prior: float = Field(1.0, ge=0)
    """Weight of the pictures of the class."""
    prior_target: Literal["pictures", "model"] = "pictures"
    """What the pictures of the class are held to: themselves, or what the model made of them, noised, before it learned
    (Li and Hoiem 2016), which varies less."""


class FineTuneRun(BaseModel):
    """What the TOMLs of fine-tuning have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = "nano"
    """A name, a folder or a file, as `--model` has it."""
    name: str = Field(min_length=1, max_length=100, pattern=r"^[^/\\]+$")
    """Name of the file that comes of it."""
    sources: tuple[SourceConfig, ...] = Field(min_length=1)
    buckets: BucketConfig = BucketConfig()
    validation: float = Field(0.1, ge=0, lt=1)
    """Share of the pictures that is held out, of five or more at least one."""
    draws: int = Field(4, gt=0, le=64)
    """Levels of noise at which each held-out picture is judged."""
    loss: LossConfig = LossConfig()
    prompts: tuple[str, ...] = ()
    """For the sheets, as kohya writes them: `text --n negative --w 512 --h 512 --d seed --l guidance --s steps`."""
    checkpointing: bool = False
    """Compute blocks again on the way back instead of keeping what they made: less memory, a third more time."""
    clip_skip: int = Field(1, ge=1)
    loop: FineTuneLoop


class FineTuneTask:
    """Latents, captions and levels of noise in; the weighted error of what the model then gives out.

    Args:
        own: the model that computes, whose text encoders know `words`.
        learns_text: whether what texts are read as changes from step to step.
    """

    model: nn.Module
    """What is trained."""

    def __init__(
        self,
        run: FineTuneRun,
        folder: Path,
        base: Model,
        own: Model,
        *,
        words: Mapping[str, tuple[int, ...]] | None = None,
        learns_text: bool = False,
        keep_pixels: bool = False,
    ) -> None:
        self.run, self.base, self.own = run, base, own
        self.words, self.learns_text = dict(words or {}), learns_text
        self.examples = Examples(
            run.sources,
            run.buckets,
            base.encode_pixels,
            side=run.buckets.size or min(own.size),
            grain=own.grain,
            cache=folder / "latents",
            model=tensors_digest(cast("nn.Module", base.autoencoder)),
            validation=run.validation,
            keep_pixels=keep_pixels,
        )
        self.examples.write_account(folder / "data.json")
        self.order = BucketOrder(self.examples, run.loop.batch, run.loop.seed)
        self.content = {"data": self.examples.digest, "model": base.hash}
        self.windows = min(MAX_WINDOWS, max(self._windows(text) for text in self.texts()))
        self._encoded: dict[str, Conditioning] = {}

    @abstractmethod
    def acting(self, model: nn.Module, rng: torch.Generator | None = None) -> AbstractContextManager[object]:
        """While it lasts, `own` computes with what `model` has learned; dropout is drawn of `rng`."""

    def predict(
        self, model: nn.Module, x: Tensor, label: Tensor, cond: Conditioning, chosen: Sequence[Example]
    ) -> Tensor:
        """F(x, label, cond) of those pictures."""
        output: Tensor = self.own.network(x, label, cond)
        return output

    def texts(self) -> list[str]:
        """Every caption, as it is written."""
        return [worded(caption, self.run.sources[e.source]) for e in self.examples.all for caption in e.captions]

    def _windows(self, text: str) -> int:
        prompt = literal(text).prompts[0]
        return max(len(part.pack(prompt, embeddings=self.words)) for part in self.own.texts.values())

    def loss(self, model: nn.Module, indices: Int[Tensor, " b"], rng: torch.Generator) -> dict[str, Tensor]:
        """See the class; pictures of the class apart as "prior"."""
        run = self.run
        chosen, texts, latents = self.drawn(indices, rng)
        sigma = uniform(self.sampling(chosen).schedule)(len(chosen), rng)
        with self.acting(model, rng if model.training else None):
            errors = self._error(model, chosen, latents, texts, sigma, rng)
        weights = loss_weight(self.own.sampling.parameterisation, sigma, run.loss.weighting, run.loss.gamma)
        errors = errors * weights
        prior = self._prior(chosen)
        total = (errors * torch.where(prior, run.loss.prior, 1.0)).mean()
        return {"loss": total, "prior": errors[prior].mean()} if bool(prior.all()) else {"loss": total}

    def drawn(
        self, indices: Int[Tensor, " b"], rng: torch.Generator
    ) -> tuple[list[Example], list[str], Float[Tensor, "b c h w"]]:
        """Those pictures, what is said of each this time, and a view of each as latents."""
        words = random.Random(int(torch.randint(2**62, (), generator=rng)))
        chosen = [self.examples.all[i] for i in indices.tolist()]
        texts = [said(e, self.run.sources[e.source], words) for e in chosen]
        views = torch.randint(2**31, (len(chosen),), generator=rng).tolist()
        latents = [e.latents[view % len(e.latents)] for e, view in zip(chosen, views, strict=True)]
        return chosen, texts, torch.stack(latents)

    def sampling(self, chosen: Sequence[Example]) -> Sampling:
        """How pictures of their shape, which is one, are sampled."""
        return self.own.sampling_of(*chosen[0].shape.size)

    def _error(
        self,
        model: nn.Module,
        chosen: Sequence[Example],
        latents: Float[Tensor, "b c h w"],
        texts: Sequence[str],
        sigma: Float[Tensor, " b"],
        rng: torch.Generator,
    ) -> Float[Tensor, " b"]:
        """Each picture's error; `own` computes with what is learned."""
        noise = torch.randn(latents.shape, generator=rng)
        if self.run.loss.noise_offset:
            noise += self.run.loss.noise_offset * torch.randn((*latents.shape[:2], 1, 1), generator=rng)
        parameterisation = self.own.sampling.parameterisation
        x = parameterisation.path.mix(latents, noise, sigma)
        seen = network_input(parameterisation, x, sigma).to(self.own.dtype, memory_format=torch.channels_last)
        label = self.sampling(chosen).schedule.label(sigma).float()
        output = self.predict(model, seen, label, self.cond(chosen, texts), chosen).float()
        masks = None
        if any(e.mask is not None for e in chosen):
            whole = torch.ones(1, *latents.shape[-2:])
            masks = torch.stack([whole if e.mask is None else e.mask for e in chosen])
        error = denoising_error(output, parameterisation, latents, x, sigma, masks)
        prior = self._prior(chosen)
        if self.run.loss.prior_target == "pictures" or not bool(prior.any()):
            return error
        with torch.no_grad():
            before = self.base.network(seen, label, self.cond(chosen, texts, self.base)).float()
        return torch.where(prior, (output - before).square().flatten(1).mean(1), error)

    def _prior(self, chosen: Sequence[Example]) -> Tensor:
        """Which of the pictures are of the class, (b,)."""
        return torch.tensor([self.run.sources[e.source].prior for e in chosen])

    def cond(self, chosen: Sequence[Example], texts: Sequence[str], model: Model | None = None) -> Conditioning:
        """A row for each picture, of its text, as `model` reads it; by default the one that learns."""
        if self.learns_text:
            rows = self._read(texts, model)
        else:
            with torch.no_grad():
                for text in texts:
                    if text not in self._encoded:
                        [self._encoded[text]] = self._read([text])
                rows = [self._encoded[text] for text in texts]
                if len({row.tokens.shape[1] for row in rows}) > 1:
                    rows = self._read(texts)
        cond = batch(*rows)
        if self.own.micro_conditioning:
            numbers = [[*e.original[::-1], *e.shape.corner[::-1], *e.shape.size[::-1]] for e in chosen]
            cond = Conditioning(cond.tokens, pooled=cond.pooled, numbers=torch.tensor(numbers, dtype=torch.float32))
        return cond

    def _read(self, texts: Sequence[str], model: Model | None = None) -> list[Conditioning]:
        rows = encode(
            [literal(text) for text in texts],
            list((model or self.own).texts.values()),
            clip_skip=self.run.clip_skip,
            emphasis="ignore",
            windows=self.windows,
            embeddings=self.words,
            join=self.own.join,
        )
        empty = self.own.zero_empty
        return [_zeros(row) if empty and not text else row for row, text in zip(rows, texts, strict=True)]

    @torch.no_grad()
    def validate(self, model: nn.Module) -> dict[str, float]:
        """The plain loss on the pictures held out (of few, on all), each at `draws` levels with noise and captions that
        never change."""
        losses = []
        with self.acting(model):
            for i in self.examples.validation:
                e = self.examples.all[i]
                count, rng = self.run.draws, generator_for(0, 7, int(e.digest[:12], 16))
                sigma = uniform(self.sampling([e]).schedule)(count, rng)
                text = said(e, self.run.sources[e.source], None)
                for one in sigma.split(1):
                    with autocast(self.own.device, self.run.loop.precision):
                        losses.append(self._error(model, [e], e.latents[0][None], [text], one, rng))
        return {"loss": float(torch.cat(losses).mean())}

    def sheet(self, model: nn.Module) -> Image.Image:
        """The run's prompts painted, else the caption of the first picture that is judged."""
        first = self.examples.all[self.examples.validation[0]]
        prompts = self.run.prompts or (said(first, self.run.sources[first.source], None),)
        requests = [sample(prompt) for prompt in prompts]
        painted = [self.paint(model, request) for request in requests]
        return contact_sheet(captioned(painted, [request.prompt for request in requests]))

    def paint(self, model: nn.Module, request: Txt2Img) -> Image.Image:
        """The first picture of a request, by the model with what it has learned."""
        with torch.no_grad(), self.acting(model):
            applied = Applied(self.own, self.base, words=self.words)
            for event in runner("txt2img")(applied, request, 0.0):
                if isinstance(event, Result):
                    return event.images[0].convert("RGB")
        raise AssertionError("painting gives a result")


def load_base(run: FineTuneRun) -> Model:
    """The model to be fine-tuned, whose tensors need no gradient.

    Raises:
        UnknownNameError, CheckpointError: there is none, or it is not sound.
    """
    path = find(run.model)
    dtype = torch.bfloat16 if run.loop.precision == "bf16" else torch.float32
    load = load_folder if path.is_dir() else load_single
    loaded = load(path, dtype=dtype, device=torch.device("cpu"))
    for module in (*loaded.components.values(), loaded.autoencoder):
        cast("nn.Module", module).requires_grad_(False)
        train_filtered(cast("nn.Module", module))
    return loaded


def require_trainable(model: Model) -> None:
    """Raises TrainingError for models that take more than a prompt, or were distilled with their guidance."""
    if model.task is not None:
        raise TrainingError(f"{model.name} is made for {model.task}; fine-tune the model it was made of")
    if model.guidance_embedding:
        raise TrainingError(f"{model.name} was distilled with its guidance; fine-tune the model it was made of")


def tensors_digest(module: nn.Module) -> str:
    """SHA-256 of all tensors of a module, by name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _zeros(cond: Conditioning) -> Conditioning:
    pooled = None if cond.pooled is None else torch.zeros_like(cond.pooled)
    return Conditioning(torch.zeros_like(cond.tokens), pooled=pooled)


_OPTION = re.compile(r"\s--(n|w|h|d|l|s)\s+")
_FIELDS: Mapping[str, tuple[str, type]] = {
    "n": ("negative", str), "w": ("width", int), "h": ("height", int), "d": ("seed", int), "l": ("guidance", float),
    "s": ("steps", int),
}  # fmt: skip


def sample(line: str) -> Txt2Img:
    """The request of a line in kohya's syntax: `text --n negative --w 512 --h 512 --d 1 --l 7.5 --s 20`.

    Raises:
        TrainingError: a number that is none.
    """
    prompt, *rest = _OPTION.split(f" {line.strip()}")
    found: dict[str, Any] = {"prompt": prompt.strip(), "seed": 1}
    for option, value in zip(rest[::2], rest[1::2], strict=True):
        name, kind = _FIELDS[option]
        try:
            found[name] = kind(value.strip())
        except ValueError:
            raise TrainingError(f"--{option} {value.strip()!r} of the prompt {line!r} is no number") from None
    return Txt2Img(**found)
