"""One file of the Stable Diffusion 1.x or 2.x families as a `Model`, with nothing but that file."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from sfumato.checkpoints.detect import Prediction
from sfumato.checkpoints.folder import native_size
from sfumato.checkpoints.parts import read_file, read_vae, skeletons
from sfumato.checkpoints.rules import fit
from sfumato.checkpoints.scheduler import read_scheduler
from sfumato.checkpoints.skeleton import on_meta
from sfumato.errors import CheckpointError
from sfumato.families import Model, family_of
from sfumato.files import sha256
from sfumato.models.autoencoder_kl import AutoencoderKL, AutoencoderKLConfig
from sfumato.models.clip import CLIPTextEncoder
from sfumato.models.unet import UNet


def load_single(path: Path, *, dtype: torch.dtype, device: torch.device, prediction: Prediction | None = None) -> Model:
    """Load a checkpoint file (`.safetensors`, or `.ckpt` through our own reader).

    Tokenizer and scheduler are those published with the family, unless the file's metadata say more. Weights are mapped
    and cast once to `dtype`; each part is built without memory first, and the fit is checked before any is read.

    Args:
        prediction: what the network predicts; None: as `sfumato.checkpoints.detect` finds.

    Raises:
        CheckpointError: damaged, of another family, unfit or not finite; the message says which.
    """
    started = time.perf_counter()
    with ThreadPoolExecutor(1) as beside:  # both read the whole file, on a core each
        digest = beside.submit(sha256, path)
        parts = read_file(path, prediction=prediction)
    if parts.unet.in_channels != parts.unet.out_channels:
        raise CheckpointError(
            f"{path} is an inpainting or editing model ({parts.unet.in_channels} input channels); painting from text "
            f"alone needs one of {parts.unet.out_channels}"
        )
    modules = skeletons(parts.unet, parts.vae, parts.text)
    for name, module in modules.items():
        fit(module, parts.part(name), str(path), dtype)
        module.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        module.eval().requires_grad_(False)
    unet, vae, text = modules["unet"], modules["vae"], modules["text_encoder"]
    assert isinstance(unet, UNet)
    assert isinstance(vae, AutoencoderKL)
    assert isinstance(text, CLIPTextEncoder)
    if vae.latent_channels != unet.config.out_channels:
        raise CheckpointError(
            f"{path}: the U-Net paints {unet.config.out_channels} channels but the autoencoder has "
            f"{vae.latent_channels}; the parts are of different models"
        )
    return Model(
        name=path.stem,
        family=family_of(parts.unet.cross_attention_dim, AutoencoderKLConfig.class_name),
        tokenizer=parts.tokenizer,
        text_encoder=text,
        unet=unet,
        autoencoder=vae,
        sampling=read_scheduler(parts.scheduler, str(path)),
        size=native_size(parts.unet, vae),
        dtype=dtype,
        device=device,
        hash=digest.result(),
        path=path,
        seconds={"load": time.perf_counter() - started},
    )


def load_autoencoder(path: Path, *, dtype: torch.dtype, device: torch.device) -> AutoencoderKL:
    """Load an autoencoder that is a file of its own.

    Raises:
        CheckpointError: see `read_vae`.
    """
    config, state = read_vae(path)
    with on_meta():
        vae = AutoencoderKL(config)
    fit(vae, state, str(path), dtype)
    vae.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return vae.eval().requires_grad_(False)
