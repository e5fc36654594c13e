"""The text encoder alone: it learns to be read, in the order of the words, and a denoiser takes it over."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sfumato.errors import TrainingError
from sfumato.models.clip import CLIPTextEncoder
from sfumato.training.run import read_config, train
from sfumato.training.text import CaptionReader, TextConfig, TextRun, TextTask
from tests.training.conftest import denoiser_toml


def text_toml(data: Path, **loop: object) -> str:
    """A run of a few small steps."""
    values = {"steps": 4, "batch": 16, "learning_rate": 2e-2, "warmup": 2, "decay": 20, "ema": 0.9} | loop
    values |= {"log_every": 1, "validate_every": 200, "sheet_every": 200, "save_every": 200, "precision": "fp32"}
    lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in values.items())
    return f"""
task = "text"
data = {json.dumps(str(data))}
captions = "tests.training.captions:caption"
[text]
vocabulary = 640
window = 16
width = 16
layers = 1
heads = 2
[loop]
{lines}
"""


@pytest.fixture(scope="module")
def trained(squares: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run long enough to read two colours."""
    folder = tmp_path_factory.mktemp("text")
    (folder / "run.toml").write_text(text_toml(squares, steps=80))
    train(folder / "run.toml", folder / "run")
    return folder


def test_it_learns_which_colour_is_whose(trained: Path) -> None:
    lines = [json.loads(line) for line in (trained / "run" / "log.jsonl").read_text().splitlines()]
    last = lines[-1]
    assert lines[0]["train/loss"] > 1.0
    assert last["validation/front"] > 0.95  # at random 0.25; the other colour is in the caption as well
    assert last["validation/background"] > 0.95


@pytest.mark.slow
def test_a_denoiser_takes_it_over(trained: Path, squares: Path, autoencoder: Path, tmp_path: Path) -> None:
    export = trained / "run" / "export"
    toml = denoiser_toml(squares, autoencoder, steps=1).replace(
        "validation", f"start_text = {json.dumps(str(export))}\nvalidation", 1
    )
    toml = toml.partition("[text]")[0] + text_toml(squares).partition("[text]")[2].join(["[text]", ""])
    (tmp_path / "run.toml").write_text(toml)
    folder = train(tmp_path / "run.toml", tmp_path / "run")
    before, after = (load_file(path / "text_encoder" / "model.safetensors") for path in (export, folder))
    assert before.keys() == after.keys()
    drift = max(float((before[name].float() - after[name].float()).abs().max()) for name in before)
    assert 0 < drift < 0.05  # one step from there, not a beginning of its own
    assert (folder / "tokenizer" / "merges.txt").read_text() == (export / "tokenizer" / "merges.txt").read_text()


def test_each_query_shares_out_its_look(squares: Path, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(text_toml(squares))
    config = read_config(tmp_path / "run.toml")
    assert isinstance(config, TextRun)
    task = TextTask(config, tmp_path)
    tokens = task.model.text_encoder(task.tokenizer(["a red square", ""])).tokens
    looks = task.model.looks(tokens)
    assert looks.shape == (2, len(task.attributes.heads), tokens.shape[1])
    torch.testing.assert_close(looks.sum(-1), torch.ones(looks.shape[:2]))


def test_nothing_to_ask(squares: Path, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(
        text_toml(squares).replace("[text]", 'ignored = ["kind", "front", "background", "split"]\n[text]')
    )
    with pytest.raises(TrainingError, match="nothing can be read from captions"):
        train(tmp_path / "run.toml", tmp_path / "run")


def test_another_form_than_the_start_is_refused(trained: Path, squares: Path, tmp_path: Path) -> None:
    toml = text_toml(squares).replace("[text]", f"start = {json.dumps(str(trained / 'run' / 'export'))}\n[text]")
    (tmp_path / "run.toml").write_text(toml.replace("width = 16", "width = 24"))
    with pytest.raises(Exception, match="text_encoder"):
        train(tmp_path / "run.toml", tmp_path / "run")


def test_every_head_answers() -> None:
    heads = (("hat", ("", "cap")), ("kind", ("cat", "dog", "cow")))
    from sfumato.models.tokenizer import ClipTokenizer

    words = ClipTokenizer({"<|startoftext|>": 0, "<|endoftext|>": 1}, (), 8)
    reader = CaptionReader(CLIPTextEncoder(TextConfig(width=8, heads=2, layers=1, window=8).form(words)), heads)
    answers = reader(torch.tensor([[0, 1, 1, 1, 1, 1, 1, 1]]))
    assert {name: tuple(value.shape) for name, value in answers.items()} == {"hat": (1, 2), "kind": (1, 3)}
