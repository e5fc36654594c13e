"""What a file of weights is, from the names and shapes of its tensors alone: no hub, no configuration file.

Numbers that shapes do not tell (attention heads, normalisation groups, activations) are the family's: Stable Diffusion
1 has 8 heads at every level; 2 and XL have heads of width 64 and are known by linear projections. SDXL is known by
its text encoders, inpainting and editing models by their extra input channels, latent consistency models by an
embedding of the guidance scale. Files written here carry such numbers in their metadata, so that models of any size
come back exactly.

**Turbo** models differ from what they were distilled from by nothing but their numbers. The word in `modelspec.title`
or in the file's own name is taken for it; it sets defaults (steps, guidance, spacing) and no more.

**Epsilon or v.** Whether a Stable Diffusion 2 model predicts noise or v is in none of its names. In order: what the
caller says, or the web UI's `NAME.yaml` beside the file; a tensor named `v_pred`; our metadata;
`modelspec.prediction_type`; `modelspec.architecture` ending in `-v`; and else epsilon, which is wrong for the plain
768-pixel files of 2.0 and 2.1 and is said as a warning.
"""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from torch import Tensor

from sfumato.checkpoints.rules import Rule, Shapes
from sfumato.checkpoints.save import T5
from sfumato.checkpoints.scheduler_classes import CLASSES
from sfumato.checkpoints.shapes import (
    ShapesByName,
    linear_vae,
    read_clip,
    read_mmdit,
    read_open_clip,
    read_projected,
    read_t5,
    read_unet,
    read_vae,
)
from sfumato.checkpoints.tables import checkpoint, ldm_vae, sd3
from sfumato.checkpoints.tables.checkpoint import ENCODERS, OPEN_CLIP, UNET, VAE
from sfumato.choices import Prediction
from sfumato.errors import CheckpointError
from sfumato.families import Family, family_of
from sfumato.models.autoencoder_kl import AutoencoderKLConfig
from sfumato.models.clip import CLIPTextConfig, ProjectedCLIPTextConfig
from sfumato.models.config import ModelConfig
from sfumato.models.mmdit import MMDiTConfig
from sfumato.models.t5 import T5Config
from sfumato.models.tokenizer import END
from sfumato.models.unet import UNetConfig
from sfumato.published import DDIM, EULER, KL

TRANSFORMER = "a transformer of SD3 without its autoencoder or text encoders"
Kind = Literal["checkpoint", "vae", "lora", "embedding", "controlnet", "unknown"]

METADATA = "sfumato.parts"
"""Key of our own metadata: JSON of what names and shapes do not tell."""
T5_TOKENIZER = "sfumato.t5_tokenizer"
"""Key of T5's `tokenizer.json`, which nothing else in a file tells."""

OTHERS: tuple[tuple[str, Kind, str], ...] = (
    (r"(noise_augmentor|embedder\.model)\.", "checkpoint", "Stable unCLIP"),
    (r"model\.diffusion_model\.label_emb\.weight$", "checkpoint", "Stable Diffusion's x4 upscaler"),
    (r".*(motion_modules|temporal_transformer)\.", "unknown", "a motion module of AnimateDiff"),
    (r"(image_proj(_model)?|ip_adapter)\.", "unknown", "an IP-Adapter"),
    (r"(320|640|768|1024|1280)\.\d\.linear", "unknown", "a hypernetwork"),
    (r"(adapter\.)?body\.\d+\.((resnets|body)\.\d+\.)?(block[12]|in_conv|down_conv)\.", "unknown", "a T2I-Adapter"),
    (r".*(RDB1|rdb1|RRDB_trunk|residual_group|dense_block)\.?", "unknown", "an upscaler of pictures (ESRGAN or kin)"),
    (r"(params(_ema)?\.)?(conv_first|body\.0|upsampler?\.0)\.", "unknown", "an upscaler of pictures"),
    (r"(decoder_unet|embed_image)\.", "unknown", "a consistency decoder"),
    (r"(conditioner|visual)\.(open_clip\.)?(transformer|visual)\.", "unknown", "an image encoder of CLIP"),
    (r"(vision_model\.|visual\.transformer\.)", "unknown", "an image encoder of CLIP"),
    (r"quantize\.embedding\.", "unknown", "a VQ autoencoder, which Stable Diffusion has none of"),
    (r"conditioner\.embedders\.", "checkpoint", "SDXL"),
    (r"(model\.diffusion_model\.)?joint_blocks\.", "unknown", TRANSFORMER),
    (r"(model\.diffusion_model\.)?double_blocks\.", "checkpoint", "FLUX"),
    (r"(model\.diffusion_model\.)?(adaln_single|blocks\.0\.scale_shift_table)", "checkpoint", "PixArt"),
    (
        r"(model\.diffusion_model\.)?(img_in|patch_embedding|cap_embedder|time_caption_embed)\.",
        "unknown",
        "a transformer of another family",
    ),
    (r"model\.diffusion_model\.", "unknown", "a U-Net without autoencoder or text encoder"),
    (r"down_blocks\.0\.(resnets|attentions)\.", "unknown", "a U-Net out of a diffusers folder"),
    (r"transformer_blocks\.0\.", "unknown", "a transformer out of a diffusers folder"),
    (r"(text_model\.)?encoder\.layers\.", "unknown", "a text encoder out of a folder"),
    (r"transformer\.resblocks\.", "unknown", "a text encoder of OpenCLIP"),
    (r"encoder\.block\.0\.layer\.", "unknown", "a text encoder (T5)"),
)
"""What is known by a name, as a regular expression from its beginning, but not loaded. The first that fits counts."""
EARLY = 11
"""So many of them are looked for before anything is taken for a part of a checkpoint, which it may resemble."""
TINY = ("decoder.layers.0.weight", "taesd_decoder.1.weight", "1.weight")


@dataclass(frozen=True)
class EDM:
    """A form of SDXL that is sampled as in Karras et al. 2022, by the tensor that marks it in a file."""

    mark: str
    title: str
    scheduler: Mapping[str, Any]
    ends: Mapping[str, str] = field(default_factory=dict)
    """Keys of the scheduler by the tensor that has their value."""
    statistics: Mapping[str, str] = field(default_factory=dict)
    """The autoencoder's numbers by channel, by the tensor that has them."""
    scaling_factor: float | None = None


EDMS: tuple[EDM, ...] = (
    EDM(
        "edm_vpred.sigma_max",
        "CosXL",
        {
            "_class_name": "EDMEulerScheduler",
            "prediction_type": "v_prediction",
            "sigma_data": 1.0,
            "sigma_schedule": "exponential",
            "num_train_timesteps": 1000,
        },
        ends={"sigma_max": "edm_vpred.sigma_max", "sigma_min": "edm_vpred.sigma_min"},
    ),
    EDM(
        "edm_mean",
        "Playground v2.5",
        {
            "_class_name": "EDMDPMSolverMultistepScheduler",
            "prediction_type": "epsilon",
            "sigma_data": 0.5,
            "sigma_min": 0.002,
            "sigma_max": 80.0,
            "sigma_schedule": "karras",
            "num_train_timesteps": 1000,
        },
        statistics={"latents_mean": "edm_mean", "latents_std": "edm_std"},
        scaling_factor=0.5,
    ),
)

LORA = (".lora_down.", ".lora_up.", ".lora_A.", ".lora_B.", ".hada_w1_a", ".lokr_w1", "_lora.down.", ".dora_scale")
CONTROLNET = ("control_model.", "input_hint_block.", "controlnet_cond_embedding.", "lllite_unet_")
EMBEDDING = {"emb_params", "string_to_param.*", "clip_l", "clip_g"}

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


@dataclass(frozen=True)
class Layout:
    """How a loadable checkpoint is made up."""

    configs: Mapping[str, ModelConfig]
    """Configurations by part."""
    scheduler: Mapping[str, Any]
    padding: Mapping[str, str]
    """The token that fills up a prompt, by text encoder."""
    zero_empty: bool
    """An empty prompt is a condition of zeros, see `Family`."""
    table: tuple[Rule, ...]


@dataclass(frozen=True)
class Detected:
    """What a file is."""

    kind: Kind
    family: str
    """A name of `FAMILIES`, or of a family that is not loaded, or empty."""
    format: str
    layout: Layout | None = None
    """Layout of a checkpoint that can be loaded."""
    vae: AutoencoderKLConfig | None = None
    table: tuple[Rule, ...] = ()
    warning: str = ""


def detect(
    shapes: Shapes,
    metadata: Mapping[str, str],
    source: str,
    *,
    prediction: Prediction | None = None,
    read: Callable[[], Mapping[str, Tensor]] | None = None,
) -> Detected:
    """Tell what a file of these tensors is.

    Args:
        prediction: overrides what the file says.
        read: maps the tensors, of which a few say how the model is sampled.

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
    if has(UNET + "joint_blocks.") and has(VAE) and all(has(sd3.FILES[part]) for part in sd3.CLIPS):
        return _sd3(ShapesByName(shapes, source), metadata)
    if (other := _other(names, OTHERS[:EARLY])) is not None:
        return other
    encoders = _encoders(shapes)
    if has(UNET + "input_blocks.") and has(VAE) and encoders:
        return _checkpoint(ShapesByName(shapes, source), encoders, metadata, prediction, read)
    if any(len(shapes.get(name, ())) == 4 for name in TINY):
        return Detected("vae", "", "tiny")
    if has("encoder.", VAE) and has("decoder.", VAE) and not has(UNET):
        prefix = VAE if has(VAE) else ""
        if has(prefix + "encoder.down_blocks."):
            return Detected("vae", "", "diffusers")
        by_name = ShapesByName(shapes, source)
        config = _with(read_vae(by_name, prefix), _stated(metadata, source), "vae", source)
        linear = linear_vae(by_name, prefix)
        return Detected("vae", "", "LDM", vae=config, table=ldm_vae.table(config, prefix, linear=linear))
    return _other(names, OTHERS[EARLY:]) or Detected("unknown", "", "")


def _other(names: Collection[str], table: Sequence[tuple[str, Kind, str]]) -> Detected | None:
    """What a row of the table says of a file with these names."""
    for pattern, kind, family in table:
        if any(map(re.compile(pattern).match, names)):
            return Detected(kind, family, "")
    return None


def _encoders(shapes: Shapes) -> Mapping[str, str]:
    """Where the names of each text encoder begin; empty where no form of a checkpoint has such encoders."""
    for form in ENCODERS:
        if all(any(name.startswith(place) for name in shapes) for place in form.values()):
            return form
    return {}


def _checkpoint(
    shapes: ShapesByName,
    encoders: Mapping[str, str],
    metadata: Mapping[str, str],
    prediction: Prediction | None,
    read: Callable[[], Mapping[str, Tensor]] | None,
) -> Detected:
    source = shapes.source
    stated = _stated(metadata, source)
    texts = {
        name: _with(
            read_open_clip(shapes, start, projected=name == "text_encoder_2")
            if start.endswith(OPEN_CLIP)
            else read_clip(shapes, start),
            stated,
            name,
            source,
        )
        for name, start in encoders.items()
    }
    unet = read_unet(shapes, UNET)
    row = _row(unet, texts, metadata, source)
    vae = _with(_like(row, read_vae(shapes, VAE)), stated, "vae", source)
    open_clip = any(config.hidden_act != "quick_gelu" for config in texts.values())
    scheduler = _scheduler(shapes, metadata, stated, row, open_clip=open_clip, prediction=prediction)
    if (edm := next((each for each in EDMS if each.mark in shapes), None)) is not None and "scheduler" not in stated:
        scheduler, vae = _edm(edm, vae, {} if read is None else read(), source)
    if row.network is not None:
        unet = replace(unet, sample_size=row.network.sample_size)
    if row.name in ("sd2", "custom") and open_clip and scheduler["prediction_type"] == "v_prediction":
        unet = replace(unet, sample_size=96)
    unet = _with(unet, stated, "unet", source)
    _check_unet(unet, source)
    for config in texts.values():
        if config.hidden_size % config.num_attention_heads:
            raise shapes.fail(f"{config.hidden_size} channels of text for {config.num_attention_heads} heads")
    padding = _padding(texts, stated, source)
    zero_empty = stated.get("zero_empty", row.zero_empty) is True
    table = checkpoint.table(unet, vae, texts, linear_vae=linear_vae(shapes, VAE))
    family = family_of(unet, texts, scheduler).name
    warning = ""
    known = prediction is not None or _tells_prediction(shapes, metadata, stated)
    if family == "sd2" and not known:
        warning = (
            f"{source} does not say whether it predicts noise or v; noise is assumed. If its pictures are brown noise, "
            "convert it with --prediction v"
        )
    layout = Layout({"unet": unet, "vae": vae, **texts}, scheduler, padding, zero_empty, table)
    return Detected("checkpoint", family, "LDM", layout, table=table, warning=warning)


def _edm(
    edm: EDM, vae: AutoencoderKLConfig, tensors: Mapping[str, Tensor], source: str
) -> tuple[dict[str, Any], AutoencoderKLConfig]:
    """Scheduler and autoencoder of a form of SDXL that is marked as such."""
    if edm.scheduler["_class_name"] not in CLASSES:
        raise CheckpointError(
            f"{source} is {edm.title}, whose sampling ({edm.scheduler['_class_name']}) is not known here"
        )

    def numbers(name: str) -> tuple[float, ...]:
        if name not in tensors:
            raise CheckpointError(f"{source} is marked as {edm.title} but lacks {name!r}; get a sound copy")
        return tuple(map(float, tensors[name].flatten().tolist()))

    scheduler = {**edm.scheduler, **{key: numbers(name)[0] for key, name in edm.ends.items()}}
    stated: dict[str, Any] = {key: numbers(name) for key, name in edm.statistics.items()}
    if any(len(values) != vae.latent_channels for values in stated.values()):
        raise CheckpointError(
            f"{source} is marked as {edm.title} but has not {vae.latent_channels} numbers for latents"
        )
    factor = vae.scaling_factor if edm.scaling_factor is None else edm.scaling_factor
    return scheduler, replace(vae, **stated, scaling_factor=factor)


def _sd3(shapes: ShapesByName, metadata: Mapping[str, str]) -> Detected:
    """T5 counts as a part wherever its weights are; whether it can be used depends on its tokenizer."""
    source = shapes.source
    stated = _stated(metadata, source)
    texts: dict[str, CLIPTextConfig] = {}
    for part in sd3.CLIPS:
        own = read_projected(shapes, sd3.FILES[part])
        if part == "text_encoder_2":  # OpenCLIP's
            own = replace(own, hidden_act="gelu", pad_token_id=0)
        texts[part] = _with(own, stated, part, source)
    transformer = _with(read_mmdit(shapes, UNET), stated, "transformer", source)
    titles = (metadata.get("modelspec.title", ""), metadata.get("modelspec.architecture", ""), Path(source).stem)
    row = family_of(transformer, texts, {}, named=" ".join(titles))
    vae = _with(_like(row, read_vae(shapes, VAE)), stated, "vae", source)
    for config in texts.values():
        if config.hidden_size % config.num_attention_heads:
            raise shapes.fail(f"{config.hidden_size} channels of text for {config.num_attention_heads} heads")
    t5 = {}
    if any(name.startswith(sd3.FILES[T5]) for name in shapes.shapes):
        t5[T5] = _with(read_t5(shapes, sd3.FILES[T5]), stated, T5, source)
    projected = [part for part in sd3.CLIPS if f"{sd3.FILES[part]}text_projection.weight" in shapes]
    linear = linear_vae(shapes, VAE)
    table = sd3.table(transformer, vae, texts, projected=projected, with_t5=bool(t5), linear_vae=linear)
    given = stated.get("scheduler")
    scheduler = given if isinstance(given, dict) else dict(row.scheduler)
    configs = {"transformer": transformer, "vae": vae, **texts, **t5}
    layout = Layout(configs, scheduler, _padding(texts, stated, source), False, table)
    return Detected("checkpoint", row.name, "SD3", layout, table=table)


def _like(row: Family, vae: AutoencoderKLConfig) -> AutoencoderKLConfig:
    """With the family's numbers that shapes do not tell."""
    return replace(vae, **{key: getattr(row.autoencoder, key) for key in NOT_IN_SHAPES[type(KL)]})


def _row(unet: UNetConfig, texts: Mapping[str, CLIPTextConfig], metadata: Mapping[str, str], source: str) -> Family:
    """The family by the networks alone, and by the word turbo."""
    named = f"{metadata.get('modelspec.title', '')} {Path(source).stem}".lower()
    return family_of(unet, texts, {**EULER, "timestep_spacing": "trailing" if "turbo" in named else "leading"})


def _padding(texts: Mapping[str, CLIPTextConfig], stated: Mapping[str, Any], source: str) -> dict[str, str]:
    """What our metadata say, else what each encoder was trained with."""
    given = stated.get("padding", {})
    if not isinstance(given, dict) or not all(isinstance(token, str) for token in given.values()):
        raise CheckpointError(f"{source}: the padding {given!r} in its metadata is no token of each encoder")
    return {name: given.get(name, END if config.hidden_act == "quick_gelu" else "!") for name, config in texts.items()}


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


def _scheduler(
    shapes: ShapesByName,
    metadata: Mapping[str, str],
    stated: Mapping[str, Any],
    row: Family,
    *,
    open_clip: bool,
    prediction: Prediction | None,
) -> dict[str, Any]:
    config: dict[str, Any] = dict(DDIM if row.name == "custom" and open_clip else row.scheduler)
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
        config = {
            **DDIM,
            "prediction_type": config["prediction_type"],
            "rescale_betas_zero_snr": True,
            "timestep_spacing": "trailing",
        }
    return config


def _tells_prediction(shapes: ShapesByName, metadata: Mapping[str, str], stated: Mapping[str, Any]) -> bool:
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
