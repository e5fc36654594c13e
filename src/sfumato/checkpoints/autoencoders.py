"""Autoencoders of their own, in place of a model's: Stable Diffusion's in either layout, or the tiny one."""

from pathlib import Path
from typing import cast

from sfumato.checkpoints.parts import built
from sfumato.checkpoints.single import read_vae
from sfumato.checkpoints.tiny import is_tiny, load_tiny
from sfumato.errors import CheckpointError
from sfumato.model import Autoencoder, Model
from sfumato.models.autoencoder_kl import AutoencoderKL, AutoencoderKLConfig


def load_vae(file: Path, model: Model, *, allow_nonfinite: bool = False) -> Autoencoder:
    """The autoencoder in a file of weights, where and as precise as the model.

    A file in the diffusers layout wants its `config.json` beside it. One in the layout of latent-diffusion code scales
    latents as the model's own does, unless its metadata say otherwise.

    Args:
        allow_nonfinite: name NaN and infinity in weights, and load them.

    Raises:
        CheckpointError: it is something else, damaged, or for latents of another form.
    """
    vae: Autoencoder
    if is_tiny(file):
        vae = load_tiny(file, dtype=model.dtype, device=model.device, allow_nonfinite=allow_nonfinite)
    else:
        vae = _load_kl(file, model, allow_nonfinite)
    for what in ("latent_channels", "factor"):
        theirs, ours = getattr(vae, what), getattr(model.autoencoder, what)
        if theirs != ours:
            raise CheckpointError(
                f"{file} is an autoencoder with {what.replace('_', ' ')} {theirs}; {model.name} needs {ours}"
            )
    return vae


def _load_kl(file: Path, model: Model, allow_nonfinite: bool) -> AutoencoderKL:
    own = getattr(model.autoencoder, "config", None)
    like = own if isinstance(own, AutoencoderKLConfig) else None
    form, state = read_vae(file, like, allow_nonfinite=allow_nonfinite)
    return cast("AutoencoderKL", built(form, state, str(file), dtype=model.dtype, device=model.device))
