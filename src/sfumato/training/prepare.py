"""Users' pictures brought into the one form that training reads, and what became of each of them.

The result is a folder of `pictures.npy`, `attributes.jsonl` (see `data.Pictures`) and `report.json`. It depends on the
source and the options alone: not on the number of threads nor on the order in which a disk lists its files.
"""

import hashlib
import json
import os
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Literal
from warnings import catch_warnings, simplefilter

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from sfumato.decoding import MAX_PIXELS, Change, Crop, Reason, RejectedPicture, fingerprint, squared, upright
from sfumato.errors import TrainingError
from sfumato.files import whole_folder
from sfumato.training.sources import Candidate, candidates, unicode

THREADS = min(4, os.cpu_count() or 1)
NEAR_BITS = 7  # of 64, in which near duplicates may differ
NEAR_COLOUR = 4.0  # of 255, mean difference at 8 x 8

Track = Callable[[Iterable[Candidate]], Iterable[Candidate]]


class PrepareConfig(BaseModel):
    """How pictures are brought in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(256, ge=8, le=4096)
    """Pixels a side."""
    crop: Crop = "centre"
    shortest: int | None = Field(None, ge=1)
    """Pixels that the shorter side must have; half the size by default."""
    max_pixels: int = Field(MAX_PIXELS, gt=0)
    near_duplicates: bool = False
    """Leave out also what differs in size, quality or a little retouching alone."""
    no_caption: Literal["skip", "empty", "name"] = "skip"
    """What becomes of pictures without a caption: left out, an empty one, or the words of the file's name."""
    caption_lines: Literal["each", "join"] = "each"
    """What the lines of a caption file are: a caption each, of which one is drawn, or all of them one caption."""
    validation: float = Field(0.05, ge=0, lt=1)
    """Share that is held out, at least one; a picture's own `split` goes before."""


@dataclass
class Report:
    """What was read and what became of it; `left_out` names each picture with its reason. Of `several_lines` pictures
    that are kept the caption file has more lines than one."""

    source: str
    options: dict[str, Any]
    read: int = 0
    kept: int = 0
    captions: int = 0
    several_lines: int = 0
    held_out: int = 0
    reasons: Counter[Reason] = field(default_factory=Counter)
    changes: Counter[Change] = field(default_factory=Counter)
    left_out: list[dict[str, str]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Its fields, the commonest reasons and changes first."""
        ordered = {"reasons": dict(self.reasons.most_common()), "changes": dict(self.changes.most_common())}
        return asdict(self) | ordered


def check(source: Path, options: PrepareConfig, *, track: Track = iter) -> Report:
    """What `prepare` would do.

    Raises:
        TrainingError: as `prepare` does.
    """
    report = Report(unicode(str(source)), options.model_dump(mode="json"))
    for _ in _usable(source, options, report, track):
        pass
    _require_some(report)
    return report


def prepare(source: Path, out: Path, options: PrepareConfig, *, track: Track = iter) -> Report:
    """Bring the pictures of `source` into the new folder `out`, which exists when it is complete or not at all.

    Args:
        track: wraps the pictures as they are read, to show progress.

    Raises:
        TrainingError: no source, no usable picture in it, or `out` is there already.
        OutputError: `out` cannot be written.
    """
    if out.exists():
        raise TrainingError(f"{out} is there already; remove it or choose another folder")
    report = Report(unicode(str(source)), options.model_dump(mode="json"))
    with whole_folder(out, replace=False) as folder:
        rows = []
        with (folder / "pictures.npy").open("wb") as file:
            start = _header(file, 0, options.size)
            for row, pixels in _usable(source, options, report, track):
                rows.append(row)
                file.write(pixels.tobytes())
            _require_some(report)
            file.seek(0)
            assert _header(file, len(rows), options.size) == start  # numpy leaves room for a count that grows
        _deal(rows, options.validation)
        report.held_out = sum(row["split"] == "validation" for row in rows)
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / "attributes.jsonl").write_text(lines, encoding="utf-8")
        (folder / "report.json").write_text(json.dumps(report.as_json(), indent=1, ensure_ascii=False), "utf-8")
    return report


def _header(file: BinaryIO, count: int, size: int) -> int:
    """Write the beginning of a `.npy` of `count` pictures, and return its length."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, size, size, 3)}
    np.lib.format.write_array_header_1_0(file, header)
    return file.tell()


def _require_some(report: Report) -> None:
    if not report.kept:
        found = ", ".join(f"{count} {reason}" for reason, count in report.reasons.most_common())
        raise TrainingError(f"{report.source} has no usable picture ({found or 'nothing found'}); see docs/guide")


@dataclass(frozen=True)
class _Square:
    """A picture as it is stored, and what tells it from others."""

    pixels: np.ndarray
    identity: bytes
    print: int
    thumbnail: np.ndarray
    changes: list[Change]


def _usable(
    source: Path, options: PrepareConfig, report: Report, track: Track
) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    """Attributes and pixels of each picture that is kept, in the source's order; the report is filled on the way."""
    seen: dict[bytes, str] = {}
    near = _Near()
    for candidate, verdict in _decoded(track(candidates(source)), options):
        report.read += 1
        try:
            if isinstance(verdict, RejectedPicture):
                raise verdict
            captions = _captions(candidate, options)
            if verdict.identity in seen:
                raise RejectedPicture("duplicate", f"of {seen[verdict.identity]}")
            seen[verdict.identity] = candidate.name
            if options.near_duplicates and (other := near.find_or_add(verdict, candidate.name)) is not None:
                raise RejectedPicture("near duplicate", f"of {other}")
        except RejectedPicture as rejected:
            report.reasons[rejected.reason] += 1
            report.left_out.append({"name": candidate.name, "reason": rejected.reason, "detail": rejected.detail})
            continue
        report.kept += 1
        report.captions += len(captions)
        report.several_lines += candidate.lines
        report.changes.update(verdict.changes)
        yield _row(candidate, captions, verdict.pixels), verdict.pixels


def _captions(candidate: Candidate, options: PrepareConfig) -> tuple[str, ...]:
    """Its own, or what the options give in their place."""
    if candidate.lines and options.caption_lines == "join":
        return (" ".join(candidate.captions),)
    if candidate.captions or options.no_caption == "empty":
        return candidate.captions
    words = PurePosixPath(candidate.name).stem.replace("_", " ").replace("-", " ").split()
    if options.no_caption == "skip" or not words:
        raise RejectedPicture("no caption", "neither in a text file nor in metadata")
    return (" ".join(words),)


def _row(candidate: Candidate, captions: tuple[str, ...], pixels: np.ndarray) -> dict[str, Any]:
    """A line of `attributes.jsonl`; `_deal` settles the splits that are None."""
    own: dict[str, Any] = {"source": candidate.name, **candidate.attributes}
    own |= {"captions": list(captions)} if len(captions) > 1 else {"caption": "".join(captions)}
    return own | {
        "repeats": candidate.repeats,
        "split": candidate.split,
        "sha256": hashlib.sha256(pixels.tobytes()).hexdigest(),
    }


def _deal(rows: list[dict[str, Any]], share: float) -> None:
    """Hold out a share of the pictures without a split, those of the smallest digests: the same wherever they lie.

    Pictures that differ in the ending of their name alone, and so share a caption file, go the same way.
    """
    alike: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        alike[str(PurePosixPath(row["source"]).with_suffix(""))].append(row)
    for group in alike.values():
        own = next((row["split"] for row in group if row["split"] is not None), None)
        for row in group:
            row["split"] = row["split"] or own
    open_groups = [group for group in alike.values() if group[0]["split"] is None]
    open_groups.sort(key=lambda group: min(row["sha256"] for row in group))
    total = sum(map(len, open_groups))
    wanted = max(1, round(share * total)) if share and not any(row["split"] == "validation" for row in rows) else 0
    held = 0
    for k, group in enumerate(open_groups):
        chosen = held < wanted and k + 1 < len(open_groups)
        held += len(group) if chosen else 0
        for row in group:
            row["split"] = "validation" if chosen else "train"


def _decoded(
    found: Iterable[Candidate], options: PrepareConfig
) -> Iterator[tuple[Candidate, _Square | RejectedPicture]]:
    """Each candidate with its picture, in order; a few are decoded ahead, so few are in memory."""
    waiting: deque[tuple[Candidate, Future[_Square | RejectedPicture]]] = deque()
    with catch_warnings(), ThreadPoolExecutor(THREADS) as pool:
        simplefilter("ignore")  # Pillow's, about what the report counts
        try:
            for candidate in found:
                waiting.append((candidate, pool.submit(_square, candidate.data, options)))
                if len(waiting) > THREADS:
                    first, future = waiting.popleft()
                    yield first, future.result()
            for first, future in waiting:
                yield first, future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _square(data: Path | bytes | RejectedPicture, options: PrepareConfig) -> _Square | RejectedPicture:
    if isinstance(data, RejectedPicture):
        return data
    shortest = options.shortest if options.shortest is not None else options.size // 2
    try:
        image, changes = upright(data, shortest=shortest, max_pixels=options.max_pixels)
    except RejectedPicture as rejected:
        return rejected
    if min(image.size) < options.size:
        changes.append("enlarged")
    return _Square(
        np.asarray(squared(image, options.size, options.crop)),
        hashlib.sha256(repr(image.size).encode() + image.tobytes()).digest(),
        fingerprint(image) if options.near_duplicates else 0,
        np.asarray(image.resize((8, 8), Image.Resampling.BOX), np.float32) if options.near_duplicates else np.empty(0),
        changes,
    )


class _Near:
    """Fingerprints seen. Two that differ in at most `NEAR_BITS` bits are equal in one of `NEAR_BITS` + 1 parts."""

    def __init__(self) -> None:
        self.parts: defaultdict[tuple[int, int], list[tuple[int, np.ndarray, str]]] = defaultdict(list)

    def find_or_add(self, square: _Square, name: str) -> str | None:
        """The name of one seen before that looks the same; else this one is remembered."""
        width = 64 // (NEAR_BITS + 1)
        keys = [(k, square.print >> k * width & (1 << width) - 1) for k in range(NEAR_BITS + 1)]
        for key in keys:
            for other, thumbnail, first in self.parts[key]:
                alike = (other ^ square.print).bit_count() <= NEAR_BITS
                if alike and float(np.abs(thumbnail - square.thumbnail).mean()) <= NEAR_COLOUR:
                    return first
        for key in keys:
            self.parts[key].append((square.print, square.thumbnail, name))
        return None
