"""What requests have in common that begin from pictures and need no prompt: `Processing`, `Recognising`."""

from pathlib import PurePath
from typing import Annotated

from pydantic import Field

from sfumato.requests.base import Request, Shown
from sfumato.requests.fields import MAX_SEED, Name, Picture, Pictures


class Processing(Request):
    """A picture made of another, at its size and depth unless the task is to change them."""

    image: Annotated[Picture, Shown("IMAGE", "Init image hash", argument=1)] = Field(
        description="the picture to begin from"
    )
    model: Annotated[Name, Shown("NAME|PATH", "Model")] = Field(
        "nano", description="the checkpoint, where a method takes one"
    )
    seed: Annotated[int, Shown("N", "Seed")] = Field(0, ge=0, le=MAX_SEED, description="of whatever is drawn")

    @property
    def pictures(self) -> int:
        """One."""
        return 1

    @property
    def generative(self) -> bool:
        """Whether a diffusion model paints into the picture."""
        return False

    @property
    def source(self) -> str:
        """IPTC's type of source of what comes of it (Digital Source Type NewsCodes): a picture corrected by an
        algorithm, or one with parts that a trained one made.
        """
        return "compositeWithTrainedAlgorithmicMedia" if self.generative else "algorithmicallyEnhanced"

    @property
    def title(self) -> str:
        """The picture's name, and what was done to it."""
        return f"{PurePath(self.image.path).stem} {self.task}".strip()

    @property
    def first_seed(self) -> int:
        """Its seed."""
        return self.seed


class Recognising(Request):
    """An answer about pictures."""

    images: Annotated[Pictures, Shown("IMAGE...", argument=1)] = Field(
        min_length=1, description="the pictures to look at"
    )
