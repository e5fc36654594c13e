"""An auxiliary classifier (Odena et al. 2017, "AC-GAN", arXiv:1610.09585): what the denoiser believes the clean picture
to be must show everything that is true of it.

The denoising loss counts each part of a picture by the energy that it has: which of eight surfaces a planet has, or
whether a portrait has eyebrows, is worth a thousandth of it, and a small denoiser paints the mean of all answers. A
classifier counts every answer as one. It reads latents, so that no picture is decoded, and has learned from noisy ones,
so that it is moved by what can be seen and not by traces of noise.
"""

from pathlib import Path

from jaxtyping import Float, Int
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from sfumato.checkpoints.classifiers import classifier_digest, load_classifier
from sfumato.errors import TrainingError
from sfumato.training.data import Pictures
from sfumato.training.heads import AttributeTargets, error


class AuxiliaryConfig(BaseModel):
    """The `[auxiliary]` table of a denoiser's TOML."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    classifier: Path
    """The export of a `classifier` run on latents of the same autoencoder and words of the same data."""
    weight: float = Field(0.1, gt=0)
    """Weight of the cross entropy in nats, beside the denoising error."""


class Auxiliary:
    """What the classifier says of clean estimates, held against what the pictures' attributes say."""

    def __init__(self, pictures: Pictures, config: AuxiliaryConfig, channels: int) -> None:
        self.pictures, self.weight = pictures, config.weight
        self.classifier = load_classifier(config.classifier, channels)
        self.digest = classifier_digest(config.classifier)
        form = self.classifier.config
        rows = [pictures.attributes[i] for i in pictures.train.tolist()]
        self.attributes = AttributeTargets(rows, {key for row in rows for key in row} - set(form.classes))
        if self.attributes.heads != form.heads:
            raise TrainingError(f"{config.classifier} has other words than {pictures.folder}; train it on this data")

    def error(
        self, estimates: Float[Tensor, "b c h w"], indices: Int[Tensor, " b"], trust: Float[Tensor, " b"]
    ) -> Float[Tensor, ""]:
        """The cross entropy of all attributes of those pictures, each weighed by how far its estimate is trusted."""
        rows = [self.pictures.attributes[i] for i in indices.tolist()]
        return error(self.classifier(estimates), self.attributes.targets(rows), trust)
