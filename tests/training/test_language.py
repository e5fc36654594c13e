"""A text encoder is taught other wordings; all else stays, and so does what it knew."""

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sfumato.checkpoints.folder import load_folder, part_file
from sfumato.errors import TrainingError
from sfumato.files import sha256
from sfumato.model import Model
from sfumato.prompts.vocabulary import Vocabulary
from sfumato.training.language import LanguageTask, by_sort
from sfumato.training.run import read_config, train
from sfumato.training.tracking import read_log
from tests.training.test_resume import kill_at

WORDINGS = {"a red fox": ("some reddish fox", "fox, red!"), "a green house": ("my home in green", "one house, green")}


def pair(rng: random.Random) -> tuple[str, str]:
    """A caption of the tiny model's and another wording, or itself."""
    caption = rng.choice(list(WORDINGS))
    return (caption if rng.random() < 0.3 else rng.choice(WORDINGS[caption])), caption


def language_toml(model: Path, **loop: object) -> str:
    values = {"steps": 6, "batch": 4, "learning_rate": 1e-3, "warmup": 2, "decay": 2, "ema": 0.9, "muon": False} | loop
    values |= {"log_every": 1, "validate_every": 3, "sheet_every": 6, "save_every": values.get("save_every", 2)}
    lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in values.items())
    return f"""
task = "language"
model = {json.dumps(str(model))}
pairs = "tests.training.test_language:pair"
queries = 4
paintings = 2
steps = 2
validation = 8
prompts = ["fox"]
[loop]
{lines}
"""


@pytest.mark.slow
def test_it_learns_the_wordings_and_keeps_the_captions(tiny: Path, tmp_path: Path) -> None:
    toml, run = tmp_path / "run.toml", tmp_path / "run"
    toml.write_text(language_toml(tiny, steps=120, batch=8, learning_rate=3e-3, decay=80, embedding_rate=4.0, ema=0.0))
    export = train(toml, run)
    records = [record for record in read_log(run) if "validation/wordings" in record]
    assert records[-1]["validation/wordings"] < records[0]["validation/wordings"] / 2
    assert records[-1]["validation/kept"] < 0.2
    for part in ("unet", "vae"):
        assert sha256(part_file(export / part)) == sha256(part_file(tiny / part))
    before, after = (load_file(part_file(folder / "text_encoder")) for folder in (tiny, export))
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name].half(), after[name]) for name in before)


def test_a_caption_in_its_own_words_is_no_error(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(language_toml(tiny))
    task = LanguageTask(read_config(tmp_path / "run.toml"), tmp_path / "run")  # type: ignore[arg-type]
    losses = task.validate(task.model)
    assert losses["kept"] == 0
    assert losses["wordings"] > 0


def test_sorts_of_pairs_are_told_apart() -> None:
    means = by_sort(torch.tensor([0.0, 1.0, 3.0]), [("", ""), ("a", "b"), ("c", "d")])
    assert {name: float(value) for name, value in means.items()} == pytest.approx(
        {"loss": 4 / 3, "wordings": 2.0, "kept": 0.0}
    )
    assert "wordings" not in by_sort(torch.zeros(1), [("", "")])


@pytest.mark.slow
def test_it_resumes_exactly(tiny: Path, tmp_path: Path) -> None:
    toml = tmp_path / "run.toml"
    toml.write_text(language_toml(tiny, embedding_rate=8.0))
    train(toml, tmp_path / "straight")
    kill_at(3, toml, tmp_path / "killed")
    train(toml, tmp_path / "killed")
    name = "checkpoints/00000006/state.safetensors"
    assert sha256(tmp_path / "killed" / name) == sha256(tmp_path / "straight" / name)


def test_words_that_were_learned_are_known(tiny: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny, model)
    Vocabulary.learn(["a red fox"], [{"kind": "animal", "name": "fox"}]).write(model)
    (tmp_path / "run.toml").write_text(language_toml(model, steps=1, warmup=0, decay=0))
    vocabulary = Vocabulary.read(train(tmp_path / "run.toml", tmp_path / "run"))
    assert vocabulary is not None
    assert {"fox", "red", "reddish", "home"} <= set(vocabulary.known)
    assert vocabulary.about == {"animal": {"name": ("fox",)}}


def test_a_model_of_two_encoders_is_refused(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def two(folder: Path, *, dtype: torch.dtype, device: torch.device) -> Model:
        model = load_folder(folder, dtype=dtype, device=device)
        return replace(model, texts={**model.texts, "text_encoder_2": model.texts["text_encoder"]})

    monkeypatch.setattr("sfumato.training.language.load_folder", two)
    (tmp_path / "run.toml").write_text(language_toml(tiny))
    with pytest.raises(TrainingError, match="no model of a U-Net and one text encoder"):
        train(tmp_path / "run.toml", tmp_path / "run")
