"""Digests of large files: remembered while the file stays as it was, and only then."""

import hashlib
import os
from pathlib import Path

import pytest

from sfumato import files
from sfumato.runtime import digests
from sfumato.runtime.digests import remembered_sha256


@pytest.fixture
def reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were read."""
    seen: list[Path] = []
    whole = files.sha256

    def counted(path: Path) -> str:
        seen.append(path)
        return whole(path)

    monkeypatch.setattr(digests, "sha256", counted)
    monkeypatch.setattr(digests, "SMALL", 8)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return seen


def old(path: Path, data: bytes, age: float = 100.0) -> Path:
    path.write_bytes(data)
    stamp = path.stat().st_mtime - age
    os.utime(path, (stamp, stamp))
    return path


def test_a_settled_file_is_read_once(tmp_path: Path, reads: list[Path]) -> None:
    path = old(tmp_path / "a", b"0123456789")
    expected = hashlib.sha256(b"0123456789").hexdigest()
    assert [remembered_sha256(path), remembered_sha256(path)] == [expected, expected]
    assert reads == [path]


@pytest.mark.parametrize(("data", "age"), [(b"abcdefghij", 50.0), (b"0123456789a", 100.0)])
def test_a_changed_file_is_read_again(data: bytes, age: float, tmp_path: Path, reads: list[Path]) -> None:
    path = old(tmp_path / "a", b"0123456789")
    remembered_sha256(path)
    old(path, data, age)
    assert remembered_sha256(path) == hashlib.sha256(data).hexdigest()
    assert len(reads) == 2


@pytest.mark.parametrize(("data", "age"), [(b"small", 100.0), (b"0123456789", 0.0)])
def test_small_and_fresh_files_are_read_each_time(data: bytes, age: float, tmp_path: Path, reads: list[Path]) -> None:
    path = old(tmp_path / "a", data, age)
    remembered_sha256(path)
    remembered_sha256(path)
    assert len(reads) == 2
    assert not (tmp_path / "cache").exists()


def test_a_damaged_memory_is_not_believed(tmp_path: Path, reads: list[Path]) -> None:
    path = old(tmp_path / "a", b"0123456789")
    digest = remembered_sha256(path)
    (kept,) = (file for file in (tmp_path / "cache").rglob("*") if file.is_file())
    for data in (b"", b"zz", b"0" * 63, b"\xff" * 64):
        kept.write_bytes(data)
        assert remembered_sha256(path) == digest
    assert len(reads) == 5


def test_a_cache_that_cannot_be_written_is_done_without(
    tmp_path: Path, reads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    path = old(tmp_path / "a", b"0123456789")
    assert remembered_sha256(path) == hashlib.sha256(b"0123456789").hexdigest()
