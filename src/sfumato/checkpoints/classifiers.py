"""Picture classifiers on disk: an export's folder `classifier` with its configuration and weights."""

from pathlib import Path

import torch

from sfumato.checkpoints.folder import part_file, read_json
from sfumato.checkpoints.rules import fit
from sfumato.checkpoints.skeleton import on_meta
from sfumato.checkpoints.tensors import read_tensors
from sfumato.errors import CheckpointError
from sfumato.files import sha256
from sfumato.models.picture_classifier import PictureClassifier, PictureClassifierConfig

PART = "classifier"
"""The folder of an export that holds it."""


def classifier_digest(export: Path) -> str:
    """SHA-256 of its weights."""
    return sha256(part_file(export / PART))


def load_classifier(export: Path, channels: int = 3) -> PictureClassifier:
    """The frozen classifier in a run's export, float32.

    Args:
        channels: of what it is to read: 3 of pictures, or those of an autoencoder's latents.

    Raises:
        CheckpointError: it is missing, damaged, of another form or one of other channels.
    """
    folder = export / PART
    config = PictureClassifierConfig.from_json(read_json(folder / "config.json"), str(folder / "config.json"))
    if not config.heads:
        raise CheckpointError(f"{folder / 'config.json'} names no heads; is it another model?")
    if config.in_channels != channels:
        raise CheckpointError(
            f"{folder} reads {config.in_channels} channels and is to read {channels}; pictures have 3, latents have "
            "those of the autoencoder that both must share"
        )
    with on_meta():
        model = PictureClassifier(config)
    file = part_file(folder)
    fit(model, read_tensors(file), str(file), torch.float32)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model.eval().requires_grad_(False)
