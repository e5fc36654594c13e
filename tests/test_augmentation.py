"""A labelled set is made larger: balanced, without copies or strangers, with provenance, and resumable."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageDraw

from sfumato import Studio
from sfumato.augmentation import agreement as agreements
from sfumato.augmentation import augment as augmenting
from sfumato.augmentation.agreement import nearest_mean
from sfumato.augmentation.augment import augment, folder_of
from sfumato.augmentation.classes import read_classes
from sfumato.augmentation.log import LOG, Attempt
from sfumato.augmentation.plan import Plan
from sfumato.cli import main
from sfumato.errors import RequestError
from sfumato.output import read_request
from sfumato.requests import Img2Img


@pytest.fixture(scope="module")
def studio(tiny: Path) -> Studio:
    return Studio(tiny, device="cpu", precision="fp32")


def drawn(colour: str, place: int) -> Image.Image:
    """A disc of a colour somewhere on white."""
    image = Image.new("RGB", (64, 64), "white")
    ImageDraw.Draw(image).ellipse((place, 12, place + 30, 42), fill=colour)
    return image


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    for colour, count in (("red", 3), ("green", 2)):
        (folder / colour).mkdir(parents=True)
        for k in range(count):
            drawn(colour, 10 * k).save(folder / colour / f"{k}.png")
    return folder


PLAN = Plan(4, "img2img", strength=0.6, options={"steps": 2})


def test_classes_are_filled_up_and_every_file_says_what_made_it(
    studio: Studio, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agreements, "chosen", lambda *args: _always)
    out = tmp_path / "out"
    attempts = list(augment(studio, read_classes(source), out, PLAN))
    green = [each for each in attempts if each.label == "green"]
    assert sum(each.file is not None for each in green) == 4
    assert (out / "green" / "0.png").read_bytes() == (source / "green" / "0.png").read_bytes()
    painted = next(each for each in green if each.number >= 0 and each.file)
    request = read_request(out / str(painted.file))
    assert isinstance(request, Img2Img)
    assert (request.seed, request.strength, request.image.path) == (painted.seed, 0.6, painted.source)
    facts = json.loads((out / "augment.json").read_text())
    assert facts["classes"]["green"] == {"source": 2, "painted": 2, "left_out": {}}
    assert Image.open(out / "augment.jpg").width > 8 * 64


def _always(painted: Sequence[Image.Image]) -> torch.Tensor:
    """Says that all is green, the first class."""
    return torch.tensor([[0.9, 0.1]] * len(painted))


def test_what_the_classifier_takes_for_another_class_is_left_out_and_counted(
    studio: Studio, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agreements, "chosen", lambda *args: _always)
    attempts = list(augment(studio, read_classes(source), tmp_path / "out", PLAN))
    red = [each for each in attempts if each.label == "red"]
    assert sum(each.file is not None for each in red) == 3  # those that were there
    assert [each.reason for each in red if each.number >= 0] == ["disagrees"] * augmenting.TRIES
    assert not list((tmp_path / "out" / "red").glob("painted*"))


def test_copies_are_left_out(studio: Studio, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn("red", 0).resize((128, 128)).save(source / "red" / "copy.png")
    monkeypatch.setattr(agreements, "chosen", lambda *args: _always)
    attempts = list(augment(studio, read_classes(source), tmp_path / "out", Plan(1)))
    assert [(each.reason, Path(each.source).name) for each in attempts if each.reason] == [
        ("near duplicate", "copy.png")
    ]


def test_an_interrupted_run_goes_on_to_the_same_set(
    studio: Studio, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agreements, "chosen", lambda *args: _always)
    classes = read_classes(source)
    whole = list(augment(studio, classes, tmp_path / "whole", PLAN))
    for attempt in augment(studio, classes, tmp_path / "cut", PLAN):
        if attempt.number == 0:
            break
    log = tmp_path / "cut" / LOG
    log.write_text(log.read_text() + '{"label": "gre')  # killed in the middle of a line
    painted = []
    run = studio.run
    monkeypatch.setattr(studio, "run", lambda request: painted.append(request) or run(request))
    again = list(augment(studio, classes, tmp_path / "cut", PLAN))
    assert again == whole
    assert len(painted) == sum(each.number >= 0 for each in whole) - 1
    files = [sorted(p.relative_to(tmp_path / name) for p in (tmp_path / name).rglob("*")) for name in ("whole", "cut")]
    assert files[0] == files[1]
    painted.clear()
    assert list(augment(studio, classes, tmp_path / "cut", PLAN)) == whole
    assert not painted
    with pytest.raises(RequestError, match="other pictures or settings"):
        next(augment(studio, classes, tmp_path / "cut", Plan(9)))
    with pytest.raises(RequestError, match="not made by augment"):
        next(augment(studio, classes, source, PLAN))


def test_the_largest_strength_that_keeps_the_classes_is_chosen(
    studio: Studio, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A classifier that sees the class from 0.6 downwards."""
    strengths: list[float] = []
    run = studio.run

    def watched(request: Img2Img) -> object:
        strengths.append(request.strength)
        return run(request)

    def agreement(painted: Sequence[Image.Image]) -> torch.Tensor:
        place = (len(strengths) - 1) % 2  # probes take the classes in turn
        return torch.eye(2)[[place if strengths[-1] <= 0.6 else 1 - place]]

    monkeypatch.setattr(studio, "run", watched)
    monkeypatch.setattr(agreements, "chosen", lambda *args: agreement)
    monkeypatch.setattr(augmenting, "PROBES", 2)
    list(augment(studio, read_classes(source), tmp_path / "out", Plan(3, "img2img", options={"steps": 2})))
    assert json.loads((tmp_path / "out" / "augment.json").read_text())["strength"] == 0.6
    assert strengths[:8] == [0.9, 0.9, 0.8, 0.8, 0.7, 0.7, 0.6, 0.6]


def test_nearest_classes_tell_apart_what_the_features_tell_apart() -> None:
    agreement, share = nearest_mean([[drawn(colour, 8 * k) for k in range(4)] for colour in ("red", "green")])
    assert share == 1
    likely = agreement([drawn("red", 12), drawn("green", 12)])
    assert likely.argmax(1).tolist() == [0, 1]
    assert torch.allclose(likely.sum(1), torch.ones(2))


def test_labels_beside_pictures(tmp_path: Path) -> None:
    for k, label in enumerate(["a fox", "a house", "a fox"]):
        drawn("red", k).save(tmp_path / f"{k}.png")
        (tmp_path / f"{k}.txt").write_text(f"{label}\n")
    assert {label: len(files) for label, files in read_classes(tmp_path).items()} == {"a fox": 2, "a house": 1}


def test_folders_that_are_no_labelled_set_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="there is no folder"):
        read_classes(tmp_path / "none")
    (tmp_path / "one").mkdir()
    drawn("red", 0).save(tmp_path / "one" / "0.png")
    with pytest.raises(RequestError, match="has 1 classes"):
        read_classes(tmp_path)


def test_a_class_without_a_sound_picture_is_refused(
    studio: Studio, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in (source / "red").iterdir():
        file.write_bytes(file.read_bytes()[:60])
    with pytest.raises(RequestError, match="'red' has no picture"):
        list(augment(studio, read_classes(source), tmp_path / "out", PLAN))
    assert not (tmp_path / "out").exists()  # so that the same command works once the pictures are sound


@pytest.mark.parametrize(
    ("options", "said"),
    [({"per_class": 0}, "per_class"), ({"method": "flip"}, "method 'flip'"), ({"strength": 1.5}, "strength is 1.5")],
)
def test_plans_that_make_no_sense_are_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        Plan(**{"per_class": 3, **options})  # type: ignore[arg-type]


def test_captions_are_folders_of_their_own() -> None:
    assert folder_of("fox") == "fox"
    assert folder_of("a/b") != folder_of("a_b") != folder_of("a?b")
    assert "/" not in folder_of("../../etc")
    assert Attempt("fox", 0, None).reason == ""


def test_the_command_prints_each_attempt(
    tiny: Path, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("augment", source, "--per-class", "3", "--out", tmp_path / "out", "--method", "txt2img", "--steps", "1")
    assert main([*map(str, words), "--model", str(tiny), "--classifier", "features", "--precision", "fp32"]) == 0
    out, err = capsys.readouterr()
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["label"] for line in lines[:5]] == ["green"] * 2 + ["red"] * 3
    assert {line["origin"] for line in lines} == {"source", "txt2img"}
    assert "pictures kept" in err
    assert main(["augment", str(source), "--per-class", "0", "--out", str(tmp_path / "no")]) == 2
    assert not (tmp_path / "no").exists()
