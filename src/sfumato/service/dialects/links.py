"""What flows along the links of ComfyUI's graphs: descriptions of a model, a text, an upload, latents, a painting."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sfumato.errors import RequestError
from sfumato.service.decoder import Doing


class GraphError(RequestError):
    """A graph that is no request of ours.

    Attributes:
        type: ComfyUI's word for what is wrong.
        node: the node that is at fault; None where it is the whole graph.
        input: its input that is.
    """

    def __init__(self, type: str, message: str, *, node: str | None = None, input: str | None = None) -> None:
        super().__init__(message)
        self.type, self.node, self.input = type, node, input


@dataclass(frozen=True)
class Net:
    """A denoiser: of a checkpoint, with LoRAs and their weights; and how it is guided, as options of the request."""

    model: str
    loras: tuple[tuple[str, float], ...] = ()
    guided: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Clip(Net):
    """Its text encoders, of which layer `skip` from the last is read."""

    skip: int = 1


@dataclass(frozen=True)
class Vae:
    """The autoencoder of a checkpoint, or of a file."""

    model: str | None = None
    file: str | None = None


@dataclass(frozen=True)
class Words:
    """A text, and what encodes it; where it is for, left, top, width and height, unless for the whole picture, and what
    other texts there are beside it for areas.
    """

    text: str
    clip: Clip
    area: tuple[int, int, int, int] | None = None
    others: tuple["Words", ...] = ()


@dataclass(frozen=True)
class Upload:
    """A picture that was uploaded, resized to `size` where that is given."""

    digest: str
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Mask:
    """What is made of an upload: ``mask`` is where it is transparent."""

    digest: str
    made: Doing
    inverted: bool = False


@dataclass(frozen=True)
class Latent:
    """What a sampler begins from: nothing of a size, or a picture, and where to paint.

    Attributes:
        options: of the request.
    """

    options: Mapping[str, Any]
    vae: Vae | None = None
    mask: Mask | None = None
    picture: bool = False


@dataclass(frozen=True)
class Sampled:
    """What a sampler has made, and perhaps how many times it was enlarged since.

    Attributes:
        settings: inputs of its node that a second pass must have too.
    """

    begun: Latent
    options: Mapping[str, Any]
    settings: Mapping[str, Any]
    enlarged: float = 1.0
    vae: Vae | None = None


@dataclass(frozen=True)
class Enlarged:
    """An upload that is enlarged."""

    digest: str
    upscaler: str


@dataclass(frozen=True)
class Shown:
    """An output node's pictures."""

    painting: Sampled | Enlarged
