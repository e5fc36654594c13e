"""The page in the package is the one that `web/` builds."""

import hashlib
import re
from pathlib import Path

from sfumato.requests import REQUESTS
from sfumato.service.asked import PATHS

ROOT = Path(__file__).parents[2]
BUILT = ROOT / "src/sfumato/service/web/assets/sources.txt"


def test_the_page_is_up_to_date() -> None:
    """The digest that `web/vite.config.ts` writes beside what it builds."""
    web = ROOT / "web"
    files = [web / name for name in ("index.html", "package-lock.json", "vite.config.ts")]
    files += [file for top in ("public", "src") for file in (web / top).rglob("*") if file.is_file()]
    whole = hashlib.sha256()
    for name, file in sorted((file.relative_to(web).as_posix(), file) for file in files):
        whole.update(f"{name}\0{hashlib.sha256(file.read_bytes()).hexdigest()}".encode())
    assert BUILT.read_text() == f"{whole.hexdigest()}\n", "web/ has changed: run `make page` and commit what it builds"


def test_every_field_and_task_has_a_chinese_name() -> None:
    """English ones are the requests' own."""
    words = (ROOT / "web/src/words/fields.ts").read_text()
    known = {
        name: set(re.findall(r"^  (\w+): \[", words.partition(f"{name}: Words")[2].partition("\n};")[0], re.M))
        for name in ("fieldsZh", "tasksZh")
    }
    fields = {name for kind in REQUESTS.values() for name in kind.model_fields} - {"task", *PATHS}
    assert (fields - known["fieldsZh"], REQUESTS.keys() - known["tasksZh"]) == (set(), set())


def test_the_lockfile_names_no_address() -> None:
    assert '"resolved"' not in (ROOT / "web/package-lock.json").read_text()
