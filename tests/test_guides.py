"""The guide says in both languages what the code does: its commands, settings, links and captions are real."""

import importlib.util
import json
import re
import shlex
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command

from sfumato.cli.app import app
from sfumato.errors import UnknownNameError
from sfumato.training.adapter import AdapterConfig, WordConfig
from sfumato.training.examples import BucketConfig, SourceConfig
from sfumato.training.finetune import LossConfig
from sfumato.training.loop import LoopConfig

ROOT = Path(__file__).parents[1]
ENGLISH, CHINESE = (ROOT / "docs" / "guide" / f"train-from-scratch{end}" for end in (".md", ".zh.md"))
PAGES = (ENGLISH, CHINESE)

PROGRAMS = frozenset({"pip", "tensorboard"})
SHELL = frozenset({"git", "export", "."})
"""Others' commands; the environment of development has the first as modules."""


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    """What stands in fences of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def links(text: str) -> list[str]:
    """Where links and pictures lead, without the place in the page."""
    return re.findall(r"\]\(([^)#]+)[^)]*\)", text)


def commands(text: str) -> list[list[str]]:
    """Each command in the shell blocks, as its words."""
    lines = "".join(blocks(text, "sh")).replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def unknown(words: list[str]) -> str | None:
    """What of a command is not there; None if all of it is."""
    match words:
        case ["sfumato", *rest]:
            return unknown_to_sfumato(rest)
        case ["python" | ".venv/bin/python", "-m", module, *rest]:
            return unknown_to_module(module, rest)
        case ["make", target]:
            found = re.search(rf"^{re.escape(target)}:", text_of(ROOT / "Makefile"), re.M)
            return None if found else f"target {target}"
        case [program, *_] if program in SHELL:
            return None
        case [program, *_] if program in PROGRAMS:
            return None if importlib.util.find_spec(program) else f"program {program}"
        case _:
            return f"command {words[0]}"


@cache
def whole_command() -> Any:
    """Of ``sfumato``, with all its commands below it."""
    return get_command(app)


def unknown_to_sfumato(words: list[str]) -> str | None:
    """Parsed by the command line itself; nothing is run."""
    usage_error: type[Exception] = typer.BadParameter.__mro__[2]  # ClickException of typer's own click, as in the cli
    command = whole_command()
    context = None
    try:
        while hasattr(command, "resolve_command"):
            context = command.make_context("sfumato", list(words), parent=context)
            _, command, words = command.resolve_command(context, words)
        command.make_context("sfumato", list(words), parent=context)
    except usage_error as error:
        return str(error.format_message())  # type: ignore[attr-defined]
    except UnknownNameError as error:
        return str(error)
    return None


def unknown_to_module(module: str, words: list[str]) -> str | None:
    """Its options are looked for in its source, since each module has a parser of its own."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return f"module {module}"
    source = text_of(Path(spec.origin))
    options = (word.split("=")[0] for word in words if word.startswith("--"))
    return next((option for option in options if f'"{option}"' not in source), None)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("sfumato trian a.toml", "trian"),
        ("sfumato train a.toml --folder b", "--folder"),
        ("sfumato train", "CONFIG.toml"),
        ("sfumato data prepare photos", "--out"),
        ("sfumato data mend photos", "mend"),
        ("python -m recipes.nano.no_such_thing", "no_such_thing"),
        ("python -m recipes.nano.data.render --where b", "--where"),
        ("make no-such-target", "no-such-target"),
        ("rm -rf runs", "rm"),
    ],
)
def test_what_is_not_there_is_found_out(command: str, said: str) -> None:
    assert said in (unknown(shlex.split(command)) or "")


DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize(
    "page", [page for page in DOCUMENTS if blocks(text_of(page), "sh")], ids=lambda page: page.name
)
def test_each_command_is_known(page: Path) -> None:
    assert {" ".join(words): found for words in commands(text_of(page)) if (found := unknown(words))} == {}


@pytest.mark.parametrize("chinese", sorted((ROOT / "docs").rglob("*.zh.md")), ids=lambda page: page.name)
def test_two_languages_have_the_same_commands_and_links(chinese: Path) -> None:
    english = chinese.with_name(chinese.name.replace(".zh.md", ".md"))
    pages = [text_of(page) for page in (english, chinese)]
    told = [[words[:2] if english.stem == "words-for-nano" else words for words in commands(page)] for page in pages]
    assert told[0] == told[1]  # on that page each language has prompts of its own
    led = [{link.replace(".zh.md", ".md") for link in links(page)} - {english.name} for page in pages]
    assert led[0] == led[1]
    for link in {link for page in pages for link in links(page) if not link.startswith("http")}:
        assert (english.parent / link).exists(), link


CREATE = tuple(ROOT / "docs" / "guide" / f"create{end}" for end in (".md", ".zh.md"))


def test_what_follows_the_axes_of_a_grid_is_a_command() -> None:
    grids = [words for words in commands(text_of(CREATE[0])) if words[1] == "grid"]
    assert grids
    assert all(unknown(["sfumato", *words[words.index("txt2img") :]]) is None for words in grids)


def test_the_page_on_creating_has_the_same_programs_in_both_languages() -> None:
    english, chinese = map(text_of, CREATE)
    assert blocks(chinese, "python") == blocks(english, "python")


def test_both_pages_have_the_same_commands_and_settings() -> None:
    english, chinese = map(text_of, PAGES)
    assert len(commands(english)) > 10
    for language in ("toml", "json"):
        assert blocks(chinese, language) == blocks(english, language)


def test_both_pages_have_the_same_headings_equations_and_links() -> None:
    english, chinese = map(text_of, PAGES)
    heading, equation = re.compile(r"^(#+) ", re.M), re.compile(r"^\$\$\n(.*?)\n\$\$$", re.M | re.S)
    for pattern in (heading, equation):
        assert len(pattern.findall(english)) > 10
        assert pattern.findall(chinese) == pattern.findall(english)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    found = links(text_of(page))
    assert len(found) > 20
    for link in found:
        target = (page.parent / link).resolve()
        assert link.startswith("https://") or target.exists(), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_and_recipes_in_the_text_exist(page: Path) -> None:
    for block in blocks(text_of(page), "toml"):
        assert tomllib.loads(block)["loop"].keys() <= LoopConfig.model_fields.keys()
    for words in commands(text_of(page)):
        for word in words:
            if word.startswith("recipes/"):
                assert (ROOT / word).is_file(), word


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_captions_are_those_of_the_example(page: Path) -> None:
    pytest.importorskip("dicebear")
    from recipes.nano.data.captions import LANGUAGES, full_caption

    text = text_of(page)
    (example,) = blocks(text, "json")
    for language in LANGUAGES:
        assert f"\n- {full_caption(json.loads(example), language)}\n" in text


EDIT = tuple(ENGLISH.with_name(f"edit{end}") for end in (".md", ".zh.md"))


def test_both_pages_of_editing_have_the_same_headings() -> None:
    english, chinese = map(text_of, EDIT)
    heading = re.compile(r"^(#+) ", re.M)
    assert heading.findall(chinese) == heading.findall(english)


def test_the_pictures_are_small() -> None:
    pictures = sorted((ROOT / "docs" / "guide" / "images").iterdir())
    assert pictures
    for picture in pictures:
        assert picture.stat().st_size < 300_000, picture.name


TEACH = tuple(ROOT / "docs" / "guide" / f"teach{end}" for end in (".md", ".zh.md"))


def test_the_pages_on_teaching_name_every_setting() -> None:
    for page in map(text_of, TEACH):
        said = {
            word
            for row in re.findall(r"^\| `\[+(\w+)\]+` \| (.*) \|$", page, re.M)
            for word in re.findall(r"`(\w+)`", row[1])
        }
        tables = (AdapterConfig, WordConfig, SourceConfig, BucketConfig, LossConfig)
        assert {name for table in tables for name in table.model_fields} <= said | {"folder"}
