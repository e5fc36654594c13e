"""The page of tasks picks up every task: each has a command that can be read, also those that have no example."""

from pathlib import Path

import pytest
from docs import tasks as page
from PIL import Image

from sfumato.errors import RequestError
from sfumato.requests import REQUESTS, Source

NOTHING = {"outpaint": "are all 0", "enhance": "nothing is to be done"}
"""Tasks whose arguments alone say nothing of what to do."""


@pytest.mark.parametrize("task", REQUESTS)
@pytest.mark.parametrize("own", [True, False])
def test_every_task_has_a_command(task: str, own: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not own:
        monkeypatch.setattr(page, "EXAMPLES", {})
    if not own and task in NOTHING:
        with pytest.raises(RequestError, match=NOTHING[task]):
            page.request_of(REQUESTS[task])
        return
    command, request = page.request_of(REQUESTS[task])
    assert command.startswith(f"sfumato {task} ")
    assert request.task == task
    paths = {value.path for name in type(request).model_fields if isinstance(value := getattr(request, name), Source)}
    assert paths <= {*page.FILES, *page.MADE}
    assert set(page.EXAMPLES) <= set(REQUESTS)


def test_a_row_a_task() -> None:
    rows = [page.Row("a", "sfumato a | b", "seam 1", 1.25, 512.4), page.Row("b", "sfumato b", "refused: no")]
    text = page.page(rows)
    assert "| a | `sfumato a / b` |  | seam 1 | 1.2 | 512 MB |" in text
    assert "| b | `sfumato b` |  | refused: no |  |  |" in text


def test_a_row_of_a_command_shows_what_it_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in page.TILES:
        Image.new("RGB", (16, 16), "red").save(name)
    row, pictures = page.run_command("tileset")
    assert (row.figure, row.seconds is None) == ("wrote tileset.png, tileset.tsj", False)
    assert [each.size for each in pictures] == [Image.open("tileset.png").size]
    assert not page.COMMANDS.keys() & REQUESTS.keys()
    names = [line.split(" | ")[0] for line in page.page([row, page.Row("txt2img", "", "")]).splitlines()[6:]]
    assert names == ["| txt2img", "| tileset"]


def test_rows_of_other_tasks_stay() -> None:
    old = page.page([page.Row("txt2img", "sfumato a", "", 1.0, 2.0), page.Row("img2img", "sfumato b", "old")])
    new = page.page([page.Row("img2img", "sfumato b", "new")], old)
    assert new == old.replace("old", "new")
