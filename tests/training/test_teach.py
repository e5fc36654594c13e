"""One line from pictures to an adapter that was tried."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sfumato.adapters.report import examine
from sfumato.checkpoints.catalogue import find
from sfumato.cli import main
from sfumato.errors import RequestError, TrainingError
from sfumato.prompts.vocabulary import Vocabulary
from sfumato.training import teach as teaching
from sfumato.training.teach import Lesson, seconds_of, settings, teach, toml
from tests.conftest import write_tiny


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(4):
        Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(folder / f"{i}.png")
    (folder / "0.txt").write_text("a fox called mila")
    return folder


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teaching, "STEPS", (2, 4))
    monkeypatch.setattr(teaching, "PRIOR_PICTURES", 2)
    monkeypatch.setattr(teaching, "TRIAL_STEPS", 2)
    monkeypatch.setattr(teaching, "OTHER_STEPS", 2)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    "method",
    [pytest.param("lora", marks=pytest.mark.slow), "dreambooth", pytest.param("embedding", marks=pytest.mark.slow)],
)
def test_what_is_taught(method: teaching.TeachMethod, tiny_model: Path, photos: Path, tmp_path: Path) -> None:
    said: list[str] = []
    lesson = Lesson(photos, "mila", "a red fox", method, str(tiny_model), 30)
    taught = teach(lesson, tmp_path / "run", said.append)
    assert examine(taught.file, tiny_model).good
    assert taught.file.name == "mila.safetensors"
    assert taught.sheet.is_file()
    assert taught.command.startswith('sfumato txt2img "mila, a red fox" --')
    assert f"--model {tiny_model}" in taught.command
    assert any("4 pictures" in line and "a step" in line for line in said)
    kept = json.loads((tmp_path / "run/taught.json").read_text())
    assert kept["loss"] == list(taught.loss)
    captions = {tuple(row["captions"]) for row in json.loads((tmp_path / "run/data.json").read_text())["pictures"]}
    assert captions == {("a fox called mila",), ("a red fox",)}
    if method == "dreambooth":
        assert len(list((tmp_path / "run/kept").glob("*.png"))) == 2
    with pytest.raises(TrainingError, match="was begun with another subject"):
        teach(Lesson(photos, "mila", "a dog", method, str(tiny_model), 30), tmp_path / "run")


def test_a_small_model_keeps_all_that_it_knows(tiny_model: Path) -> None:
    """Each style of each kind is painted by it as it is, and held to while it learns."""
    prompts = teaching.known_to("nano")
    assert len(prompts) == teaching.PRIOR_PICTURES
    styles = {style for keys in Vocabulary.read(find("nano")).about.values() for style in keys["style"]}  # type: ignore[union-attr]
    assert {prompt.split(", ")[0] for prompt in prompts} >= styles
    told = settings(Lesson(Path("p"), "ink", "art"), 9, Path("run"), batch=1, every=1, size=None)
    assert told["loss"] == {"prior_target": "model"}
    assert [source.get("prior") for source in told["sources"]] == [None, True]
    assert not Lesson(Path("p"), "ink", "art", model=str(tiny_model)).keeps
    with pytest.raises(TrainingError, match="does not say what it knows"):
        teaching.known_to(str(tiny_model))


def test_too_little_time(tiny_model: Path, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"a step of .* takes .* under 40; give --time \d+m"):
        teach(Lesson(photos, "mila", "a fox", model=str(tiny_model), seconds=0.01), tmp_path / "run")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--name", "two words"], "name is 'two words'; give one word"),
        (["--subject", " "], "subject is empty"),
        (["--time", "soon"], "time is 'soon'; give minutes, or for example 90s"),
        (["--method", "lorra"], "unknown method 'lorra'; did you mean lora?"),
        (["--model", "nanno"], "did you mean nano?"),
    ],
)
def test_bad_input(options: list[str], message: str, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = {"--name": "mila", "--subject": "a fox", **dict(zip(options[::2], options[1::2], strict=True))}
    code = main(["teach", str(photos), *(each for pair in given.items() for each in pair)])
    captured = capsys.readouterr()
    assert code == 2
    assert captured.out == ""
    assert message in captured.err
    assert len(captured.err.splitlines()) == 1


def test_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    for given, why in (("nothing", "nothing has no pictures; put"), ("nowhere", "nowhere is neither a folder nor")):
        with pytest.raises(TrainingError, match=why):
            teach(Lesson(tmp_path / given, "mila", "a fox"), tmp_path / "run")
    assert not (tmp_path / "run").exists(), "nothing was painted before it was seen"


@pytest.mark.usefixtures("few")
def test_what_cannot_be_learned_is_not_said_of_what_is_kept(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "small/a.png")
    with pytest.raises(TrainingError, match=r"small has no picture that can be learned: a.png, .*; put") as error:
        teach(Lesson(tmp_path / "small", "mila", "a fox", "dreambooth", str(tiny_model)), tmp_path / "run")
    assert "kept" not in str(error.value)


def test_times_and_toml() -> None:
    assert [seconds_of(text) for text in ("90s", "20m", "1.5h", "3")] == [90, 1200, 5400, 180]
    with pytest.raises(RequestError):
        seconds_of("0m")
    import tomllib

    values = {"a": 'x "y"', "b": [1, 2.5], "c": {"d": True}, "e": [{"f": "g"}, {"f": "h"}]}
    assert tomllib.loads(toml(values)) == values
