"""Fine-tuning by adapters (LoRA and its kin), of chosen layers whole, and of words of the text encoders.

What is trained is a file of its own, which acts on the model as `adapters.kinds` says.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import nn

from sfumato.adapters.applied import base_of
from sfumato.adapters.apply import fit
from sfumato.adapters.formats import read_adapter
from sfumato.adapters.trained import Adapters, Form, MethodName, attach, checkpoint_blocks
from sfumato.adapters.written import Trained, write_adapter, write_embedding
from sfumato.errors import TrainingError
from sfumato.model import Model
from sfumato.models.clip import Layer as TextLayer
from sfumato.models.mmdit import JointBlock
from sfumato.nn.attention import SpatialTransformer
from sfumato.nn.blocks import ResnetBlock
from sfumato.training.adversarial import AdversarialConfig
from sfumato.training.finetune import FineTuneRun, FineTuneTask, load_base, require_trainable

BLOCKS = (ResnetBlock, SpatialTransformer, JointBlock, TextLayer)
"""What is computed again on the way back where memory is short."""


class AdapterConfig(BaseModel):
    """What changes of the model; the table `[adapter]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: MethodName = "lora"
    rank: int = Field(8, ge=1, le=1024)
    alpha: float | None = Field(None, gt=0)
    """Changes are multiplied by alpha / rank; by default the rank."""
    rank_stabilised: bool = False
    """Scaled by alpha / sqrt(rank) instead (Kalajdzievski 2023)."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Share of the rows of every change that a step leaves out."""
    targets: tuple[str, ...] | None = None
    """Presets or ends of names of the denoiser's layers, `adapters.targets`; by default the method's own."""
    text_targets: tuple[str, ...] = ()
    """Those of the text encoders, which stay as they are by default."""
    start: Path | None = None
    """The file of an adapter of the same method, rank and targets that it begins as."""


class WordConfig(BaseModel):
    """A word that the text encoders learn (textual inversion); the table `[word]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    word: str = Field(min_length=1, pattern=r"^\S+$")
    """The word as captions and prompts have it."""
    vectors: int = Field(4, ge=1, le=75)
    initial: str = Field(min_length=1)
    """Words whose vectors it begins as."""


class DistillConfig(BaseModel):
    """How the student is to paint; the `[distill]` table of an adapter's TOML."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(4, ge=1, le=16)
    guidance: float | None = Field(None, ge=1)
    """Guidance of the teacher, by default as its family is painted."""
    grid: int = Field(50, ge=2, le=1000)
    """Steps of the teacher's trajectory, of which the student must agree about neighbours."""
    towards: Literal["teacher", "distribution"] = "teacher"
    """Where what the student paints is drawn in a contest: to the teacher's estimates, or to where paintings are
    likelier among the teacher's than among its own, which a second adapter follows."""


class AdapterRun(FineTuneRun):
    """A training TOML with `task = "adapter"`."""

    task: Literal["adapter"]
    adapter: AdapterConfig | None = AdapterConfig()
    """False in a TOML: a word alone."""
    word: WordConfig | None = None
    distill: DistillConfig | None = None
    """Learn to paint in few steps what the model paints in many, see `distill`."""
    adversarial: AdversarialConfig = AdversarialConfig()
    """Against a discriminator as well, where the weight is above 0."""

    @model_validator(mode="before")
    @classmethod
    def _without(cls, values: object) -> object:
        """TOML has no null."""
        if isinstance(values, dict) and values.get("adapter") is False:
            return {**values, "adapter": None}
        return values

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.adapter is None and self.word is None:
            raise ValueError("adapter = false needs a [word]: else there is nothing to learn")
        if self.word is not None and (self.word.word in self.word.initial.split()):
            raise ValueError(f"word {self.word.word!r} cannot begin as itself; name other words in initial")
        if self.distill is not None and self.word is not None:
            raise ValueError("[distill] learns no word; leave one of them out")
        if self.distill is None and self.adversarial.weight:
            raise ValueError("[adversarial] is for a student; add a [distill] table, or leave it out")
        return self

    @property
    def matching(self) -> bool:
        """Whether the student's distribution is held to the teacher's."""
        return self.distill is not None and self.distill.towards == "distribution"

    @property
    def form(self) -> Form:
        """What is trained."""
        own, word = self.adapter, self.word
        given: dict[str, object] = {"method": None} if own is None else own.model_dump(exclude={"dropout", "start"})
        if word is not None:
            given |= {"word": word.word, "vectors": word.vectors, "initial": word.initial}
        return Form(**given)  # type: ignore[arg-type]


class AdapterTask(FineTuneTask):
    """The model wears what is trained."""

    run: AdapterRun

    def __init__(self, run: AdapterRun, folder: Path, base: Model | None = None) -> None:
        base = load_base(run) if base is None else base
        require_trainable(base)
        self.adapters, self.model = attach(base, run.form, run.loop.seed)
        if run.adapter is not None and run.adapter.start is not None:
            begin_as(run.adapter.start, self.model, self.adapters.scales, base)
        if run.checkpointing:
            checkpoint_blocks(self.adapters.model, BLOCKS)
        learns_text = bool(run.word or (run.adapter and run.adapter.text_targets))
        super().__init__(run, folder, base, self.adapters.model, words=self.adapters.words, learns_text=learns_text)
        word = run.word
        if word is not None and not any(word.word in text for text in self.texts()):
            raise TrainingError(
                f"no caption has the word {word.word!r} that is to be learned; put it into the captions, or into "
                "trigger, caption or prefix of the source"
            )

    def acting(self, model: nn.Module, rng: torch.Generator | None = None) -> AbstractContextManager[object]:
        """See the class; rows of changes are dropped of `rng`."""
        assert isinstance(model, Adapters)
        dropout = 0.0 if self.run.adapter is None else self.run.adapter.dropout
        return self.adapters.applied(model, dropout=dropout, rng=rng)

    @torch.no_grad()
    def export(self, model: nn.Module, folder: Path) -> None:
        """`NAME.safetensors`, see `adapters.written`."""
        assert isinstance(model, Adapters)
        if self.run.adapter is None:
            write_embedding(folder, self.run.name, model.words(), self.base, self.facts())
            return
        word = self.run.word
        pieces = [Trained(name, parts, self.adapters.scales[name]) for name, parts in model.pieces().items()]
        bundled = {} if word is None else {word.word: model.words()}
        write_adapter(folder, self.run.name, pieces, self.base, self.facts(), bundled=bundled)

    def facts(self) -> Mapping[str, object]:
        """What kohya's metadata say of a run."""
        run, loop = self.run, self.run.loop
        own = run.adapter
        sources = {
            source.folder.name: {
                "img_count": sum(e.source == i for e in self.examples.all),
                "n_repeats": source.repeats,
            }
            for i, source in enumerate(run.sources)
        }
        network: dict[str, object] = {}
        if own is not None:
            low_rank = own.method not in ("ia3", "full")
            plain = own.method in ("lora", "dora") or (own.method == "locon")
            network = {
                "network_module": "networks.lora" if plain else "lycoris.kohya",
                **({"network_dim": str(own.rank)} if low_rank else {}),
                **({"network_alpha": str(own.rank if own.alpha is None else own.alpha)} if low_rank else {}),
                "network_args": {"algo": own.method, "dropout": own.dropout, "rs_lora": own.rank_stabilised},
            }
        account = self.examples.account()
        return {
            **network,
            "resolution": f"({self.examples.side}, {self.examples.side})",
            "dataset_dirs": sources,
            "tag_frequency": {"captions": _tags(self.texts())},
            "bucket_info": {"buckets": account["buckets"]},
            "num_train_images": str(len(self.examples.train)),
            "steps": str(loop.steps),
            "epoch": str(-(-loop.steps * loop.accumulate // self.order.length)),
            "seed": str(loop.seed),
            "learning_rate": str(loop.learning_rate),
            "optimizer": "Muon" if loop.muon else "Prodigy" if loop.prodigy else "AdamW",
            "lr_scheduler": loop.shape,
            "noise_offset": str(run.loss.noise_offset),
            **({"min_snr_gamma": str(run.loss.gamma)} if run.loss.weighting == "min_snr" else {}),
            "clip_skip": str(run.clip_skip),
        }


@torch.no_grad()
def begin_as(file: Path, adapters: Adapters, scales: Mapping[str, float], base: Model) -> None:
    """Give adapters the parts that a file has for them.

    Raises:
        TrainingError: it has other layers or parts of other shapes.
        CheckpointError: it is no adapter.
    """
    found = fit(read_adapter(file), base_of(base))
    given = {module: piece for piece, module in found.pairs}
    own = adapters.pieces()
    if left := [*(own.keys() ^ given.keys()), *found.unmatched]:
        raise TrainingError(
            f"{file} and this adapter change other layers, for example {min(left)}; give both the same method and "
            "targets"
        )
    for module, parts in own.items():
        piece = given[module]
        for name, part in parts.items():
            value = piece.parts.get(name)
            if value is None or value.shape != part.shape:
                has = "none" if value is None else "x".join(map(str, value.shape))
                raise TrainingError(
                    f"{name} of {module} is {'x'.join(map(str, part.shape))} here and {has} in {file}; give both the "
                    "same method and rank"
                )
            part.copy_(value.float() * (piece.scale / scales[module] if name == "up" else 1.0))


def _tags(captions: Sequence[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for caption in captions:
        for tag in caption.split(","):
            if tag.strip():
                counts[tag.strip()] = counts.get(tag.strip(), 0) + 1
    return counts
