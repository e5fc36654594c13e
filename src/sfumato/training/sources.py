"""What users have: folders and tars of pictures with captions beside them. Finds and pairs; decodes nothing.

A folder is read with all folders inside it, in the order of its paths:

- the caption of `a.jpg` is in `a.txt` or `a.caption`, a line each where there are several;
- `metadata.jsonl` or `metadata.csv` beside or above the pictures (Hugging Face imagefolder) names them in `file_name`
  and has their `text` (or `caption`, or `captions`, a list); it goes before caption files;
- in a folder `10_name` (kohya) each picture counts 10 times, and `name` is the caption of those without one;
- `*.tar` (WebDataset) have files of one key, `000.jpg` with `000.txt` or `000.json`; the JSON is read as a line of
  `metadata.jsonl` and goes before the text.

`repeats`, `split` (train, validation) and other strings in metadata become the picture's attributes; pictures in the
folder `validation` are held out.
"""

import csv
import io
import json
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from sfumato.errors import TrainingError
from sfumato.training.decoding import Unfit

PICTURES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".ppm")
CAPTIONS = (".txt", ".caption")
TARS = (".tar", ".tar.gz", ".tgz")
SPLITS = ("train", "validation")
MAX_REPEATS = 1000
MAX_MEMBER = 2**27  # bytes of one file in a tar, which is held in memory
OURS = ("file_name", "text", "caption", "captions", "repeats", "split", "sha256")
"""Keys of metadata with a meaning here; other strings are kept as they are."""


@dataclass(frozen=True)
class Candidate:
    """A picture that was found, or what stands for it in the report when it cannot be had.

    `name` is its path in the source, "/" between parts; `data` its file, its bytes, or why there are none.
    """

    name: str
    data: Path | bytes | Unfit
    captions: tuple[str, ...] = ()
    repeats: int = 1
    split: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)


def candidates(source: Path) -> Iterator[Candidate]:
    """Every picture of a folder or a tar, in an order that depends on names alone.

    Raises:
        TrainingError: when it is neither.
    """
    if source.is_dir():
        return _in_folder(source)
    if source.is_file() and source.name.endswith(TARS):
        return _in_tar(source, source.name)
    raise TrainingError(f"{source} is neither a folder nor a {' or '.join(TARS)}")


def _in_folder(source: Path) -> Iterator[Candidate]:
    names = sorted(p.relative_to(source).as_posix() for p in source.rglob("[!.]*"))
    names = [n for n in names if not any(part.startswith(".") for part in n.split("/")) and (source / n).is_file()]
    listed: dict[str, dict[str, Any]] = {}
    for name in (n for n in names if PurePosixPath(n).name in ("metadata.jsonl", "metadata.csv")):
        for number, row in _rows(source / name):
            if not isinstance(row, Unfit):
                path = PurePosixPath(name).parent / str(row["file_name"]).replace("\\", "/")
                listed[path.as_posix()] = row
            else:
                yield Candidate(f"{name}:{number}", row)
    for name in names:
        if name.lower().endswith(TARS):
            yield from _in_tar(source / name, name)
        elif name.lower().endswith(PICTURES):
            held_out = {"split": "validation"} if name.startswith("validation/") else {}
            yield _in_file(source / name, name, held_out | listed.pop(name, {}))
    for name in sorted(listed):
        yield Candidate(name, Unfit("missing", "named in the metadata, but not there"))


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any] | Unfit]]:
    """Numbered rows of a metadata file that name a picture."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        yield 0, Unfit("bad metadata", f"cannot be read: {error}")
        return
    rows: Iterable[Any] = map(_parsed, text.split("\n"))
    if path.suffix == ".csv":
        rows = csv.DictReader(io.StringIO(text, newline=""))
    number = 0
    try:
        for number, row in enumerate(rows, 1):
            if isinstance(row, dict) and isinstance(row.get("file_name"), str):
                yield number, row
            elif row is not None:
                yield number, Unfit("bad metadata", "not an object with a file_name")
    except csv.Error as error:
        yield number + 1, Unfit("bad metadata", str(error))


def _parsed(line: str) -> Any:
    """The JSON of a line, None for an empty one, and the line itself when it is no JSON."""
    try:
        return json.loads(line) if line.strip() else None
    except (ValueError, RecursionError):
        return line


def _in_file(path: Path, name: str, row: dict[str, Any]) -> Candidate:
    """A picture of a folder with what its metadata, its caption file and its folder's name say."""
    kohya = re.fullmatch(r"(\d+)_(.+)", path.resolve().parent.name)
    repeats, concept = (int(kohya[1]), kohya[2]) if kohya and 0 < int(kohya[1]) <= MAX_REPEATS else (1, "")
    try:
        beside = [p.read_bytes() for p in map(path.with_suffix, CAPTIONS) if p.is_file()]
    except OSError as error:
        return Candidate(name, Unfit("bad caption", f"cannot be read: {error.strerror}"))
    return _candidate(name, path, row, beside[0] if beside else None, repeats, concept)


def _candidate(
    name: str, data: Path | bytes, row: dict[str, Any], text: bytes | None, repeats: int = 1, concept: str = ""
) -> Candidate:
    captions = _captions(row.get("captions")) or _captions(row.get("text")) or _captions(row.get("caption"))
    if not captions and text is not None:
        try:
            captions = _captions(text.decode("utf-8-sig").splitlines())
        except UnicodeDecodeError:
            return Candidate(name, Unfit("bad caption", "not UTF-8 text"))
    own = str(row.get("repeats", ""))
    if own.isascii() and own.isdigit() and 0 < int(own) <= MAX_REPEATS:
        repeats = int(own)
    split = row.get("split")
    rest = {key: value for key, value in row.items() if key not in OURS and isinstance(value, str)}
    return Candidate(name, data, captions or _captions(concept), repeats, split if split in SPLITS else None, rest)


def _captions(value: object) -> tuple[str, ...]:
    """Texts that are not empty, each on one line and once."""
    lines = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return tuple(dict.fromkeys(text for line in lines if isinstance(line, str) and (text := " ".join(line.split()))))


def _in_tar(path: Path, name: str) -> Iterator[Candidate]:
    """Pictures of a WebDataset tar: successive files with one name up to its first dot belong together."""
    group: dict[str, bytes | Unfit] = {}
    current = ""
    try:
        with tarfile.open(path, "r|*") as tar:
            for member in tar:
                tar.members = []  # type: ignore[attr-defined]  # else a list of all that was read is kept
                folder, _, file = member.name.rpartition("/")
                stem, dot, extension = file.partition(".")
                if not member.isfile() or not stem or not dot:
                    continue
                key = f"{folder}/{stem}" if folder else stem
                if key != current:
                    yield from _grouped(f"{name}/{current}", group)
                    group, current = {}, key
                if f".{extension}".lower() in (*PICTURES, *CAPTIONS, ".json"):
                    group[f".{extension}".lower()] = _member(tar, member)
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        yield from _grouped(f"{name}/{current}", group)
        reason = "truncated" if isinstance(error, EOFError) or "unexpected end" in str(error) else "unreadable"
        yield Candidate(name, Unfit(reason, f"the tar breaks off: {error}"))  # type: ignore[arg-type]
        return
    yield from _grouped(f"{name}/{current}", group)


def _member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes | Unfit:
    if member.size > MAX_MEMBER:
        return Unfit("too large", f"{member.size} bytes in a tar, more than {MAX_MEMBER}")
    file = tar.extractfile(member)
    assert file is not None  # it is a regular file
    return file.read()


def _grouped(name: str, group: Mapping[str, bytes | Unfit]) -> Iterator[Candidate]:
    """The pictures of one key, nearly always one."""
    parts = {kind: data for kind, data in group.items() if not isinstance(data, Unfit)}
    text = next((parts[kind] for kind in CAPTIONS if kind in parts), None)
    row = _parsed(parts.get(".json", b"{}").decode("utf-8", "replace"))
    for kind in (k for k in PICTURES if k in group):
        data = group[kind]
        if isinstance(data, Unfit):
            yield Candidate(name + kind, data)
        elif not isinstance(row, dict):
            yield Candidate(name + kind, Unfit("bad metadata", "its .json is no JSON object"))
        else:
            yield _candidate(name + kind, data, row, text)
