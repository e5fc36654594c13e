"""Commands about folders of pictures: ``similar``, ``embed``, ``caption`` and ``augment``."""

import contextlib
import io
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from sfumato.choices import Language
from sfumato.cli.options import check_precision
from sfumato.cli.painting import require_model
from sfumato.cli.terminal import narrating, note
from sfumato.decoding import SUFFIXES, RejectedPicture, decoded, pictures_in
from sfumato.errors import RequestError, UnknownNameError
from sfumato.output import check_writable, rewrite

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor


AT_ONCE = 16
"""Pictures of a folder that are open at a time."""


def _opened(files: Sequence[Path]) -> "Iterator[tuple[list[Path], list[Image]]]":
    """The pictures that can be read, a few at a time; the others are noted.

    Raises:
        RequestError: none can.
    """
    readable = False
    for first in range(0, len(files), AT_ONCE):
        kept, images = [], []
        for file in files[first : first + AT_ONCE]:
            try:
                images.append(decoded(file.read_bytes()).image)
                kept.append(file)
            except (OSError, RejectedPicture) as error:
                note(f"{file} is left out: {error}")
        if kept:
            readable = True
            yield kept, images
    if not readable:
        what = files[0] if len(files) == 1 else f"none of {len(files)} pictures"
        raise RequestError(f"{what} can{'not' if len(files) == 1 else ''} be read; give PNG, JPEG or WebP files")


def _embedded(files: Sequence[Path]) -> "tuple[list[Path], Tensor]":
    """The pictures that can be read, and the unit vector of each. Raises as `_opened`."""
    import torch

    from sfumato.recognition.embedding import embedder

    kept, vectors = [], []
    for some, images in _opened(files):
        kept += some
        vectors.append(embedder().pictures(images))
    return kept, torch.cat(vectors)


def _pictures(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise RequestError(f"there is no folder {folder}; give one with pictures")
    found = pictures_in(folder)
    if not found:
        raise RequestError(f"{folder} has no pictures; give a folder of PNG, JPEG or WebP files")
    return found


def similar(what: str, folder: Path, first: int) -> None:
    """Print the first pictures, a line each: the cosine and the path."""
    if first < 1:
        raise RequestError(f"first is {first}; give 1 or more")
    if not Path(what).is_file() and Path(what).suffix.lower() in SUFFIXES:
        raise RequestError(f"there is no picture {what!r}; give its path, or words without such an ending")
    with narrating(quiet=False):
        from sfumato.recognition.embedding import embedder

        asked = _embedded([Path(what)])[1] if Path(what).is_file() else embedder().texts([what])
        files, vectors = _embedded(_pictures(folder))
        cosines = (vectors @ asked[0]).tolist()
    for cosine, file in sorted(zip(cosines, files, strict=True), key=lambda each: -each[0])[:first]:
        print(f"{cosine:.3f}  {file}")


def embed(files: Sequence[Path], output: Path) -> None:
    """Write `names` and `vectors` (n, 128)."""
    check_writable(output)
    kept, vectors = _embedded(files)
    import numpy as np

    buffer = io.BytesIO()
    np.savez(buffer, names=np.array([str(file) for file in kept]), vectors=vectors.numpy())
    rewrite(output, buffer.getvalue())
    print(output)


def caption(folder: Path, language: str, *, overwrite: bool) -> None:
    """Write the captions, and print the path of each."""
    if language not in get_args(Language):
        raise UnknownNameError("language", language, get_args(Language))
    files = [file for file in _pictures(folder) if overwrite or not file.with_suffix(".txt").exists()]
    if not files:
        note("every picture has its caption; --overwrite replaces them")
        return
    from sfumato.recognition.judge import bundled

    count = foreign = 0
    for kept, images in _opened(files):
        for file, found in zip(kept, bundled().recognise(images), strict=True):
            if not found.known:
                foreign += 1
                note(f"{file} shows nothing of nano's domain; it gets no caption")
                continue
            target = file.with_suffix(".txt")
            rewrite(target, f"{found.caption('zh' if language == 'zh' else 'en')}\n".encode())
            print(target, flush=True)
            count += 1
    note(f"{count} captions, {foreign} pictures without")


def augment(
    folder: Path,
    out: Path,
    model: str,
    per_class: int,
    settings: Mapping[str, Any],
    device: str,
    precision: str,
) -> None:
    """Print a line of JSON for each attempt, and in the end what came of it."""
    from sfumato.augmentation.augment import augment as attempts_of
    from sfumato.augmentation.classes import read_classes
    from sfumato.augmentation.plan import Plan

    plan = Plan(per_class, **settings)
    classes = read_classes(folder)
    require_model(model)
    checked = check_precision(precision)
    stdout, attempts = sys.stdout, []
    with narrating(quiet=False), contextlib.redirect_stdout(sys.stderr):
        from sfumato.studio import Studio

        for attempt in attempts_of(Studio(model, device=device, precision=checked), classes, out, plan):
            attempts.append(attempt)
            print(json.dumps(attempt.facts(), ensure_ascii=False), file=stdout, flush=True)
    short = [label for label in classes if sum(a.label == label and a.file is not None for a in attempts) < per_class]
    left = sum(attempt.file is None for attempt in attempts)
    note(f"{len(attempts) - left} pictures kept, {left} left out; see {out / 'augment.json'} and augment.jpg")
    if short:
        note(f"still short of {per_class}: {', '.join(short)}")
