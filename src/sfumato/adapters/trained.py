"""Adapters while they are trained: where each begins, and a model that has them attached.

The change of a weight is that of `kinds`, by which a finished file is read: what is trained is what is applied. A plain
low-rank change alone has a quicker form, beside the layer instead of in its weight, which is the same function.

| method | kind | begins with                                     | source                               |
|--------|------|-------------------------------------------------|--------------------------------------|
| lora   | lora | up 0                                            | Hu et al. 2021                       |
| locon  | lora | the same, convolutions among its targets        | Yeh et al. 2023 (LyCORIS)            |
| dora   | lora | up 0, magnitudes those of the rows of W         | Liu et al. 2024                      |
| loha   | loha | w2a 0                                           | Hyeon-Woo et al. 2021                |
| lokr   | lokr | w2, or its second factor, 0                     | Yeh et al. 2023, section 3           |
| ia3    | ia3  | factors 0, of columns where a feed-forward ends | Liu et al. 2022                      |
| full   | diff | differences 0: fine-tuning of the layers whole  | LyCORIS `full`                       |
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint

from sfumato.adapters.kinds import LOW_RANK, Parts, bias_change, kind_of, weight_change
from sfumato.adapters.targets import CONVOLUTION, LAYERS, LINEAR, NORM, chosen
from sfumato.errors import RequestError
from sfumato.model import Model
from sfumato.nn.sharing import sharing
from sfumato.prompts.encode import TextPart

MethodName = Literal["lora", "locon", "dora", "loha", "lokr", "ia3", "full"]
Start = Callable[[str, nn.Module, int, torch.Generator], dict[str, Tensor]]
"""(name of the layer, the layer, rank, generator) -> the parts of its change, which is none yet."""


@dataclass(frozen=True)
class Method:
    """How a kind of adapter is trained: its beginning, the layers it can act on, and on which it does by default."""

    start: Start
    layers: tuple[type[nn.Module], ...]
    targets: tuple[str, ...]


def _sides(layer: nn.Module) -> tuple[int, tuple[int, ...]]:
    """Channels out, and the shape of what each is made of: channels in, and a kernel's sides."""
    out, *rest = _weight(layer).shape
    return out, tuple(rest)


def _weight(layer: nn.Module) -> Tensor:
    assert isinstance(layer.weight, Tensor)
    return layer.weight.detach()


def _normal(generator: torch.Generator, deviation: float, *shape: int) -> Tensor:
    return deviation * torch.randn(shape, generator=generator)


def _spread_evenly(generator: torch.Generator, *shape: int) -> Tensor:
    """Uniform, as a linear layer begins (He et al. 2015, with torch's a of sqrt 5): within 1 / sqrt of what goes in."""
    return (2 * torch.rand(shape, generator=generator) - 1) / math.sqrt(math.prod(shape[1:]))


def _low_rank(name: str, layer: nn.Module, rank: int, generator: torch.Generator) -> dict[str, Tensor]:
    out, inner = _sides(layer)
    return {
        "down": _spread_evenly(generator, rank, *inner),
        "up": torch.zeros(out, rank, *[1] * (len(inner) - 1)),
    }


def _with_magnitudes(name: str, layer: nn.Module, rank: int, generator: torch.Generator) -> dict[str, Tensor]:
    weight = _weight(layer).float()
    norms = torch.linalg.vector_norm(weight.flatten(1), dim=1).reshape(-1, *[1] * (weight.ndim - 1))
    return {**_low_rank(name, layer, rank, generator), "dora_scale": norms}


def _hadamard(name: str, layer: nn.Module, rank: int, generator: torch.Generator) -> dict[str, Tensor]:
    out, inner = _sides(layer)
    flat = math.prod(inner)
    return {
        "hada_w1_a": _normal(generator, 0.1, out, rank),
        "hada_w1_b": _normal(generator, 1.0, rank, flat),
        "hada_w2_a": torch.zeros(out, rank),
        "hada_w2_b": _normal(generator, 1.0, rank, flat),
    }


def _kronecker(name: str, layer: nn.Module, rank: int, generator: torch.Generator) -> dict[str, Tensor]:
    out, (across, *kernel) = _sides(layer)
    (out_1, out_2), (in_1, in_2) = _factors(out), _factors(across)
    first = {"lokr_w1": _spread_evenly(generator, out_1, in_1)}
    if rank >= max(out_2, in_2) / 2:
        return {**first, "lokr_w2": torch.zeros(out_2, in_2, *kernel)}
    return {
        **first,
        "lokr_w2_a": _spread_evenly(generator, out_2, rank),
        "lokr_w2_b": torch.zeros(rank, in_2, *kernel),
    }


def _factors(number: int) -> tuple[int, int]:
    """The two factors nearest to each other, the lesser first."""
    lesser = next(n for n in range(math.isqrt(number), 0, -1) if number % n == 0)
    return lesser, number // lesser


def _factors_of_axes(name: str, layer: nn.Module, rank: int, generator: torch.Generator) -> dict[str, Tensor]:
    out, inner = _sides(layer)
    if name.endswith(("net.2", "fc2")):
        return {"ia3_in": torch.zeros(inner[0])}
    return {"ia3_out": torch.zeros(out)}


def _differences(name: str, layer: nn.Module, rank: int, generator: torch.Generator) -> dict[str, Tensor]:
    weight, bias = ("w_norm", "b_norm") if isinstance(layer, NORM) else ("diff", "diff_b")
    found = {weight: torch.zeros_like(_weight(layer), dtype=torch.float32)}
    if isinstance(layer.bias, Tensor):
        found[bias] = torch.zeros_like(layer.bias, dtype=torch.float32)
    return found


METHODS: Mapping[MethodName, Method] = {
    "lora": Method(_low_rank, (*LINEAR, *CONVOLUTION), ("attention",)),
    "locon": Method(_low_rank, (*LINEAR, *CONVOLUTION), ("all",)),
    "dora": Method(_with_magnitudes, (*LINEAR, *CONVOLUTION), ("attention",)),
    "loha": Method(_hadamard, (*LINEAR, *CONVOLUTION), ("attention", "feed-forward")),
    "lokr": Method(_kronecker, (*LINEAR, *CONVOLUTION), ("attention", "feed-forward")),
    "ia3": Method(_factors_of_axes, LINEAR, ("keys-and-values", "net.2")),
    "full": Method(_differences, LAYERS, ("cross-attention",)),
}
TEXT_TARGETS: Mapping[MethodName, tuple[str, ...]] = {"ia3": ("k_proj", "v_proj", "fc2"), "full": ("attention",)}
"""Targets in the text encoders, where these are not the attention and the feed-forward."""


@dataclass
class Layer:
    """A layer in the place of its own `forward`, which has a change attached or none."""

    plain: nn.Module
    scale: float
    parts: Parts | None = None
    kept: Float[Tensor, " o"] | None = None
    """A factor for each row of the change: dropout."""

    def __call__(self, x: Tensor) -> Tensor:
        if self.parts is None:
            return self.plain(x)
        if self.parts.keys() == {"down", "up"}:
            return self._beside(x, self.parts["down"], self.parts["up"])
        weight, bias = self.plain.weight, self.plain.bias
        assert isinstance(weight, Tensor)
        with torch.autocast(x.device.type, enabled=False):
            tensors = {}
            if (kind := kind_of(self.parts)) is not None:
                change = weight_change(kind, self.parts, self.scale, weight.float())
                if self.kept is not None:
                    change = change * self.kept.reshape(-1, *[1] * (change.ndim - 1))
                tensors["weight"] = (weight + change).to(weight.dtype)
            own = bias.float() if isinstance(bias, Tensor) else None
            if (more := bias_change(self.parts, self.scale, own)) is not None and own is not None:
                tensors["bias"] = (own + more).to(weight.dtype)
        changed: Tensor = functional_call(self.plain, tensors, (x,))
        return changed

    def _beside(self, x: Tensor, down: Tensor, up: Tensor) -> Tensor:
        """x W + (x down) up: neither the product of both nor a gradient of the weight's size is made."""
        up = up * self.scale if self.kept is None else up * (self.scale * self.kept.reshape(-1, *[1] * (up.ndim - 1)))
        down, up = down.to(x.dtype), up.to(x.dtype)
        plain: Tensor = self.plain(x)
        if not isinstance(self.plain, nn.Conv2d):
            return plain + F.linear(F.linear(x, down), up)
        conv = self.plain
        seen = F.conv2d(x, down, None, conv.stride, conv.padding, conv.dilation, conv.groups)
        return plain + F.conv2d(seen, up)


class Adapters(nn.Module):
    """What is trained: parts of changes by `component/module/part`, and vectors of words by text encoder."""

    def __init__(self, parts: Mapping[str, Tensor], vectors: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.parts = nn.ParameterDict({_safe(name): nn.Parameter(part) for name, part in parts.items()})
        self.vectors = nn.ModuleDict(
            {name: nn.Embedding.from_pretrained(v, freeze=False) for name, v in vectors.items()}
        )

    def pieces(self) -> dict[str, dict[str, Tensor]]:
        """Parts by `component.module` and by the part they play."""
        found: dict[str, dict[str, Tensor]] = {}
        for key, value in self.parts.items():
            module, _, part = key.rpartition("/")
            found.setdefault(module.replace("/", "."), {})[part] = value
        return found

    def words(self) -> dict[str, Tensor]:
        """The vectors of the learned word, by text encoder."""
        return {name: table.weight for name, table in self.vectors.items()}  # type: ignore[misc]


def _safe(name: str) -> str:
    """A name as a parameter may have it."""
    return name.replace(".", "/")


@dataclass(frozen=True)
class Attached:
    """A model of its own, which shares all its tensors with the one it was made of, with `Adapters` attached."""

    model: Model
    layers: Mapping[str, Layer]
    """Layers by `component.module`."""
    tables: Mapping[str, "Words"]
    """Tables of the text encoders that learn words."""
    scales: Mapping[str, float]
    """alpha / rank, by layer."""
    words: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """The words that are learned, as rows below the tables."""

    @contextmanager
    def applied(
        self, adapters: Adapters, *, dropout: float = 0.0, rng: torch.Generator | None = None
    ) -> Iterator["Attached"]:
        """The model has `adapters` applied as long as the context lasts.

        Args:
            dropout: share of the rows of every change that is left out, drawn of `rng`.
        """
        for name, parts in adapters.pieces().items():
            layer = self.layers[name]
            layer.parts, layer.kept = parts, None
            if dropout and rng is not None:
                rows = _sides(layer.plain)[0]
                layer.kept = (torch.rand(rows, generator=rng) >= dropout).float() / (1 - dropout)
        for name, vectors in adapters.words().items():
            self.tables[name].vectors = vectors
        try:
            yield self
        finally:
            for layer in self.layers.values():
                layer.parts = layer.kept = None
            for table in self.tables.values():
                table.vectors = None


@dataclass
class Words:
    """A table of words in the place of its own `forward`, with learned rows below."""

    plain: nn.Embedding
    vectors: Tensor | None = None

    def __call__(self, ids: Tensor) -> Tensor:
        count = self.plain.num_embeddings
        found = F.embedding(ids.clamp(max=count - 1), self.plain.weight)
        if self.vectors is None:
            return found
        own = F.embedding((ids - count).clamp(min=0), self.vectors).to(found.dtype)
        return torch.where((ids >= count).unsqueeze(-1), own, found)


def checkpoint_blocks(model: Model, kinds: tuple[type[nn.Module], ...]) -> None:
    """What blocks of these kinds make, in a model of `dress`, is computed again on the way back instead of kept."""
    for module in model.components.values():
        for block in module.modules():
            if isinstance(block, kinds):
                layers = [each.forward for each in block.modules() if isinstance(each.forward, Layer)]
                _replaced(block, _Recomputed(block.forward, layers))


@dataclass
class _Recomputed:
    """A block whose layers have in the backward pass what they had in the forward one."""

    plain: Callable[..., Any]
    layers: Sequence[Layer]

    def __call__(self, *args: Any) -> Any:
        now = [(layer.parts, layer.kept) for layer in self.layers]

        def again(*args: Any) -> Any:
            before = [(layer.parts, layer.kept) for layer in self.layers]
            self._apply(now)
            try:
                return self.plain(*args)
            finally:
                self._apply(before)

        return checkpoint(again, *args, use_reentrant=False) if torch.is_grad_enabled() else self.plain(*args)

    def _apply(self, state: Sequence[tuple[Parts | None, Tensor | None]]) -> None:
        for layer, (parts, kept) in zip(self.layers, state, strict=True):
            layer.parts, layer.kept = parts, kept


@dataclass(frozen=True)
class Form:
    """What an adapter is to be.

    Attributes:
        method: None: words alone.
        alpha: the change is multiplied by alpha / rank, with `rank_stabilised` by alpha / sqrt(rank)
            (Kalajdzievski 2023); the rank by default.
        targets: layers of the denoiser, see `targets.chosen`; None: the method's own.
        text_targets: those of the text encoders.
        vectors: how many a learned word has; 0: none is learned.
        initial: the text whose vectors it begins as, repeated.
    """

    method: MethodName | None = "lora"
    rank: int = 8
    alpha: float | None = None
    rank_stabilised: bool = False
    targets: Sequence[str] | None = None
    text_targets: Sequence[str] = ()
    word: str | None = None
    vectors: int = 0
    initial: str = ""

    def scale(self, rank: int) -> float:
        """What a low-rank change of that rank is multiplied by."""
        alpha = self.rank if self.alpha is None else self.alpha
        return alpha / (math.sqrt(rank) if self.rank_stabilised else rank)


def attach(model: Model, form: Form, seed: int = 0) -> tuple[Attached, Adapters]:
    """A model of its own for adapters of that form, and the adapters as they begin, changing nothing.

    Raises:
        RequestError: targets that meet no layer, or only such as the method cannot change; a word for a model whose
            text encoders learn none.
    """
    generator = torch.Generator().manual_seed(seed)
    own = model.sharing(*model.components)
    parts: dict[str, Tensor] = {}
    changed: dict[str, Layer] = {}
    scales: dict[str, float] = {}
    if form.method is not None:
        method = METHODS[form.method]
        targets = method.targets if form.targets is None else form.targets
        found = chosen(own, targets, text=False) if targets else {}
        if form.text_targets:
            found |= chosen(own, form.text_targets, text=True)
        able = {name: layer for name, layer in found.items() if isinstance(layer, method.layers)}
        if not able:
            raise RequestError(f"{form.method} changes no layer among {', '.join(targets) or 'no targets'}")
        for name, layer in able.items():
            begun = method.start(name, layer, form.rank, generator)
            kind = kind_of(begun)
            rank = None if kind is None or kind.name not in LOW_RANK else kind.rank(begun)
            scales[name] = 1.0 if rank is None else form.scale(rank)
            changed[name] = _replaced(layer, Layer(sharing(layer), scales[name]))
            parts |= {f"{name}.{part}": value for part, value in begun.items()}
    vectors: dict[str, Tensor] = {}
    tables: dict[str, Words] = {}
    words: dict[str, tuple[int, ...]] = {}
    if form.vectors:
        words = _learn_words(own, form, tables, vectors)
    return Attached(own, changed, tables, scales, words), Adapters(parts, vectors)


def _replaced(layer: nn.Module, forward: Any) -> Any:
    layer.forward = forward
    return forward


def _learn_words(
    model: Model, form: Form, tables: dict[str, Words], vectors: dict[str, Tensor]
) -> dict[str, tuple[int, ...]]:
    rows: set[int] = set()
    for name, part in model.texts.items():
        if not isinstance(part, TextPart):
            continue
        table = part.encoder.text_model.embeddings.token_embedding
        tables[name] = _replaced(table, Words(sharing(table)))
        ids = part.tokenizer.words(form.initial)
        if not ids:
            raise RequestError("a learned word begins as the vectors of other words; say which, for example 'face'")
        begun = table.weight[torch.tensor([ids[k % len(ids)] for k in range(form.vectors)])]
        vectors[name] = begun.detach().float().clone()
        rows.add(table.num_embeddings)
    if len(rows) != 1:
        raise RequestError(
            f"{model.name} has text encoders of {sorted(rows)} words; a learned word needs one table size"
        )
    [first] = rows
    assert form.word is not None
    return {form.word: tuple(range(first, first + form.vectors))}
