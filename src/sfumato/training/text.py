"""Training the text encoder by itself, before the denoiser: what a caption says must be readable from its tokens.

A denoiser teaches its text encoder slowly, through noise and pictures. Where the pictures' attributes are known, the
captions alone teach it in minutes: for each attribute a learned query looks over the tokens, as the denoiser's
cross-attention will, and one linear map names the attribute's word from what it finds. Captions in two languages of
the same picture have the same answers, so both learn to mean the same.
"""

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, Self

import torch
from jaxtyping import Float, Int
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from sfumato.checkpoints.save import save_part
from sfumato.errors import TrainingError
from sfumato.files import sha256, whole_folder
from sfumato.images import to_pil
from sfumato.models.clip import CLIPTextConfig, CLIPTextEncoder
from sfumato.models.tokenizer import ClipTokenizer
from sfumato.training.checkpoint import take_over
from sfumato.training.data import Attributes, Order, Pictures, captions_of, generator_for, shares_of
from sfumato.training.heads import AttributeTargets, accuracy, error
from sfumato.training.loop import LoopConfig
from sfumato.training.tokenizer import train_tokenizer


class TextConfig(BaseModel):
    """The tokenizer and the text transformer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    vocabulary: int = Field(2048, gt=600)
    window: int = Field(48, gt=2)
    width: int = Field(256, gt=0)
    layers: int = Field(3, gt=0)
    heads: int = Field(4, gt=0)

    @model_validator(mode="after")
    def _shared_out(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width={self.width} must be a multiple of heads={self.heads}")
        return self

    def form(self, words: ClipTokenizer) -> CLIPTextConfig:
        """The configuration of the text transformer for such a tokenizer."""
        return CLIPTextConfig(
            vocab_size=len(words.vocabulary),
            hidden_size=self.width,
            intermediate_size=4 * self.width,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            max_position_embeddings=self.window,
            projection_dim=self.width,
            bos_token_id=words.begin,
            eos_token_id=words.end,
            pad_token_id=words.end,
        )


def kept_tokenizer(
    folder: Path, start: Path | None, config: TextConfig, corpus: Callable[[], list[str]]
) -> ClipTokenizer:
    """The tokenizer of a run, kept in `folder`: that of the model in `start`, or learned when the run begins. (Among
    ties, learning differs from process to process.)"""
    if not folder.is_dir():
        with whole_folder(folder) as temporary:
            if start is not None:
                ClipTokenizer.from_folder(start / "tokenizer").save(temporary)
            else:
                train_tokenizer(corpus(), config.vocabulary, config.window).save(temporary)
    return ClipTokenizer.from_folder(folder)


class TextRun(BaseModel):
    """A training TOML with `task = "text"`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Literal["text"]
    data: Path
    captions: str | None = None
    ignored: tuple[str, ...] = ("split",)
    """Attributes that get no head: what captions do not say."""
    shares: dict[str, float] = {}
    validation: int = Field(1024, gt=0)
    start: Path | None = None
    """Begin with the tokenizer and the text encoder in this folder."""
    text: TextConfig = TextConfig()
    loop: LoopConfig


class CaptionReader(nn.Module):
    """A text encoder and, for training alone, who reads from its tokens."""

    def __init__(self, text_encoder: CLIPTextEncoder, heads: tuple[tuple[str, tuple[str, ...]], ...]) -> None:
        super().__init__()
        width = text_encoder.config.hidden_size
        self.heads = heads
        self.text_encoder = text_encoder
        self.queries = nn.Embedding(len(heads), width)
        self.keys, self.values = nn.Linear(width, width), nn.Linear(width, width)
        self.answers = nn.ModuleList(nn.Linear(width, len(words)) for _, words in heads)

    def forward(self, ids: Int[Tensor, "b n"]) -> dict[str, Float[Tensor, "b k"]]:
        tokens = self.text_encoder(ids).tokens
        read = self.looks(tokens).to(tokens.dtype) @ self.values(tokens)
        answers = zip(self.heads, self.answers, read.unbind(1), strict=True)
        return {name: answer(seen) for (name, _), answer, seen in answers}

    def looks(self, tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b q n"]:
        """How much of its look each query has for each token; sums to 1."""
        scores = self.queries.weight @ self.keys(tokens).mT * tokens.shape[-1] ** -0.5
        return scores.softmax(-1, dtype=torch.float32)


class TextTask:
    """Every question that the attributes allow, asked of a caption made anew. What a caption leaves out cannot be
    read from it: the answers stay below 100 % right."""

    def __init__(self, run: TextRun, folder: Path) -> None:
        self.run = run
        self.pictures = Pictures.for_training(run.data)
        self.caption = captions_of(self.pictures, run.captions)
        self.attributes = AttributeTargets(
            [self.pictures.attributes[i] for i in self.pictures.train.tolist()], run.ignored
        )
        if not self.attributes.heads:
            raise TrainingError(f"{run.data} has no attribute of two words or more; nothing can be read from captions")
        self.tokenizer = kept_tokenizer(folder / "tokenizer", run.start, run.text, self._corpus)
        torch.manual_seed(run.loop.seed)
        self.model = CaptionReader(CLIPTextEncoder(run.text.form(self.tokenizer)), self.attributes.heads)
        if run.start is not None:
            take_over(self.model.text_encoder, run.start / "text_encoder")
        shares = shares_of(self.pictures, self.pictures.train, run.shares)
        self.order = Order(self.pictures.train, run.loop.batch, run.loop.seed, shares)
        self.content = {"data": self.pictures.digest, "tokenizer": sha256(folder / "tokenizer" / "merges.txt")}

    def _corpus(self) -> list[str]:
        rng = random.Random(self.run.loop.seed)
        return [self.caption(self.pictures.attributes[i], rng) for i in self.pictures.train.tolist()]

    def loss(self, model: nn.Module, indices: Int[Tensor, " b"], rng: torch.Generator) -> dict[str, Tensor]:
        """See the class."""
        words = random.Random(int(torch.randint(2**62, (), generator=rng)))
        rows = [self.pictures.attributes[i] for i in indices.tolist()]
        return {"loss": error(model(self._ids(rows, words)), self.attributes.targets(rows))}

    def _ids(self, rows: Sequence[Attributes], words: random.Random) -> Int[Tensor, "b n"]:
        """Captions without the padding that all of them have: nothing may be read from there."""
        ids = self.tokenizer([self.caption(row, words) for row in rows])
        longest = int((ids != self.tokenizer.end).sum(1).max())
        return ids[:, : longest + 1]

    @torch.no_grad()
    def validate(self, model: nn.Module) -> dict[str, float]:
        """The error and the share of right answers of each head, on captions of held-out pictures."""
        held_out = self.pictures.validation
        chosen = held_out[torch.randperm(len(held_out), generator=generator_for(0))[: self.run.validation]]
        words = random.Random(0)
        rows = [self.pictures.attributes[i] for i in chosen.tolist()]
        ids = self._ids(rows, words)
        parts = [model(part) for part in ids.split(128)]
        answers = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        targets = self.attributes.targets(rows)
        return {"loss": float(error(answers, targets)), **accuracy(answers, targets)}

    @torch.no_grad()
    def sheet(self, model: nn.Module) -> Image.Image:
        """Where each query looks (a row each) in the tokens of one held-out caption after the other, side by side."""
        assert isinstance(model, CaptionReader)
        words = random.Random(1)
        rows = [self.pictures.attributes[i] for i in self.pictures.validation[:4].tolist()]
        looks = model.looks(model.text_encoder(self._ids(rows, words)).tokens)
        map_ = torch.cat(looks.unbind(0), dim=1).clamp(0, 1).sqrt()
        image = to_pil(2 * map_.expand(3, -1, -1) - 1)
        return image.resize((image.width * 4, image.height * 8), Image.Resampling.NEAREST)

    @torch.no_grad()
    def export(self, model: nn.Module, folder: Path) -> None:
        """`tokenizer/` and `text_encoder/`, as a denoiser's `start_text` takes them."""
        assert isinstance(model, CaptionReader)
        save_part(folder, "text_encoder", model.text_encoder, model.text_encoder.config, torch.float16)
        self.tokenizer.save(folder / "tokenizer")
