"""The bundled judge: what renders show, the captions that say it, pictures of another world, the command."""

import json
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image
from recipes.nano.data import emoji
from recipes.nano.data.captions import full_caption
from recipes.nano.data.render import COUNTS, Job, drawings

from sfumato import Studio
from sfumato.checkpoints.catalogue import bundled_folder
from sfumato.choices import Language
from sfumato.cli import main
from sfumato.evaluation.evaluate import APART
from sfumato.prompts.vocabulary import Vocabulary
from sfumato.recognition.judge import KNOWN, bundled
from tests.restoration.photographs import crops, photograph

Render = tuple[Image.Image, dict[str, str]]


@pytest.fixture(scope="module")
def renders() -> list[Render]:
    """One of each style that nobody has learned from."""
    drawn = [drawing for style in COUNTS for k in range(1) for drawing in drawings(Job(style, k), 0, seed=1)]
    return [
        (Image.fromarray(np.ascontiguousarray(emoji.rasterise_rgba(each.svg, 256)[..., :3])), each.attributes)
        for each in drawn
    ]


def test_it_reads_renders_and_knows_that_it_does(renders: list[Render]) -> None:
    found = bundled().recognise([image for image, _ in renders])
    right = [
        each.answers[key].word == word
        for each, (_, attributes) in zip(found, renders, strict=True)
        for key, word in attributes.items()
        if key in each.answers and key not in APART
    ]
    assert len(right) > 50
    assert np.mean(right) > 0.85
    assert np.mean([each.known for each in found]) > 0.9
    kinds = bundled().words.kinds
    for _, attributes in renders:
        assert set(attributes) - set(kinds[attributes["kind"]]) <= {"split"}  # what a kind can have is asked


def test_pictures_of_another_world_are_said_to_be_so() -> None:
    photographs = [Image.fromarray((crop * 255).astype(np.uint8)) for crop in crops(8, 256)]
    plain = [Image.new("RGB", (1, 1), "teal"), Image.new("RGB", (300, 40), "white")]
    assert sum(each.known for each in bundled().recognise([*photographs, *plain])) <= 1


def test_what_is_out_of_focus_is_no_landscape() -> None:
    """The judge is certain of some of these; but they are not drawn."""
    clock, flower = (
        Image.fromarray((photograph(name) * 255).astype(np.uint8)) for name in ("clock_motion.png", "flower.jpg")
    )
    found = bundled().recognise([clock.crop((250, 150, 400, 300)), flower.crop((0, 214, 213, 427))])
    assert max(each.certainty for each in found) > KNOWN
    assert not any(each.known for each in found)


@pytest.mark.parametrize("language", get_args(Language))
def test_captions_are_the_ones_that_the_model_has_read(renders: list[Render], language: Language) -> None:
    words = bundled().words
    for _, attributes in renders:
        assert words.caption(attributes, language) == full_caption(attributes, language)
    thing = {
        "kind": "emoji",
        "style": "fluent-emoji",
        "name": "rocket",
        "name_zh": words.objects["rocket"][1],
        "background": "red",
    }
    assert words.caption(thing, language) == full_caption(thing, language)


@pytest.mark.parametrize("language", get_args(Language))
def test_the_model_knows_every_word_that_is_said(language: Language) -> None:
    """Of each attribute each word, alone and behind a colour."""
    vocabulary, words = Vocabulary.read(bundled_folder("nano")), bundled().words
    assert vocabulary is not None
    index = get_args(Language).index(language)
    for key, things in words.things.items():
        for word in things:
            said = words.caption({"style": "micah", key: word}, language)
            assert not vocabulary.unknown(said), (key, said)
    for name in vocabulary.about["emoji"]["name"][::20]:  # of which the judge knows more
        assert not vocabulary.unknown(words.objects[name][index])


def test_what_is_painted_of_a_caption_is_read_as_it(renders: list[Render]) -> None:
    """Round trip: a render's caption, as the judge reads it, painted and read again; nano paints most of it."""
    studio = Studio("nano", device="cpu", precision="fp32")
    same = []
    for image, _ in renders[::4]:
        [first] = bundled().recognise([image])
        [again] = bundled().recognise(studio.txt2img(first.caption(), seed=1, steps=6).images)
        same += [again.attributes.get(key) == word for key, word in first.attributes.items() if key != "kind"]
    assert len(same) > 15
    assert np.mean(same) > 0.6


def test_the_command_says_the_prompt_and_the_confidences(
    renders: list[Render], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, attributes = renders[0]
    image.save(tmp_path / "a.png")
    Image.fromarray((crops(1, 128)[0] * 255).astype(np.uint8)).save(tmp_path / "b.png")
    assert main(["recognise", str(tmp_path / "a.png"), str(tmp_path / "b.png"), "--language", "zh", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)["report"]
    assert "a.png: 扁平卡通头像，" in report["answer"]
    assert "b.png: nothing of nano's domain" in report["answer"]
    assert "b.png is none of the pictures" in report["remarks"][0]
    rows = {row["attribute"]: row for row in report["rows"] if row["picture"] == "a.png"}
    assert rows["style"]["word"] == attributes["style"]
    assert 0.5 < rows["style"]["confidence"] <= 1


def test_the_files_are_small() -> None:
    folder = bundled_folder("judge")
    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) < 3_000_000
