"""ControlNet of Stable Diffusion 3 and 3.5: a shorter transformer that sees a picture's latents, and steers the blocks.

State-dict layout: diffusers `SD3ControlNetModel`. InstantX's (https://huggingface.co/InstantX/SD3-Controlnet-Canny) see
the text; Stability's for 3.5 Large (https://github.com/Stability-AI/sd3.5) see the picture alone.
"""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sfumato.diffusion.conditioning import Conditioning
from sfumato.models.mmdit import Condition, JointBlock, MMDiTConfig, PatchEmbedding, PlainPatchEmbedding, SingleBlock
from sfumato.models.residuals import Residuals

SINCOS = "sincos"
BLUR, CANNY, DEPTH = range(3)
"""What Stability's are for, by the number in their files."""


@dataclass(frozen=True)
class SD3ControlNetConfig(MMDiTConfig):
    """The transformer's, but for its end, and how the picture is seen. The defaults are diffusers'."""

    class_name: ClassVar[str] = "SD3ControlNetModel"

    num_layers: int = 18
    num_attention_heads: int = 18
    joint_attention_dim: int | None = 4096  # type: ignore[assignment]
    """Width of the text tokens; None: it sees no text."""
    caption_projection_dim: int = 1152
    pos_embed_max_size: int | None = 96  # type: ignore[assignment]
    extra_conditioning_channels: int = 0
    """Channels of the picture beside its latents: 1 for a mask."""
    use_pos_embed: bool = True
    """False: latents become tokens as in the transformer that it steers."""
    pos_embed_type: str | None = SINCOS
    force_zeros_for_pooled_projection: bool = True
    """It was trained without the pooled text, and on latents that the autoencoder's shift is not taken from."""
    control_type: int | None = None
    """See `BLUR`; not in diffusers' files."""

    fixed: ClassVar[dict[str, tuple[Any, ...]]] = {**MMDiTConfig.fixed, "pos_embed_type": (SINCOS, None)}


class SD3ControlNet(nn.Module):
    """C(x, label, cond, picture): what to add behind the blocks of a transformer."""

    cond_only = False
    """Whether it leaves the rows that guidance moves away from as they are."""

    def __init__(self, config: SD3ControlNetConfig) -> None:
        super().__init__()
        width, layers, seen = config.width, range(config.num_layers), config.joint_attention_dim
        self.config = config
        self.pos_embed: PatchEmbedding | PlainPatchEmbedding | None = None
        if config.use_pos_embed:
            known = config.pos_embed_type is not None
            self.pos_embed = PatchEmbedding(config) if known else PlainPatchEmbedding(config, config.in_channels)
        self.time_text_embed = Condition(config)
        if seen is None:
            self.context_embedder = None
            plain = replace(config, qk_norm=None)
            self.transformer_blocks = nn.ModuleList(SingleBlock(plain) for _ in layers)
        else:
            if config.caption_projection_dim != width:
                raise ValueError(f"text is {config.caption_projection_dim} wide inside, the picture {width}")
            self.context_embedder = nn.Linear(seen, width)
            self.transformer_blocks = nn.ModuleList(
                JointBlock(config, dual=i in config.dual_attention_layers, last=False) for i in layers
            )
        self.controlnet_blocks = nn.ModuleList(nn.Linear(width, width) for _ in layers)
        self.pos_embed_input = PlainPatchEmbedding(config, config.in_channels + config.extra_conditioning_channels)

    def embedded(self, latents: Float[Tensor, "1 c h w"]) -> Float[Tensor, "1 n d"]:
        """The picture, as latents of pixels that were `prepared`, as `forward` takes it: the same at every step."""
        return self.pos_embed_input(latents)

    def prepared(self, pixels: Float[Tensor, "1 3 h w"]) -> Float[Tensor, "1 3 h w"]:
        """What the autoencoder is given of a picture in [0, 1]. Stability's for edges were trained on [0.5, 128]:
        `vae_encode` of their code scales those as if they were bytes.
        """
        return 127.5 * pixels + 0.5 if self.config.control_type == CANNY else 2 * pixels - 1

    def forward(
        self,
        x: Float[Tensor, "b c h w"],
        label: Float[Tensor, " b"],
        cond: Conditioning,
        picture: Float[Tensor, "1 n d"],
        *,
        weight: float = 1.0,
        guess: bool = False,
    ) -> Residuals:
        """The residuals of noisy latents at a time label.

        Args:
            picture: see `embedded`.
            weight: of all residuals.
            guess: changes nothing here; the rows that guidance moves away from are left out by who calls.
        """
        assert cond.pooled is not None
        assert self.pos_embed is not None
        pooled = torch.zeros_like(cond.pooled) if self.config.force_zeros_for_pooled_projection else cond.pooled
        condition = self.time_text_embed(label, pooled)
        x = self.pos_embed(x) + picture
        text = None if self.context_embedder is None else self.context_embedder(cond.tokens)
        found = []
        for block, out in zip(self.transformer_blocks, self.controlnet_blocks, strict=True):
            if text is None:
                x = block(x, condition)
            else:
                x, text = cast("tuple[Tensor, Tensor]", block(x, text, condition))
            found.append(weight * out(x))
        return Residuals(blocks=(tuple(found),))
