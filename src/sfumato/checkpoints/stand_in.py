"""A checkpoint of Stable Diffusion's form and size, of numbers that mean nothing: to measure with."""

from collections.abc import Mapping
from pathlib import Path

import torch

from sfumato.checkpoints.parts import skeleton
from sfumato.checkpoints.rules import revert
from sfumato.checkpoints.save import write_tensors
from sfumato.checkpoints.tables import checkpoint
from sfumato.models.autoencoder_kl import AutoencoderKLConfig
from sfumato.models.clip import CLIPTextConfig
from sfumato.models.unet import UNetConfig


def write_stand_in(
    path: Path,
    *,
    unet: UNetConfig | None = None,
    vae: AutoencoderKLConfig | None = None,
    texts: Mapping[str, CLIPTextConfig] | None = None,
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write it; 2.1 GB in float16. Configurations are Stable Diffusion 1.5's unless others are given.

    Raises:
        FileExistsError, OSError: see `write_tensors`.
    """
    unet, vae, texts = unet or UNetConfig(), vae or AutoencoderKLConfig(), texts or {"text_encoder": CLIPTextConfig()}
    configs = {"unet": unet, "vae": vae, **texts}
    shapes = {
        f"{part}.{name}": tensor.shape
        for part, config in configs.items()
        for name, tensor in skeleton(config, part).state_dict().items()
    }
    pool = torch.randn(max(shape.numel() for shape in shapes.values()), generator=torch.Generator().manual_seed(0))
    pool = (0.02 * pool).to(dtype)  # all tensors share it: as many numbers of their own would take half a minute
    state = {name: pool[: shape.numel()].view(shape) for name, shape in shapes.items()}
    write_tensors(path, revert(state, checkpoint.table(unet, vae, texts)), {})
