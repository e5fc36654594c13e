"""The gallery's side of the database: add, find, change, erase. Knows nothing of HTTP, and decodes no picture.

Pictures are counted as they come in. Pages are asked for by the last number seen, never by an offset, and a search runs
down the full-text index in the same order, so that neither grows slower with what was seen before. What is in the trash
is not in the full-text index. What there is to filter by is counted once and then kept up with every change (`facets`),
and so are the marks by which pictures are found alike (`marks`).
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import (
    Connection,
    Row,
    delete,
    func,
    insert,
    or_,
    select,
    text,
    update,
)

from sfumato.errors import UnknownNameError
from sfumato.service import database
from sfumato.service.database import Database
from sfumato.service.gallery import marks
from sfumato.service.gallery.facets import Facets
from sfumato.service.gallery.filters import Filters, Sort, beyond, selected
from sfumato.service.gallery.likeness import Likeness, Near
from sfumato.service.gallery.words import LANGUAGES, segmented
from sfumato.service.jobs import OPEN, SKETCH

_jobs, _painted = database.jobs, database.pictures
_gallery, _labels, _sources, _marks = database.gallery, database.labels, database.sources, database.marks
MAX_FAMILY = 200
Label = Literal["tag", "board"]

_THERE = "the gallery lists those that are there"


@dataclass(frozen=True)
class Entry:
    """A picture of the gallery.

    Attributes:
        number: counts pictures as they come in.
        job, index: what painted it here; None for what was brought from outside.
        file: within the service's folder.
        digest: SHA-256 of the file.
        pixels: SHA-256 of what is seen.
        tool: that painted it; empty where it does not say.
        exact: the request is the one that ran.
        request: JSON; None where the file does not say.
        seed: in decimal.
        rating: 1 to 5; 0: none.
        created: when it was painted, in seconds since 1970; of what was brought from outside, when its file was.
        added: when it came into the gallery.
        trashed: when it went into the trash.
    """

    number: int
    id: str
    job: str | None
    index: int | None
    file: str
    digest: str
    pixels: str
    tool: str
    exact: bool
    task: str
    request: str | None
    prompt: str
    negative: str
    model: str
    seed: str | None
    width: int
    height: int
    format: str
    rating: int
    created: float
    added: float
    trashed: float | None
    tags: tuple[str, ...] = ()
    boards: tuple[str, ...] = ()
    loras: tuple[str, ...] = ()


@dataclass(frozen=True)
class Page:
    """Some of the pictures that were asked for, and where to go on; None at the end."""

    entries: list[Entry]
    next: str | None


@dataclass(frozen=True)
class Painted:
    """A picture of a job, which the gallery has not taken in yet."""

    job: str
    index: int
    name: str
    created: float


class Gallery:
    """The gallery of a service.

    Args:
        database: where it is kept.
        folder: the service's data.
    """

    def __init__(self, database: Database, folder: Path) -> None:
        self.folder = folder
        self._database = database
        self._begin = database.begin
        self._language = LANGUAGES[database.kind]
        self.facets = Facets(database.begin)
        self.likeness = Likeness(database.begin)

    def file(self, entry: Entry) -> Path:
        """The picture's file."""
        return self.folder / entry.file

    def thumbnail(self, id: str) -> Path:
        """A WebP of at most 384 pixels a side."""
        return self.folder / "thumbnails" / id[:2] / f"{id}.webp"

    # ------------------------------------------------------------------------------------------------------- adding

    def uncollected(self, limit: int = 50) -> list[Painted]:
        """Pictures of jobs that are to be taken in, the oldest first."""
        query = (
            select(_painted.c.job, _painted.c.index.label("place"), _painted.c.name, _jobs.c.started, _jobs.c.created)
            .join(_jobs, _jobs.c.id == _painted.c.job)
            .where(_painted.c.collected.is_(False), _jobs.c.dialect != SKETCH)
            .order_by(_jobs.c.number, _painted.c.index)
            .limit(limit)
        )
        with self._begin() as connection:
            rows = connection.execute(query).all()
        return [Painted(row.job, row.place, row.name, row.started or row.created) for row in rows]

    def passed_over(self, painted: Painted) -> None:
        """A picture of a job cannot be taken in."""
        with self._begin() as connection:
            self._collected(connection, painted.job, painted.index)

    def add(
        self, id: str, file: str, facts: Mapping[str, Any], *, created: float, painted: Painted | None = None
    ) -> Entry:
        """Take a picture in, or anew if it was there: its labels stay.

        Args:
            facts: what `look` reports of it.
        """
        values = {
            "file": file,
            "job": None if painted is None else painted.job,
            "index": None if painted is None else painted.index,
            "created": created,
            **{name: facts[name] for name in _SEEN},
        }
        with self.facets.changing() as connection:
            there = connection.execute(select(_gallery.c.number, _gallery.c.trashed).where(_gallery.c.id == id)).first()
            if there is not None:
                self.facets.less(connection, [there.number])
            if there is None:
                values |= {"id": id, "rating": 0, "added": time.time()}
                made = insert(_gallery).values(values).returning(_gallery.c.number)
                number = connection.execute(made).scalar_one()
            else:
                number = there.number
                connection.execute(update(_gallery).where(_gallery.c.number == number).values(values))
                self._forget(connection, [number], labels=("lora",))
            if there is None or there.trashed is None:
                self._index(connection, number, facts["prompt"])
            self._label(connection, [number], "lora", facts["loras"])
            for digest in facts["sources"]:
                connection.execute(insert(_sources).values(picture=number, digest=digest))
            seen = {sort: bytes.fromhex(facts[sort]) for sort in marks.SORTS.keys() & facts.keys()}
            self.likeness.add(connection, number, seen)
            if painted is not None:
                self._collected(connection, painted.job, painted.index)
            self.facets.more(connection, [number])
            return self._get(connection, id)

    def _collected(self, connection: Connection, job: str, index: int) -> None:
        here = (_painted.c.job == job, _painted.c.index == index)
        connection.execute(update(_painted).where(*here).values(collected=True))

    def _index(self, connection: Connection, number: int, prompt: str) -> None:
        words = segmented(prompt).replace("\0", " ")
        connection.execute(text(self._language.insert), {"number": number, "words": words})

    def _unindex(self, connection: Connection, numbers: Sequence[int]) -> None:
        for number in numbers:
            connection.execute(text("DELETE FROM gallery_words WHERE rowid = :number"), {"number": number})

    def _label(self, connection: Connection, numbers: Sequence[int], sort: str, names: Sequence[str]) -> None:
        for number in numbers:
            has = set(
                connection.execute(
                    select(_labels.c.name).where(_labels.c.sort == sort, _labels.c.picture == number)
                ).scalars()
            )
            for name in dict.fromkeys(names):
                if name not in has:
                    connection.execute(insert(_labels).values(sort=sort, name=name, picture=number))

    def _forget(self, connection: Connection, numbers: Sequence[int], *, labels: Sequence[str]) -> None:
        """All that hangs on rows, of labels these sorts."""
        self.likeness.forget()
        self._unindex(connection, numbers)
        connection.execute(delete(_labels).where(_labels.c.picture.in_(numbers), _labels.c.sort.in_(labels)))
        for table in (_sources, _marks):
            connection.execute(delete(table).where(table.c.picture.in_(numbers)))

    # ------------------------------------------------------------------------------------------------------ finding

    def get(self, id: str) -> Entry:
        """A picture.

        Raises:
            UnknownNameError: there is none of that id.
        """
        with self._begin() as connection:
            return self._get(connection, id)

    def find(self, filters: Filters, *, sort: Sort = "newest", limit: int = 60, after: str | None = None) -> Page:
        """A page of what is asked for.

        Args:
            after: `Page.next` of the page before, of the same sort.

        Raises:
            RequestError: `after` is none.
        """
        query, number = selected(filters, self._language)
        if sort == "rating":
            query = query.order_by(_gallery.c.rating.desc(), number.desc())
        else:
            query = query.order_by(number.desc() if sort == "newest" else number)
        if after is not None:
            query = query.where(beyond(sort, number, after))
        with self._begin() as connection:
            rows = connection.execute(query.limit(limit + 1)).all()
            entries = self._whole(connection, rows[:limit])
        if len(rows) <= limit:
            return Page(entries, None)
        last = entries[-1]
        return Page(entries, f"{last.rating}.{last.number}" if sort == "rating" else str(last.number))

    def count(self, filters: Filters) -> int:
        """How many there are of what is asked for."""
        query = selected(filters, self._language)[0].with_only_columns(func.count(), maintain_column_froms=True)
        with self._begin() as connection:
            return connection.execute(query).scalar_one()

    def all(self, filters: Filters) -> Iterator[Entry]:
        """Everything that is asked for, page by page."""
        after: str | None = None
        while True:
            page = self.find(filters, limit=200, after=after)
            yield from page.entries
            after = page.next
            if after is None:
                return

    def parents(self, entry: Entry) -> list[Entry]:
        """What it was made from, as far as it is here."""
        began = select(_sources.c.digest).where(_sources.c.picture == entry.number)
        query = select(_gallery).where(
            or_(_gallery.c.digest.in_(began), _gallery.c.pixels.in_(began)),
            _gallery.c.number != entry.number,
        )
        with self._begin() as connection:
            return self._whole(connection, connection.execute(query.order_by(_gallery.c.number)).all())

    def children(self, entry: Entry) -> list[Entry]:
        """What was made from it."""
        query = (
            select(_gallery)
            .where(
                _gallery.c.number.in_(
                    select(_sources.c.picture).where(_sources.c.digest.in_((entry.digest, entry.pixels)))
                ),
                _gallery.c.number != entry.number,
            )
            .order_by(_gallery.c.number)
            .limit(MAX_FAMILY)
        )
        with self._begin() as connection:
            return self._whole(connection, connection.execute(query).all())

    def family(self, id: str) -> tuple[list[Entry], list[tuple[str, str]]]:
        """All that it descends from and that descends from it, itself among them, at most 200; and who is made from
        whom, as pairs of ids: parent, child. Raises as `get`."""
        first = self.get(id)
        found, edges = {first.id: first}, dict[tuple[str, str], None]()
        for upwards in (True, False):
            todo = [first]
            while todo and len(found) < MAX_FAMILY:
                one = todo.pop(0)
                for other in self.parents(one) if upwards else self.children(one):
                    edges[(other.id, one.id) if upwards else (one.id, other.id)] = None
                    if other.id not in found and len(found) < MAX_FAMILY:
                        found[other.id] = other
                        todo.append(other)
        return list(found.values()), [pair for pair in edges if {*pair} <= found.keys()]

    def similar(self, id: str, *, limit: int = 24, most: float = 1.0, by: str = "look") -> list[tuple[Entry, float]]:
        """What looks most like a picture, and the difference, from 0 to 1.

        Args:
            most: difference that there may be.
            by: a sort of mark.

        Raises:
            UnknownNameError: there is no picture of that id, or no such mark.
        """
        with self._begin() as connection:
            number = self._get(connection, id).number
            return self._near(connection, self.likeness.nearest(connection, number, by, limit, most))

    def like(self, mark: bytes, *, limit: int = 24, by: str = "shown") -> list[tuple[Entry, float]]:
        """What is most like a mark of no picture, such as of a text."""
        with self._begin() as connection:
            return self._near(connection, self.likeness.like(connection, mark, by, limit))

    def marked(self, id: str, sort: str) -> bytes | None:
        """A picture's mark, where it has one. Raises as `get`."""
        with self._begin() as connection:
            return self.likeness.of(connection, self._get(connection, id).number, sort)

    def _near(self, connection: Connection, found: Near) -> list[tuple[Entry, float]]:
        near = dict(found)
        rows = connection.execute(select(_gallery).where(_gallery.c.number.in_(near))).all()
        entries = self._whole(connection, rows)
        return sorted(((entry, near[entry.number]) for entry in entries), key=lambda pair: (pair[1], -pair[0].number))

    def _get(self, connection: Connection, id: str) -> Entry:
        row = connection.execute(select(_gallery).where(_gallery.c.id == id)).one_or_none()
        if row is None:
            raise UnknownNameError("picture", id[:40], (), otherwise=_THERE)
        return self._whole(connection, [row])[0]

    def _whole(self, connection: Connection, rows: Sequence[Row[Any]]) -> list[Entry]:
        found: dict[int, dict[str, Any]] = {row.number: {} for row in rows}
        for row in connection.execute(
            select(_labels).where(_labels.c.picture.in_(found)).order_by(_labels.c.name)
        ).all():
            labels = found[row.picture]
            labels[f"{row.sort}s"] = (*labels.get(f"{row.sort}s", ()), row.name)
        return [Entry(**row._mapping, **found[row.number]) for row in rows]

    # ----------------------------------------------------------------------------------------------------- changing

    def rate(self, ids: Sequence[str], rating: int) -> None:
        """1 to 5; 0 takes it away. Raises as `get`."""
        with self._begin() as connection:
            numbers = self._numbers(connection, ids)
            connection.execute(update(_gallery).where(_gallery.c.number.in_(numbers)).values(rating=rating))

    def label(
        self,
        ids: Sequence[str],
        sort: Label,
        *,
        add: Sequence[str] = (),
        remove: Sequence[str] = (),
        only: Sequence[str] | None = None,
    ) -> None:
        """Add and remove tags, or put pictures on boards and take them off.

        Args:
            only: these, and no others.

        Raises:
            UnknownNameError: as `get`.
        """
        with self.facets.changing() as connection:
            numbers = self._numbers(connection, ids)
            gone = [_labels.c.sort == sort, _labels.c.picture.in_(numbers)]
            gone.append(_labels.c.name.in_(remove) if only is None else _labels.c.name.not_in(only))
            with self.facets.recounted(connection, numbers):
                connection.execute(delete(_labels).where(*gone))
                self._label(connection, numbers, sort, [*add, *(only or ())])

    def trash(self, ids: Sequence[str]) -> None:
        """Out of sight, to be restored or erased. Raises as `get`."""
        with self.facets.changing() as connection:
            numbers = self._numbers(connection, ids)
            here = (_gallery.c.number.in_(numbers), _gallery.c.trashed.is_(None))
            with self.facets.recounted(connection, numbers):
                connection.execute(update(_gallery).where(*here).values(trashed=time.time()))
            self._unindex(connection, numbers)

    def restore(self, ids: Sequence[str]) -> None:
        """Out of the trash. Raises as `get`."""
        with self.facets.changing() as connection:
            numbers = self._numbers(connection, ids)
            here = (_gallery.c.number.in_(numbers), _gallery.c.trashed.is_not(None))
            back = connection.execute(select(_gallery.c.number, _gallery.c.prompt).where(*here)).all()
            with self.facets.recounted(connection, numbers):
                connection.execute(update(_gallery).where(*here).values(trashed=None))
            for row in back:
                self._index(connection, row.number, row.prompt)

    def erase(self, ids: Sequence[str]) -> int:
        """Gone for good, and no byte of it left in the service's files: picture, thumbnail, prompt, and the job that
        has no other picture, with uploads that nothing else uses. How many.

        Raises:
            UnknownNameError: as `get`.
            OSError: a file cannot be removed; it is not erased then.
        """
        with self.facets.changing() as connection:
            entries = self._whole(connection, self._rows(connection, ids))
            self._erase(connection, entries)
        self._database.purge()
        return len(entries)

    def expire(self, before: float) -> int:
        """Erase what came into the gallery before a time, and jobs that ended before it. How many pictures and jobs."""
        with self.facets.changing() as connection:
            rows = connection.execute(select(_gallery).where(_gallery.c.added < before)).all()
            self._erase(connection, self._whole(connection, rows))
            ended = _jobs.c.state.not_in(OPEN)
            jobs = connection.execute(select(_jobs).where(ended, _jobs.c.finished < before)).all()
            for job in jobs:
                self._erase_job(connection, job)
        if rows or jobs:
            self._database.purge()
        return len(rows) + len(jobs)

    def _erase(self, connection: Connection, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self.file(entry).unlink(missing_ok=True)
            self.thumbnail(entry.id).unlink(missing_ok=True)
            self.facets.less(connection, [entry.number])
            self._forget(connection, [entry.number], labels=("lora", "tag", "board"))
            connection.execute(delete(_gallery).where(_gallery.c.number == entry.number))
            if entry.job is None:
                continue
            connection.execute(delete(_painted).where(_painted.c.job == entry.job, _painted.c.index == entry.index))
            left = connection.execute(select(func.count()).where(_painted.c.job == entry.job)).scalar_one()
            job = connection.execute(select(_jobs).where(_jobs.c.id == entry.job)).first()
            if not left and job is not None and job.state not in OPEN:
                self._erase_job(connection, job)

    def _erase_job(self, connection: Connection, job: Row[Any]) -> None:
        folder = self.folder / "pictures" / job.id
        for path in folder.iterdir() if folder.is_dir() else ():
            path.unlink()
        if folder.is_dir():
            folder.rmdir()
        connection.execute(delete(_painted).where(_painted.c.job == job.id))
        connection.execute(delete(_jobs).where(_jobs.c.id == job.id))
        for digest in _digests(json.loads(job.request)):
            used = connection.execute(select(func.count()).where(_jobs.c.request.contains(digest))).scalar_one()
            if not used:
                (self.folder / "uploads" / f"{digest}.png").unlink(missing_ok=True)

    def _rows(self, connection: Connection, ids: Sequence[str]) -> Sequence[Row[Any]]:
        rows = connection.execute(select(_gallery).where(_gallery.c.id.in_(ids))).all()
        missing = {*ids} - {row.id for row in rows}
        if missing:
            raise UnknownNameError("picture", min(missing)[:40], (), otherwise=_THERE)
        return rows

    def _numbers(self, connection: Connection, ids: Sequence[str]) -> list[int]:
        return [row.number for row in self._rows(connection, ids)]


_SEEN = (
    *("digest", "pixels", "tool", "exact", "task", "request", "prompt", "negative", "model", "seed"),
    *("width", "height", "format"),
)
"""Columns as `look` reports them."""


def _digests(value: object) -> Iterator[str]:
    """Digests of pictures that a request, as JSON, begins from."""
    if isinstance(value, dict):
        if value.keys() == {"path", "sha256"} and value["sha256"]:
            yield str(value["sha256"])
        for inner in value.values():
            yield from _digests(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _digests(inner)
