"""`classify` by the command, by Python and as JSON: labels from lists and files, answers, bad input."""

import json
from pathlib import Path

import pytest
from PIL import Image

from sfumato import Classify, Studio, parse_request
from sfumato.cli import main
from sfumato.errors import RequestError


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    for name, size in (("red", (64, 64)), ("green", (1, 1))):
        Image.new("RGB", size, name).save(folder / f"{name}.png")
    return [folder / "red.png", folder / "green.png"]


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = main(["classify", *map(str, words)])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_command_ranks_labels_of_a_list_and_of_a_file_alike(
    tiny: Path, pictures: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("a red fox\n\n a green house \na fox\n", encoding="utf-8")
    common = (*pictures, "--model", tiny, "--draws", "4", "--top", "2", "--precision", "fp32", "--json")
    code, out, err = run(capsys, *common, "--labels-file", labels)
    assert code == 0, err
    facts = json.loads(out)
    assert facts["files"] == []
    rows = facts["report"]["rows"]
    assert [row["picture"] for row in rows] == ["red.png"] * 2 + ["green.png"] * 2
    assert rows[0]["probability"] >= rows[1]["probability"]
    assert rows[0]["sure"] in ("yes", "unsure")
    assert "not calibrated" in "".join(facts["report"]["remarks"])
    assert "2 pictures" in facts["report"]["answer"]
    code, out, err = run(capsys, *common, "--labels", "a red fox,a green house, a fox")
    assert json.loads(out)["report"]["rows"] == rows


def test_python_and_json_give_the_same(tiny: Path, pictures: list[Path]) -> None:
    studio = Studio(tiny, device="cpu", precision="fp32")
    first = studio.classify(pictures, labels=["a red fox", "a house"], draws=4)
    again = studio.run(parse_request(first.request.to_json()))
    assert isinstance(again.request, Classify)
    assert first.report is not None
    assert again.report is not None
    assert first.report.rows == again.report.rows
    assert first.images == []
    assert first.request.labels == ("a red fox", "a house")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--labels", "cat,dog,cat"), "'cat' twice"),
        (("--labels", "cat,,dog"), "nothing at place 2"),
        (("--labels", "cat"), "2 to 10000"),
        (("--labels-file", "nowhere.txt"), "nowhere.txt"),
        (("--labels", "a,b", "--labels-file", "x"), "both say"),
        (("--labels", "a,b", "--label-template", "photo"), "must have one {}"),
        (("--labels", "a,b", "--risk", "0.7"), "risk"),
        ((), "labels"),
    ],
)
def test_labels_that_cannot_be_used_are_one_line(
    words: tuple[str, ...], said: str, pictures: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, pictures[0], *words)
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.strip().splitlines()) == 1


def test_pictures_that_cannot_be_read_are_one_line(
    pictures: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(pictures[0].read_bytes()[:40])
    for file, said in ((broken, "cannot be opened"), (tmp_path / "none.png", "cannot read"), (tmp_path, "plain file")):
        code, out, err = run(capsys, pictures[0], file, "--labels", "a,b")
        assert (code, out) == (2, "")
        assert said in err
    with pytest.raises(RequestError, match="list"):
        Studio().classify("a.png", labels="a,b")  # type: ignore[arg-type]


def test_of_animated_pictures_the_first_frame_is_looked_at(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "green")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    words = (tmp_path / "a.gif", "--labels", "fox,house", "--model", tiny, "--draws", "2", "--precision", "fp32")
    code, out, err = run(capsys, *words)
    assert code == 0
    assert "first frame" in err
    assert "fox" in out
