"""Editing by instruction (InstructPix2Pix, Brooks et al. 2022, arXiv:2211.09800).

The network takes the picture beside the latents. Guidance has two scales: one away from what it would do with the
picture but without the words, one from there away from neither.
"""

from collections.abc import Iterator

from sfumato.adapters.applied import Applied
from sfumato.errors import RequestError
from sfumato.families import EDITING, Model
from sfumato.images import to_tensor
from sfumato.models.autoencoder_kl import AutoencoderKL, AutoencoderKLConfig
from sfumato.requests import TextEdit
from sfumato.results import Progress, Result
from sfumato.tasks.paint import Canvas, paint
from sfumato.tasks.pictures import open_picture
from sfumato.tasks.session import prepare


def edit(applied: Applied, request: TextEdit, load: float = 0.0) -> Iterator[Progress | Result]:
    """Paint a request.

    Raises:
        RequestError: a model made for something else; as `open_picture`, `resolve` and `prepare`.
    """
    model = applied.model
    if model.task != EDITING:
        raise RequestError(
            f"{model.name} cannot follow instructions; give a model made for editing (InstructPix2Pix), or say what to "
            "paint instead: img2img, replace"
        )
    exact, picture = open_picture(model, request)
    clean = model.encode_pixels(to_tensor(picture.padded))
    session = prepare(
        applied,
        exact,
        picture.padded.size,
        load=load,
        strength=exact.strength,
        channels=clean / scaling_factor(model),
        picture_guidance=exact.image_guidance,
    )
    yield from paint(session, Canvas(picture.padded.size, clean, finish=picture.cropped))


def scaling_factor(model: Model) -> float:
    """By which latents were multiplied to be the denoiser's; these networks see the picture without it."""
    own = model.autoencoder
    config = own.config if isinstance(own, AutoencoderKL) else model.family.autoencoder
    assert isinstance(config, AutoencoderKLConfig)
    return config.scaling_factor
