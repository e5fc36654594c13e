"""What the header of a single file written here says that names and shapes of tensors do not.

A safetensors header has room for texts by key. With those of `METADATA` a model of any size comes back exactly, though
no row of `families` fits it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from sfumato.errors import CheckpointError
from sfumato.models.autoencoder_kl import AutoencoderKLConfig
from sfumato.models.clip import CLIPTextConfig, ProjectedCLIPTextConfig
from sfumato.models.config import ModelConfig
from sfumato.models.mmdit import MMDiTConfig
from sfumato.models.t5 import T5Config
from sfumato.models.unet import UNetConfig

METADATA = "sfumato.parts"
"""Key of our own metadata: JSON of what names and shapes do not tell."""
T5_TOKENIZER = "sfumato.t5_tokenizer"
"""Key of T5's `tokenizer.json`, which nothing else in a file tells."""

NOT_IN_SHAPES: Mapping[type[ModelConfig], frozenset[str]] = {
    UNetConfig: frozenset(
        {"sample_size", "attention_head_dim", "norm_num_groups", "norm_eps", "flip_sin_to_cos", "freq_shift"}
        | {"center_input_sample", "addition_time_embed_dim"}
    ),
    AutoencoderKLConfig: frozenset(
        {"sample_size", "norm_num_groups", "scaling_factor", "shift_factor", "force_upcast"}
        | {"latents_mean", "latents_std"}
    ),
    CLIPTextConfig: frozenset(
        {"num_attention_heads", "hidden_act", "layer_norm_eps", "projection_dim"}
        | {"bos_token_id", "eos_token_id", "pad_token_id"}
    ),
    ProjectedCLIPTextConfig: frozenset(
        {"num_attention_heads", "hidden_act", "layer_norm_eps", "bos_token_id", "eos_token_id", "pad_token_id"}
    ),
    MMDiTConfig: frozenset({"sample_size", "attention_head_dim", "num_attention_heads"}),
    T5Config: frozenset({"relative_attention_max_distance", "layer_norm_epsilon"}),
}
REAL = frozenset(
    {
        "norm_eps",
        "layer_norm_eps",
        "layer_norm_epsilon",
        "scaling_factor",
        "shift_factor",
        "latents_mean",
        "latents_std",
    }
)

Config = TypeVar("Config", bound=ModelConfig)


@dataclass(frozen=True)
class Stated:
    """What a header of ours says, part by part; empty for a file of other programs.

    Attributes:
        data: configurations by part, `padding`, `scheduler` and `zero_empty`.
        source: named in errors.
    """

    data: Mapping[str, Any]
    source: str

    @classmethod
    def read(cls, metadata: Mapping[str, str], source: str) -> "Stated":
        """Raises CheckpointError for what is no JSON object."""
        try:
            data = json.loads(metadata.get(METADATA, "{}"))
        except (ValueError, RecursionError) as error:
            raise CheckpointError(f"{source}: its {METADATA} metadata are not JSON; write the file anew") from error
        if not isinstance(data, dict):
            raise CheckpointError(f"{source}: its {METADATA} metadata are no object; write the file anew")
        return cls(data, source)

    def completed(self, config: Config, part: str) -> Config:
        """The configuration of a part, what shapes do not tell taken from here.

        Raises:
            CheckpointError: a key that is not in `NOT_IN_SHAPES`, or a value of another kind.
        """
        given = self.data.get(part, {})
        if not isinstance(given, dict) or given.keys() - NOT_IN_SHAPES[type(config)]:
            raise CheckpointError(f"{self.source}: its {METADATA} metadata about {part} are not as we write them")
        for key, value in given.items():
            numbers = value if isinstance(value, list) else [value]
            kind = str if key == "hidden_act" else int | float if key in REAL else int
            if not all(isinstance(n, kind) for n in numbers if value is not None):
                raise CheckpointError(f"{self.source}: {key}={value!r} in its metadata is not possible")
        return type(config).from_json({**config.to_json(), **given}, self.source)


def beyond_shapes(config: ModelConfig) -> dict[str, Any]:
    """The part of a configuration that `Stated.completed` reads back."""
    free = NOT_IN_SHAPES[type(config)]
    return {field.name: getattr(config, field.name) for field in fields(config) if field.name in free}
