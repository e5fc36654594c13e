"""Grids: every cell is the picture that its request paints alone; labels can be read; facts lie beside."""

import json
from pathlib import Path

import pytest
from PIL import Image

from sfumato import Studio, cli, lettering
from sfumato import grid as grids
from sfumato.errors import RequestError, UnknownNameError
from sfumato.grid import NONE, Axis
from sfumato.requests import Txt2Img

REQUEST = Txt2Img(prompt="a fox", seed=1, steps=2)


@pytest.fixture(scope="module")
def studio(tiny: Path) -> Studio:
    return Studio(tiny, device="cpu", precision="fp32")


def test_cells_are_the_pictures_of_their_requests(studio: Studio, tiny: Path) -> None:
    x, y = Axis.parse(Txt2Img, "guidance=1,4"), Axis.parse(Txt2Img, "sampler=Euler a,heun")
    cells = list(grids.paint(studio, REQUEST.changed(model=str(tiny)), x, y))
    assert sorted(cell.place for cell in cells) == [(0, 0, 0), (0, 1, 0), (1, 0, 0), (1, 1, 0)]
    alone = studio.txt2img("a fox", seed=1, steps=2, guidance=4.0, sampler="euler_a")[0]
    [cell] = [cell for cell in cells if cell.place == (1, 0, 0)]
    assert cell.image.tobytes() == alone.tobytes()
    page = grids.sheet(cells, x, y)
    assert page.width > 2 * 64
    assert page.height > 2 * 64
    found = [
        (left, top)
        for left in range(page.width - 63)
        for top in range(page.height - 63)
        if page.getpixel((left, top)) == alone.getpixel((0, 0))
        and page.crop((left, top, left + 64, top + 64)).tobytes() == alone.tobytes()
    ]
    assert len(found) == 1  # in the right column of the first row
    assert found[0][0] > page.width // 2
    assert found[0][1] < page.height // 2
    said = grids.facts(cells, x, y)
    assert [(c["x"], c["y"]) for c in said["cells"]] == [(0, 0), (1, 0), (0, 1), (1, 1)]
    assert said["axes"]["y"] == {"field": "sampler", "values": ["Euler a", "heun"]}


def test_a_seed_is_drawn_once_and_models_change_least() -> None:
    x, y = Axis.parse(Txt2Img, "model=a,b"), Axis.parse(Txt2Img, "steps=1,2,3")
    asked = grids.requests(Txt2Img(prompt="a fox"), x, y)
    assert len({request.seed for request in asked.values()}) == 1
    models = []

    class Stub:
        def run(self, request: Txt2Img, on_step: object = None) -> object:
            models.append(request.model)
            return object()

    assert len(list(grids.paint(Stub(), REQUEST, x, y))) == 6  # type: ignore[arg-type]
    assert models == ["a"] * 3 + ["b"] * 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps", "must be FIELD=VALUE,VALUE"),
        ("steps=", "must be FIELD=VALUE,VALUE"),
        ("stepz=1", "unknown field of txt2img 'stepz'; did you mean steps"),
        ("steps=four", "steps 'four' must be a whole number"),
        ("size=64", "size '64' must be WIDTHxHEIGHT"),
    ],
)
def test_an_axis_that_is_none_is_refused(text: str, message: str) -> None:
    with pytest.raises((RequestError, UnknownNameError), match=message):
        Axis.parse(Txt2Img, text)


def test_a_field_on_two_axes_or_two_pictures_a_cell_are_refused() -> None:
    x = Axis.parse(Txt2Img, "steps=1,2")
    with pytest.raises(RequestError, match="steps is on two axes"):
        grids.requests(REQUEST, x, x)
    with pytest.raises(RequestError, match="one picture a cell, and count is 2"):
        grids.requests(REQUEST.changed(count=2), x)
    with pytest.raises(RequestError, match="steps 0 must be 1 to 1000"):
        grids.requests(REQUEST, Axis.parse(Txt2Img, "steps=0,1"))


def test_values_may_hold_commas_and_mean_two_fields() -> None:
    assert Axis.parse(Txt2Img, 'prompt="a fox, red",a house').texts == ("a fox, red", "a house")
    assert Axis.parse(Txt2Img, "size=64x32").values[0] == {"width": 64, "height": 32}
    assert Axis.parse(Txt2Img, "lora=ink:0.5").values[0] == {"loras": ("ink:0.5",)}


def test_a_label_is_never_boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lettering, "FONTS", ())
    axis = Axis.parse(Txt2Img, "prompt=a fox,红色的狐狸,café")
    assert lettering.keys(axis.labels()) == {"红色的狐狸": "(2)", "café": "(3)"}
    assert lettering.keys(NONE.labels()) == {}
    assert lettering.font_for(" !%:~azAZ09", 16) is not None


def test_the_command_writes_sheet_and_facts(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["txt2img", "a fox", "--model", str(tiny), "--seed", "1", "--precision", "fp32", "-q", "-o", "sheet.png"]
    assert cli.main(["grid", "--x", "steps=1,2", "--z", "seed=1,2", "--pictures", "all", *words]) == 0
    assert capsys.readouterr().out == "sheet.png\n"
    said = json.loads((tmp_path / "sheet.json").read_text())
    assert [cell["seed"] for cell in said["cells"]] == [1, 1, 2, 2]
    with Image.open(tmp_path / "sheet.png") as page:
        assert page.width > 128
    assert len(list((tmp_path / "all").iterdir())) == 4
    assert cli.main(["grid", "--x", "steps=1,2", "paint", "a fox"]) == 2
    assert "unknown task 'paint'" in capsys.readouterr().err
