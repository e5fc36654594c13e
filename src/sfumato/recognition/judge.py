"""The bundled judge: what pictures of nano's domain show, each attribute with its confidence.

It is a classifier trained on renders alone (`sfumato.models.picture_classifier`). Any picture gets answers from it; how
certain they are together says whether they mean anything.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image, ImageOps
from torch import Tensor

from sfumato.checkpoints.classifiers import load_classifier
from sfumato.choices import Language
from sfumato.images import to_tensor
from sfumato.models.picture_classifier import PictureClassifier
from sfumato.recognition.captions import Words

WORDS = "words.json"
SIZE = 256
"""Pixels a side of the renders that it learned from."""
BATCH = 16
KNOWN = 0.78
"""Certainty from which on a picture counts as of nano's domain, if it is drawn: 237 of 240 held-out renders have it,
and 11 of 130 photographs, scientific pictures and quarters of them that come with scikit-image and scikit-learn."""
FLAT = 0.3
"""Share of places without a change of more than a level of 255, from which on a picture counts as drawn. Of the 11 four
have it: a silhouette, a logo, a test picture and one photograph. Renders have 0.71 and above, what nano paints 0.4 (as
JPEG 0.28) and above; photographs out of focus, which pass for landscapes, 0.28 at most."""
SURE = 0.5
"""Confidence from which on an attribute is said in a caption."""


@dataclass(frozen=True)
class Answer:
    """A word and the probability that it is the right one, 0 to 1."""

    word: str
    confidence: float


@dataclass(frozen=True)
class Recognised:
    """What a picture shows.

    Attributes:
        answers: attribute -> the likeliest word, of those that its kind can have; "" says that it has none of it.
        flat: the share of pixels that are like their neighbours, 0 to 1; see `FLAT`.
    """

    answers: Mapping[str, Answer]
    flat: float

    @property
    def certainty(self) -> float:
        """The confidence in the style, times the geometric mean of that in all answers; 0 to 1."""
        logs = [math.log(max(each.confidence, 1e-9)) for each in self.answers.values()]
        return self.answers["style"].confidence * math.exp(sum(logs) / len(logs))

    @property
    def known(self) -> bool:
        """Whether the picture is of nano's domain; answers about others mean nothing."""
        return self.certainty >= KNOWN and self.flat >= FLAT

    @property
    def attributes(self) -> dict[str, str]:
        """What is there with a confidence of `SURE`, as captions and training data have it."""
        return {key: each.word for key, each in self.answers.items() if each.word and each.confidence >= SURE}

    def caption(self, language: Language = "en") -> str:
        """A prompt for nano that says all of it."""
        return bundled().words.caption(self.attributes, language)


@dataclass(frozen=True, eq=False)
class Judge:
    """The network and its words."""

    network: PictureClassifier
    words: Words

    @cached_property
    def _heads(self) -> Mapping[str, Sequence[str]]:
        return self.network.config.classes

    @torch.inference_mode()
    def embed(self, pictures: Sequence[Image.Image]) -> Float[Tensor, "n c"]:
        """The features that its heads read, of pictures of any size."""
        return torch.cat([self.network.embed(part) for part in _squares(pictures)])

    @torch.inference_mode()
    def recognise(self, pictures: Sequence[Image.Image]) -> list[Recognised]:
        """What each picture shows."""
        squares = list(_squares(pictures))
        flat = torch.cat([_flat(part) for part in squares]).tolist()
        embedded = torch.cat([self.network.embed(part) for part in squares])
        answers = self.network.logits(embedded)
        calibrated = {name: (each / self.words.temperatures[name]).softmax(1) for name, each in answers.items()}
        return [
            Recognised(self._answers({name: each[row] for name, each in calibrated.items()}), flat[row])
            for row in range(len(pictures))
        ]

    def _answers(self, likely: Mapping[str, Float[Tensor, " k"]]) -> dict[str, Answer]:
        def best(name: str) -> Answer:
            confidence, place = likely[name].max(0)
            return Answer(self._heads[name][int(place)], float(confidence))

        kind = best("kind")
        keys = [key for key in self.words.kinds[kind.word] if key != "kind"]
        return {"kind": kind, **{key: best(key) for key in keys if key in self._heads}}


def _squares(pictures: Sequence[Image.Image]) -> Iterator[Float[Tensor, "b 3 s s"]]:
    """The middle of each picture at the size of the renders, some at a time."""
    for first in range(0, len(pictures), BATCH):
        part = [each.convert("RGB") for each in pictures[first : first + BATCH]]
        yield torch.cat([to_tensor(ImageOps.fit(each, (SIZE, SIZE), Image.Resampling.LANCZOS)) for each in part])


def _flat(squares: Float[Tensor, "b 3 s s"]) -> Float[Tensor, " b"]:
    """The share of places of 3 x 3 pixels whose values span a level of 255 at most."""
    span = F.max_pool2d(squares, 3, 1) + F.max_pool2d(-squares, 3, 1)
    return (span.amax(1) < 1.5 / 127.5).float().mean((1, 2))


@cache
def bundled() -> Judge:
    """The one of this package.

    Raises:
        CheckpointError: its files are damaged.
    """
    folder = Path(str(resources.files("sfumato"))) / "data" / "judge"
    words = Words.of(json.loads((folder / WORDS).read_text(encoding="utf-8")))
    return Judge(load_classifier(folder), words)
