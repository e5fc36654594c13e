"""Many requests from a file, carried out one after the other; what is done is written down, so that a run can go on.

>>> for line in paint(studio, read_batch(Path("prompts.txt"), {"steps": "8"}), Path("outputs/foxes")):
...     print(line)
"""

import csv
import hashlib
import io
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sfumato.errors import OutputError, RequestError, SfumatoError
from sfumato.files import cannot_write, read_text
from sfumato.metadata.names import understood
from sfumato.output import Destination
from sfumato.requests import REQUESTS, Request, Source
from sfumato.requests.base import read_object
from sfumato.requests.written import read_values

if TYPE_CHECKING:
    from sfumato.results import Progress, Result

SIDECAR = "batch.jsonl"
MAX_FILE = 2**26
MAX_LINES = 100_000


class Runner(Protocol):
    """What carries requests out: a `Studio`."""

    def run(self, request: Request, on_step: "Callable[[Progress], None]" = ...) -> "Result":
        """Carry out a request."""
        ...


@dataclass(frozen=True)
class Entry:
    """A request of a batch.

    Attributes:
        line: of the file, from 1.
        request: as asked; a seed may be open.
        digest: of the request and of the pictures that it begins from; the n-th of equal requests has its own.
    """

    line: int
    request: Request
    digest: str


def read_batch(file: Path, common: Mapping[str, str] | None = None, task: str = "txt2img") -> list[Entry]:
    """The requests of a file: ``.jsonl`` an object a line, ``.csv`` a row with the names of fields above, else a prompt
    a line, or the path of a picture where the task takes no prompt. Empty lines are skipped, and so is a cell that is
    empty.

    Args:
        common: fields, as text, of all requests that do not have them themselves.
        task: of requests that do not name one.

    Raises:
        RequestError: it cannot be read, or a line is no request; the message says which.
    """
    text = read_text(file, MAX_FILE, "a .txt, .csv or .jsonl file")
    kinds = {".jsonl": _objects, ".ndjson": _objects, ".csv": _rows}
    requests, lines = [], []
    for line, fields in kinds.get(file.suffix.lower(), _prompts)(text):
        try:
            requests.append(_request(fields(), dict(common or {}), task))
            _digest(requests[-1])
        except RequestError as error:
            raise RequestError(f"{file}, line {line}: {error}") from None
        lines.append(line)
    if not requests:
        raise RequestError(f"{file} has no requests; write a prompt a line")
    if len(requests) > MAX_LINES:
        raise RequestError(f"{file} has {len(requests)} requests; at most {MAX_LINES} are taken, split it")
    return list(entries(zip(lines, requests, strict=True)))


def entries(requests: Iterable[tuple[int, Request]]) -> Iterator[Entry]:
    """Requests with their lines as a batch, one by one, so that one may depend on the pictures of those before."""
    seen = Counter[str]()
    for line, request in requests:
        asked = _digest(request)
        yield Entry(line, request, hashlib.sha256(f"{asked} {seen[asked]}".encode()).hexdigest())
        seen[asked] += 1


Lines = Iterator[tuple[int, Callable[[], Mapping[str, object]]]]
"""Lines by their number, each with what reads its fields: texts where they are to be read by the field's type."""


def _prompts(text: str) -> Lines:
    for line, prompt in enumerate(text.splitlines(), 1):
        if prompt.strip():
            yield line, lambda prompt=prompt: _Alone({"": prompt.strip()})  # type: ignore[misc]


def _objects(text: str) -> Lines:
    for line, one in enumerate(text.splitlines(), 1):
        if one.strip():
            yield line, lambda one=one: read_object(one)  # type: ignore[misc]


class _Alone(dict[str, str]):
    """A text whose field is the task's to say."""

    def of(self, kind: type[Request]) -> dict[str, object]:
        """The prompt where there is one, else the picture."""
        name = next(name for name in ("prompt", "image", "images") if name in kind.model_fields)
        return {name: (self[""],) if name == "images" else self[""]}


class _Texts(dict[str, str]):
    """Fields of a table, whose values are texts."""


def _rows(text: str) -> Lines:
    reader = csv.DictReader(io.StringIO(text), skipinitialspace=True)
    for row in reader:

        def fields(row: dict[str | Any, str | Any] = row) -> Mapping[str, object]:
            if None in row:
                raise RequestError(
                    f"it has more cells than the {len(row) - 1} of the first line; quote what has commas"
                )
            return _Texts({str(name).strip(): value for name, value in row.items() if value})

        yield reader.line_num, fields


def _request(fields: Mapping[str, object], common: dict[str, str], task: str) -> Request:
    task = str(fields.get("task", task))
    kind = REQUESTS.get(task)
    if kind is None:
        raise RequestError(f"task {task[:64]!r} must be one of {', '.join(REQUESTS)}")
    if isinstance(fields, _Alone):
        fields = fields.of(kind)
    texts = {name: str(value) for name, value in fields.items() if name != "task"} if isinstance(fields, _Texts) else {}
    own = read_values(kind, texts) if texts else dict(fields)
    rest = read_values(kind, {name: value for name, value in common.items() if name not in own})
    return kind.build(**understood({**rest, **own}))


def _digest(request: Request) -> str:
    fields = {name: getattr(request, name) for name in type(request).model_fields}
    return hashlib.sha256(
        request.changed(**{n: _by_content(v) for n, v in fields.items()}).to_json().encode()
    ).hexdigest()


def _by_content(value: object) -> object:
    """Pictures by their digests alone, wherever they lie."""
    if isinstance(value, Source):
        return Source(sha256=value.known().sha256)
    return tuple(map(_by_content, value)) if isinstance(value, tuple) else value


def done(folder: Path) -> dict[str, Mapping[str, Any]]:
    """What is written down as done in a folder, by digest: its ``files`` by name, and its ``report`` if it has one.
    A last line that was cut is not.
    """
    try:
        lines = (folder / SIDECAR).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    found: dict[str, Mapping[str, Any]] = {}
    for line in lines:
        try:
            entry = json.loads(line)
            names = [str(name) for name in entry["files"]]
            found[entry["digest"]] = {"files": names} | {k: entry[k] for k in ("report",) if k in entry}
        except (ValueError, KeyError, TypeError):
            continue
    return found


def paint(
    studio: Runner,
    batch: Iterable[Entry],
    folder: Path,
    on_step: "Callable[[Progress], None]" = lambda progress: None,
) -> Iterator[dict[str, Any]]:
    """Carry out what is not done yet, its pictures into a folder; what happened to each request, as JSON has it.

    ``state`` is "painted", "answered" (with a ``report`` and no picture), "skipped" (it is done, and its files are
    there) or "failed" with the ``error``, and the others go on.

    Raises:
        OutputError: the folder cannot be written.
    """
    destination = Destination.parse(f"{folder}/")
    before = done(folder)
    for entry in batch:
        said: dict[str, Any] = {"line": entry.line, "digest": entry.digest[:16]}
        known = before.get(entry.digest)
        if known is not None and all((folder / name).is_file() for name in known["files"]):
            yield {**said, "state": "skipped", **known, "files": [str(folder / name) for name in known["files"]]}
            continue
        if entry.request.pictures:
            destination.check(entry.request)
        try:
            result = studio.run(entry.request, on_step)
        except OutputError:
            raise
        except SfumatoError as error:
            yield {**said, "state": "failed", "error": str(error)}
            continue
        paths = destination.save(result.images, result.request, result.provenance, result.traces)
        found: dict[str, Any] = {"seeds": result.seeds}
        if result.report is not None:
            found["report"] = result.report.facts()
        line = {"digest": entry.digest, "files": [path.name for path in paths], **found}
        _append(folder / SIDECAR, {**line, "request": result.request.model_dump(mode="json")})
        state = "painted" if paths else "answered"
        yield {**said, "state": state, "files": [str(path) for path in paths], **found}


def _append(file: Path, entry: Mapping[str, object]) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        torn = file.exists() and not file.read_bytes().endswith(b"\n")
        with file.open("a", encoding="utf-8") as out:
            out.write("\n" * torn + json.dumps(entry, ensure_ascii=False) + "\n")
            out.flush()
            os.fsync(out.fileno())
    except OSError as error:
        raise cannot_write(file, error) from error
