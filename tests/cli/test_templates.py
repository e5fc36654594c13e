"""Templates and styles on the command line: what the request of each picture says."""

import json
from pathlib import Path

import pytest

from sfumato.cli import main

Capture = pytest.CaptureFixture[str]


def requests(capsys: Capture, *arguments: str) -> list[dict[str, object]]:
    assert main(["txt2img", *arguments, "--json"]) == 0
    return [json.loads(line)["request"] for line in capsys.readouterr().out.splitlines()]


def test_each_picture_of_a_template_has_a_prompt_of_its_own(capsys: Capture) -> None:
    options = ("a {red|blue|green|black} __thing__", "--template", "-n", "8", "--seed", "3", "--wildcards", "words")
    Path("words").mkdir()
    Path("words/thing.txt").write_text("cat\ndog\n")
    painted = requests(capsys, *options)
    assert [request["seed"] for request in painted] == list(range(3, 11))
    assert {request["count"] for request in painted} == {1}
    prompts = [str(request["prompt"]) for request in painted]
    assert len(set(prompts)) > 2
    assert all(prompt.split()[1] in {"red", "blue", "green", "black"} for prompt in prompts)
    assert all(prompt.split()[2] in {"cat", "dog"} for prompt in prompts)
    assert [r["prompt"] for r in requests(capsys, *options)] == prompts, "the seed alone draws"
    assert len(list(Path("outputs").glob("*.png"))) == 16


def test_pictures_of_a_template_are_numbered_like_others(capsys: Capture) -> None:
    arguments = ["txt2img", "a {b|c}", "--template", "-n", "2", "--seed", "1", "-q", "-o"]
    for output, files in (("x.png", ["x-1.png", "x-2.png"]), ("{index:02}.png", ["01.png", "02.png"])):
        assert main([*arguments, output]) == 0
        assert capsys.readouterr().out.splitlines() == files
    assert len({Path(file).read_bytes() for file in ("x-1.png", "x-2.png")}) == 2


def test_without_the_option_brackets_are_text(capsys: Capture) -> None:
    assert requests(capsys, "a {red|blue} cat")[0]["prompt"] == "a {red|blue} cat"


def test_styles_stand_around_prompt_and_negative(capsys: Capture) -> None:
    Path("styles.csv").write_text('name,prompt,negative_prompt\nink,"ink of {prompt}",colour\nold,old paper,\n')
    (request,) = requests(
        capsys, "a cat", "--negative", "dog", "--style", "ink", "--style", "old", "--styles", "styles.csv"
    )
    assert (request["prompt"], request["negative"]) == ("ink of a cat, old paper", "dog, colour")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("{a|b", "--template"), "close its brackets"),
        (("__thing__", "--template"), "thing"),
        (("a", "--wildcards", "words"), "say --template as well"),
        (("a", "--template", "--wildcards", "nowhere"), "wildcards nowhere does not exist"),
        (("a", "--style", "ink"), "needs --styles FILE"),
        (("a", "--styles", "styles.csv"), "give a style as well"),
        (("a", "--style", "oil", "--styles", "styles.csv"), "oil"),
        (("a", "--style", "ink", "--styles", "none.csv"), "none.csv"),
    ],
)
def test_bad_input(arguments: tuple[str, ...], message: str, capsys: Capture) -> None:
    Path("styles.csv").write_text("name,prompt,negative_prompt\nink,ink,\n")
    assert main(["txt2img", *arguments]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert len(err.splitlines()) == 1
    assert not Path("outputs").exists()
