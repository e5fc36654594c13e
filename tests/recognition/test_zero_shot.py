"""Classification by a model: labels, templates, errors of every parameterisation, announcements."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from sfumato import Studio
from sfumato.errors import RequestError
from sfumato.model import Model
from sfumato.recognition import zero_shot
from sfumato.recognition.zero_shot import Settings, classify, worded
from sfumato.requests.fields import checked_labels


@pytest.fixture(scope="module")
def model(tiny: Path) -> Model:
    return Studio(tiny, device="cpu", precision="fp32").load()


def picture(colour: str, size: tuple[int, int] = (64, 64)) -> Image.Image:
    return Image.new("RGB", size, colour)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["cat"], "1 entries"),
        ("cat,dog,cat", "'cat' twice"),
        ([1, 2], "give several texts"),
        ([], "0 entries"),
        (["cat", ""], "nothing at place 2"),
        (["cat", " dog", "dog "], "'dog' twice"),
        (["cat", "Cat"], "twice"),
        (["x"] * 10_001, "2 to 10000"),
        (["cat", "x" * 1001], "1001 characters"),
    ],
)
def test_labels_that_cannot_be_told_apart_are_refused(labels: object, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        checked_labels(labels)


def test_five_thousand_labels_are_labels() -> None:
    assert len(checked_labels([f"thing {k}" for k in range(5000)])) == 5000


def test_each_picture_has_its_own_answer_whatever_stands_beside_it(model: Model) -> None:
    labels, settings = ["a red fox", "a green house", "a fox"], Settings(template="{}", draws=8)
    together = classify(model, [picture("red"), picture("green", (80, 40))], labels, settings)
    alone = [classify(model, [each], labels, settings)[0] for each in (picture("red"), picture("green", (80, 40)))]
    for one, other in zip(together, alone, strict=True):
        assert one.label == other.label
        assert dict(one.ranked) == pytest.approx(dict(other.ranked), abs=1e-3)
        assert sum(probability for _, probability in one.ranked) == pytest.approx(1)
        assert sorted(label for label, _ in one.ranked) == sorted(labels)
        assert 3 * 4 <= one.evaluations <= 3 * 8


def test_the_order_of_labels_does_not_matter(model: Model) -> None:
    labels, settings = ["a red fox", "a green house", "a fox"], Settings(template="{}", draws=8)
    one = classify(model, [picture("red")], labels, settings)[0]
    other = classify(model, [picture("red")], labels[::-1], settings)[0]
    assert dict(one.ranked) == pytest.approx(dict(other.ranked), abs=1e-4)


@pytest.mark.parametrize("name", ["v_prediction", "flow"])
def test_models_of_every_parameterisation_are_asked_at_their_own_levels(model: Model, name: str) -> None:
    from sfumato.diffusion.scalings import PARAMETERISATIONS
    from sfumato.diffusion.schedules import FlowSchedule

    schedule = FlowSchedule(3.0) if name == "flow" else model.sampling.schedule
    sampling = replace(model.sampling, parameterisation=PARAMETERISATIONS[name], schedule=schedule)
    found = classify(replace(model, sampling=sampling), [picture("red")], ["fox", "house"], Settings(draws=4))
    assert found[0].evaluations == 8
    assert torch.tensor([p for _, p in found[0].ranked]).isfinite().all()


def test_it_says_unsure_below_the_threshold(model: Model) -> None:
    pictures, labels = [picture("red")], ["fox", "house"]
    assert not classify(model, pictures, labels, Settings(draws=4, temperature=1e6, threshold=0.6))[0].sure
    assert classify(model, pictures, labels, Settings(draws=4, temperature=1e-9, threshold=0.6))[0].sure


def test_networks_that_take_more_than_latents_are_refused(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Model, "task", "inpainting")
    with pytest.raises(RequestError, match="made for inpainting"):
        classify(model, [picture("red")], ["fox", "house"])


def test_templates(model: Model) -> None:
    assert worded("fox", model) == "a photo of a fox"
    assert worded("fox", model, "{} in the snow") == "fox in the snow"
    for wrong in ("a photo", "{} and {}"):
        with pytest.raises(RequestError, match="must have one"):
            worded("fox", model, wrong)
    nano = Studio("nano", device="cpu", precision="fp32").load()
    assert worded("rocket", nano) == "a rocket"
    assert worded("toon portrait, red hair", nano) == "toon portrait, red hair"


def test_long_work_is_announced_once(
    model: Model, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(zero_shot, "LONG", 0.0)
    monkeypatch.setattr(zero_shot, "BATCH", 4)
    told: list[tuple[int, int]] = []
    with caplog.at_level(logging.WARNING):
        classify(model, [picture("red")], ["fox", "house"], Settings(draws=8), lambda *each: told.append(each))
    assert len(caplog.records) == 1
    assert "8 to 16 evaluations" in caplog.text
    assert told[0] == (4, 16)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
