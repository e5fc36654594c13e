"""Which pictures of the gallery are alike, by their marks: kept beside them, and indexed in memory when first asked."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

from sqlalchemy import Connection, insert, select

from sfumato.errors import UnknownNameError
from sfumato.service import database
from sfumato.service.gallery import marks

_gallery, _marks = database.gallery, database.marks
Near = Sequence[tuple[int, float]]
"""Numbers of pictures, and the difference of each, from 0 to 1."""


class Likeness:
    """The marks of a gallery.

    Args:
        begin: a transaction.
    """

    def __init__(self, begin: Callable[[], AbstractContextManager[Connection]]) -> None:
        self._begin = begin
        self._indices: dict[str, marks.Index] = {}

    def nearest(self, connection: Connection, number: int, sort: str, limit: int, most: float) -> Near:
        """What is most like a picture, but for what is in the trash.

        Raises:
            UnknownNameError: there is no such mark.
        """
        if sort not in marks.SORTS:
            raise UnknownNameError("mark", sort[:40], marks.SORTS)
        index, gone = self._indexed(connection, sort)
        return index.nearest(number, limit, most, gone)

    def like(self, connection: Connection, mark: bytes, sort: str, limit: int) -> Near:
        """What is most like a mark of no picture, such as of a text."""
        index, gone = self._indexed(connection, sort)
        return index.like(mark, limit, gone)

    def missing(self, sort: str, limit: int = 32) -> list[tuple[int, str]]:
        """Numbers and ids of pictures without such a mark, the oldest first."""
        having = select(_marks.c.picture).where(_marks.c.sort == sort, _marks.c.picture == _gallery.c.number)
        query = select(_gallery.c.number, _gallery.c.id).where(~having.exists()).order_by(_gallery.c.number)
        with self._begin() as connection:
            return [(row.number, row.id) for row in connection.execute(query.limit(limit)).all()]

    def keep(self, sort: str, values: Mapping[int, bytes]) -> None:
        """Keep marks by the numbers of their pictures, as far as these are still there."""
        with self._begin() as connection:
            there = [*connection.execute(select(_gallery.c.number).where(_gallery.c.number.in_(values))).scalars()]
            for number in there:
                self.add(connection, number, {sort: values[number]})
            if sort in self._indices and min(there, default=0) <= self._indices[sort].last:
                del self._indices[sort]  # which takes in later ones alone

    def add(self, connection: Connection, number: int, values: Mapping[str, bytes]) -> None:
        """Marks of a new picture, by their sort."""
        for sort, value in values.items():
            connection.execute(insert(_marks).values(picture=number, sort=sort, value=value))

    def of(self, connection: Connection, number: int, sort: str) -> bytes | None:
        """A picture's mark, where it has one."""
        query = select(_marks.c.value).where(_marks.c.picture == number, _marks.c.sort == sort)
        return connection.execute(query).scalars().first()

    def forget(self) -> None:
        """Build the indices anew, since pictures went."""
        self._indices.clear()

    def _indexed(self, connection: Connection, sort: str) -> tuple[marks.Index, list[int]]:
        """All marks of a sort, and the numbers of what is in the trash."""
        trash = select(_gallery.c.number).where(_gallery.c.trashed > 0)  # a range of its index, unlike "not null"
        gone = connection.execute(trash).scalars()
        index = self._indices.setdefault(sort, marks.Index(sort))
        new = select(_marks.c.picture, _marks.c.value).where(_marks.c.sort == sort, _marks.c.picture > index.last)
        index.add([(row[0], row[1]) for row in connection.execute(new.order_by(_marks.c.picture)).all()])
        return index, [*gone]
