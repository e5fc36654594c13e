"""The gallery on the command line, and what time does to it."""

import json
import time
import zipfile
from pathlib import Path

import pytest
from sqlalchemy import update

from sfumato.cli import main
from sfumato.requests import Txt2Img
from sfumato.service import database
from sfumato.service.database import Database
from sfumato.service.gallery.filters import Filters
from sfumato.service.gallery.store import Gallery
from sfumato.service.jobs import Jobs
from tests.service.gallery.test_gallery import a1111, drawn
from tests.service.services import running_fake


def test_the_command_line_has_the_gallery(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    theirs = tmp_path / "theirs" / "2024"
    theirs.mkdir(parents=True)
    (theirs / "a.png").write_bytes(drawn(1, texts=a1111("a red kite")))
    (theirs / "b.jpg").write_bytes(drawn(2, format="JPEG"))
    (theirs / "broken.png").write_bytes(drawn(3)[:300])
    (theirs / "notes.txt").write_text("not looked at")
    with running_fake(tmp_path / "data") as (_, client):
        url = f"--url={client.url}"
        assert main(["gallery", "import", str(theirs.parent), "--board", "old", url]) == 0
        said = capsys.readouterr()
        assert said.out == "2 new, 0 known, 1 refused; 1 by A1111, 1 by unknown\n"
        assert "broken.png: the picture is" in said.err
        assert main(["gallery", "import", str(theirs), "--json", url]) == 0
        assert json.loads(capsys.readouterr().out)["known"] == 2
        assert main(["gallery", "search", "kite", "--board", "old", url]) == 0
        (line,) = capsys.readouterr().out.splitlines()
        id = line.split()[0]
        assert line.endswith("a red kite")
        assert main(["gallery", "show", id, url]) == 0
        shown = json.loads(capsys.readouterr().out)
        assert shown["request"]["prompt"] == "a red kite"
        assert abs(shown["created"] - (theirs / "a.png").stat().st_mtime) < 1
        assert main(["gallery", "export", str(tmp_path / "out.zip"), "--search", "kite", url]) == 0
        assert sorted(zipfile.ZipFile(tmp_path / "out.zip").namelist()) == [f"{id}.json", f"{id}.png"]
        assert main(["gallery", "export", str(tmp_path / "none.zip"), "--search", "zyzzyva", url]) == 2
        assert not (tmp_path / "none.zip").exists()
        for wrong in ([], [id, "--all"], ["../x"], ["nothing"]):
            assert main(["gallery", "erase", *wrong, url]) == 2
        client.call("POST", "/api/v1/gallery/trash", {"ids": [id]})
        assert main(["gallery", "erase", "--trash", url]) == 0
        assert main(["gallery", "erase", "--all", url]) == 0
        assert capsys.readouterr().out.splitlines()[-2:] == ["1 erased", "1 erased"]
        assert main(["gallery", "import", str(tmp_path / "nowhere"), url]) == 2
        assert main(["gallery", "import", str(tmp_path / "out.zip"), url]) == 0
        assert capsys.readouterr().out.endswith("1 refused\n")


def test_what_is_old_is_erased(tmp_path: Path) -> None:
    base = Database.in_folder(tmp_path)
    jobs, gallery = Jobs(base), Gallery(base, tmp_path)
    facts = {
        **{"digest": "d", "pixels": "p", "tool": "", "exact": False, "task": "", "request": None, "prompt": "an ibis"},
        **{"negative": "", "model": "", "seed": None, "width": 8, "height": 8, "format": "png", "look": "00" * 24},
        **{"loras": [], "sources": []},
    }
    for name in ("old", "new"):
        (tmp_path / name).touch()
        gallery.add(name, name, facts, created=5.0)
    job, _ = jobs.submit(Txt2Img.build(prompt="an old ibis"))
    waiting, _ = jobs.submit(Txt2Img.build(prompt="it waits"))
    jobs.cancel(job.id)
    with base.begin() as connection:
        connection.execute(update(database.gallery).where(database.gallery.c.id == "old").values(added=1000.0))
        connection.execute(update(database.jobs).where(database.jobs.c.id == job.id).values(finished=1000.0))
    assert gallery.expire(time.time() - 60) == 2
    assert [each.id for each in gallery.all(Filters())] == ["new"]
    assert [path.name for path in tmp_path.iterdir() if path.name in ("old", "new")] == ["new"]
    assert [each.id for each in jobs.listed()] == [waiting.id]
    assert gallery.expire(time.time() - 60) == 0
