"""Experts of a model: other weights of its denoiser and text encoders, for some kinds of pictures.

    MODEL/experts/NAME/unet/...             in the form of the model's own
    MODEL/experts/NAME/text_encoder/...     the same; the model's own is used where there is none

Which one paints a prompt is said by the model's lexicon (`sfumato.prompts.lexicon`). All else is the model's own:
tokenizers, autoencoder, sampling. Balaji et al. 2022 (eDiff-I, arXiv:2211.01324, section 4) have experts for levels of
noise; these are for what is painted. A picture costs no more time by them, since one at a time is at work.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from sfumato.checkpoints.folder import configuration, denoiser_digest, read_part
from sfumato.checkpoints.parts import built
from sfumato.errors import CheckpointError
from sfumato.model import Model

FOLDER = "experts"


def load_expert(model: Model, name: str, *, allow_nonfinite: bool = False, in_use: bool = False) -> Model:
    """The model with the weights of one of its experts; tensors of all else are shared.

    Args:
        allow_nonfinite, in_use: as for `load_folder`.

    Raises:
        CheckpointError: the expert is missing, damaged, not finite or of another form than the model.
    """
    folder = model.path / FOLDER / name
    if Path(name).name != name or not folder.is_dir():
        raise CheckpointError(f"{folder} is missing, which the lexicon of {model.name} asks for; get the model again")
    networks: dict[str, nn.Module] = {}
    denoiser = next(iter(model.components))
    for part, own in model.components.items():
        if part != denoiser and not (folder / part).is_dir():
            continue
        config: Any = configuration(folder, part)
        if config != own.config:
            raise CheckpointError(f"{folder / part} is of another form than the {part} of {model.name}; get both again")
        module, state = read_part(folder, part, config, allow_nonfinite=allow_nonfinite)
        networks[part] = built(
            config, state, str(folder / part), dtype=model.dtype, device=model.device, module=module, in_use=in_use
        )
    return replace(model.having(networks), hash=denoiser_digest(folder, denoiser))
