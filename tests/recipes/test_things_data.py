"""The data of things: what is painted elsewhere is left out, and most of what is not large."""

import json
from pathlib import Path

import numpy as np
from recipes.nano.things_data import chosen, select

KINDS = ("portrait", "scene", "landscape", "emoji", "emoji")
ROWS = [{"kind": kind, "size": "large" if i % 5 == 3 else "small"} for i, kind in enumerate(KINDS * 200)]


def test_large_things_stay_and_a_third_of_the_others() -> None:
    kept = [ROWS[number] for number in chosen(ROWS)]
    counts = [sum(row == each for row in kept) for each in ROWS[:5]]
    assert counts[0] == counts[3] == 200
    assert counts[1] == counts[2] == 0
    assert 50 < counts[4] < 90


def test_pictures_keep_their_attributes(tmp_path: Path) -> None:
    source = tmp_path / "all"
    source.mkdir()
    np.save(source / "pictures.npy", np.arange(len(ROWS) * 12, dtype=np.int64).astype(np.uint8).reshape(-1, 2, 2, 3))
    (source / "attributes.jsonl").write_text("".join(json.dumps({**row, "at": i}) + "\n" for i, row in enumerate(ROWS)))
    count = select(source, tmp_path / "some")
    rows = [json.loads(line) for line in (tmp_path / "some/attributes.jsonl").read_text().splitlines()]
    pictures = np.load(tmp_path / "some/pictures.npy")
    assert len(rows) == len(pictures) == count
    assert all(picture[0, 0, 0] == row["at"] * 12 % 256 for picture, row in zip(pictures, rows, strict=True))
