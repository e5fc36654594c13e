"""The judge that is in the repository reads renders that nobody has trained on."""

from pathlib import Path

import numpy as np
import pytest
import torch
from recipes.nano.data import emoji
from recipes.nano.data.render import COUNTS, Job, drawings

from sfumato.checkpoints.classifiers import load_classifier
from sfumato.evaluation.evaluate import APART
from sfumato.evaluation.judge import tensor_of
from sfumato.prompts.vocabulary import Vocabulary

JUDGE = Path(__file__).parents[2] / "recipes/nano/judge"
BUNDLED = Path(__file__).parents[2] / "src/sfumato/data/nano"


@pytest.mark.slow
def test_it_reads_fresh_renders() -> None:
    """Three of each style; with another seed than the data set's they are other pictures."""
    drawn = [drawing for style in COUNTS for k in range(3) for drawing in drawings(Job(style, k), 0, seed=1)]
    pictures = [np.ascontiguousarray(emoji.rasterise_rgba(drawing.svg, 256)[..., :3]) for drawing in drawn]
    judge = load_classifier(JUDGE)
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
    vocabulary, classes = Vocabulary.read(BUNDLED), load_classifier(JUDGE).config.classes
    assert vocabulary is not None
    for keys in vocabulary.about.values():
        for key, words in keys.items():
            if key in classes and key != "style":  # the world names styles as prompts do
                assert set(words) <= set(classes[key])
    asked = {key for keys in vocabulary.about.values() for key in keys}
    assert asked - set(classes) <= {"name_zh", "group", "tags", "tags_zh"}
