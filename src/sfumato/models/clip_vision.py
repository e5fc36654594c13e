"""CLIP's picture transformer (Radford et al. 2021): what IP-Adapters see a picture with.

State-dict layout: transformers `CLIPVisionModelWithProjection`. A picture is cut into patches, each a token, behind one
of its own for the whole.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sfumato.models.clip import Layers
from sfumato.models.config import ModelConfig

MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Mean and deviation of red, green and blue in CLIP's pictures, from 0 to 1."""


@dataclass(frozen=True)
class CLIPVisionConfig(ModelConfig):
    """The defaults are CLIP ViT-H/14's, as IP-Adapters of Stable Diffusion 1.x take it."""

    class_name: ClassVar[str] = "CLIPVisionModelWithProjection"

    hidden_size: int = 1280
    intermediate_size: int = 5120
    num_hidden_layers: int = 32
    num_attention_heads: int = 16
    patch_size: int = 14
    image_size: int = 224
    projection_dim: int = 1024
    hidden_act: str = "gelu"
    layer_norm_eps: float = 1e-5

    causal: ClassVar[bool] = False
    fixed: ClassVar[dict[str, tuple[Any, ...]]] = {
        "model_type": ("clip_vision_model",),
        "hidden_act": ("gelu", "quick_gelu"),
        "architectures": (["CLIPVisionModelWithProjection"],),
        "num_channels": (3,),
    }
    tolerant: ClassVar[bool] = True


class Embeddings(nn.Module):
    """Patches and the token of the whole, each plus its position."""

    def __init__(self, config: CLIPVisionConfig) -> None:
        super().__init__()
        width, patch = config.hidden_size, config.patch_size
        self.class_embedding = nn.Parameter(torch.randn(width))
        self.patch_embedding = nn.Conv2d(3, width, patch, stride=patch, bias=False)
        self.position_embedding = nn.Embedding((config.image_size // patch) ** 2 + 1, width)

    def forward(self, pixels: Tensor) -> Tensor:
        patches = self.patch_embedding(pixels).flatten(2).transpose(1, 2)
        whole = self.class_embedding.expand(len(pixels), 1, -1)
        return torch.cat([whole, patches], dim=1) + self.position_embedding.weight


class VisionTransformer(nn.Module):
    """Embeddings, layers between two norms; the spelling of the first is transformers'."""

    def __init__(self, config: CLIPVisionConfig) -> None:
        super().__init__()
        self.embeddings = Embeddings(config)
        self.pre_layrnorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.encoder = Layers(config)
        self.post_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)


class Seen(NamedTuple):
    """`tokens`: (b, n, d), what goes into the last layer. `pooled`: (b, p), the whole, in the space of texts."""

    tokens: Tensor
    pooled: Tensor


class CLIPVisionEncoder(nn.Module):
    """Pixels, normalised by `MEAN` and `DEVIATION`, to tokens and one vector."""

    def __init__(self, config: CLIPVisionConfig) -> None:
        super().__init__()
        self.config = config
        self.vision_model = VisionTransformer(config)
        self.visual_projection = nn.Linear(config.hidden_size, config.projection_dim, bias=False)

    def forward(self, pixels: Float[Tensor, "b 3 h w"]) -> Seen:
        model = self.vision_model
        x = model.pre_layrnorm(model.embeddings(pixels))
        before = x
        for layer in model.encoder.layers:
            before, x = x, layer(x)
        return Seen(before, self.visual_projection(model.post_layernorm(x[:, 0])))
