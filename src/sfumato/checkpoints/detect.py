"""What a file of weights is, from the names and shapes of its tensors alone: no hub, no configuration file.

Numbers that shapes do not tell (attention heads, normalisation groups, activations) are the family's: Stable Diffusion
1 has 8 heads at every level, 2 has heads of width 64 and is known by linear projections and OpenCLIP's text encoder.
Files written here carry such numbers in their metadata, so that models of any size come back exactly.

**Epsilon or v.** Whether a Stable Diffusion 2 model predicts noise or v is in none of its names. In order: what the
caller says; a tensor named `v_pred`; our metadata; `modelspec.prediction_type`; `modelspec.architecture` ending in
`-v`; and else epsilon, which is wrong for the plain 768-pixel files of 2.0 and 2.1 and is said as a warning.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypeVar

from sfumato.checkpoints.rules import Rule, Shapes
from sfumato.checkpoints.tables import checkpoint, ldm_vae, open_clip_text
from sfumato.errors import CheckpointError
from sfumato.families import family_of
from sfumato.models.autoencoder_kl import AutoencoderKLConfig
from sfumato.models.clip import CLIPTextConfig
from sfumato.models.config import ModelConfig
from sfumato.models.tokenizer import END
from sfumato.models.unet import UNetConfig

Kind = Literal["checkpoint", "vae", "lora", "embedding", "controlnet", "unknown"]
Prediction = Literal["epsilon", "v"]

UNET, VAE, CLIP, OPEN_CLIP = (
    "model.diffusion_model.",
    "first_stage_model.",
    "cond_stage_model.transformer.",
    "cond_stage_model.model.",
)
METADATA = "sfumato.parts"
"""Key of our own metadata: JSON of what names and shapes do not tell."""

OTHERS: tuple[tuple[str, Kind, str], ...] = (
    ("conditioner.embedders.", "checkpoint", "SDXL"),
    ("joint_blocks.0.", "checkpoint", "SD3"),
    ("model.diffusion_model.joint_blocks.", "checkpoint", "SD3"),
    ("double_blocks.0.", "checkpoint", "FLUX"),
    ("model.diffusion_model.double_blocks.", "checkpoint", "FLUX"),
    ("model.diffusion_model.", "unknown", "a U-Net without autoencoder or text encoder"),
    ("down_blocks.0.resnets.", "unknown", "a U-Net out of a diffusers folder"),
    ("text_model.encoder.layers.", "unknown", "a text encoder out of a folder"),
)
"""What is known by a beginning of a name, but not loaded."""

LORA = (".lora_down.", ".lora_up.", ".lora_A.", ".lora_B.", ".hada_w1_a", ".lokr_w1", "_lora.down.", ".dora_scale")
CONTROLNET = ("control_model.", "input_hint_block.", "controlnet_cond_embedding.", "lllite_unet_", "adapter.body.")
EMBEDDING = {"emb_params", "string_to_param.*", "clip_l", "clip_g"}

NOT_IN_SHAPES: Mapping[type[ModelConfig], frozenset[str]] = {
    UNetConfig: frozenset(
        {"sample_size", "attention_head_dim", "norm_num_groups", "norm_eps", "flip_sin_to_cos", "freq_shift"}
        | {"center_input_sample"}
    ),
    AutoencoderKLConfig: frozenset({"sample_size", "norm_num_groups", "scaling_factor", "shift_factor"}),
    CLIPTextConfig: frozenset(
        {"num_attention_heads", "hidden_act", "layer_norm_eps", "projection_dim"}
        | {"bos_token_id", "eos_token_id", "pad_token_id"}
    ),
}
REAL = frozenset({"norm_eps", "layer_norm_eps", "scaling_factor", "shift_factor"})
BETAS = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "num_train_timesteps": 1000}
SCHEDULERS: Mapping[bool, Mapping[str, Any]] = {
    False: {"_class_name": "PNDMScheduler", **BETAS, "skip_prk_steps": True},
    True: {"_class_name": "DDIMScheduler", **BETAS},
}
"""The schedulers published with Stable Diffusion 1.5 and (True) 2.1."""


@dataclass(frozen=True)
class Layout:
    """How a loadable checkpoint is made up."""

    unet: UNetConfig
    vae: AutoencoderKLConfig
    text: CLIPTextConfig
    scheduler: Mapping[str, Any]
    padding: str
    """The token that fills up a prompt."""
    table: tuple[Rule, ...]


@dataclass(frozen=True)
class Detected:
    """What a file is."""

    kind: Kind
    family: str
    """A name of `FAMILIES`, or of a family that is not loaded, or empty."""
    format: str
    layout: Layout | None = None
    """Of a checkpoint that can be loaded."""
    vae: AutoencoderKLConfig | None = None
    table: tuple[Rule, ...] = ()
    warning: str = ""


def detect(
    shapes: Shapes, metadata: Mapping[str, str], source: str, *, prediction: Prediction | None = None
) -> Detected:
    """Tell what a file of these tensors is.

    Args:
        prediction: overrides what the file says.

    Raises:
        CheckpointError: a checkpoint or autoencoder whose shapes are of no possible network.
    """
    names = shapes.keys()

    def has(*starts: str) -> bool:
        return any(name.startswith(starts) for name in names)

    if any(part in name for name in names for part in LORA):
        return Detected("lora", "", "kohya" if has("lora_") else "PEFT or diffusers")
    if has(*CONTROLNET):
        return Detected("controlnet", "", "diffusers" if has("controlnet_cond_embedding.") else "LDM")
    if names and names <= EMBEDDING | {"string_to_token.*"}:
        return Detected("embedding", "", "A1111" if "string_to_param.*" in names else "diffusers")
    if has(UNET + "input_blocks.") and has(VAE) and has(CLIP, OPEN_CLIP):
        return _checkpoint(_Shapes(shapes, source), metadata, prediction)
    if has("encoder.", VAE) and has("decoder.", VAE) and not has(UNET):
        prefix = VAE if has(VAE) else ""
        if has(prefix + "encoder.down_blocks."):
            return Detected("vae", "", "diffusers")
        read = _Shapes(shapes, source)
        config = _with(_vae(read, prefix), _stated(metadata, source), "vae", source)
        linear = _linear_vae(read, prefix)
        return Detected("vae", "", "LDM", vae=config, table=ldm_vae.table(config, prefix, linear=linear))
    for start, kind, family in OTHERS:
        if has(start):
            return Detected(kind, family, "")
    return Detected("unknown", "", "")


class _Shapes:
    """Shapes by name; what is asked for must be there."""

    def __init__(self, shapes: Shapes, source: str) -> None:
        self.shapes = shapes
        self.source = source

    def __contains__(self, name: str) -> bool:
        return name in self.shapes

    def axis(self, name: str, axis: int) -> int:
        if name not in self.shapes:
            raise CheckpointError(f"{self.source} does not fit: {name!r} is missing")
        shape = self.shapes[name]
        if axis >= len(shape) or shape[axis] < 1:
            raise CheckpointError(f"{self.source} does not fit: {name!r} has the shape {shape}")
        return shape[axis]

    def rank(self, name: str) -> int:
        self.axis(name, 0)
        return len(self.shapes[name])

    def count(self, pattern: str) -> int:
        """How many numbers from 0 on make `pattern` a name."""
        number = 0
        while pattern.format(number) in self.shapes:
            number += 1
        return number

    def fail(self, why: str) -> CheckpointError:
        return CheckpointError(f"{self.source} does not fit: {why}")


def _checkpoint(shapes: _Shapes, metadata: Mapping[str, str], prediction: Prediction | None) -> Detected:
    source = shapes.source
    stated = _stated(metadata, source)
    open_clip = OPEN_CLIP + "ln_final.weight" in shapes
    text = _with(_open_clip(shapes) if open_clip else _clip(shapes), stated, "text_encoder", source)
    vae = _with(_vae(shapes, VAE), stated, "vae", source)
    unet = _unet(shapes, UNET)
    scheduler = _scheduler(shapes, metadata, stated, open_clip=open_clip, prediction=prediction)
    if open_clip and scheduler["prediction_type"] == "v_prediction":
        unet = replace(unet, sample_size=96)
    unet = _with(unet, stated, "unet", source)
    _check_unet(unet, source)
    if text.hidden_size % text.num_attention_heads:
        raise shapes.fail(f"{text.hidden_size} channels of text for {text.num_attention_heads} heads")
    padding = stated.get("padding", "!" if open_clip else END)
    if not isinstance(padding, str):
        raise CheckpointError(f"{source}: the padding {padding!r} in its metadata is no token")
    table = checkpoint.table(unet, vae, text, open_clip=open_clip, linear_vae=_linear_vae(shapes, VAE))
    family = family_of(unet.cross_attention_dim, AutoencoderKLConfig.class_name).name
    warning = ""
    told = prediction is not None or _tells_prediction(shapes, metadata, stated)
    if family == "sd2" and unet.in_channels == 4 and not told:
        warning = (
            f"{source} does not say whether it predicts noise or v; noise is assumed. If its pictures are brown noise, "
            "convert it with --prediction v"
        )
    layout = Layout(unet, vae, text, scheduler, padding, table)
    return Detected("checkpoint", family, "LDM", layout, table=table, warning=warning)


def _unet(shapes: _Shapes, prefix: str) -> UNetConfig:
    """Walk the input blocks: a convolution, then levels of residual blocks that end in a downsampling."""
    widths: list[int] = []
    layers = [0]
    depths: list[int | None] = [None]
    block, width = 1, 0
    while True:
        name = f"{prefix}input_blocks.{block}."
        if name + "0.op.weight" in shapes:
            widths.append(width)
            layers.append(0)
            depths.append(None)
        elif name + "0.in_layers.2.weight" in shapes:
            width = shapes.axis(name + "0.in_layers.2.weight", 0)
            layers[-1] += 1
            if name + "1.norm.weight" in shapes:
                depths[-1] = shapes.count(name + "1.transformer_blocks.{}.attn2.to_k.weight")
        else:
            break
        block += 1
    widths.append(width)
    if len(set(layers)) > 1 or not layers[0]:
        raise shapes.fail(f"its levels have {layers} residual blocks; they must be alike")
    middle = f"{prefix}middle_block.1."
    depth = shapes.count(middle + "transformer_blocks.{}.attn2.to_k.weight")
    if set(depths) - {None, depth}:
        raise shapes.fail(f"transformers of {depths} blocks beside {depth} in the middle; is it SDXL?")
    linear = shapes.rank(middle + "proj_in.weight") == 2
    cross = [number is not None for number in depths]
    return UNetConfig(
        in_channels=shapes.axis(f"{prefix}input_blocks.0.0.weight", 1),
        out_channels=shapes.axis(f"{prefix}out.2.weight", 0),
        block_out_channels=tuple(widths),
        down_block_types=tuple("CrossAttnDownBlock2D" if there else "DownBlock2D" for there in cross),
        up_block_types=tuple("CrossAttnUpBlock2D" if there else "UpBlock2D" for there in reversed(cross)),
        layers_per_block=layers[0],
        transformer_layers_per_block=depth,
        attention_head_dim=tuple(max(1, width // 64) for width in widths) if linear else 8,
        cross_attention_dim=shapes.axis(middle + "transformer_blocks.0.attn2.to_k.weight", 1),
        use_linear_projection=linear,
    )


def _check_unet(config: UNetConfig, source: str) -> None:
    try:
        for level, width in enumerate(config.block_out_channels):
            if width % config.norm_num_groups or width % config.heads(level):
                raise CheckpointError(
                    f"{source} does not fit: {width} channels for {config.heads(level)} heads and "
                    f"{config.norm_num_groups} groups"
                )
    except (TypeError, IndexError, ZeroDivisionError) as error:
        raise CheckpointError(f"{source}: its metadata describe no network ({error})") from error


def _vae(shapes: _Shapes, prefix: str) -> AutoencoderKLConfig:
    levels = shapes.count(prefix + "encoder.down.{}.block.0.conv1.weight")
    return AutoencoderKLConfig(
        in_channels=shapes.axis(f"{prefix}encoder.conv_in.weight", 1),
        out_channels=shapes.axis(f"{prefix}decoder.conv_out.weight", 0),
        latent_channels=shapes.axis(f"{prefix}decoder.conv_in.weight", 1),
        block_out_channels=tuple(
            shapes.axis(f"{prefix}encoder.down.{i}.block.0.conv1.weight", 0) for i in range(levels)
        ),
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        layers_per_block=shapes.count(prefix + "encoder.down.0.block.{}.conv1.weight"),
        use_quant_conv=f"{prefix}quant_conv.weight" in shapes,
        use_post_quant_conv=f"{prefix}post_quant_conv.weight" in shapes,
        mid_block_add_attention=f"{prefix}encoder.mid.attn_1.q.weight" in shapes,
    )


def _linear_vae(shapes: _Shapes, prefix: str) -> bool:
    name = f"{prefix}encoder.mid.attn_1.q.weight"
    return name in shapes and shapes.rank(name) == 2


def _clip(shapes: _Shapes) -> CLIPTextConfig:
    inner = CLIP + "text_model." if CLIP + "text_model.final_layer_norm.weight" in shapes else CLIP
    return _text(
        shapes,
        words=inner + "embeddings.token_embedding.weight",
        places=inner + "embeddings.position_embedding.weight",
        layers=shapes.count(inner + "encoder.layers.{}.layer_norm1.weight"),
        inner=inner + "encoder.layers.0.mlp.fc1.weight",
    )


def _open_clip(shapes: _Shapes) -> CLIPTextConfig:
    layers = shapes.count(OPEN_CLIP + "transformer.resblocks.{}.ln_1.weight")
    config = _text(
        shapes,
        words=OPEN_CLIP + "token_embedding.weight",
        places=OPEN_CLIP + "positional_embedding",
        layers=min(layers, open_clip_text.DEPTH - 1),
        inner=OPEN_CLIP + "transformer.resblocks.0.mlp.c_fc.weight",
    )
    return replace(config, hidden_act="gelu", projection_dim=512, pad_token_id=0)


def _text(shapes: _Shapes, *, words: str, places: str, layers: int, inner: str) -> CLIPTextConfig:
    """CLIP's heads are 64 wide in every published size."""
    width = shapes.axis(words, 1)
    return CLIPTextConfig(
        vocab_size=shapes.axis(words, 0),
        hidden_size=width,
        intermediate_size=shapes.axis(inner, 0),
        num_hidden_layers=layers,
        num_attention_heads=max(1, width // 64),
        max_position_embeddings=shapes.axis(places, 0),
        projection_dim=width,
    )


def _scheduler(
    shapes: _Shapes,
    metadata: Mapping[str, str],
    stated: Mapping[str, Any],
    *,
    open_clip: bool,
    prediction: Prediction | None,
) -> dict[str, Any]:
    ends = {"clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1, "timestep_spacing": "leading"}
    config: dict[str, Any] = {**SCHEDULERS[open_clip], **ends, "prediction_type": "epsilon"}
    spec = metadata.get("modelspec.prediction_type", "")
    if spec in ("v", "v_prediction") or metadata.get("modelspec.architecture", "").endswith("-v"):
        config["prediction_type"] = "v_prediction"
    if isinstance(own := stated.get("scheduler"), dict):
        config = {"prediction_type": config["prediction_type"], **own}
    if "v_pred" in shapes:
        config["prediction_type"] = "v_prediction"
    if prediction is not None:
        config["prediction_type"] = {"epsilon": "epsilon", "v": "v_prediction"}[prediction]
    if "ztsnr" in shapes:
        # Lin et al. 2024, which also asks for timesteps that begin at the noisiest; PLMS cannot begin there.
        config |= {"_class_name": "DDIMScheduler", "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    return config


def _tells_prediction(shapes: _Shapes, metadata: Mapping[str, str], stated: Mapping[str, Any]) -> bool:
    architecture = metadata.get("modelspec.architecture", "")
    return (
        "v_pred" in shapes
        or "modelspec.prediction_type" in metadata
        or architecture.startswith("stable-diffusion-v2-")
        or "scheduler" in stated
    )


def _stated(metadata: Mapping[str, str], source: str) -> dict[str, Any]:
    """What our own metadata say."""
    try:
        data = json.loads(metadata.get(METADATA, "{}"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{source}: its {METADATA} metadata are not JSON; write the file anew") from error
    if not isinstance(data, dict):
        raise CheckpointError(f"{source}: its {METADATA} metadata are no object; write the file anew")
    return data


Config = TypeVar("Config", bound=ModelConfig)


def _with(config: Config, stated: Mapping[str, Any], part: str, source: str) -> Config:
    """The configuration with what shapes do not tell taken from our metadata, kind by kind checked."""
    given = stated.get(part, {})
    free = NOT_IN_SHAPES[type(config)]
    if not isinstance(given, dict) or given.keys() - free:
        raise CheckpointError(f"{source}: its {METADATA} metadata about {part} are not as we write them")
    for key, value in given.items():
        numbers = value if isinstance(value, list) else [value]
        kind = str if key == "hidden_act" else int | float if key in REAL else int
        if not all(isinstance(n, kind) for n in numbers if value is not None):
            raise CheckpointError(f"{source}: {key}={value!r} in its metadata is not possible")
    return type(config).from_json({**config.to_json(), **given}, source)


def beyond_shapes(config: ModelConfig) -> dict[str, Any]:
    """The part of a configuration that `_with` reads back."""
    free = NOT_IN_SHAPES[type(config)]
    return {field.name: getattr(config, field.name) for field in fields(config) if field.name in free}
