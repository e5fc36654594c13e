"""Pages that say what the source has: variables, exit codes, errors, decisions; and links that lead somewhere."""

import datetime
import re
from pathlib import Path

import pytest
from docs import index

import sfumato.errors
from sfumato import cli

ROOT = Path(__file__).parents[1]
ENVIRONMENT = (ROOT / "docs" / "environment.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.split("|")[1:-1]] for line in ENVIRONMENT.splitlines() if line.startswith("|")]
PAGES = ["CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "docs/architecture.md", "docs/environment.md"]
PAGES += [str(page.relative_to(ROOT)) for page in sorted((ROOT / "docs" / "decisions").glob("*.md"))]


def test_every_variable_that_is_read_is_on_the_page_and_no_other() -> None:
    sources = [file.read_text(encoding="utf-8") for file in (ROOT / "src").rglob("*.py")]
    name = r"[A-Z]+(?:_[A-Z]+)*_?"
    found = {
        each
        for source in sources
        if "environ" in source or "envvar" in source
        for each in re.findall(rf'"({name})"', source)
        if ("_" in each or each == "LOCALAPPDATA") and ("environ" in source or each.startswith("SFUMATO_"))
    }
    told = {each for row in ROWS if "`" in row[0] for each in re.findall(rf"`({name})`", row[0])}
    assert {each for each in told if not each.endswith("Error")} == found


def test_errors_are_those_of_the_source() -> None:
    classes = {name: kind for name, kind in vars(sfumato.errors).items() if isinstance(kind, type)}
    wanted = {(f"`{n}`", f"`{kind.__base__.__name__}`") for n, kind in classes.items() if issubclass(kind, Exception)}
    assert {(row[0], row[1]) for row in ROWS if row[0].endswith("Error`")} == wanted


def test_exit_codes_are_those_of_the_source() -> None:
    codes = {int(row[0]) for row in ROWS if row[0].isdigit()}
    kinds = [kind for kind in vars(sfumato.errors).values() if isinstance(kind, type)]
    raised = {kind.exit_code for kind in kinds if issubclass(kind, sfumato.errors.SfumatoError)}
    assert codes == {0, 1, cli.BAD_INPUT, cli.INTERRUPTED, cli.READER_GONE, *raised}


def test_every_decision_is_in_the_index() -> None:
    today = datetime.date.today()
    assert index.INDEX.read_text(encoding="utf-8") == index.current(today), "run python -m docs.index"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    file = ROOT / page
    for link in re.findall(r"\]\(([^)#\s]+)", file.read_text(encoding="utf-8")):
        if not link.startswith(("http", "mailto")):
            assert (file.parent / link).exists(), link


def test_an_extra_is_installed_by_the_names_of_its_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = [
        "einops>=0.8",
        "fastapi>=0.115; extra == 'serve'",
        'uvicorn; extra == "serve"',
        "av>=14; extra == 'video'",
    ]
    monkeypatch.setattr("importlib.metadata.requires", lambda name: needed)
    assert sfumato.errors.installed_by("serve") == "pip install fastapi uvicorn"
    assert sfumato.errors.installed_by("other") == "pip install -e '.[other]'"
