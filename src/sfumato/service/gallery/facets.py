"""What the gallery can be filtered by, and how many pictures have it: counted once, then kept up with every change."""

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

from sqlalchemy import Connection, func, select

from sfumato.service import database

_gallery, _labels = database.gallery, database.labels
_COLUMNS = ("model", "tool", "task")
Counts = Counter[tuple[str, str]]
"""By sort and name."""


class Facets:
    """The counts of a gallery; safe for threads.

    Args:
        begin: a transaction.
    """

    def __init__(self, begin: Callable[[], AbstractContextManager[Connection]]) -> None:
        self._begin = begin
        self._counts: Counts | None = None
        self._changes = threading.RLock()

    @contextlib.contextmanager
    def changing(self) -> Iterator[Connection]:
        """A transaction that changes what is counted; when it fails, all is counted anew."""
        with self._changes:
            try:
                with self._begin() as connection:
                    yield connection
            except BaseException:
                self._counts = None
                raise

    @contextlib.contextmanager
    def recounted(self, connection: Connection, numbers: Sequence[int]) -> Iterator[None]:
        """Keep the counts up while these rows change."""
        self.less(connection, numbers)
        yield
        self.more(connection, numbers)

    def less(self, connection: Connection, numbers: Sequence[int]) -> None:
        """These rows are about to change, or to go."""
        if self._counts is not None:
            self._counts.subtract(_counted(connection, numbers))

    def more(self, connection: Connection, numbers: Sequence[int]) -> None:
        """These rows have changed, or have come."""
        if self._counts is not None:
            self._counts.update(_counted(connection, numbers))

    def __call__(self) -> dict[str, dict[str, int]]:
        """What there is to filter by, and how many pictures have it, the most first."""
        with self._changes:
            if self._counts is None:
                with self._begin() as connection:
                    self._counts = _all(connection)
            counts = sorted(self._counts.items(), key=lambda pair: (-pair[1], pair[0]))
        found: dict[str, dict[str, int]] = {name: {} for name in ("lora", "tag", "board", *_COLUMNS)}
        for (sort, name), many in counts:
            if many > 0:
                found[sort][name] = many
        return found


def _counted(connection: Connection, numbers: Sequence[int]) -> Counts:
    """What these rows are filtered by, as far as they are in sight."""
    here = (_gallery.c.number.in_(numbers), _gallery.c.trashed.is_(None))
    rows = connection.execute(select(_gallery.c.number, *(_gallery.c[name] for name in _COLUMNS)).where(*here)).all()
    found = Counter((name, value) for row in rows for name, value in zip(_COLUMNS, row[1:], strict=True) if value)
    labels = select(_labels.c.sort, _labels.c.name).where(_labels.c.picture.in_([row.number for row in rows]))
    found.update((row.sort, row.name) for row in connection.execute(labels).all())
    return found


def _all(connection: Connection) -> Counts:
    """What `_counted` gives, of all rows."""
    found: Counts = Counter()
    for name in _COLUMNS:
        each = _gallery.c[name]
        query = select(each, func.count()).where(_gallery.c.trashed.is_(None), each != "").group_by(each)
        found.update({(name, row[0]): row[1] for row in connection.execute(query).all()})
    counting = select(_labels.c.sort, _labels.c.name, func.count()).group_by(_labels.c.sort, _labels.c.name)
    found.update({(row[0], row[1]): row[2] for row in connection.execute(counting).all()})
    gone = select(_gallery.c.number).where(_gallery.c.trashed.is_not(None))
    hidden = connection.execute(counting.where(_labels.c.picture.in_(gone))).all()
    found.subtract({(row[0], row[1]): row[2] for row in hidden})
    return found
