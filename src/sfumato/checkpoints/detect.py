"""What a file of weights is, from the names and shapes of its tensors alone: no hub, no configuration file.

Numbers that shapes do not tell (attention heads, normalisation groups, activations) are the family's: Stable Diffusion
1 has 8 heads at every level; 2 and XL have heads of width 64 and are known by linear projections. SDXL is known by
its text encoders, inpainting and editing models by their extra input channels, latent consistency models by an
embedding of the guidance scale. Files written here carry such numbers in their `header`.

**Turbo** models differ from what they were distilled from by nothing but their numbers. The word in `modelspec.title`
or in the file's own name is taken for it; it sets defaults (steps, guidance, spacing) and no more.

How a checkpoint is sampled, epsilon or v among it, is told in `single_scheduler`.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from sfumato.checkpoints.header import Stated, beyond_shapes
from sfumato.checkpoints.rules import Rule, Shapes
from sfumato.checkpoints.save import T5
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
from sfumato.checkpoints.single_scheduler import edm_form, single_scheduler, tells_prediction
from sfumato.checkpoints.tables import checkpoint, ldm_vae, sd3
from sfumato.checkpoints.tables.checkpoint import ENCODERS, OPEN_CLIP, UNET, VAE
from sfumato.choices import Prediction
from sfumato.errors import CheckpointError
from sfumato.families import Family, family_of
from sfumato.models.autoencoder_kl import AutoencoderKLConfig
from sfumato.models.clip import CLIPTextConfig
from sfumato.models.config import ModelConfig
from sfumato.models.tokenizer import END
from sfumato.models.unet import UNetConfig
from sfumato.published import EULER

TRANSFORMER = "a transformer of SD3 without its autoencoder or text encoders"
Kind = Literal["checkpoint", "vae", "lora", "embedding", "controlnet", "unknown"]

RESEMBLING: tuple[tuple[str, Kind, str], ...] = (
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
)
"""What is known by a name, as a regular expression from its beginning, but not loaded: whatever resembles a part of a
checkpoint. The first that fits counts.
"""
OTHERS: tuple[tuple[str, Kind, str], ...] = (
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
"""Likewise, of what is neither a whole checkpoint nor an autoencoder."""
TINY = ("decoder.layers.0.weight", "taesd_decoder.1.weight", "1.weight")
LORA = (".lora_down.", ".lora_up.", ".lora_A.", ".lora_B.", ".hada_w1_a", ".lokr_w1", "_lora.down.", ".dora_scale")
CONTROLNET = ("control_model.", "input_hint_block.", "controlnet_cond_embedding.", "lllite_unet_")
EMBEDDING = {"emb_params", "string_to_param.*", "clip_l", "clip_g"}


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
    """Rules of the names of a checkpoint or autoencoder that can be loaded."""
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
    if (other := _other(names, RESEMBLING)) is not None:
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
        config = Stated.read(metadata, source).completed(read_vae(by_name, prefix), "vae")
        linear = linear_vae(by_name, prefix)
        return Detected("vae", "", "LDM", vae=config, table=ldm_vae.table(config, prefix, linear=linear))
    return _other(names, OTHERS) or Detected("unknown", "", "")


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
    stated = Stated.read(metadata, source)
    texts = {
        name: stated.completed(
            read_open_clip(shapes, start, projected=name == "text_encoder_2")
            if start.endswith(OPEN_CLIP)
            else read_clip(shapes, start),
            name,
        )
        for name, start in encoders.items()
    }
    unet = read_unet(shapes, UNET)
    row = _row(unet, texts, metadata, source)
    vae = stated.completed(replace(read_vae(shapes, VAE), **beyond_shapes(row.autoencoder)), "vae")
    open_clip = any(config.hidden_act != "quick_gelu" for config in texts.values())
    scheduler = single_scheduler(shapes, metadata, stated, row, open_clip=open_clip, prediction=prediction)
    if (edm := edm_form(shapes, stated)) is not None:
        scheduler, vae = edm.sampled(vae, {} if read is None else read(), source)
    if row.network is not None:
        unet = replace(unet, sample_size=row.network.sample_size)
    if row.name in ("sd2", "custom") and open_clip and scheduler["prediction_type"] == "v_prediction":
        unet = replace(unet, sample_size=96)
    unet = stated.completed(unet, "unet")
    _check_unet(unet, source)
    _check_texts(shapes, texts)
    padding = _padding(texts, stated)
    zero_empty = stated.data.get("zero_empty", row.zero_empty) is True
    table = checkpoint.table(unet, vae, texts, linear_vae=linear_vae(shapes, VAE))
    family = family_of(unet, texts, scheduler).name
    warning = ""
    known = prediction is not None or tells_prediction(shapes, metadata, stated)
    if family == "sd2" and not known:
        warning = (
            f"{source} does not say whether it predicts noise or v; noise is assumed. If its pictures are brown noise, "
            "convert it with --prediction v"
        )
    layout = Layout({"unet": unet, "vae": vae, **texts}, scheduler, padding, zero_empty)
    return Detected("checkpoint", family, "LDM", layout, table=table, warning=warning)


def _sd3(shapes: ShapesByName, metadata: Mapping[str, str]) -> Detected:
    """T5 counts as a part wherever its weights are; whether it can be used depends on its tokenizer."""
    source = shapes.source
    stated = Stated.read(metadata, source)
    texts: dict[str, CLIPTextConfig] = {}
    for part in sd3.CLIPS:
        own = read_projected(shapes, sd3.FILES[part])
        if part == "text_encoder_2":  # OpenCLIP's
            own = replace(own, hidden_act="gelu", pad_token_id=0)
        texts[part] = stated.completed(own, part)
    transformer = stated.completed(read_mmdit(shapes, UNET), "transformer")
    titles = (metadata.get("modelspec.title", ""), metadata.get("modelspec.architecture", ""), Path(source).stem)
    row = family_of(transformer, texts, {}, named=" ".join(titles))
    vae = stated.completed(replace(read_vae(shapes, VAE), **beyond_shapes(row.autoencoder)), "vae")
    _check_texts(shapes, texts)
    t5 = {}
    if any(name.startswith(sd3.FILES[T5]) for name in shapes.shapes):
        t5[T5] = stated.completed(read_t5(shapes, sd3.FILES[T5]), T5)
    projected = [part for part in sd3.CLIPS if f"{sd3.FILES[part]}text_projection.weight" in shapes]
    linear = linear_vae(shapes, VAE)
    table = sd3.table(transformer, vae, texts, projected=projected, with_t5=bool(t5), linear_vae=linear)
    given = stated.data.get("scheduler")
    scheduler = given if isinstance(given, dict) else dict(row.scheduler)
    configs = {"transformer": transformer, "vae": vae, **texts, **t5}
    layout = Layout(configs, scheduler, _padding(texts, stated), False)
    return Detected("checkpoint", row.name, "SD3", layout, table=table)


def _row(unet: UNetConfig, texts: Mapping[str, CLIPTextConfig], metadata: Mapping[str, str], source: str) -> Family:
    """The family by the networks alone, and by the word turbo."""
    named = f"{metadata.get('modelspec.title', '')} {Path(source).stem}".lower()
    return family_of(unet, texts, {**EULER, "timestep_spacing": "trailing" if "turbo" in named else "leading"})


def _padding(texts: Mapping[str, CLIPTextConfig], stated: Stated) -> dict[str, str]:
    """What our metadata say, else what each encoder was trained with."""
    given = stated.data.get("padding", {})
    if not isinstance(given, dict) or not all(isinstance(token, str) for token in given.values()):
        raise CheckpointError(f"{stated.source}: the padding {given!r} in its metadata is no token of each encoder")
    return {name: given.get(name, END if config.hidden_act == "quick_gelu" else "!") for name, config in texts.items()}


def _check_texts(shapes: ShapesByName, texts: Mapping[str, CLIPTextConfig]) -> None:
    for config in texts.values():
        if config.hidden_size % config.num_attention_heads:
            raise shapes.fail(f"{config.hidden_size} channels of text for {config.num_attention_heads} heads")


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
