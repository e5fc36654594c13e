"""A diffusers folder as a `Model`: no conversion, no network, nothing skipped."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sfumato.checkpoints.rules import Ignore, Rename, Rule, check_finite, convert, fit
from sfumato.checkpoints.scheduler import read_scheduler
from sfumato.checkpoints.skeleton import on_meta
from sfumato.checkpoints.tensors import read_tensors
from sfumato.errors import CheckpointError
from sfumato.families import Autoencoder, Model, family_of
from sfumato.files import sha256
from sfumato.models.autoencoder_fold import AutoencoderFold, AutoencoderFoldConfig
from sfumato.models.autoencoder_kl import AutoencoderKL, AutoencoderKLConfig
from sfumato.models.clip import CLIPTextConfig, CLIPTextEncoder
from sfumato.models.config import ModelConfig
from sfumato.models.tokenizer import ClipTokenizer
from sfumato.models.unet import UNet, UNetConfig

TEXT_RULES: tuple[Rule, ...] = (
    Ignore(r"text_model\.embeddings\.position_ids$", "0, 1, 2 ...: a constant that old files carry"),
    Rename(r"^(?!text_model\.|text_projection\.)", "text_model."),  # transformers 5 dropped the prefix
)
AUTOENCODER_RULES: tuple[Rule, ...] = (  # attention in an autoencoder, as named before diffusers 0.17
    Rename(r"\.attentions\.0\.query\.", ".attentions.0.to_q."),
    Rename(r"\.attentions\.0\.key\.", ".attentions.0.to_k."),
    Rename(r"\.attentions\.0\.value\.", ".attentions.0.to_v."),
    Rename(r"\.attentions\.0\.proj_attn\.", ".attentions.0.to_out.0."),
)

AUTOENCODERS: dict[str, tuple[type[ModelConfig], Callable[[Any], nn.Module]]] = {
    "AutoencoderKL": (AutoencoderKLConfig, AutoencoderKL),
    "AutoencoderFold": (AutoencoderFoldConfig, AutoencoderFold),
}


def load_folder(folder: Path, *, dtype: torch.dtype, device: torch.device) -> Model:
    """Load every part of the model in `folder` (model_index.json, unet, vae, text_encoder, tokenizer, scheduler).

    Weights are mapped and cast once to `dtype`; each part is built without memory first.

    Raises:
        CheckpointError: a part is missing, truncated, foreign, unfit or not finite; the message names it.
    """
    started = time.perf_counter()
    index = read_json(folder / "model_index.json")
    pipeline = index.get("_class_name")
    if pipeline != "StableDiffusionPipeline":
        raise CheckpointError(f"{folder} holds a {pipeline}; supported: StableDiffusionPipeline")
    vae_json = read_json(folder / "vae" / "config.json")
    vae_name = vae_json.get("_class_name", "AutoencoderKL")
    if vae_name not in AUTOENCODERS:
        raise CheckpointError(f"{folder / 'vae'} is a {vae_name}; supported: {', '.join(AUTOENCODERS)}")
    vae_config_type, vae_type = AUTOENCODERS[vae_name]
    unet_config = UNetConfig.from_json(read_json(folder / "unet" / "config.json"), str(folder / "unet/config.json"))
    text_config = CLIPTextConfig.from_json(
        read_json(folder / "text_encoder" / "config.json"), str(folder / "text_encoder/config.json")
    )
    vae_config = vae_config_type.from_json(vae_json, str(folder / "vae/config.json"))
    sampling = read_scheduler(
        read_json(folder / "scheduler" / "scheduler_config.json"), str(folder / "scheduler/scheduler_config.json")
    )
    tokenizer = ClipTokenizer.from_folder(folder / "tokenizer")
    if len(tokenizer.vocabulary) > text_config.vocab_size:
        raise CheckpointError(
            f"{folder}: the tokenizer has {len(tokenizer.vocabulary)} tokens but the text encoder only "
            f"{text_config.vocab_size}; the parts are of different models"
        )

    if tokenizer.length > text_config.max_position_embeddings:
        raise CheckpointError(
            f"{folder}: the tokenizer's window of {tokenizer.length} is longer than the text encoder's "
            f"{text_config.max_position_embeddings}; the parts are of different models"
        )

    def build(make: Callable[[], nn.Module], part: str, stem: str, rules: tuple[Rule, ...] = ()) -> nn.Module:
        try:
            with on_meta():
                module = make()
        except (TypeError, ValueError, IndexError, RuntimeError, ZeroDivisionError) as error:
            raise CheckpointError(f"{folder / part / 'config.json'} describes no network: {error}") from error
        file = weights_file(folder / part, stem)
        state = convert(read_tensors(file), rules)
        check_finite(state, str(file))
        fit(module, state, str(file), dtype)
        module.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return module.eval().requires_grad_(False)

    unet = build(lambda: UNet(unet_config), "unet", "diffusion_pytorch_model")
    vae = build(lambda: vae_type(vae_config), "vae", "diffusion_pytorch_model", AUTOENCODER_RULES)
    text = build(lambda: CLIPTextEncoder(text_config), "text_encoder", "model", TEXT_RULES)
    assert isinstance(unet, UNet)
    assert isinstance(text, CLIPTextEncoder)
    assert isinstance(vae, AutoencoderKL | AutoencoderFold)
    if vae.latent_channels != unet_config.out_channels:
        raise CheckpointError(
            f"{folder}: the U-Net paints {unet_config.out_channels} channels but the autoencoder has "
            f"{vae.latent_channels}; the parts are of different models"
        )
    return Model(
        name=folder.name,
        family=family_of(unet_config.cross_attention_dim, vae_name),
        tokenizer=tokenizer,
        text_encoder=text,
        unet=unet,
        autoencoder=vae,
        sampling=sampling,
        size=native_size(unet_config, vae),
        dtype=dtype,
        device=device,
        hash=sha256(weights_file(folder / "unet", "diffusion_pytorch_model")),
        path=folder,
        seconds={"load": time.perf_counter() - started},
    )


def native_size(config: UNetConfig, vae: Autoencoder) -> tuple[int, int]:
    """Width and height in pixels that the U-Net was trained at."""
    size = 64 if config.sample_size is None else config.sample_size
    height, width = (size, size) if isinstance(size, int) else size
    return width * vae.factor, height * vae.factor


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        CheckpointError: the file is missing, unreadable or not an object.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing; a model is a whole diffusers folder") from None
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise CheckpointError(f"{path} holds no JSON object; is it the right file?")
    return data


def weights_file(folder: Path, stem: str) -> Path:
    """The component's safetensors file: the plain one, or else its `fp16` variant.

    Raises:
        CheckpointError: there is none; pickled weights are named as such.
    """
    for name in (f"{stem}.safetensors", f"{stem}.fp16.safetensors"):
        if (folder / name).is_file():
            return folder / name
    if any((folder / f"{other}.bin").is_file() for other in (stem, "pytorch_model", f"{stem}.fp16")):
        raise CheckpointError(f"{folder} has pickled weights only; convert them to {stem}.safetensors")
    raise CheckpointError(f"{folder / f'{stem}.safetensors'} is missing; copy the whole model folder")
