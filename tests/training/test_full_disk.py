"""Wherever in a run the disk is full, one line says so, what was whole stays, and it goes on when there is room."""

import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sfumato.cli import main
from sfumato.errors import OutputError
from sfumato.training import checkpoint, loop, tracking
from sfumato.training.run import train
from sfumato.training.tracking import TensorBoard, silent_threads
from tests.training.conftest import autoencoder_toml, denoiser_toml

Capture = pytest.CaptureFixture[str]


@contextmanager
def no_file_over(limit: int) -> Iterator[None]:
    """Writing beyond is refused by the system, as where a disk is full; in this process, and by safetensors too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def left_over(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if ".tmp" in path.name or path.name in ("lock", ".export.old")]


@pytest.mark.usefixtures("plotted")
@pytest.mark.parametrize(
    ("place", "name"),
    [
        (checkpoint, "save_file"),
        (TensorBoard, "scalars"),
        (tracking, "write_atomic"),
        (loop, "plot"),
    ],
    ids=["checkpoint", "board", "sheet", "plot"],
)
def test_each_writer(
    place: object, name: str, squares: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    toml = tmp_path / "run.toml"
    toml.write_text(autoencoder_toml(squares, steps=2, warmup=1, decay=0))
    real = getattr(place, name)

    def full(*arguments: object, **named: object) -> object:
        with no_file_over(100):
            done = real(*arguments, **named)
            if place is TensorBoard:
                arguments[0].writer.flush()  # type: ignore[attr-defined]
            return done

    with monkeypatch.context() as patch:
        patch.setattr(place, name, full)
        assert main(["train", str(toml), "--run", str(tmp_path / "run")]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("sfumato: ")]
    assert len(lines) == 1
    assert "cannot write" in lines[0]
    assert lines[0].endswith("File too large; free space and run it again")
    assert left_over(tmp_path) == []
    assert train(toml, tmp_path / "run").is_dir()


def test_latents(squares: Path, autoencoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toml = tmp_path / "run.toml"
    toml.write_text(denoiser_toml(squares, autoencoder))
    before = sorted(squares.iterdir())
    with no_file_over(1000), pytest.raises(OutputError, match=r"cannot write .*free space and run it again"):
        train(toml, tmp_path / "run")
    assert sorted(squares.iterdir()) == before
    assert left_over(tmp_path) == []


def test_a_board_that_cannot_write_is_heard_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its thread's traceback would be a second message; a defect of ours is still shown."""
    shown: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda given: shown.append(given.exc_type))

    def fail(error: Exception) -> None:
        raise error

    with silent_threads():
        for error in (OSError(28, "No space left on device"), ValueError()):
            thread = threading.Thread(target=fail, args=(error,))
            thread.start()
            thread.join()
    assert shown == [ValueError]
