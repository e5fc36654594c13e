"""The tiny autoencoder from wherever it is: its author's two files, both halves in one, or the diffusers layout."""

from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from sfumato.checkpoints.folder import read_json, weights_file
from sfumato.checkpoints.parts import built, skeleton
from sfumato.checkpoints.rules import Rule, check_finite, check_same, convert
from sfumato.checkpoints.tables import taesd
from sfumato.checkpoints.tensor_file import open_tensors
from sfumato.errors import CheckpointError
from sfumato.models.autoencoder_tiny import AutoencoderTiny, AutoencoderTinyConfig

FIRST = ("decoder.layers.0.weight", "taesd_decoder.1.weight", "1.weight")
"""The decoder's first layer: in diffusers, with both halves in one file, alone. Its second axis are the latents."""


def is_tiny(file: Path) -> bool:
    """Whether a file holds a tiny autoencoder, or its decoder.

    Raises:
        CheckpointError: as `open_tensors`.
    """
    shapes = open_tensors(file).shapes
    return any(len(shapes.get(name, ())) == 4 for name in FIRST)


def load_tiny(
    path: Path, *, dtype: torch.dtype, device: torch.device, allow_nonfinite: bool = False
) -> AutoencoderTiny:
    """Load a diffusers folder (config.json and weights), one file, or a decoder with its encoder beside it.

    Raises:
        CheckpointError: see `read_tiny`.
    """
    config, state = read_tiny(path, allow_nonfinite=allow_nonfinite)
    return cast("AutoencoderTiny", built(config, state, str(path), dtype=dtype, device=device))


def read_tiny(path: Path, *, allow_nonfinite: bool = False) -> tuple[AutoencoderTinyConfig, dict[str, Tensor]]:
    """Configuration and tensors, by the model's names. A file is of the published size, with any latent channels.

    Raises:
        CheckpointError: it is something else, a half is missing, does not fit or is not finite.
    """
    files: list[tuple[Path, tuple[Rule, ...]]]
    if path.is_dir():
        config = AutoencoderTinyConfig.from_json(read_json(path / "config.json"), str(path / "config.json"))
        files = [(weights_file(path, "diffusion_pytorch_model"), ())]
    else:
        shapes = open_tensors(path).shapes
        name = next((name for name in FIRST if len(shapes.get(name, ())) == 4), None)
        if name is None:
            raise CheckpointError(f"{path} has no tiny autoencoder's decoder; give taesd, taesdxl or taesd3")
        config = AutoencoderTinyConfig(latent_channels=shapes[name][1])
        if name == FIRST[2]:
            encoder = path.with_name(path.name.replace("decoder", "encoder"))
            if encoder == path:
                raise CheckpointError(f"{path} is half of a tiny autoencoder; name it ..._decoder, beside ..._encoder")
            files = [(path, taesd.decoder(config)), (encoder, taesd.encoder(config))]
        else:
            files = [(path, () if name == FIRST[0] else taesd.table(config))]
    state: dict[str, Tensor] = {}
    for file, table in files:
        state |= convert(open_tensors(file).read(), table)
    check_same(skeleton(config, str(path)), state, str(path))
    check_finite(state, str(path), allow=allow_nonfinite)
    return config, state
