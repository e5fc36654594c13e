"""CLIP's text transformer (Radford et al. 2021), the text encoder of Stable Diffusion.

State-dict layout: transformers `CLIPTextModel`. Causal: each token sees itself and what stands before it.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Int
from torch import Tensor, nn

from sfumato.models.config import ModelConfig
from sfumato.nn.attention import attention


@dataclass(frozen=True)
class CLIPTextConfig(ModelConfig):
    """The defaults are CLIP ViT-L/14's, as in Stable Diffusion 1.x."""

    class_name: ClassVar[str] = "CLIPTextModel"

    vocab_size: int = 49408
    hidden_size: int = 768
    intermediate_size: int = 3072
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    max_position_embeddings: int = 77
    hidden_act: str = "quick_gelu"
    layer_norm_eps: float = 1e-5
    projection_dim: int = 768
    bos_token_id: int = 49406
    eos_token_id: int = 49407
    pad_token_id: int = 49407

    fixed: ClassVar[dict[str, tuple[Any, ...]]] = {
        "model_type": ("clip_text_model",),
        "hidden_act": ("quick_gelu", "gelu"),
        "architectures": (["CLIPTextModel"], None),
    }
    tolerant: ClassVar[bool] = True
    causal: ClassVar[bool] = True
    """Whether a token sees those before it alone."""
    projected: ClassVar[bool] = False
    """Whether the pooled vector goes through a projection, into the space that pictures share."""

    @property
    def end(self) -> int:
        """The id that ends a text. Old files say 2, where transformers took the highest id; added tokens exceed it."""
        return min(self.vocab_size, CLIPTextConfig.vocab_size) - 1 if self.eos_token_id == 2 else self.eos_token_id

    def to_json(self) -> dict[str, Any]:
        """transformers' keys: `architectures` in place of diffusers' `_class_name`."""
        data = super().to_json()
        del data["_class_name"]
        return data


class Transformer(Protocol):
    """What a configuration says of its layers."""

    @property
    def hidden_size(self) -> int: ...

    @property
    def intermediate_size(self) -> int: ...

    @property
    def num_hidden_layers(self) -> int: ...

    @property
    def num_attention_heads(self) -> int: ...

    @property
    def hidden_act(self) -> str: ...

    @property
    def layer_norm_eps(self) -> float: ...

    @property
    def causal(self) -> bool: ...


@dataclass(frozen=True)
class ProjectedCLIPTextConfig(CLIPTextConfig):
    """A text encoder with its projection."""

    class_name: ClassVar[str] = "CLIPTextModelWithProjection"
    fixed: ClassVar[dict[str, tuple[Any, ...]]] = {
        **CLIPTextConfig.fixed,
        "architectures": (["CLIPTextModelWithProjection"],),
    }
    projected: ClassVar[bool] = True


def _activation(name: str, x: Tensor) -> Tensor:
    # x sigmoid(1.702 x), by torch's fused kernel: half the passes over x when it is trained
    return F.silu(1.702 * x) / 1.702 if name == "quick_gelu" else F.gelu(x)


class SelfAttention(nn.Module):
    """Multi-head self-attention."""

    def __init__(self, config: Transformer) -> None:
        super().__init__()
        dim = config.hidden_size
        self.causal = config.causal
        self.heads = config.num_attention_heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(dim, dim) for _ in range(4))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        q, k, v = (
            rearrange(project(x), "b n (h d) -> b h n d", h=self.heads)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        if mask is None:
            out = attention(q, k, v, causal=self.causal)
        else:
            seen = mask[:, None, None].expand(-1, 1, x.shape[1], -1).tril()  # b 1 n n: query, key
            out = F.scaled_dot_product_attention(q, k, v, attn_mask=seen)
        return self.out_proj(rearrange(out, "b h n d -> b n (h d)"))


class MLP(nn.Module):
    """The feed-forward of a layer."""

    def __init__(self, config: Transformer) -> None:
        super().__init__()
        self.activation = config.hidden_act
        self.fc1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.fc2 = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(_activation(self.activation, self.fc1(x)))


class Layer(nn.Module):
    """Pre-norm transformer layer."""

    def __init__(self, config: Transformer) -> None:
        super().__init__()
        self.self_attn = SelfAttention(config)
        self.layer_norm1 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = MLP(config)
        self.layer_norm2 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = x + self.self_attn(self.layer_norm1(x), mask)
        return x + self.mlp(self.layer_norm2(x))


class Embeddings(nn.Module):
    """Token plus position."""

    def __init__(self, config: CLIPTextConfig) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(config.vocab_size, config.hidden_size)
        self.position_embedding = nn.Embedding(config.max_position_embeddings, config.hidden_size)

    def forward(self, ids: Tensor) -> Tensor:
        return self.token_embedding(ids) + self.position_embedding.weight[: ids.shape[1]]


class Layers(nn.Module):
    """The stack; a module of its own because the state-dict layout says `encoder.layers`."""

    def __init__(self, config: Transformer) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))


class TextTransformer(nn.Module):
    """Embeddings, layers, final norm."""

    def __init__(self, config: CLIPTextConfig) -> None:
        super().__init__()
        self.embeddings = Embeddings(config)
        self.encoder = Layers(config)
        self.final_layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)


class TextEncoding(NamedTuple):
    """`tokens`: (b, n, d), one vector a token. `pooled`: (b, p), the final state at the first end-of-text token,
    projected where the encoder has a projection.
    """

    tokens: Tensor
    pooled: Tensor


class CLIPTextEncoder(nn.Module):
    """Token ids (b, n) to one vector a token."""

    def __init__(self, config: CLIPTextConfig) -> None:
        super().__init__()
        self.config = config
        self.text_model = TextTransformer(config)
        self.text_projection = (
            nn.Linear(config.hidden_size, config.projection_dim, bias=False) if config.projected else None
        )

    def forward(
        self, ids: Int[Tensor, "b n"], *, clip_skip: int = 1, norm: bool = True, mask: Bool[Tensor, "b n"] | None = None
    ) -> TextEncoding:
        """`clip_skip` 1 takes the last layer, 2 the one before it, ...; the final norm is applied to either if `norm`.

        Args:
            mask: False for tokens that no token sees; the first must be seen.

        Raises:
            ValueError: if `clip_skip` is outside 1 to the number of layers.
        """
        model = self.text_model
        depth = len(model.encoder.layers)
        if not 1 <= clip_skip <= depth:
            raise ValueError(f"clip_skip is {clip_skip}; this encoder allows 1 to {depth}")
        x = chosen = model.embeddings(ids)
        for number, layer in enumerate(model.encoder.layers, start=1):
            x = layer(x, mask)
            if number == depth + 1 - clip_skip:
                chosen = x
        last = model.final_layer_norm(x)
        ends = (ids == self.config.end).int().argmax(dim=-1)
        pooled = last[torch.arange(len(ids), device=ids.device), ends]
        if self.text_projection is not None:
            pooled = self.text_projection(pooled)
        if not norm:
            return TextEncoding(chosen, pooled)
        return TextEncoding(last if clip_skip == 1 else model.final_layer_norm(chosen), pooled)
