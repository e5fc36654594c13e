"""Training data: pictures as a memory map, their attributes, and the order in which they are seen.

All randomness of a run is a function of (seed, step): nothing has to be saved to resume exactly.
"""

import hashlib
import importlib
import json
import mmap
import random
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from rich.console import Console
from rich.progress import track
from torch import Tensor

from sfumato.choices import Precision
from sfumato.errors import TrainingError
from sfumato.files import whole_file
from sfumato.runtime.precision import autocast, choose

Attributes = Mapping[str, Any]
Caption = Callable[[Attributes, random.Random], str]


class Pictures:
    """A folder with `pictures.npy` (n, size, size, 3) uint8 sRGB and `attributes.jsonl`, a JSON object a picture.

    Keys with a meaning here, all optional: `caption` (text) or `captions` (several, of which one is drawn each time),
    `split` ("train", the default, or "validation") and `repeats` (how often an epoch shows it; 1 by default).

    Raises:
        TrainingError: when a file is missing or the two disagree in length.
    """

    def __init__(self, folder: Path) -> None:
        for name in ("pictures.npy", "attributes.jsonl"):
            if not (folder / name).is_file():
                raise TrainingError(f"{folder} has no {name}; make it of your pictures with: sfumato data prepare")
        self.folder = folder
        self.array: np.memmap = np.load(folder / "pictures.npy", mmap_mode="r")
        _advise(self.array, "MADV_RANDOM")
        with (folder / "attributes.jsonl").open(encoding="utf-8") as lines:
            self.attributes: list[Attributes] = [json.loads(line) for line in lines]
        if len(self.attributes) != len(self.array):
            raise TrainingError(f"{folder}: {len(self.array)} pictures but {len(self.attributes)} attribute lines")

    @classmethod
    def for_training(cls, folder: Path) -> Self:
        """The pictures of a folder that has both some to learn from and some to judge by.

        Raises:
            TrainingError: it has not; also as opening it raises.
        """
        pictures = cls(folder)
        if not len(pictures.train) or "validation" not in {row.get("split") for row in pictures.attributes}:
            raise TrainingError(
                f"{folder} holds out no picture (split 'validation'), and training judges itself by such; make it with "
                "sfumato data prepare of two pictures or more, and --validation above 0"
            )
        return pictures

    def __len__(self) -> int:
        return len(self.attributes)

    @property
    def size(self) -> int:
        """Pixels a side."""
        return int(self.array.shape[1])

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the attributes, which say what each picture is and how many there are."""
        return hashlib.sha256((self.folder / "attributes.jsonl").read_bytes()).hexdigest()

    @cached_property
    def train(self) -> Int[Tensor, " n"]:
        """Indices of the training split, each as often as its `repeats`."""
        chosen = self._split("train")
        repeats = torch.tensor([int(self.attributes[i].get("repeats", 1)) for i in chosen.tolist()])
        return chosen.repeat_interleave(repeats)

    @cached_property
    def validation(self) -> Int[Tensor, " n"]:
        """Indices of the held-out split."""
        return self._split("validation")

    @property
    def test(self) -> Int[Tensor, " n"]:
        """Every other held-out picture, the first among them: what a judge of models is tested with and tests with."""
        return self.validation[::2]

    @property
    def judge_train(self) -> Int[Tensor, " n"]:
        """The other held-out pictures, from which a judge learns: it must know what models have never seen."""
        return self.validation[1::2]

    def _split(self, name: str) -> Int[Tensor, " n"]:
        found = [i for i, a in enumerate(self.attributes) if a.get("split", "train") == name]
        if not found:
            raise TrainingError(f"{self.folder} has no pictures whose split is {name!r}")
        return torch.tensor(found)

    def pixels(
        self, indices: Int[Tensor, " b"], crop: int | None = None, generator: torch.Generator | None = None
    ) -> Float[Tensor, "b 3 h w"]:
        """Pixels in [-1, 1]; `crop` cuts a random square of that size from each."""
        size = self.size if crop is None else crop
        corners = torch.randint(0, self.size - size + 1, (len(indices), 2), generator=generator).tolist()
        return squares(self.array, indices, corners, size).float() / 127.5 - 1.0


def squares(
    array: np.memmap, indices: Int[Tensor, " b"], corners: Sequence[Sequence[int]], side: int
) -> UInt8[Tensor, "b 3 side side"]:
    """Parts of pictures, (n, h, w, 3) uint8: of each the square below and right of its corner (y, x)."""
    for index in indices.tolist():
        _advise(array, "MADV_WILLNEED", index)
    cut = np.empty((len(indices), side, side, 3), np.uint8)
    for row, (index, (y, x)) in enumerate(zip(indices.tolist(), corners, strict=True)):
        cut[row] = array[index, y : y + side, x : x + side]
    return torch.from_numpy(cut).permute(0, 3, 1, 2)


def _advise(array: np.memmap, what: str, row: int | None = None) -> None:
    """Tell the system how a map, or one row of it, will be read. Left to itself it reads megabytes around each picture,
    ten times what is asked for where the data do not fit in memory."""
    if not hasattr(mmap, what):
        return
    start = 0 if row is None else array.offset + row * array.strides[0]
    end = array.offset + array.nbytes if row is None else start + array.strides[0]
    start -= start % mmap.PAGESIZE
    array._mmap.madvise(getattr(mmap, what), start, end - start)  # type: ignore[attr-defined]


def own_caption(attributes: Attributes, rng: random.Random) -> str:
    """The caption that a picture brings along, drawn when it has several; `captions_of` sees to it that it has one."""
    captions = attributes.get("captions")
    return str(rng.choice(captions) if captions else attributes["caption"])


def captions_of(pictures: Pictures, name: str | None) -> Caption:
    """The captions that a training TOML names, or without a name the pictures' own.

    Raises:
        TrainingError: it names none that can be imported, or a picture has none of its own.
    """
    if name is not None:
        return imported(name)
    for number, attributes in enumerate(pictures.attributes):
        if not attributes.get("captions") and attributes.get("caption") is None:
            raise TrainingError(
                f"picture {number} of {pictures.folder} has no caption, only {', '.join(attributes) or 'nothing'}; "
                "give each one, or set captions to module:function"
            )
    return own_caption


def imported(name: str) -> Any:
    """The function that makes captions, "module:function", looked for in the working folder as well.

    Raises:
        TrainingError: there is none.
    """
    module, _, function = name.partition(":")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise TrainingError(f"captions {name!r} is not an importable module:function: {error}") from error


def generator_for(seed: int, *position: int) -> torch.Generator:
    """A generator that depends on the seed and the position (step, micro-batch) alone."""
    words = np.random.SeedSequence([seed, *position]).generate_state(2, np.uint32)
    return torch.Generator().manual_seed(int(words[0]) << 32 | int(words[1]))


class Order:
    """An endless shuffled pass over `indices`: batch k is a pure function of (seed, k).

    `weights` (one an index) draws with replacement in proportion instead, to balance kinds of pictures.
    """

    def __init__(
        self, indices: Int[Tensor, " n"], batch: int, seed: int, weights: Float[Tensor, " n"] | None = None
    ) -> None:
        self.indices, self.batch, self.seed, self.weights = indices, batch, seed, weights
        self._epoch: tuple[int, Tensor] | None = None

    def __call__(self, k: int) -> Int[Tensor, " b"]:
        """The indices of batch number `k`."""
        if self.weights is not None:
            drawn = torch.multinomial(self.weights, self.batch, True, generator=generator_for(self.seed, 1, k))
            return self.indices[drawn]
        start = k * self.batch
        return torch.stack([self._at(position) for position in range(start, start + self.batch)])

    def _at(self, position: int) -> Tensor:
        epoch, place = divmod(position, len(self.indices))
        if self._epoch is None or self._epoch[0] != epoch:
            order = torch.randperm(len(self.indices), generator=generator_for(self.seed, 0, epoch))
            self._epoch = (epoch, self.indices[order])
        return self._epoch[1][place]


def cached(
    path: Path, count: int, make: Callable[[Int[Tensor, " b"]], Tensor], device: torch.device, description: str
) -> np.memmap:
    """What `make` gives for pictures 0 to `count`, in bfloat16 where that is quicker, as a float16 memory map; computed
    when `path` is not there. `device` is that of `make`'s network."""
    if not path.is_file():
        precision: Precision = "bf16" if choose(device).dtype is torch.bfloat16 else "fp32"
        with whole_file(path) as file:  # not a map, which a full disk ends with a signal
            screen = Console(stderr=True)
            for part in track(torch.arange(count).split(32), description=description, console=screen):
                with torch.no_grad(), autocast(device, precision):
                    made = make(part).half().contiguous().cpu().numpy()
                if file.tell() == 0:
                    form = {"descr": made.dtype.str, "fortran_order": False, "shape": (count, *made.shape[1:])}
                    np.lib.format.write_array_header_1_0(file, form)
                file.write(made.tobytes())
    return np.load(path, mmap_mode="r")


def taken(maps: np.memmap, indices: Int[Tensor, " b"]) -> Float[Tensor, "b *rest"]:
    """What `cached` kept of those pictures, in float32."""
    return torch.from_numpy(maps[indices.numpy()]).float()


def shares_of(
    pictures: Pictures, indices: Int[Tensor, " n"], shares: Mapping[str, float]
) -> Float[Tensor, " n"] | None:
    """One weight an index, such that each kind is drawn with its share; None without shares."""
    if not shares:
        return None
    kinds = [pictures.attributes[i]["kind"] for i in indices.tolist()]
    unknown = set(kinds) ^ set(shares)
    if unknown:
        raise TrainingError(f"shares must name each kind in the data once; check {', '.join(sorted(unknown))}")
    counts = Counter(kinds)
    return torch.tensor([shares[kind] / counts[kind] for kind in kinds])
