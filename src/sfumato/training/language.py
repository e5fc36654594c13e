"""Teaching a finished model other wordings, without a picture: its text encoder learns, all else is frozen.

A pair is a wording and a caption that the model knows, of the same meaning. Whatever a U-Net takes from its text passes
through its cross-attention; so the wording's tokens must give there what the caption's tokens gave before training, to
queries from the model's own paintings. Tokens need not be aligned, and no noise is in the error, as there would be in
one of the denoiser's estimates. Pairs of a caption with itself keep what is known where it is, and so does the empty
prompt, from which guidance leads away, in every batch.
"""

import copy
import random
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from einops import rearrange
from jaxtyping import Float, Int
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sfumato.checkpoints.folder import load_folder, part_file
from sfumato.checkpoints.save import save_part
from sfumato.diffusion.conditioning import Conditioning
from sfumato.diffusion.guidance import classifier_free
from sfumato.diffusion.noise import ImageNoise
from sfumato.diffusion.samplers import Descent, euler
from sfumato.errors import TrainingError
from sfumato.files import sha256
from sfumato.images import contact_sheet, to_pil
from sfumato.lettering import captioned
from sfumato.models.unet import UNet
from sfumato.nn.attention import Attention, TransformerBlock, attention
from sfumato.prompts.encode import TextPart
from sfumato.prompts.vocabulary import Vocabulary, words
from sfumato.training.data import Order, generator_for, imported
from sfumato.training.loop import LoopConfig

Pair = tuple[str, str]
"""A wording, and a caption of the same meaning."""

KEPT_QUERIES = 4096
"""Queries of each cross-attention."""
PART = "text_encoder"


class LanguageRun(BaseModel):
    """A training TOML with `task = "language"`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Literal["language"]
    model: Path
    """The folder of a model with a U-Net and one text encoder, in the diffusers layout."""
    pairs: str
    """"module:function", imported from the working folder: makes a pair of a `random.Random`."""
    queries: int = Field(24, gt=0)
    """Queries of each cross-attention, drawn anew, that are answered for each pair."""
    paintings: int = Field(24, gt=0)
    """Paintings of captions of pairs, from which the queries are."""
    steps: int = Field(8, gt=1)
    """Sampling steps of those paintings."""
    guidance: float = 4.0
    validation: int = Field(256, gt=0)
    prompts: tuple[str, ...] = Field(min_length=1)
    """Painted for the sheets."""
    loop: LoopConfig


def answered(
    cross: Attention, queries: Float[Tensor, "b n d"], tokens: Float[Tensor, "b m c"]
) -> Float[Tensor, "b n d"]:
    """What a cross-attention takes from tokens for queries as its `to_q` makes them."""
    q, k, v = (
        rearrange(each, "b n (h d) -> b h n d", h=cross.heads)
        for each in (queries, cross.to_k(tokens), cross.to_v(tokens))
    )
    taken: Tensor = cross.to_out[0](rearrange(attention(q, k, v), "b h n d -> b n (h d)"))
    return taken


def by_sort(errors: Float[Tensor, " b"], pairs: Sequence[Pair]) -> dict[str, Tensor]:
    """The mean error as "loss", and that of "wordings" and of what is "kept" alone."""
    kept = torch.tensor([wording == caption for wording, caption in pairs])
    sorts = {"wordings": errors[~kept], "kept": errors[kept]}
    return {"loss": errors.mean(), **{name: some.mean() for name, some in sorts.items() if len(some)}}


class LanguageTask:
    """Pairs in; out comes the mean squared difference of what each cross-attention takes from wording and caption, as
    a share of the variance that it has among captions."""

    def __init__(self, run: LanguageRun, folder: Path) -> None:
        self.run = run
        self.pair: Callable[[random.Random], Pair] = imported(run.pairs)
        self.frozen = load_folder(run.model, dtype=torch.float32, device=torch.device("cpu"))
        part = self.frozen.texts.get(PART)
        if not isinstance(self.frozen.network, UNet) or list(self.frozen.texts) != [PART]:
            raise TrainingError(f"{run.model} is no model of a U-Net and one text encoder; language is taught to these")
        assert isinstance(part, TextPart)
        self.text, self.unet = part, self.frozen.network
        self.model = copy.deepcopy(part.encoder).float().requires_grad_(True)
        self.attentions = {
            name: block.attn2 for name, block in self.unet.named_modules() if isinstance(block, TransformerBlock)
        }
        self.order = Order(torch.arange(run.loop.batch), run.loop.batch, run.loop.seed)
        self.content = {
            "unet": sha256(part_file(run.model / "unet")),
            "text_encoder": sha256(part_file(run.model / PART)),
        }
        self.queries = self._queries(folder / "queries.safetensors")
        self.scale = self._scale()

    @torch.no_grad()
    def _queries(self, file: Path) -> dict[str, Float[Tensor, "n d"]]:
        """Some of what each cross-attention asks in paintings of captions; kept with the run."""
        if file.is_file():
            return load_file(file)
        rng = random.Random(self.run.loop.seed)
        captions = [self.pair(rng)[1] for _ in range(self.run.paintings)]
        heard: dict[str, list[Tensor]] = {name: [] for name in self.attentions}

        def keep(name: str) -> Callable[[nn.Module, object, Tensor], None]:
            return lambda _module, _inputs, asked: heard[name].append(asked.flatten(0, -2).half())

        handles = [block.to_q.register_forward_hook(keep(name)) for name, block in self.attentions.items()]
        for number, texts in enumerate(captions):
            self._painted(self.text.encoder, [texts], number, self.run.steps)
        for handle in handles:
            handle.remove()
        found = {}
        for position, (name, parts) in enumerate(heard.items()):
            asked = torch.cat(parts)
            chosen = torch.randperm(len(asked), generator=generator_for(self.run.loop.seed, 5, position))
            found[name] = asked[chosen[:KEPT_QUERIES]].contiguous()
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_suffix(".tmp")
        save_file(found, temporary)
        temporary.replace(file)
        return found

    @torch.no_grad()
    def _scale(self) -> dict[str, float]:
        """The variance of each cross-attention's answers among captions."""
        rng, found = random.Random(self.run.loop.seed + 1), {}
        tokens = self._tokens(self.text.encoder, [self.pair(rng)[1] for _ in range(64)])
        for name, cross in self.attentions.items():
            queries = self.queries[name][:16].float().expand(len(tokens), -1, -1)
            found[name] = max(float(answered(cross, queries, tokens).var(0).mean()), 1e-8)
        return found

    def _tokens(self, encoder: nn.Module, texts: Sequence[str]) -> Float[Tensor, "b n d"]:
        tokens: Tensor = encoder(self.text.tokenizer(texts)).tokens
        return tokens

    def _errors(self, model: nn.Module, pairs: Sequence[Pair], rng: torch.Generator) -> Float[Tensor, " b"]:
        """Each pair's, the mean over cross-attentions."""
        with torch.no_grad():
            right = self._tokens(self.text.encoder, [caption for _, caption in pairs])
        read = self._tokens(model, [wording for wording, _ in pairs])
        errors = []
        for name, cross in self.attentions.items():
            kept = self.queries[name]
            drawn = torch.randint(len(kept), (len(pairs), self.run.queries), generator=rng)
            queries = kept[drawn].float()
            with torch.no_grad():
                wanted = answered(cross, queries, right)
            given = answered(cross, queries, read)
            errors.append((given - wanted).square().flatten(1).mean(1) / self.scale[name])
        return torch.stack(errors).mean(0)

    def loss(self, model: nn.Module, indices: Int[Tensor, " b"], rng: torch.Generator) -> dict[str, Tensor]:
        """See the class; "kept" is of captions paired with themselves."""
        drawn = random.Random(int(torch.randint(2**62, (), generator=rng)))
        pairs = [("", ""), *(self.pair(drawn) for _ in indices[1:].tolist())]
        return by_sort(self._errors(model, pairs, rng), pairs)

    @torch.no_grad()
    def validate(self, model: nn.Module) -> dict[str, float]:
        """The same of pairs and queries that never change."""
        drawn, rng = random.Random(-1), generator_for(0, 7)
        pairs = [self.pair(drawn) for _ in range(self.run.validation)]
        parts = [pairs[k : k + 64] for k in range(0, len(pairs), 64)]
        errors = torch.cat([self._errors(model, part, rng) for part in parts])
        return {name: float(value) for name, value in by_sort(errors, pairs).items()}

    @torch.no_grad()
    def sheet(self, model: nn.Module) -> Image.Image:
        """The first picture of each prompt, seeds 0, 1, ..."""
        painted = [self._painted(model, [text], seed, 12) for seed, text in enumerate(self.run.prompts)]
        images = [to_pil(self.frozen.autoencoder.decode(x)[0]) for x in painted]
        return contact_sheet(captioned(images, self.run.prompts))

    def _painted(self, encoder: nn.Module, texts: Sequence[str], seed: int, steps: int) -> Float[Tensor, "b c h w"]:
        """Latents painted by Euler steps."""
        frozen, sampling = self.frozen, self.frozen.sampling
        conds = Conditioning(self._tokens(encoder, texts)), Conditioning(self._tokens(encoder, [""]))
        denoise = classifier_free(frozen.denoiser(), *conds, self.run.guidance)
        sigmas = sampling.sigmas(steps, None)
        sides = (side // frozen.autoencoder.factor for side in reversed(frozen.size))
        noise = ImageNoise(range(seed, seed + len(texts)), (self.unet.config.in_channels, *sides))
        x = sampling.parameterisation.path.prior(noise(), sigmas[0])
        for step in euler(Descent(denoise, x, sigmas, path=sampling.parameterisation.path)):
            x = step.x
        return x

    @torch.no_grad()
    def export(self, model: nn.Module, folder: Path) -> None:
        """The model with the text encoder that was taught, and in its `world.json` the words that it has learned."""
        shutil.copytree(self.run.model, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(PART))
        save_part(folder, PART, model, self.text.encoder.config, torch.float16)
        if (vocabulary := Vocabulary.read(self.run.model)) is not None:
            replace(vocabulary, known=tuple(sorted({*vocabulary.known, *self._learned()}))).write(folder)

    def _learned(self, wordings: int = 10_000, often: int = 3) -> list[str]:
        """Words that so many of the wordings have; others are slips."""
        rng = random.Random(self.run.loop.seed)
        counts = Counter(word for _ in range(wordings) for word in set(words(self.pair(rng)[0])))
        return [word for word, count in counts.items() if count >= often]
