"""A trained autoencoder, and pictures as its latents, encoded once and kept beside them."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from sfumato.checkpoints.folder import part_file, read_json
from sfumato.checkpoints.rules import fit
from sfumato.checkpoints.skeleton import on_meta
from sfumato.checkpoints.tensors import read_tensors
from sfumato.files import sha256
from sfumato.models.autoencoder_fold import AutoencoderFold, AutoencoderFoldConfig
from sfumato.runtime.devices import device_of
from sfumato.training.augment import Augment, view
from sfumato.training.data import Pictures, cached


def load_autoencoder(folder: Path) -> AutoencoderFold:
    """The frozen autoencoder in the `vae` folder of a run's export, float32.

    Raises:
        CheckpointError: it is missing, damaged or of another form.
    """
    with on_meta():
        model = AutoencoderFold(autoencoder_form(folder))
    file = part_file(folder)
    fit(model, read_tensors(file), str(file), torch.float32)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model.eval().requires_grad_(False)


def autoencoder_form(folder: Path) -> AutoencoderFoldConfig:
    """The configuration of the autoencoder in a `vae` folder."""
    return AutoencoderFoldConfig.from_json(read_json(folder / "config.json"), str(folder / "config.json"))


def autoencoder_digest(folder: Path) -> str:
    """What latents depend on: the weights, and the scales in the configuration."""
    digests = (sha256(file) for file in (part_file(folder), folder / "config.json"))
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def cached_latents(
    pictures: Pictures, autoencoder: AutoencoderFold, source: Path, number: int, options: Augment, seed: int
) -> np.memmap:
    """One view of all pictures (see `augment.view`) as a float16 memory map of latents beside the data, encoded once
    for each autoencoder, and for each seed and options when it is not view 0."""
    key = autoencoder_digest(source)[:12]
    if number:
        made = hashlib.sha256(f"{seed} {options.model_dump_json()}".encode()).hexdigest()
        key = f"{key}-{made[:12]}-{number}"

    def latents(indices: Int[Tensor, " b"]) -> Float[Tensor, "b c h w"]:
        seen = zip(pictures.pixels(indices), indices.tolist(), strict=True)
        pixels = torch.stack([view(x, options, seed, index, number) for x, index in seen])
        return autoencoder.encode(pixels.to(memory_format=torch.channels_last))

    return cached(pictures.folder / f"latents-{key}.npy", len(pictures), latents, device_of(autoencoder), "encoding")
