"""Pictures and texts as vectors of one space: what is near in it shows, or says, the same of nano's domain.

The judge's features and the tokens of nano's text encoder, each through a small head; the heads were trained together
so that a picture is nearest to its caption (Radford et al. 2021, arXiv:2103.00020), by ``recipes/nano/recognition``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from sfumato.checkpoints.catalogue import bundled_folder
from sfumato.checkpoints.folder import load_folder
from sfumato.checkpoints.rules import fit
from sfumato.checkpoints.tensors import read_tensors
from sfumato.errors import CheckpointError
from sfumato.model import Model
from sfumato.recognition.judge import Judge, bundled
from sfumato.runtime.digests import remembered_sha256

HEADS = "embedding.safetensors"
DIGEST = "text_encoder"
"""A tensor beside the weights: the digest of the text encoder that the head belongs to, in 32 bytes."""
WIDTH = 128
"""Width of the vectors."""


class Heads(nn.Module):
    """Features of pictures and of texts -> unit vectors of `WIDTH`."""

    def __init__(self, picture: int, text: int, hidden: int = 256) -> None:
        super().__init__()
        self.picture = nn.Sequential(nn.Linear(picture, hidden), nn.GELU(), nn.Linear(hidden, WIDTH))
        self.text = nn.Sequential(nn.Linear(text, hidden), nn.GELU(), nn.Linear(hidden, WIDTH))

    def of_pictures(self, features: Float[Tensor, "n c"]) -> Float[Tensor, "n w"]:
        """Embeddings of the judge's features."""
        return F.normalize(self.picture(features), dim=1)

    def of_texts(self, features: Float[Tensor, "n d"]) -> Float[Tensor, "n w"]:
        """Embeddings of `text_features`."""
        return F.normalize(self.text(features), dim=1)


def text_features(model: Model, texts: Sequence[str]) -> Float[Tensor, "n d"]:
    """The mean of the tokens of each text, beside its pooled vector: what the heads read."""
    cond = model.encode_text(texts)
    tokens = cond.tokens.float().mean(1)
    return tokens if cond.pooled is None else torch.cat([tokens, cond.pooled.float()], dim=1)


@dataclass(frozen=True, eq=False)
class Embedder:
    """Embeds pictures, and texts in English and Chinese."""

    judge: Judge
    model: Model
    heads: Heads

    @torch.inference_mode()
    def pictures(self, pictures: Sequence[Image.Image]) -> Float[Tensor, "n w"]:
        """Unit vectors of pictures of any size."""
        return self.heads.of_pictures(self.judge.embed(pictures))

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> Float[Tensor, "n w"]:
        """Unit vectors of texts."""
        return self.heads.of_texts(text_features(self.model, texts))


def text_encoder_file() -> Path:
    """The weights of the text encoder of the bundled model."""
    return bundled_folder("nano") / "text_encoder" / "model.safetensors"


@cache
def embedder() -> Embedder:
    """That of the bundled files, with the text encoder of the bundled model, on the CPU.

    Raises:
        CheckpointError: the heads were trained beside another text encoder.
    """
    file = Path(str(resources.files("sfumato"))) / "data" / "judge" / HEADS
    tensors = read_tensors(file)
    digest = bytes(tensors.pop(DIGEST).tolist()).hex()
    if digest != remembered_sha256(text_encoder_file()):
        raise CheckpointError(
            f"{file} belongs to another text encoder than the bundled model has; make it anew with "
            "python -m recipes.nano.recognition.heads"
        )
    heads = Heads(tensors["picture.0.weight"].shape[1], tensors["text.0.weight"].shape[1])
    fit(heads, tensors, str(file), torch.float32)
    model = load_folder(bundled_folder("nano"), dtype=torch.float32, device=torch.device("cpu"))
    return Embedder(bundled(), model, heads.eval().requires_grad_(False))
