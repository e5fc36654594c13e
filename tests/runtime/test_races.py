"""Races: the clearly faster way wins, once; caches that cannot be used cost a race and no more."""

import json
from pathlib import Path

import pytest

from sfumato.runtime import races
from sfumato.runtime.races import Races


class Course:
    """Ways that take so many seconds on a clock of their own, and count their calls."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **seconds: float) -> None:
        self.now = 0.0
        self.calls = dict.fromkeys(seconds, 0)
        self.ways = {name: self._way(name, each) for name, each in seconds.items()}
        monkeypatch.setattr(races.time, "perf_counter", lambda: self.now)

    def _way(self, name: str, seconds: float):  # type: ignore[no-untyped-def]
        def run() -> None:
            self.calls[name] += 1
            self.now += seconds

        return run


def test_the_faster_way_wins_by_a_clear_margin_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Races(None).winner("a", Course(monkeypatch, plain=1.0, packed=0.5).ways) == "packed"
    assert Races(None).winner("a", Course(monkeypatch, plain=1.0, packed=0.95).ways) == "plain"
    assert Races(None).winner("a", Course(monkeypatch, plain=1.0, packed=2.0).ways) == "plain"


def test_what_is_clearly_slower_runs_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    course = Course(monkeypatch, plain=1.0, packed=0.2)
    Races(None).winner("a", course.ways)
    assert course.calls == {"plain": 2, "packed": 4}


def test_a_race_is_run_once_a_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "cache" / "races.json"
    first = Course(monkeypatch, plain=1.0, packed=0.5)
    assert Races(path).winner("a", first.ways) == "packed"
    again = Course(monkeypatch, plain=0.1, packed=0.5)
    assert Races(path).winner("a", again.ways) == "packed"
    assert again.calls == {"plain": 0, "packed": 0}


def test_two_processes_keep_what_each_found_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "races.json"
    one, other = Races(path), Races(path)
    ways = Course(monkeypatch, plain=1.0, packed=0.5).ways
    one.winner("a", ways)
    other.winner("b", ways)
    one.winner("c", ways)
    assert json.loads(path.read_bytes()) == {"a": "packed", "b": "packed", "c": "packed"}


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[1, 2]", b'{"a": 3}', b'{"a": "turbo"}', b"[" * 9999])
def test_a_damaged_or_foreign_cache_is_made_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "races.json"
    path.write_bytes(content)
    assert Races(path).winner("a", Course(monkeypatch, plain=1.0, packed=0.5).ways) == "packed"
    assert json.loads(path.read_bytes())["a"] == "packed"


def test_a_cache_that_cannot_be_written_is_done_without(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    course = Course(monkeypatch, plain=1.0, packed=0.5)
    here = Races(tmp_path / "file" / "races.json")
    assert here.winner("a", course.ways) == "packed"
    calls = dict(course.calls)
    assert here.winner("a", course.ways) == "packed"
    assert course.calls == calls
