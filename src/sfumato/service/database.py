"""The service's database: its tables, its one connection, its versions.

One process writes, over one connection: SQLite 3.40 is safe so (WAL, ``synchronous=FULL``). SQLAlchemy's Core speaks to
other databases by their URL. What is deleted is overwritten (``secure_delete``), and `Database.purge` leaves no trace
of it in any file.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    create_engine,
    event,
    false,
    insert,
    inspect,
    make_url,
    select,
    text,
)
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import StaticPool

from sfumato.errors import SfumatoError, installed_by

VERSIONS = ("0001", "0002")
"""Those of `sfumato.service.migrations`; the tables here are the newest's."""

metadata = MetaData()
_whole = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts only INTEGER up

_version = Table("alembic_version", metadata, Column("version_num", String(32), primary_key=True))  # as alembic has it

jobs = Table(
    "jobs",
    metadata,
    Column("number", _whole, primary_key=True, autoincrement=True),
    Column("id", String(16), nullable=False, unique=True),
    Column("state", String(10), nullable=False, index=True),
    Column("task", String(40), nullable=False),
    Column("request", Text, nullable=False),
    Column("format", String(4), nullable=False),
    Column("quality", Integer),
    Column("priority", Integer, nullable=False),
    Column("client", String(200), nullable=False),
    Column("dialect", String(10), nullable=False),
    Column("key", String(200)),
    Column("digest", String(64), nullable=False, index=True),
    Column("attempts", Integer, nullable=False),
    Column("cancelling", Boolean, nullable=False),
    Column("reason", Text),
    Column("created", Float(53), nullable=False),
    Column("started", Float(53)),
    Column("finished", Float(53)),
    Column("report", Text),
    UniqueConstraint("client", "key"),
)
pictures = Table(
    "pictures",
    metadata,
    Column("job", ForeignKey("jobs.id"), primary_key=True),
    Column("index", Integer, primary_key=True),
    Column("seed", String(20), nullable=False),  # 64 bits without a sign are more than databases count
    Column("name", String(40), nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("collected", Boolean, nullable=False, server_default=false(), index=True),  # by the gallery
)
speeds = Table(
    "speeds",
    metadata,
    Column("model", Text, primary_key=True),
    Column("sampler", String(40), primary_key=True),
    Column("pixels", Integer, primary_key=True),
    Column("steps", Integer, nullable=False),
    Column("seconds", Float(53), nullable=False),
    Column("measured", Float(53), nullable=False),
)
settings = Table(
    "settings", metadata, Column("name", String(100), primary_key=True), Column("value", Text, nullable=False)
)

gallery = Table(
    "gallery",
    metadata,
    Column("number", _whole, primary_key=True, autoincrement=True),
    Column("id", String(32), nullable=False, unique=True),
    Column("job", String(16)),
    Column("index", Integer),
    Column("file", String(120), nullable=False),
    Column("digest", String(64), nullable=False, index=True),
    Column("pixels", String(64), nullable=False, index=True),
    Column("tool", String(40), nullable=False),
    Column("exact", Boolean, nullable=False),
    Column("task", String(40), nullable=False),
    Column("request", Text),
    Column("prompt", Text, nullable=False),
    Column("negative", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("seed", String(20)),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("format", String(10), nullable=False),
    Column("rating", Integer, nullable=False),
    Column("created", Float(53), nullable=False),
    Column("added", Float(53), nullable=False),
    Column("trashed", Float(53)),
    Index("ix_gallery_trashed", "trashed", "number"),
    Index("ix_gallery_model", "trashed", "model", "number"),
    Index("ix_gallery_rating", "trashed", "rating", "number"),
    Index("ix_gallery_kinds", "trashed", "tool", "task"),
    Index("ix_gallery_seed", "seed"),
    Index("ix_gallery_created", "created"),
)
labels = Table(
    "gallery_labels",
    metadata,
    Column("sort", String(8), primary_key=True),
    Column("name", String(200), primary_key=True),
    Column("picture", ForeignKey("gallery.number"), primary_key=True),
    Index("ix_gallery_labels_picture", "picture"),
)
sources = Table(
    "gallery_sources",
    metadata,
    Column("picture", ForeignKey("gallery.number"), primary_key=True),
    Column("digest", String(64), primary_key=True),
    Index("ix_gallery_sources_digest", "digest"),
)
marks = Table(
    "gallery_marks",
    metadata,
    Column("sort", String(16), primary_key=True),
    Column("picture", ForeignKey("gallery.number"), primary_key=True),
    Column("value", LargeBinary, nullable=False),
    Index("ix_gallery_marks_picture", "picture"),
    sqlite_with_rowid=False,  # they are read in one go
)

WORDS = {
    "sqlite": (
        "CREATE VIRTUAL TABLE gallery_words USING fts5("
        "words, tokenize='porter unicode61 remove_diacritics 2', prefix='2 3')",
    ),
    "postgresql": (
        # Stems, and no word is too frequent to be looked for.
        "CREATE TEXT SEARCH DICTIONARY sfumato_stem (TEMPLATE = snowball, LANGUAGE = english)",
        "CREATE TEXT SEARCH CONFIGURATION sfumato (COPY = simple)",
        "ALTER TEXT SEARCH CONFIGURATION sfumato ALTER MAPPING FOR asciiword, word WITH sfumato_stem",
        "CREATE TABLE gallery_words (rowid BIGINT PRIMARY KEY, words TSVECTOR NOT NULL)",
        "CREATE INDEX ix_gallery_words ON gallery_words USING gin (words)",
    ),
}
"""The full-text index of prompts, by the database's kind; `gallery.words` says what stands in it."""
for _kind, _statements in WORDS.items():
    for _statement in _statements:
        event.listen(gallery, "after_create", DDL(_statement).execute_if(dialect=_kind))


class Database:
    """The one connection; safe for threads.

    Args:
        url: as SQLAlchemy has it.

    Raises:
        SfumatoError: a newer sfumato has written it, or it cannot be opened.
    """

    def __init__(self, url: str) -> None:
        self._lock = threading.RLock()
        options: dict[str, Any] = {"poolclass": StaticPool, "connect_args": {"check_same_thread": False}}
        try:
            self.kind = make_url(url).get_backend_name()
            if self.kind not in WORDS:
                raise SfumatoError(f"a database of {self.kind} is not known; give a URL of {' or '.join(WORDS)}")
            self._engine = create_engine(url, **(options if self.lite else {}))
            if self.lite:
                event.listen(self._engine, "connect", _prepare_sqlite)
            self._migrate()
        except ArgumentError:
            raise SfumatoError(
                "the database's URL cannot be read; postgresql+psycopg://USER@HOST/NAME is one"
            ) from None
        except ImportError as error:
            raise SfumatoError(f"{error.name} is not installed: {installed_by('postgres')}") from None
        except DBAPIError as error:
            raise SfumatoError(f"the database cannot be opened: {str(error.orig).splitlines()[0]}") from None

    @property
    def lite(self) -> bool:
        """Whether it is a file of SQLite's."""
        return self.kind == "sqlite"

    @classmethod
    def in_folder(cls, folder: Path) -> Self:
        """That of a service's data folder."""
        return cls(f"sqlite:///{folder / 'sfumato.db'}")

    def close(self) -> None:
        """End the connection."""
        self._engine.dispose()

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction, the only one."""
        with self._lock, self._engine.begin() as connection:
            yield connection

    def purge(self) -> None:
        """Leave nothing of what was deleted in the files of the database, its log among them."""
        if not self.lite:
            return
        with self.begin() as connection:
            connection.execute(text("INSERT INTO gallery_words(gallery_words) VALUES ('optimize')"))
        with self._lock, self._engine.connect() as connection:
            alone = connection.execution_options(isolation_level="AUTOCOMMIT")
            for statement in ("PRAGMA wal_checkpoint(TRUNCATE)", "VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"):
                alone.execute(text(statement)).close()

    def _migrate(self) -> None:
        """A new database is made as the tables are; an older one is changed step by step."""
        with self.begin() as connection:
            found = set(inspect(connection).get_table_names())
            if not found:
                metadata.create_all(connection)
                connection.execute(insert(_version).values(version_num=VERSIONS[-1]))
                return
            if "alembic_version" not in found:  # from before there were migrations
                _version.create(connection)
                connection.execute(insert(_version).values(version_num=VERSIONS[0]))
            version = connection.execute(select(_version.c.version_num)).scalar()
            if version not in VERSIONS:
                raise SfumatoError(
                    f"the database has version {version}, and this sfumato {VERSIONS[-1]}; give another --data"
                )
            if version != VERSIONS[-1]:
                _upgrade(connection)


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "sfumato:service/migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _prepare_sqlite(connection: Any, record: object) -> None:
    for setting in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
        connection.execute(f"PRAGMA {setting}")
