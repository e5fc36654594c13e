"""A task is a class, a row and a function: command, JSON, infotext, replay and verify follow, with no other line."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Annotated, Literal

import numpy as np
import pytest
from PIL import Image, ImageOps
from pydantic import Field
from typer.testing import CliRunner

from sfumato import Studio, requests
from sfumato.adapters.applied import Applied
from sfumato.cli.app import app
from sfumato.images import to_tensor
from sfumato.metadata.describe import describe
from sfumato.output import read_request
from sfumato.requests import Edit, Shown, parse_request
from sfumato.results import Progress, Result
from sfumato.tasks.paint import Canvas, paint
from sfumato.tasks.pictures import open_picture
from sfumato.tasks.session import prepare


class Turned(Edit):
    """Paint a picture anew, and turn it."""

    task: Literal["turned"] = "turned"
    how: Annotated[Literal["flip", "mirror"], Shown("HOW", "Turned how")] = Field("flip", description="which way")


def turned(applied: Applied, request: Turned, load: float = 0.0) -> Iterator[Progress | Result]:
    exact, picture = open_picture(applied.model, request)
    clean = applied.model.encode_pixels(to_tensor(picture.padded))
    session = prepare(applied, exact, picture.padded.size, load=load, strength=exact.strength)
    turn = ImageOps.flip if exact.how == "flip" else ImageOps.mirror
    yield from paint(session, Canvas(picture.padded.size, clean, finish=lambda each: turn(picture.cropped(each))))


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> None:
    """The row, wherever the table has been imported, and the file of the function."""
    table = requests.REQUESTS
    for module in list(sys.modules.values()):
        if vars(module).get("REQUESTS") is table:
            monkeypatch.setattr(module, "REQUESTS", {**table, Turned.TASK: Turned})
    file = ModuleType("sfumato.tasks.turned")
    monkeypatch.setattr(file, "turned", turned, raising=False)
    monkeypatch.setitem(sys.modules, file.__name__, file)


@pytest.mark.usefixtures("added")
def test_the_rest_of_a_task_follows(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save("a.png")
    run = CliRunner().invoke
    assert "--how" in run(app, ["turned", "--help"]).output
    words = ["turned", "a.png", "a red fox", "--how", "mirror", "--seed", "3", "--steps", "2", "--model", str(tiny)]
    painted = run(app, [*words, "-o", "b.png"])
    assert painted.exit_code == 0, painted.output
    stored = read_request(Path("b.png"))
    assert isinstance(stored, Turned)
    assert (stored.how, stored.seed) == ("mirror", 3)
    assert parse_request(stored.to_json()) == stored
    assert describe(stored).fields["Turned how"] == "mirror"
    assert Studio(tiny).run(stored)[0].tobytes() == Image.open("b.png").tobytes()
    for command in ("replay", "verify"):
        assert run(app, [command, "b.png", "-q"]).exit_code == 0
    read = run(app, ["meta", "read", "b.png", "--json"])
    assert json.loads(read.stdout)["request"]["how"] == "mirror"
    assert run(app, ["turned", "a.png", "--how", "sideways"]).exit_code != 0
