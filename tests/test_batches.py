"""Batches: a file of requests, painted once each, whatever interrupts."""

import json
from pathlib import Path

import pytest
from PIL import Image

from sfumato import Studio, cli
from sfumato.batches import SIDECAR, paint, read_batch
from sfumato.errors import RequestError
from sfumato.requests import Img2Img, Txt2Img


@pytest.fixture(scope="module")
def studio(tiny: Path) -> Studio:
    return Studio(tiny, device="cpu", precision="fp32")


def written(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def test_prompts_rows_and_objects_are_requests(tmp_path: Path) -> None:
    lines = read_batch(written(tmp_path, "a.txt", "a fox\n\n  红色的狐狸 \n"), {"steps": "3"})
    assert [(e.line, e.request.prompt, e.request.steps) for e in lines] == [(1, "a fox", 3), (3, "红色的狐狸", 3)]
    rows = read_batch(
        written(tmp_path, "a.csv", 'prompt,steps,size\n"a fox, red",2,64x32\na house,,\n'), {"steps": "9"}
    )
    assert [(e.request.prompt, e.request.steps, e.request.width) for e in rows] == [
        ("a fox, red", 2, 64),
        ("a house", 9, None),
    ]
    Image.new("RGB", (8, 8)).save(tmp_path / "in.png")
    edit = {"task": "img2img", "image": str(tmp_path / "in.png"), "prompt": "a fox", "strength": 0.5}
    objects = read_batch(written(tmp_path, "a.jsonl", f'{{"prompt": "a fox"}}\n{json.dumps(edit)}\n'))
    assert [type(entry.request) for entry in objects] == [Txt2Img, Img2Img]


def test_a_request_is_known_by_what_it_asks_and_how_often(tmp_path: Path) -> None:
    first, second, third = read_batch(written(tmp_path, "a.txt", "a fox\na fox\na house\n"))
    assert len({first.digest, second.digest, third.digest}) == 3
    again = read_batch(written(tmp_path, "b.txt", "a house\na fox\na fox\n"))
    assert [e.digest for e in again] == [third.digest, first.digest, second.digest]
    Image.new("RGB", (8, 8)).save(tmp_path / "in.png")
    edit = json.dumps({"task": "img2img", "image": str(tmp_path / "in.png"), "prompt": "a fox"})
    [before] = read_batch(written(tmp_path, "c.jsonl", edit))
    Image.new("RGB", (8, 8), "red").save(tmp_path / "in.png")
    [after] = read_batch(tmp_path / "c.jsonl")
    assert before.digest != after.digest


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "prompt,stepz\na fox,2\n", "line 2: unknown field of txt2img 'stepz'"),
        ("a.csv", "prompt,steps\na fox,2,3\n", "line 2: it has more cells than the 2"),
        ("a.jsonl", '{"prompt": "a fox"}\n{"prompt"\n', "line 2: the request is not JSON"),
        ("a.jsonl", '{"prompt": "a fox", "steps": "2"}', "line 1: steps must be a whole number"),
        ("a.jsonl", '{"task": "sing", "prompt": "a"}', "line 1: task 'sing' must be one of"),
        ("a.txt", "\n\n", "has no requests"),
    ],
)
def test_a_line_that_is_no_request_is_named_before_anything_is_painted(
    name: str, text: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(RequestError, match=message):
        read_batch(written(tmp_path, name, text))


def test_what_is_done_is_skipped_and_what_is_lost_painted_again(studio: Studio, tiny: Path, tmp_path: Path) -> None:
    common = {"steps": "1", "seed": "1", "model": str(tiny)}
    entries = read_batch(written(tmp_path, "a.txt", "a fox\na house\na red fox\n"), common)
    out = tmp_path / "out"
    run = paint(studio, entries, out)
    assert next(run)["state"] == next(run)["state"] == "painted"
    run.close()  # interrupted after two
    with (out / SIDECAR).open("a") as sidecar:
        sidecar.write('{"digest": "cut')  # and in the middle of a line
    states = list(paint(studio, entries, out))
    assert [said["state"] for said in states] == ["skipped", "skipped", "painted"]
    assert [said["state"] for said in paint(studio, entries, out)] == ["skipped"] * 3
    Path(states[0]["files"][0]).unlink()
    assert [said["state"] for said in paint(studio, entries, out)] == ["painted", "skipped", "skipped"]
    assert len(list(out.glob("*.png"))) == 3


def test_a_folder_of_pictures_is_enlarged_and_read_and_goes_on(studio: Studio, tmp_path: Path) -> None:
    """A picture a line; a task without pictures of its own is done when its report is written down."""
    for k in range(3):
        Image.new("RGB", (24, 24), (80 * k, 90, 90)).save(tmp_path / f"scan {k}.png")
    file = written(tmp_path, "a.txt", "".join(f"{tmp_path}/scan {k}.png\n" for k in range(3)))
    out = tmp_path / "out"
    enlarged = read_batch(file, {"method": "bicubic"}, "upscale")
    run = paint(studio, enlarged, out)
    assert next(run)["state"] == "painted"
    run.close()
    assert [said["state"] for said in paint(studio, enlarged, out)] == ["skipped", "painted", "painted"]
    assert sorted(each.name[5:] for each in out.glob("*.png")) == [f"scan-{k}-upscale.png" for k in range(3)]
    recognised = read_batch(file, task="recognise")
    first, again = list(paint(studio, recognised, out)), list(paint(studio, recognised, out))
    assert [said["state"] for said in (*first, *again)] == ["answered"] * 3 + ["skipped"] * 3
    assert [said["report"] for said in again] == [said["report"] for said in first]
    [labelled, *_] = read_batch(file, {"labels": "a red fox, a house"}, "classify")
    assert labelled.request.labels == ("a red fox", "a house")


def test_the_command_goes_on_after_a_request_that_fails(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, "a.jsonl", '{"prompt": "a fox", "clip_skip": 9}\n{"prompt": "a house"}\n')
    words = ["batch", str(file), "-o", str(tmp_path / "out"), "--precision", "fp32", "-q"]
    assert cli.main([*words, "--set", f"model={tiny}", "--set", "steps=1"]) == 2
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["state"] == "failed"
    assert "clip_skip is 9" in first["error"]
    assert second["state"] == "painted"
    assert Path(second["files"][0]).is_file()
    assert cli.main([*words, "--set", "steps"]) == 2
    assert "--set 'steps' must be FIELD=VALUE" in capsys.readouterr().err
