"""A service whose worker is a program of a few lines, and a database server of our own."""

import contextlib
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sfumato.service.jobs import Jobs

FAKE = (sys.executable, str(Path(__file__).parent / "fake_worker.py"))


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    found = Jobs.in_folder(tmp_path, limit=4)
    yield found
    found.close()


def _program(name: str) -> str | None:
    debian = sorted(map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{name}")))
    return shutil.which(name) or (debian[-1] if debian else None)


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """A PostgreSQL that listens at a socket in a folder of its own; its URL."""
    programs = [_program(name) for name in ("initdb", "postgres")]
    if None in programs:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")
    initdb, postgres = map(str, programs)
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # the path of a socket is short
    name, who = "sfumato", {}
    if os.geteuid() == 0:  # which PostgreSQL refuses to be
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        who = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    made = [
        initdb,
        "--no-sync",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--locale=C.UTF-8",
        "-U",
        name,
        "-D",
        str(folder / "data"),
    ]
    subprocess.run(made, check=True, capture_output=True, cwd=folder, **who)
    options = {"listen_addresses": "", "unix_socket_directories": str(folder), "fsync": "off", "shared_buffers": "8MB"}
    command = [postgres, "-D", str(folder / "data"), *(f"--{name}={value}" for name, value in options.items())]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=folder, **who)
    try:
        for _ in range(300):
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(host=str(folder), user=name, dbname="postgres").close()
                break
            assert process.poll() is None
            time.sleep(0.1)
        yield f"postgresql+psycopg://{name}@/postgres?host={folder}"
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(folder)


@pytest.fixture
def postgresql(server: str) -> str:
    """The URL of a database with nothing in it."""
    from sqlalchemy import create_engine, text

    engine = create_engine(server)
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()
    return server


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """That of a database with nothing in it, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'sfumato.db'}"
    return str(request.getfixturevalue("postgresql"))
