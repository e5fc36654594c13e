"""Zero-shot classification of pictures by any model's denoiser; the mathematics is `sfumato.diffusion.classifier`."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from PIL import Image, ImageOps
from torch import Tensor

from sfumato.diffusion.classifier import FIRST, Cell, Race, levels, race, velocity_error
from sfumato.diffusion.conditioning import Conditioning, batch
from sfumato.errors import RequestError
from sfumato.images import to_tensor
from sfumato.model import Model
from sfumato.prompts.vocabulary import Vocabulary
from sfumato.requests.fields import checked_labels
from sfumato.validation import brief

DRAWS = 16
"""Draws of level and noise for each label that stays in the race."""
BATCH = 16
"""Evaluations in one call of the network: on a CPU more are no faster."""
LONG = 20.0
"""Seconds of work from which on they are announced."""
TEMPERATURE = 0.0004
"""Excess of error that makes a label less likely by e. Fitted to held-out renders by nano, see
``benchmarks/classify.py``; of other models it orders probabilities and does not calibrate them."""
THRESHOLD = 0.5
"""Probability of the best label below which a picture counts as unsure."""
CALIBRATED = frozenset({"nano"})
"""Families whose probabilities `TEMPERATURE` calibrates."""
TEMPLATES = {"nano": "{}"}
"""What is said of a label, by the name of the family. nano's captions name things as they are."""
TEMPLATE = "a photo of a {}"
"""What is said to others (Radford et al. 2021, arXiv:2103.00020)."""

log = logging.getLogger(__name__)

OnEvaluation = Callable[[int, int], None]
"""Called with how many evaluations are done, and how many there can be at most."""


@dataclass(frozen=True)
class Settings:
    """How pictures are classified.

    Attributes:
        template: a text with {} in the place of the label; by default that of the model's family.
        draws: of level and noise, 2 or more.
        risk: that a label is dropped by chance, 0 to 0.5; 0 drops none.
        temperature: above 0, see `TEMPERATURE`.
        threshold: 0 to 1, see `THRESHOLD`.
        seed: of the noise.
    """

    template: str | None = None
    draws: int = DRAWS
    risk: float = 0.05
    temperature: float = TEMPERATURE
    threshold: float = THRESHOLD
    seed: int = 0


@dataclass(frozen=True)
class Classification:
    """What was found of one picture.

    Attributes:
        ranked: labels with their probabilities, the most likely first.
        sure: whether that of the first is the threshold or more.
        evaluations: of the denoiser.
    """

    ranked: tuple[tuple[str, float], ...]
    sure: bool
    evaluations: int

    @property
    def label(self) -> str:
        """The most likely one."""
        return self.ranked[0][0]


def classify(
    model: Model,
    pictures: Sequence[Image.Image],
    labels: Sequence[str],
    settings: Settings = Settings(),
    tell: OnEvaluation = lambda done, most: None,
) -> list[Classification]:
    """Classify pictures, each among the same labels.

    Raises:
        RequestError: labels or a template that cannot be used, or a network that takes more than latents.
    """
    names = checked_labels(labels)
    found = raced(model, pictures, names, settings, tell)
    table, spent = found.probabilities(settings.temperature), found.errors.isfinite().sum((1, 2))
    results = []
    for row, evaluations in zip(table, spent.tolist(), strict=True):
        order = row.argsort(descending=True).tolist()
        ranked = tuple((names[k], float(row[k])) for k in order)
        results.append(Classification(ranked, ranked[0][1] >= settings.threshold, evaluations))
    return results


@torch.inference_mode()
def raced(
    model: Model, pictures: Sequence[Image.Image], labels: Sequence[str], settings: Settings, tell: OnEvaluation
) -> Race:
    """The race of labels over pictures. Raises as `classify`."""
    if model.task is not None:
        raise RequestError(f"{model.name} is made for {model.task}; classify needs a model that takes a prompt alone")
    if not 2 <= settings.draws <= 4096:
        raise RequestError(f"draws is {settings.draws}; give 2 to 4096, {DRAWS} is the default")
    conds = _Conditions(model, labels, settings.template)
    errors = _Errors(model, pictures, conds, settings, tell, len(labels))
    return race(errors, len(pictures), len(labels), settings.draws, settings.risk)


def worded(label: str, model: Model, template: str | None = None) -> str:
    """What is said of a label: the template with it in the place of {}; of nano's objects with their article.

    Raises:
        RequestError: the template has not exactly one {}.
    """
    pattern = TEMPLATES.get(model.family.name, TEMPLATE) if template is None else template
    if pattern.count("{}") != 1:
        raise RequestError(f"template {brief(pattern)} must have one {{}}, where the label goes: 'a photo of a {{}}'")
    if pattern == "{}" and label in _objects(model):
        return f"{'an' if label[0] in 'aeiou' else 'a'} {label}"
    return pattern.replace("{}", label)


def _objects(model: Model) -> frozenset[str]:
    vocabulary = Vocabulary.read(model.path) if model.path.is_dir() else None
    return (
        frozenset(name for keys in vocabulary.about.values() for name in keys.get("name", ()))
        if vocabulary
        else frozenset()
    )


class _Conditions:
    """The condition of each label; the last few hundred are kept, since thousands of labels do not fit in memory."""

    def __init__(self, model: Model, labels: Sequence[str], template: str | None) -> None:
        self._model = model
        self._texts = [worded(label, model, template) for label in labels]
        self.of = lru_cache(maxsize=512)(self._encoded)

    def _encoded(self, label: int) -> Conditioning:
        model = self._model
        cond = model.encode_text([self._texts[label]])
        if model.micro_conditioning:
            size = [float(side) for side in model.size[::-1]]
            numbers = [*size, 0.0, 0.0, *(size if model.micro_conditioning == 6 else [6.0])]
            cond = replace(cond, numbers=torch.tensor([numbers], device=model.device))
        if model.guidance_embedding:
            cond = replace(cond, guidance=torch.ones(1, device=model.device))
        return cond


class _Errors:
    """`sfumato.diffusion.classifier.Errors` of a model, in batches; announces work that takes long."""

    def __init__(
        self,
        model: Model,
        pictures: Sequence[Image.Image],
        conds: _Conditions,
        settings: Settings,
        tell: OnEvaluation,
        labels: int,
    ) -> None:
        self._model, self._conds, self._tell = model, conds, tell
        sampling = model.sampling_of(*model.size)
        self._denoiser = replace(model.denoiser(), schedule=sampling.schedule)
        self._path = sampling.parameterisation.path
        self._sigmas = levels(self._path, sampling.schedule, settings.draws)
        self._clean = torch.cat([model.encode_pixels(to_tensor(squared(each, model))) for each in pictures])
        self._seed = settings.seed
        self._least, self._most = (len(pictures) * labels * draws for draws in (FIRST, settings.draws))
        self._done = 0
        self._announced = False

    def __call__(self, cells: Sequence[Cell]) -> Tensor:
        return torch.cat([self._evaluated(cells[k : k + BATCH]) for k in range(0, len(cells), BATCH)])

    def _evaluated(self, cells: Sequence[Cell]) -> Tensor:
        cond = batch(*(self._conds.of(cell.label) for cell in cells))
        begun = time.perf_counter()
        clean = self._clean[[cell.picture for cell in cells]]
        sigma = self._sigmas[[cell.draw for cell in cells]].to(clean)
        noise = torch.stack([self._noise(cell.draw) for cell in cells]).to(clean)
        estimate = self._denoiser(self._path.mix(clean, noise, sigma), sigma, cond)
        found = velocity_error(estimate, clean, sigma, self._path).cpu()
        if self._done and not self._announced:  # the first batch warms up
            self._announce((time.perf_counter() - begun) / len(cells))
        self._done += len(cells)
        self._tell(self._done, self._most)
        return found

    def _announce(self, seconds: float) -> None:
        self._announced = True
        if self._most * seconds >= LONG:
            log.warning(
                "%d to %d evaluations of %s's denoiser, about %.0f to %.0f seconds",
                *(min(self._least, self._most), self._most, self._model.name),
                *(min(self._least, self._most) * seconds, self._most * seconds),
            )

    def _noise(self, draw: int) -> Tensor:
        return torch.randn(self._clean.shape[1:], generator=torch.Generator().manual_seed(self._seed + draw))


def squared(image: Image.Image, model: Model) -> Image.Image:
    """The middle of a picture at the size that the model was trained at."""
    return ImageOps.fit(image.convert("RGB"), model.size, Image.Resampling.LANCZOS)
