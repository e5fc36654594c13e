"""Pictures as a zip, each with a sidecar that says all about it. It is sent while it is made."""

import json
import zipfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import IO, Any, cast

from sfumato.service.gallery.store import Entry, Gallery


def zipped(gallery: Gallery, entries: Iterable[Entry]) -> Iterator[bytes]:
    """The bytes of a zip: ``ID.png`` and ``ID.json`` for each; pictures are stored as they are."""
    out = _Pieces()
    with zipfile.ZipFile(cast(IO[bytes], out), "w") as archive:  # zipfile asks no more of it
        for entry in entries:
            path = gallery.file(entry)
            if not path.is_file():
                continue
            when = datetime.fromtimestamp(min(max(entry.created, 315_619_200), 4_354_819_200), UTC)
            name = f"{entry.id}{path.suffix}"
            with archive.open(zipfile.ZipInfo(name, when.timetuple()[:6]), "w") as file, path.open("rb") as source:
                while piece := source.read(2**20):
                    file.write(piece)
                    yield from out.taken()
            sidecar = json.dumps(beside(gallery, entry, name), ensure_ascii=False, indent=1)
            archive.writestr(zipfile.ZipInfo(f"{entry.id}.json", when.timetuple()[:6]), sidecar)
            yield from out.taken()
    yield from out.taken()


def beside(gallery: Gallery, entry: Entry, file: str) -> dict[str, Any]:
    """What a sidecar says."""
    return {
        "file": file,
        "id": entry.id,
        "sha256": entry.digest,
        "tool": entry.tool,
        "exact": entry.exact,
        "request": None if entry.request is None else json.loads(entry.request),
        "created": entry.created,
        "rating": entry.rating,
        "tags": list(entry.tags),
        "boards": list(entry.boards),
        "parents": [each.id for each in gallery.parents(entry)],
        "children": [each.id for each in gallery.children(entry)],
    }


class _Pieces:
    """A file to be written that is read away meanwhile."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def taken(self) -> Iterator[bytes]:
        pieces, self._pieces = self._pieces, []
        yield from pieces
