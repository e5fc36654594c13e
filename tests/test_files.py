"""Files and folders are there whole or not at all, and held by one process at a time."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest
from safetensors import SafetensorError

from sfumato.errors import OutputError
from sfumato.files import held, whole_file, whole_folder


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_bytes(b"old")
    with contextlib.suppress(ValueError), whole_file(target) as file:
        file.write(b"new")
        raise ValueError
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert target.read_bytes() == b"old"
    with whole_file(target) as file:
        file.write(b"new")
        assert target.read_bytes() == b"old"
    assert target.read_bytes() == b"new"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device"), "No space left on device; free space and run it again"),
        (
            SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
            "No space left on device; free space and run it again",
        ),
        (PermissionError(13, "Permission denied"), "Permission denied; check the path and its permissions"),
    ],
)
def test_a_folder_that_cannot_be_written_leaves_the_old_one(error: Exception, said: str, tmp_path: Path) -> None:
    final = tmp_path / "export"
    with whole_folder(final) as folder:
        (folder / "a").write_text("old")
    with pytest.raises(OutputError) as caught, whole_folder(final) as folder:
        fail(folder / "a", error)
    assert str(caught.value) == f"cannot write {final}: {said}"
    assert [path.name for path in tmp_path.iterdir()] == ["export"]
    assert (final / "a").read_text() == "old"


def fail(path: Path, error: Exception) -> NoReturn:
    path.write_text("new")
    raise error


HOLDS = """
import os, sys
from pathlib import Path
from sfumato.files import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_file_is_held_by_one_process_and_by_none_that_is_dead(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(BlockingIOError) as caught, held(path):
            pass
        assert f"process {other.pid} on " in caught.value.strerror
        other.kill()
        other.wait()
        assert str(other.pid) in path.read_text(), "it could not tidy up"
    with held(path):
        assert f"process {os.getpid()} on " in path.read_text()
    assert not path.exists()
