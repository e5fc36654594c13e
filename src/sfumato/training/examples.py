"""People's pictures as a fine-tuning run sees them: of many shapes, in buckets of one area, as cached latents.

    SourceConfig    a folder (or tar), and how its captions are read
    Examples        every usable picture once: its latents, captions, mask, and what was cropped of it
    BucketOrder     which of them make batch k; a batch has one shape

What is left out is said with its reason, and `data.json` in the run's folder accounts for every picture.
"""

import hashlib
import json
import logging
import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field
from safetensors.torch import load_file
from safetensors.torch import save as serialised
from torch import Tensor

from sfumato.decoding import Decoded, RejectedPicture, decoded
from sfumato.errors import TrainingError
from sfumato.files import write_atomic
from sfumato.images import to_tensor
from sfumato.recognition.judge import bundled
from sfumato.training.data import generator_for
from sfumato.training.sources import Candidate, candidates

log = logging.getLogger(__name__)

MASK = "-masklabel"
"""After a picture's name, before the ending: its mask, white where it counts."""
FEWEST_TO_HOLD_OUT = 5
"""With fewer pictures none is held out; then the loss is judged on those that are learned."""


class SourceConfig(BaseModel):
    """A folder of pictures, and how its captions are read: a table `[[sources]]` of a training TOML."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: Path
    repeats: int = Field(1, ge=1, le=1000)
    """How often an epoch shows each picture, besides its own repeats."""
    caption: str = ""
    """The caption of pictures without one; empty: they have none."""
    recognised: bool = False
    """The source is of nano's domain: pictures without a caption get what `recognise` says of those that it knows."""
    trigger: str = ""
    """Put before captions, and a comma after it, where they do not have it."""
    prefix: str = ""
    suffix: str = ""
    shuffle: bool = False
    """Tags, parted by commas, in another order each time,"""
    keep: int = Field(0, ge=0)
    """but for the first so many."""
    caption_dropout: float = Field(0.05, ge=0, le=1)
    """Share of the times in which the caption is empty."""
    tag_dropout: float = Field(0.0, ge=0, lt=1)
    """Share of the tags, but for those kept, that is left out."""
    flip: bool = False
    """Show the mirrored picture half of the times."""
    masked: bool = False
    """Places count as the picture's alpha, or the file NAME-masklabel.png beside it, says."""
    prior: bool = False
    """Pictures of the class, which the model is to keep painting as it does (DreamBooth's prior preservation)."""


class BucketConfig(BaseModel):
    """Shapes of training pictures; the table `[buckets]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int | None = Field(None, ge=16, le=4096)
    """Pictures have the area of a square of so many pixels a side; by default the model's."""
    many: bool = True
    """False: all of them are squares."""
    step: int = Field(64, ge=8)
    """Sides are multiples of it, and of what the model needs."""
    smallest: int = Field(256, ge=8)
    largest: int = Field(2048, ge=8)
    enlarge: bool = False
    """Pictures of less than that area are enlarged; else their bucket is as small as they are."""


@dataclass(frozen=True)
class Shape:
    """How a picture comes to its bucket: resized to `resized`, then cut to `size` from `corner` (left, top) on."""

    size: tuple[int, int]
    resized: tuple[int, int]
    corner: tuple[int, int]

    @property
    def cropped(self) -> float:
        """Share of the picture that is cut away."""
        return 1 - math.prod(self.size) / math.prod(self.resized)


def bucket_of(width: int, height: int, options: BucketConfig, side: int, step: int) -> Shape:
    """The bucket of nearest aspect ratio whose area is at most that of a square of `side`, and then the largest.

    Raises:
        RejectedPicture: too small for any.
    """
    area = side * side
    least, limit = min(options.smallest, side), step * (options.largest // step)
    sides = [(side, side)]
    if options.many:
        sides = [(w, step * (area // w // step)) for w in range(step, limit + 1, step)]
        own = step * (width // step), step * (height // step)
        sides += [(h, w) for w, h in sides]
        sides += [own] if own[0] * own[1] <= area else []
    sides = [(w, h) for w, h in sides if least <= min(w, h) and max(w, h) <= limit]
    fitting = [(w, h) for w, h in sides if options.enlarge or (w <= width and h <= height)]
    if not fitting:
        raise RejectedPicture("too small", f"{width}x{height}; give {side} pixels a side, or set buckets.enlarge")
    best = min(fitting, key=lambda s: (abs(math.log(s[0] / s[1] * height / width)), -s[0] * s[1]))
    ratio = max(best[0] / width, best[1] / height)
    resized = max(best[0], round(width * ratio)), max(best[1], round(height * ratio))
    return Shape(best, resized, ((resized[0] - best[0]) // 2, (resized[1] - best[1]) // 2))


@dataclass(frozen=True)
class Example:
    """A picture, ready to be learned."""

    name: str
    source: int
    captions: tuple[str, ...]
    repeats: int
    original: tuple[int, int]
    shape: Shape
    digest: str
    latents: tuple[Float[Tensor, "c h w"], ...]
    """Latents of the picture, and of its mirror image where that is shown."""
    mask: Float[Tensor, "1 h w"] | None
    pixels: Image.Image | None = None
    """The picture as it was encoded, where that is kept."""
    held_out: bool = False


Encode = Callable[[Float[Tensor, "1 3 h w"]], Float[Tensor, "1 c h w"]]


class Examples:
    """All usable pictures of the sources, each encoded once.

    Args:
        cache: where latents are kept, by the picture's pixels and `model`.
        grain: pixels of which sides must be multiples; `side` those of the usual square.
        model: digest of what latents depend on.
        validation: share that is held out.

    Raises:
        TrainingError: a source is not there, or no picture can be used.
    """

    def __init__(
        self,
        sources: Sequence[SourceConfig],
        options: BucketConfig,
        encode: Encode,
        *,
        side: int,
        grain: int,
        cache: Path,
        model: str,
        validation: float = 0.1,
        keep_pixels: bool = False,
    ) -> None:
        self.sources, self.options = sources, options
        self.side, self.step = side, grain * max(1, round(options.step / grain))
        self.encode, self.cache, self.model, self.keep_pixels = encode, cache, model, keep_pixels
        if side % self.step:
            self.step = math.gcd(side, self.step)
        self.left_out: list[tuple[str, str]] = []
        self.all: list[Example] = list(self._read())
        for name, why in self.left_out[:5]:
            log.warning("%s is left out: %s", name, why)
        if len(self.left_out) > 5:
            log.warning("%d more are left out; data.json names them", len(self.left_out) - 5)
        if not any(not self.sources[e.source].prior for e in self.all):
            why = f": {self.left_out[0][0]}, {self.left_out[0][1]}" if self.left_out else ""
            folders = ", ".join(str(source.folder) for source in sources if not source.prior)
            raise TrainingError(f"{folders} has no picture that can be learned{why}; put PNG, JPEG or WebP files there")
        self._hold_out(validation)
        self.train = [i for i, e in enumerate(self.all) if not e.held_out]
        held = [i for i, e in enumerate(self.all) if e.held_out]
        self.validation = held or [i for i in self.train if not self.sources[self.all[i].source].prior]
        """Indices of those that the loss is judged on."""

    def __len__(self) -> int:
        return len(self.all)

    @property
    def digest(self) -> str:
        """SHA-256 of what is learned: pictures, captions and repeats."""
        rows = [[e.digest, e.captions, e.repeats, e.shape.size, e.held_out] for e in self.all]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()

    def account(self) -> dict[str, Any]:
        """What became of every picture."""
        buckets = Counter("x".join(map(str, e.shape.size)) for e in self.all)
        return {
            "used": len(self.all),
            "held_out": sum(e.held_out for e in self.all),
            "buckets": dict(buckets.most_common()),
            "pictures": [
                {
                    "name": e.name,
                    "original": e.original,
                    "bucket": e.shape.size,
                    "cropped": round(e.shape.cropped, 4),
                    "repeats": e.repeats,
                    "captions": e.captions,
                    "held_out": e.held_out,
                }
                for e in self.all
            ],
            "left_out": [{"name": name, "why": why} for name, why in self.left_out],
        }

    def write_account(self, path: Path) -> None:
        """Keep `account` as JSON."""
        write_atomic(path, json.dumps(self.account(), indent=1, ensure_ascii=False).encode())

    def _hold_out(self, share: float) -> None:
        own = [i for i, e in enumerate(self.all) if not self.sources[e.source].prior]
        if not share or len(own) < FEWEST_TO_HOLD_OUT:
            return
        wanted = max(1, round(share * len(own)))
        for i in sorted(own, key=lambda i: self.all[i].digest)[:wanted]:
            self.all[i] = replace(self.all[i], held_out=True)

    def _read(self) -> Iterator[Example]:
        seen: dict[str, str] = {}
        for number, source in enumerate(self.sources):
            for candidate in candidates(source.folder):
                if PurePosixPath(candidate.name).stem.endswith(MASK):
                    continue
                try:
                    if isinstance(candidate.data, RejectedPicture):
                        raise candidate.data
                    found = decoded(candidate.data)
                    example = self._example(number, source, candidate, found)
                    if example.digest in seen:
                        raise RejectedPicture("duplicate", f"of {seen[example.digest]}")
                except RejectedPicture as fault:
                    self.left_out.append((candidate.name, str(fault)))
                    continue
                seen[example.digest] = candidate.name
                yield example

    def _example(self, number: int, source: SourceConfig, candidate: Candidate, found: Decoded) -> Example:
        shape = bucket_of(*found.image.size, self.options, self.side, self.step)
        picture = _cut(found.image, shape)
        digest = hashlib.sha256(repr(picture.size).encode() + picture.tobytes()).hexdigest()
        latents = [self._encoded(picture, digest)]
        if source.flip:
            latents.append(self._encoded(picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT), digest, "-mirrored"))
        mask = None
        alpha = (_mask_beside(candidate) or found.alpha) if source.masked else None
        if alpha is not None:
            pixels = torch.from_numpy(np.asarray(_cut(alpha.convert("L"), shape), np.float32) / 255)
            if not bool(pixels.any()):
                raise RejectedPicture("bad metadata", "its mask hides all of it")
            mask = F.adaptive_avg_pool2d(pixels[None], (latents[0].shape[-2], latents[0].shape[-1]))
        own = _recognised(found.image) if source.recognised and not candidate.captions else ""
        return Example(
            candidate.name,
            number,
            candidate.captions or (own or source.caption,),
            candidate.repeats * source.repeats,
            found.image.size,
            shape,
            digest,
            tuple(latents),
            mask,
            picture if self.keep_pixels else None,
        )

    def _encoded(self, picture: Image.Image, digest: str, view: str = "") -> Float[Tensor, "c h w"]:
        file = self.cache / f"{digest[:24]}{view}-{self.model[:16]}.safetensors"
        if file.is_file():
            return load_file(file)["latents"]
        with torch.no_grad():
            latents = self.encode(to_tensor(picture))[0].float().contiguous()
        if not bool(latents.isfinite().all()):
            raise RejectedPicture("unreadable", "the autoencoder makes NaN or infinity of it")
        self.cache.mkdir(parents=True, exist_ok=True)
        write_atomic(file, serialised({"latents": latents}))
        return latents


def _recognised(picture: Image.Image) -> str:
    """What nano's judge says of a picture; "" of one that it does not know."""
    (found,) = bundled().recognise([picture])
    return found.caption() if found.known else ""


def _cut(image: Image.Image, shape: Shape) -> Image.Image:
    if image.size != shape.resized:
        image = image.resize(shape.resized, Image.Resampling.LANCZOS)
    left, top = shape.corner
    return image.crop((left, top, left + shape.size[0], top + shape.size[1]))


def _mask_beside(candidate: Candidate) -> Image.Image | None:
    """The picture's mask in a file of its own.

    Raises:
        RejectedPicture: it cannot be read.
    """
    if not isinstance(candidate.data, Path):
        return None
    file = candidate.data.with_name(f"{candidate.data.stem}{MASK}.png")
    return decoded(file).image.convert("L") if file.is_file() else None


def said(example: Example, source: SourceConfig, rng: random.Random | None) -> str:
    """A caption of a picture as it is learned; without `rng` the first one, whole and in its order."""
    if rng is None:
        return worded(example.captions[0], source)
    if rng.random() < source.caption_dropout:
        return ""
    caption = rng.choice(example.captions)
    if source.shuffle or source.tag_dropout:
        tags = [tag.strip() for tag in caption.split(",")]
        kept, rest = tags[: source.keep], tags[source.keep :]
        if source.shuffle:
            rng.shuffle(rest)
        rest = [tag for tag in rest if rng.random() >= source.tag_dropout]
        caption = ", ".join([*kept, *rest])
    return worded(caption, source)


def worded(caption: str, source: SourceConfig) -> str:
    """A caption with what its source puts around it."""
    if source.trigger and source.trigger.casefold() not in caption.casefold():
        caption = f"{source.trigger}, {caption}" if caption else source.trigger
    return f"{source.prefix}{caption}{source.suffix}"


class BucketOrder:
    """An endless shuffled pass over examples: batch k, of one shape, is a pure function of (seed, k).

    An epoch shows each picture as often as its repeats say, and pictures of the class together as often as the others;
    where a bucket's last batch is not full, it begins anew.
    """

    def __init__(self, examples: Examples, batch: int, seed: int) -> None:
        self.batch, self.seed = batch, seed
        own: list[int] = []
        prior: list[int] = []
        for i in examples.train:
            e = examples.all[i]
            (prior if examples.sources[e.source].prior else own).extend([i] * e.repeats)
        prior = [prior[k % len(prior)] for k in range(max(len(own), len(set(prior))))] if prior else []
        self.buckets: dict[tuple[int, int], list[int]] = defaultdict(list)
        for i in (*own, *prior):
            self.buckets[examples.all[i].shape.size].append(i)
        self.length = sum(-(-len(bucket) // batch) for bucket in self.buckets.values())
        """Batches of an epoch."""
        self._epoch: tuple[int, list[list[int]]] | None = None

    def __call__(self, k: int) -> Int[Tensor, " b"]:
        """The indices of batch number `k`."""
        epoch, place = divmod(k, self.length)
        if self._epoch is None or self._epoch[0] != epoch:
            self._epoch = epoch, self._batches(generator_for(self.seed, 0, epoch))
        return torch.tensor(self._epoch[1][place])

    def _batches(self, rng: torch.Generator) -> list[list[int]]:
        batches = []
        for size in sorted(self.buckets):
            bucket = self.buckets[size]
            order = [bucket[i] for i in torch.randperm(len(bucket), generator=rng).tolist()]
            for start in range(0, len(order), self.batch):
                rows = order[start : start + self.batch]
                batches.append([*rows, *(order[i % len(order)] for i in range(self.batch - len(rows)))])
        return [batches[i] for i in torch.randperm(len(batches), generator=rng).tolist()]
