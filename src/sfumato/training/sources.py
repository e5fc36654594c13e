"""What users have: folders and tars of pictures with captions beside them. Finds and pairs; decodes nothing.

A folder is read with all folders inside it, linked ones too, in the order of its paths:

- the caption of `a.jpg` is in `a.txt` or `a.caption`, a line each where there are several, beside it or, where it is a
  link, beside what it leads to;
- `metadata.jsonl` or `metadata.csv` beside or above the pictures (Hugging Face imagefolder) names them in `file_name`
  and has their `text` (or `caption`, or `captions`, a list); it goes before caption files;
- in a folder `10_name` (kohya) each picture counts 10 times, and `name` is the caption of those without one;
- `*.tar` (WebDataset) have files of one key, `000.jpg` with `000.txt` or `000.json`; the JSON is read as a line of
  `metadata.jsonl` and goes before the text.

`repeats`, `split` (train, validation) and other strings in metadata become the picture's attributes; pictures in the
folder `validation` are held out.

What looks like a picture, by its name or its first bytes, and is passed over has a reason. Text is Unicode throughout:
bytes of names that are no UTF-8 stand escaped, as `\\xe9`.
"""

import csv
import io
import json
import os
import re
import tarfile
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from sfumato.decoding import RejectedPicture
from sfumato.errors import TrainingError
from sfumato.files import decoded, read_regular

PICTURES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"),
    *(".ppm", ".pgm", ".pbm", ".pnm"),
)
FOREIGN: dict[tuple[str, ...], str] = {
    (".heic", ".heif", ".hif"): "HEIF is not read; save it as JPEG or PNG",
    (".jxl",): "JPEG XL is not read; save it as JPEG or PNG",
    (".jp2", ".j2k", ".jpx", ".jpf"): "JPEG 2000 is not read; save it as JPEG or PNG",
    (".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2", ".raf", ".pef", ".srw", ".raw"): (
        "a camera's raw file is not read; develop it to JPEG or PNG"
    ),
    (".psd", ".psb", ".xcf", ".kra", ".clip", ".svg", ".ai", ".eps"): (
        "an editor's own file is not read; export it as PNG"
    ),
    (".tga", ".exr", ".hdr", ".dds", ".ico", ".qoi", ".pcx", ".pfm"): "a format that is not read; save it as PNG",
    (".zip", ".7z", ".rar", ".tar.bz2", ".tar.xz", ".tar.zst"): "an archive of this kind is not read; unpack it",
    (".parquet",): "parquet is not read; write its pictures as files, with metadata.jsonl",
}
"""What holds pictures in a form that is not read, by the endings of its name."""
SIGNS: dict[str, re.Pattern[bytes]] = {
    "JPEG": re.compile(rb"\xff\xd8\xff"),
    "PNG": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "GIF": re.compile(rb"GIF8[79]a"),
    "WebP": re.compile(rb"RIFF....WEBP", re.S),
    "AVIF": re.compile(rb"....ftypavi[fs]", re.S),
    "HEIF": re.compile(rb"....ftyp(hei[cmsx]|hev[cmsx]|mif1|msf1)", re.S),
    "JPEG XL": re.compile(rb"\0\0\0\x0cJXL |\xff\x0a"),
    "JPEG 2000": re.compile(rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51"),
    "TIFF": re.compile(rb"II[*+]\0|MM\0[*+]"),
    "BMP": re.compile(rb"BM....\0\0\0\0", re.S),
    "Photoshop": re.compile(rb"8BPS\0[\x01\x02]"),
}
"""First bytes of pictures, whatever they are called."""
HEAD = 16  # bytes in which the signs are looked for
CAPTIONS = (".txt", ".caption")
TARS = (".tar", ".tar.gz", ".tgz")
SPLITS = ("train", "validation")
MAX_REPEATS = 1000
MAX_MEMBER = 2**27  # bytes of one file in a tar, which is held in memory
MAX_CAPTION = 10_000  # characters
OURS = ("file_name", "text", "caption", "captions", "repeats", "split", "sha256")
"""Keys of metadata with a meaning here; other strings are kept as they are."""


@dataclass(frozen=True)
class Candidate:
    """A picture that was found, or what stands for it in the report when it cannot be had.

    `name` is its path in the source, "/" between parts; `data` its file, its bytes, or why there are none; `lines`
    tells that the captions are several lines of one text.
    """

    name: str
    data: Path | bytes | RejectedPicture
    captions: tuple[str, ...] = ()
    lines: bool = False
    repeats: int = 1
    split: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)


def candidates(source: Path) -> Iterator[Candidate]:
    """Every picture of a folder or a tar, in an order that depends on names alone.

    Raises:
        TrainingError: when it is neither.
    """
    if source.is_dir():
        found = _in_folder(source)
    elif source.is_file() and source.name.endswith(TARS):
        found = _in_tar(source, source.name)
    else:
        raise TrainingError(f"{source} is neither a folder nor a {' or '.join(TARS)}")
    return (replace(candidate, name=unicode(candidate.name)) for candidate in found)


def unicode(text: str) -> str:
    """The text, with what is no Unicode in it (bytes of a name, halves of a pair) escaped."""
    text = re.sub("[\udc80-\udcff]", lambda found: f"\\x{ord(found[0]) - 0xDC00:02x}", text)
    return text.encode("utf-8", "backslashreplace").decode()


def _in_folder(source: Path) -> Iterator[Candidate]:
    names, closed = _names(source)
    yield from closed
    listed: dict[str, dict[str, Any]] = {}
    for name in (n for n in names if PurePosixPath(n).name in ("metadata.jsonl", "metadata.csv")):
        for number, row in _rows(source / name):
            if not isinstance(row, RejectedPicture):
                path = PurePosixPath(name).parent / str(row["file_name"]).replace("\\", "/")
                listed[path.as_posix()] = row
            else:
                yield Candidate(f"{name}:{number}", row)
    for name in names:
        if (fault := _passed_over(source / name)) is not None:
            listed.pop(name, None)
            yield Candidate(name, fault)
        elif name.lower().endswith(TARS):
            yield from _in_tar(source / name, name)
        elif name.lower().endswith(PICTURES):
            held_out = {"split": "validation"} if name.startswith("validation/") else {}
            yield _in_file(source / name, name, held_out | listed.pop(name, {}))
    for name in sorted(listed):
        yield Candidate(name, RejectedPicture("missing", "named in the metadata, but not there"))


def _names(source: Path) -> tuple[list[str], list[Candidate]]:
    """The names, in order, of all that is no folder and not hidden, and the folders that cannot be opened.

    Linked folders are entered after the others, and each folder once: so links that lead in circles come to an end.
    """
    names: list[str] = []
    closed: list[Candidate] = []
    folders, links, seen = [source], deque[Path](), set[tuple[int, int]]()
    while folders or links:
        folder = folders.pop() if folders else links.popleft()
        try:
            status = folder.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            inside = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        except OSError as error:
            name = folder.relative_to(source).as_posix()
            closed.append(
                Candidate(f"{name}/", RejectedPicture("unreadable", f"a folder that does not open: {error.strerror}"))
            )
            continue
        for path in inside:
            if not path.is_dir():
                names.append(path.relative_to(source).as_posix())
            elif path.is_symlink():
                links.append(path)
            else:
                folders.append(path)
    return sorted(names), closed


def _passed_over(path: Path) -> RejectedPicture | None:
    """Why a file is not read that looks like a picture; None for one that is read, or does not look like one."""
    name = path.name.lower()
    if not path.is_file():
        if not name.endswith((*PICTURES, *TARS)):
            return None
        return (
            RejectedPicture("missing", "a link that leads nowhere")
            if path.is_symlink()
            else RejectedPicture("unreadable", "no file")
        )
    if name.endswith((*PICTURES, *TARS, *CAPTIONS)):
        return None
    try:
        with path.open("rb") as file:
            return _foreign(name, file.read(HEAD))
    except OSError as error:
        return RejectedPicture("unreadable", str(error.strerror)) if name.endswith(sum(FOREIGN, ())) else None


def _foreign(name: str, head: bytes) -> RejectedPicture | None:
    """What is said of a file with a name that is not read, by the name or else by its first bytes."""
    for endings, fault in FOREIGN.items():
        if name.endswith(endings):
            return RejectedPicture("other format", fault)
    for kind, sign in SIGNS.items():
        if sign.match(head):
            ending = "." + name.partition(".")[2] if "." in name else "no ending"
            return RejectedPicture(
                "other format", f"{kind} by its first bytes, but with {ending}; give it the ending of its kind"
            )
    return None


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any] | RejectedPicture]]:
    """Numbered rows of a metadata file that name a picture."""
    try:
        text = read_regular(path).decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except (OSError, UnicodeDecodeError) as error:
        yield 0, RejectedPicture("bad metadata", f"cannot be read: {error}")
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
                yield number, RejectedPicture("bad metadata", "not an object with a file_name")
    except csv.Error as error:
        yield number + 1, RejectedPicture("bad metadata", str(error))


def _parsed(line: str) -> Any:
    """The JSON of a line, None for an empty one, and the line itself when it is no JSON."""
    try:
        return json.loads(line) if line.strip() else None
    except (ValueError, RecursionError):
        return line


def _in_file(path: Path, name: str, row: dict[str, Any]) -> Candidate:
    """A picture of a folder with what its metadata, its caption file and its folder's name say."""
    kohya = re.fullmatch(r"(\d+)_(.+)", Path(os.path.abspath(path)).parent.name)  # noqa: PTH100 - links keep their names
    repeats, concept = (int(kohya[1]), kohya[2]) if kohya and 0 < int(kohya[1]) <= MAX_REPEATS else (1, "")
    places = (path, path.resolve()) if path.is_symlink() else (path,)
    try:
        beside = [p.read_bytes() for place in places for p in map(place.with_suffix, CAPTIONS) if p.is_file()]
    except OSError as error:
        return Candidate(name, RejectedPicture("bad caption", f"cannot be read: {error.strerror}"))
    return _candidate(name, path, row, beside[0] if beside else None, repeats, concept)


def _candidate(
    name: str, data: Path | bytes, row: dict[str, Any], text: bytes | None, repeats: int = 1, concept: str = ""
) -> Candidate:
    captions = _captions(row.get("captions")) or _captions(row.get("text")) or _captions(row.get("caption"))
    lines = False
    if not captions and text is not None:
        try:
            captions = _captions(decoded(text.rstrip(b"\0")).splitlines())
        except UnicodeDecodeError:
            return Candidate(name, RejectedPicture("bad caption", "not UTF-8 text; save it as UTF-8"))
        lines = len(captions) > 1
    if (fault := next(filter(None, map(_fault, captions)), None)) is not None:
        return Candidate(name, RejectedPicture("bad caption", fault))
    own = str(row.get("repeats", ""))
    if own.isascii() and own.isdigit() and 0 < int(own) <= MAX_REPEATS:
        repeats = int(own)
    split = row.get("split")
    rest = {unicode(key): unicode(value) for key, value in row.items() if key not in OURS and isinstance(value, str)}
    captions = captions or _captions(unicode(concept))
    return Candidate(name, data, captions, lines, repeats, split if split in SPLITS else None, rest)


def _fault(caption: str) -> str | None:
    """What is wrong with a text as a caption."""
    if len(caption) > MAX_CAPTION:
        return f"{len(caption)} characters, more than {MAX_CAPTION}; is it a caption?"
    if caption != unicode(caption) or "\0" in caption:
        return "holds what is no text; save it as UTF-8"
    return None


def _captions(value: object) -> tuple[str, ...]:
    """Texts that are not empty, each on one line and once."""
    lines = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return tuple(dict.fromkeys(text for line in lines if isinstance(line, str) and (text := " ".join(line.split()))))


def _in_tar(path: Path, name: str) -> Iterator[Candidate]:
    """Pictures of a WebDataset tar: successive files with one name up to its first dot belong together."""
    group: dict[str, bytes | RejectedPicture] = {}
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
                kind = f".{extension}".lower()
                if kind in (*PICTURES, *CAPTIONS, ".json"):
                    group[kind] = _member(tar, member)
                elif (fault := _foreign(file.lower(), _head(tar, member))) is not None:
                    group[kind] = fault
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        yield from _grouped(f"{name}/{current}", group)
        reason = "truncated" if isinstance(error, EOFError) or "unexpected end" in str(error) else "unreadable"
        yield Candidate(name, RejectedPicture(reason, f"the tar breaks off: {error}"))  # type: ignore[arg-type]
        return
    yield from _grouped(f"{name}/{current}", group)


def _member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes | RejectedPicture:
    if member.size > MAX_MEMBER:
        return RejectedPicture("too large", f"{member.size} bytes in a tar, more than {MAX_MEMBER}")
    file = tar.extractfile(member)
    assert file is not None  # it is a regular file
    return file.read()


def _head(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert file is not None  # it is a regular file
    return file.read(HEAD)


def _grouped(name: str, group: Mapping[str, bytes | RejectedPicture]) -> Iterator[Candidate]:
    """The pictures of one key, nearly always one."""
    parts = {kind: data for kind, data in group.items() if not isinstance(data, RejectedPicture)}
    text = next((parts[kind] for kind in CAPTIONS if kind in parts), None)
    row = _parsed(parts.get(".json", b"{}").decode("utf-8", "replace"))
    for kind in (*PICTURES, *sorted(group.keys() - {*PICTURES, *CAPTIONS, ".json"})):
        if kind not in group:
            continue
        data = group[kind]
        if isinstance(data, RejectedPicture):
            yield Candidate(name + kind, data)
        elif not isinstance(row, dict):
            yield Candidate(name + kind, RejectedPicture("bad metadata", "its .json is no JSON object"))
        else:
            yield _candidate(name + kind, data, row, text)
