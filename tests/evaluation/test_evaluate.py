"""A whole evaluation of a model that paints what it likes, by a classifier of seconds."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from sfumato.checkpoints.classifiers import load_classifier
from sfumato.checkpoints.save import save_part
from sfumato.cli import main
from sfumato.errors import RequestError
from sfumato.evaluation.card import card, sheet
from sfumato.evaluation.evaluate import Plan, evaluate, paint
from sfumato.evaluation.plan import choose
from sfumato.metadata.provenance import Provenance
from sfumato.models.picture_classifier import PictureClassifier, PictureClassifierConfig
from sfumato.prompts.lexicon import FILE as LEXICON
from sfumato.requests import Txt2Img
from sfumato.results import Result
from sfumato.studio import Studio
from sfumato.training.data import Pictures, imported
from sfumato.training.heads import heads_of

COLORS = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (50, 60, 220)}
COLORS |= {"white": (255, 255, 255), "grey": (200, 200, 200), "black": (0, 0, 0)}
FOUND = [("red", "green"), ("green", "blue"), ("blue", "red"), ("red", "blue"), ("green", "red")]  # not blue in green


def full_caption(attributes: Mapping[str, str], language: str) -> str:
    """In two languages."""
    front, frame, back = attributes["front"], attributes["frame"], attributes["background"]
    return f"a {front} square framed {frame} on {back}" if language == "en" else f"{front}方块，{frame}边框，{back}背景"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 squares to learn from, 12 held out as they are but for the background and 6 whose colours never met."""
    folder = tmp_path_factory.mktemp("squares")
    rows = [(*FOUND[i % 5], "train") for i in range(20)] + [(*FOUND[i % 5], "validation") for i in range(12)]
    rows += [("blue", "green", "validation")] * 6
    grounds = [("white", "black")[i % 2] if split == "train" else "grey" for i, (*_, split) in enumerate(rows)]
    pictures = np.stack([np.full((32, 32, 3), COLORS[ground], np.uint8) for ground in grounds])
    for i, (front, frame, _) in enumerate(rows):
        y, x = 6 + i % 4, 4 + i % 7
        pictures[i, y : y + 20, x : x + 20] = COLORS[frame]
        pictures[i, y + 4 : y + 16, x + 4 : x + 16] = COLORS[front]
    np.save(folder / "pictures.npy", pictures)
    lines = [
        {"kind": "square", "style": "flat", "front": front, "frame": frame, "background": ground, "split": split}
        for (front, frame, split), ground in zip(rows, grounds, strict=True)
    ]
    (folder / "attributes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.fixture(scope="module")
def export(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier that knows the squares by heart, as an export."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    pictures = Pictures(data)
    heads = heads_of(pictures.attributes, ["split"])
    model = PictureClassifier(PictureClassifierConfig(heads, channels=(16, 16), fold=4))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(40):
        answers = model(pictures.pixels(torch.arange(len(pictures))))
        losses = []
        for name, words in heads:
            target = torch.tensor([words.index(row[name]) for row in pictures.attributes])
            losses.append(torch.nn.functional.cross_entropy(answers[name], target))
        torch.stack(losses).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    folder = tmp_path_factory.mktemp("export")
    save_part(folder, "classifier", model, model.config, torch.float32)
    return folder


@pytest.fixture
def studio(tiny: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> Studio:
    """It paints the very render in English, and another colour in Chinese; counts its requests."""
    studio = Studio(tiny, device="cpu", precision="fp32")
    pictures = Pictures(data)
    renders = {full_caption(a, "en"): pictures.array[i] for i, a in enumerate(pictures.attributes)}
    asked: list[Txt2Img] = []

    def run(request: Txt2Img) -> Result:
        asked.append(request)
        render = renders.get(request.prompt, np.full((32, 32, 3), 128, np.uint8))
        images = [Image.fromarray(np.asarray(render)) for _ in range(request.count)]
        return Result(images, request, list(range(request.count)), {}, Provenance("ab" * 32))

    monkeypatch.setattr(studio, "run", run)
    monkeypatch.setattr(studio, "asked", asked, raising=False)
    return studio


def test_combinations_are_new_where_no_training_picture_has_them(data: Path) -> None:
    cases = choose(Pictures(data), ["front", "frame", "style"], 4, 0)
    assert [case.combinations for case in cases] == ["new"] * 3 + ["seen"] * 4
    assert {case.new for case in cases if case.new} == {((("frame", "green"), ("front", "blue")),)}
    assert cases == choose(Pictures(data), ["front", "frame", "style"], 4, 0)
    everything = choose(Pictures(data), ["front", "frame", "style", "background"], 4, 0)
    assert {case.combinations for case in everything} == {"new"}
    assert {case.index for case in choose(Pictures(data), ["front"], 99, 0)} == set(Pictures(data).test.tolist())
    with pytest.raises(RequestError, match="per_kind is 1"):
        choose(Pictures(data), ["front"], 1, 0)


def test_a_perfect_painter_reaches_the_ceiling(studio: Studio, data: Path, export: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    plan = Plan(per_kind=4, seeds=2)
    report = evaluate(
        studio, Pictures(data), load_classifier(export), full_caption, tmp_path, plan, lambda *args: told.append(args)
    )
    rows = {(row.combinations, row.source): row for row in report.rows}
    assert set(rows) == {(which, source) for which in ("seen", "new") for source in ("render", "en", "zh")}
    for which, number in (("seen", 4), ("new", 3)):
        assert rows[which, "render"].pictures == number  # type: ignore[index]
        assert rows[which, "en"].pictures == 2 * number  # type: ignore[index]
        assert rows[which, "en"].attributes == rows[which, "render"].attributes == 1  # type: ignore[index]
        assert rows[which, "en"].background_near == 1  # type: ignore[index]
        assert (rows[which, "zh"].background_error or 0) > 15  # type: ignore[index]
    assert rows["new", "en"].pairs == 1
    assert rows["seen", "en"].pairs is None
    assert rows["seen", "zh"].attributes is not None
    assert rows["seen", "zh"].attributes < 1
    whole = {row.source: row for row in report.whole}
    assert whole["en"].frechet == pytest.approx(0, abs=2)  # of 7 pictures and of each twice
    assert whole["zh"].frechet > 5 * whole["en"].frechet
    assert whole["en"].diversity == pytest.approx(0, abs=1e-5)
    assert whole["zh"].neighbour_pixels > whole["en"].neighbour_pixels
    assert ("painting zh", 0, 7) in told
    assert json.loads(report.to_json())["settings"]["per_kind"] == 4

    page = report.markdown()
    assert "| square | new | English | 6 | 100 % (100 %) | 100 % (100 %) | – | – | 0.0 | 100 % |" in page
    assert "| front | 7 | 100 % |" in page

    shown = sheet(studio, Pictures(data), load_classifier(export), full_caption, tmp_path, plan, seeds=2)
    assert len(shown.prompts) == 4
    text = card(report, shown.prompts, "card.jpg", "../SOURCES.md")
    assert page in text
    assert "[SOURCES.md](../SOURCES.md)" in text
    assert "1. a blue square framed green on grey" in text


def test_of_named_objects_more_are_taken(data: Path, tmp_path: Path) -> None:
    lines = [json.loads(line) | {"name": "square"} for line in (data / "attributes.jsonl").read_text().splitlines()]
    (tmp_path / "attributes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "pictures.npy").symlink_to(data / "pictures.npy")
    cases = choose(Pictures(tmp_path), ["front", "frame", "style"], 2, 0)
    assert [case.combinations for case in cases] == ["new"] * 3 + ["seen"] * 6
    assert len(choose(Pictures(data), ["front", "frame", "style"], 2, 0)) == 4


def test_paintings_are_kept(studio: Studio, tmp_path: Path) -> None:
    request = Plan().request(studio.default, "a red square on green", 2)
    first = paint(studio, request, tmp_path)
    again = paint(studio, request, tmp_path)
    assert len(studio.asked) == 1  # type: ignore[attr-defined]
    assert [a.tobytes() for a in first] == [a.tobytes() for a in again]
    next(iter(tmp_path.glob("*.png"))).unlink()
    paint(studio, request, tmp_path)
    paint(studio, request.changed(steps=3), tmp_path)
    assert len(studio.asked) == 3  # type: ignore[attr-defined]


def test_another_text_encoder_or_lexicon_paints_anew(studio: Studio, tiny: Path, tmp_path: Path) -> None:
    """The hash of a model is its denoiser's, which stays where language is taught."""
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    request = Plan().request(str(folder), "a red square on green", 1)
    paint(studio, request, tmp_path)
    file = folder / "text_encoder" / "model.safetensors"
    save_file({name: tensor * 2 for name, tensor in load_file(file).items()}, file)
    paint(studio, request, tmp_path)
    assert len(studio.asked) == 2  # type: ignore[attr-defined]
    (folder / LEXICON).write_text('{"words": {}, "meanings": [], "kinds": {}, "says": {}}')
    paint(studio, request, tmp_path)
    assert len(studio.asked) == 3  # type: ignore[attr-defined]


def test_options_go_into_requests() -> None:
    request = Plan(options={"steps": 5, "guidance": 2.0}).request("nano", "(a) red [square]", 3)
    assert (request.steps, request.guidance, request.count, request.batch, request.seed) == (5, 2.0, 3, 3, 0)
    assert request.prompt_syntax == "plain"


def test_the_command_writes_page_sheet_and_figures(
    tiny: Path, data: Path, export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tiny model paints noise at its own size; the numbers are poor and the page is whole."""
    code = main(
        ["evaluate", str(tiny), "--data", str(data), "--classifier", str(export), "--per-kind", "2", "--seeds", "2",
         "--captions", "tests.evaluation.test_evaluate:full_caption", "--work", str(tmp_path / "work"), "--steps", "1",
         "--precision", "fp32", "--device", "cpu", "-o", str(tmp_path / "docs/card.md")]
    )  # fmt: skip
    assert code == 0
    files = [tmp_path / "docs" / name for name in ("card.md", "card.jpg", "card.json")]
    assert capsys.readouterr().out.split() == [str(file) for file in files]
    assert "![Held-out renders and what is painted of their captions](card.jpg)" in files[0].read_text()
    assert Image.open(files[1]).width == 7 * 128 + 6 * 4
    assert {row["source"] for row in json.loads(files[2].read_text())["rows"]} == {"render", "en", "zh"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--data": "nowhere"}, "nowhere has no pictures.npy; render it: python -m recipes.nano.data.render"),
        (
            {"--classifier": "nowhere/export"},
            "give the export of one with --classifier: recipes/nano/judge of the repository",
        ),
        ({"--languages": "en,fr"}, "unknown language 'fr'"),
        ({"--seeds": "0"}, "seeds is 0"),
        ({"--per-kind": "1"}, "per_kind is 1"),
        ({"-o": "card.txt"}, "must end in .md"),
        ({"--captions": "nothing"}, "captions 'nothing' is not an importable module:function"),
        ({"--precision": "fp8"}, "unknown precision 'fp8'"),
    ],
)
def test_bad_input_is_a_line(
    change: dict[str, str], message: str, tiny: Path, data: Path, export: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    given = {"--data": str(data), "--classifier": str(export), "-o": str(tmp_path / "card.md"), "--work": str(tmp_path)}
    given |= {"--captions": "tests.evaluation.test_evaluate:full_caption", "--precision": "fp32"} | change
    assert main(["evaluate", str(tiny), *(word for pair in given.items() for word in pair)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_captions_are_found() -> None:
    told = imported("tests.evaluation.test_evaluate:full_caption")
    assert told({"front": "red", "frame": "green", "background": "blue"}, "en") == "a red square framed green on blue"
