"""Databases of older versions become those of this one, and those of newer ones are refused."""

import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from sfumato.errors import SfumatoError
from sfumato.service.database import VERSIONS, Database, metadata
from sfumato.service.gallery.filters import Filters
from sfumato.service.gallery.store import Gallery
from sfumato.service.jobs import Jobs

FIRST = """
CREATE TABLE schema (version INTEGER NOT NULL);
INSERT INTO schema VALUES (1);
CREATE TABLE jobs (number INTEGER NOT NULL, id VARCHAR(16) NOT NULL, state VARCHAR(10) NOT NULL,
 task VARCHAR(40) NOT NULL, request TEXT NOT NULL, format VARCHAR(4) NOT NULL, quality INTEGER,
 priority INTEGER NOT NULL, client VARCHAR(200) NOT NULL, dialect VARCHAR(10) NOT NULL, "key" VARCHAR(200),
 digest VARCHAR(64) NOT NULL, attempts INTEGER NOT NULL, cancelling BOOLEAN NOT NULL, reason TEXT,
 created FLOAT NOT NULL, started FLOAT, finished FLOAT, report TEXT,
 PRIMARY KEY (number), UNIQUE (client, "key"), UNIQUE (id));
CREATE INDEX ix_jobs_state ON jobs (state);
CREATE INDEX ix_jobs_digest ON jobs (digest);
CREATE TABLE speeds (model TEXT NOT NULL, sampler VARCHAR(40) NOT NULL, pixels INTEGER NOT NULL,
 steps INTEGER NOT NULL, seconds FLOAT NOT NULL, measured FLOAT NOT NULL, PRIMARY KEY (model, sampler, pixels));
CREATE TABLE settings (name VARCHAR(100) NOT NULL, value TEXT NOT NULL, PRIMARY KEY (name));
CREATE TABLE pictures (job VARCHAR(16) NOT NULL, "index" INTEGER NOT NULL, seed VARCHAR(20) NOT NULL,
 name VARCHAR(40) NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL, PRIMARY KEY (job, "index"),
 FOREIGN KEY(job) REFERENCES jobs (id));
INSERT INTO jobs VALUES (1, 'ab', 'done', 'txt2img', '{"task":"txt2img","prompt":"a fox"}', 'png', NULL, 0, '',
 'native', NULL, 'd', 1, 0, NULL, 5.0, 6.0, 7.0, NULL);
INSERT INTO pictures VALUES ('ab', 0, '3', '0001.png', 16, 16);
"""
"""A database from before there were migrations, with a picture in it."""


def test_an_old_database_is_changed_and_loses_nothing(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "sfumato.db") as connection:
        connection.executescript(FIRST)
    connection.close()
    database = Database.in_folder(tmp_path)
    assert [each.name for each in Jobs(database).get("ab").pictures] == ["0001.png"]
    (waiting,) = Gallery(database, tmp_path).uncollected()
    assert (waiting.job, waiting.index, waiting.name, waiting.created) == ("ab", 0, "0001.png", 6.0)
    assert Gallery(database, tmp_path).count(Filters(q="fox")) == 0  # its full-text index is there
    with database.begin() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "include_name": lambda name, kind, _: kind != "table" or not name.startswith("gallery_words"),
            },
        )
        assert context.get_current_revision() == VERSIONS[-1]
        assert compare_metadata(context, metadata) == []
    database.close()
    assert Jobs.in_folder(tmp_path).get("ab").task == "txt2img"


def test_a_newer_database_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Database.in_folder(tmp_path).close()
    monkeypatch.setattr("sfumato.service.database.VERSIONS", ("0000", "0001"))
    with pytest.raises(SfumatoError, match="version 0002, and this sfumato 0001; give another --data"):
        Database.in_folder(tmp_path)
