"""The judge that is in the repository reads renders that nobody has trained on."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from recipes.nano.data import emoji
from recipes.nano.data.render import COUNTS, Job, drawings
from recipes.nano.data.views import VIEW_LOOKS
from recipes.nano.language.card import JUDGE, JUDGE_OF_SCENES, SCENE

from sfumato.checkpoints.classifiers import load_classifier
from sfumato.evaluation.evaluate import APART
from sfumato.evaluation.judge import tensor_of
from sfumato.prompts.vocabulary import Vocabulary

BUNDLED = Path(__file__).parents[2] / "src/sfumato/data/nano"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folder", "styles", "each"), [(JUDGE, COUNTS, 3), (JUDGE_OF_SCENES, VIEW_LOOKS, 8)], ids=["usual", "of scenes"]
)
def test_it_reads_fresh_renders(folder: Path, styles: Iterable[str], each: int) -> None:
    """A few of each style; with another seed than the data set's they are other pictures."""
    drawn = [drawing for style in styles for k in range(each) for drawing in drawings(Job(style, k), 0, seed=1)]
    pictures = [np.ascontiguousarray(emoji.rasterise_rgba(drawing.svg, 256)[..., :3]) for drawing in drawn]
    judge = load_classifier(folder)
    with torch.inference_mode():
        answers = judge(tensor_of(pictures))
    right = [
        judge.config.classes[name][int(answers[name][row].argmax())] == word
        for row, drawing in enumerate(drawn)
        for name, word in drawing.attributes.items()
        if name in answers and name not in APART
    ]
    assert len(right) > 150
    assert np.mean(right) > 0.9


def test_it_knows_the_words_of_the_bundled_model() -> None:
    vocabulary = Vocabulary.read(BUNDLED)
    assert vocabulary is not None
    usual, of_scenes = (load_classifier(folder).config.classes for folder in (JUDGE, JUDGE_OF_SCENES))
    for kind, keys in vocabulary.about.items():
        classes = of_scenes if kind in (SCENE, "emoji") else usual
        for key, words in keys.items():
            if key in classes and key != "style":  # the world names styles as prompts do
                assert set(words) <= set(classes[key])
        assert set(keys) - set(classes) <= {"name_zh", "group", "tags", "tags_zh"}
