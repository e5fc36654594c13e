"""``sfumato data``: reports on stderr, results on stdout, one line for a fault."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sfumato.cli import main

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def mine(workplace: Path) -> Path:
    """Three pictures with captions, one of them a copy, and a damaged one."""
    folder = workplace / "mine"
    folder.mkdir()
    for k in range(3):
        grid = np.random.default_rng(k % 2).integers(0, 256, (40, 40, 3), np.uint8)
        Image.fromarray(grid).save(folder / f"{k}.png")
        (folder / f"{k}.txt").write_text(f"picture {k}")
    (folder / "bad.jpg").write_bytes(b"x")
    return folder


def test_check_changes_nothing(mine: Path, capsys: Capture) -> None:
    before = sorted(mine.parent.rglob("*"))
    assert main(["data", "check", "mine", "--size", "32"]) == 0
    shown = capsys.readouterr()
    rows = dict(line.rsplit(maxsplit=1) for line in shown.out.splitlines())
    assert rows == {
        "read": "4",
        "kept": "2",
        "  left out: unreadable": "1",
        "  left out: duplicate": "1",
        "captions": "2",
    }
    assert shown.err.splitlines() == [
        "2.png: duplicate, of 0.png",
        "bad.jpg: unreadable, not a picture of a known format",
    ]
    assert main(["data", "check", "mine", "--size", "32", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["reasons"] == {"duplicate": 1, "unreadable": 1}
    assert sorted(mine.parent.rglob("*")) == before


def test_what_may_not_be_meant_is_remarked(mine: Path, capsys: Capture) -> None:
    (mine / "0.txt").write_text("a cat\non a mat")
    (mine / "1.png").unlink()
    (mine / "bad.jpg").rename(mine / "photo.heic")
    assert main(["data", "prepare", "mine", "--out", "data", "--size", "32"]) == 0
    shown = capsys.readouterr()
    assert "photo.heic: other format, HEIF is not read; save it as JPEG or PNG" in shown.err
    assert "of 1 pictures have several lines" in shown.err
    assert "--caption-lines join" in shown.err
    assert "no picture is held out" in shown.err
    assert main(["data", "check", "mine", "--size", "32", "--caption-lines", "join"]) == 0
    assert "several lines" not in capsys.readouterr().err


def test_prepare_and_shards(mine: Path, capsys: Capture) -> None:
    assert main(["data", "prepare", "mine", "--out", "data", "--size", "32"]) == 0
    shown = capsys.readouterr()
    assert shown.out == "data\n"
    assert "kept" in shown.err
    assert np.load("data/pictures.npy").shape == (2, 32, 32, 3)
    assert json.loads(Path("data/report.json").read_text())["options"]["size"] == 32
    assert main(["data", "shards", "data", "--out", "tars", "--per-shard", "1"]) == 0
    assert capsys.readouterr().out == "tars/00000.tar\ntars/00001.tar\n"
    assert main(["data", "prepare", "tars", "--out", "again", "--size", "32", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kept"] == 2
    assert Path("again/attributes.jsonl").read_text() == Path("data/attributes.jsonl").read_text()


def test_a_path_is_printed_as_the_bytes_that_it_has(mine: Path) -> None:
    out = os.fsdecode(b"caf\xe9")
    command = [sys.executable, "-m", "sfumato", "data", "prepare", "mine", "--out", out, "--size", "32"]
    done = subprocess.run(command, capture_output=True, check=True)
    assert done.stdout == b"caf\xe9\n"
    assert json.loads((Path(out) / "report.json").read_text(encoding="utf-8"))["kept"] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check", "none"], "none is neither a folder nor a .tar"),
        (["check", "empty"], "empty has no usable picture (nothing found)"),
        (["check", "mine", "--size", "0"], "size 0 must be"),
        (["check", "mine", "--size", "wide"], "whole number"),
        (["check", "mine", "--crop", "left"], "crop 'left'"),
        (["check", "mine", "--no-caption", "guess"], "no_caption 'guess'"),
        (["check", "mine/0.png"], "mine/0.png is neither a folder nor a .tar"),
        (["check", "mine", "--max-pixels", "0"], "max_pixels 0 must be at least 1"),
        (["prepare", "mine"], "--out"),
        (["prepare", "mine", "--out", "empty"], "empty is there already"),
        (["prepare", "mine", "--out", "x", "--validation", "1"], "validation 1.0 must be at least 0 and below 1"),
        (["prepare", "mine", "--out", "mine/0.png/x"], "cannot write"),
        (["shards", "mine", "--out", "x"], "mine has no pictures.npy"),
        (["shards", "mine/0.txt", "--out", "x"], "0.txt has no pictures.npy"),
    ],
)
def test_faults_are_one_line(arguments: list[str], message: str, mine: Path, capsys: Capture) -> None:
    Path("empty").mkdir()
    before = sorted(mine.parent.rglob("*"))
    assert main(["data", *arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert message in shown.err
    assert shown.err.count("\n") == 1
    assert sorted(mine.parent.rglob("*")) == before
