"""``sfumato convert`` and ``inspect`` as a person meets them: answers on stdout, one line for a fault, exit codes."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch

from sfumato.checkpoints.export import export
from sfumato.cli import main
from sfumato.errors import CheckpointError

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def lora(tmp_path: Path) -> Path:
    from safetensors.torch import save_file

    path = tmp_path / "lora.safetensors"
    parts = {"lora_down.weight": torch.zeros(4, 8), "lora_up.weight": torch.zeros(8, 4)}
    save_file({f"lora_unet_mid.{name}": part for name, part in parts.items()}, path, metadata={"ss_network_dim": "4"})
    return path


def test_inspect_answers_in_words_and_in_json(lora: Path, capsys: Capture) -> None:
    assert main(["inspect", str(lora)]) == 0
    shown = capsys.readouterr()
    assert "verdict" in shown.out
    assert "a LoRA\n--model says whether it fits one\n" in shown.out
    assert shown.err == ""
    assert main(["inspect", str(lora), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["kind"], facts["format"], facts["tensors"], facts["parameters"]) == ("lora", "kohya", 2, 64)
    assert facts["sha256"] == hashlib.sha256(lora.read_bytes()).hexdigest()
    assert facts["metadata"] == {"ss_network_dim": "4"}


@pytest.mark.parametrize("name", ["unet.{}.lora_A.weight", "<{}>", "{}.weight"])
def test_foreign_texts_do_nothing_to_the_terminal(name: str, tmp_path: Path, capsys: Capture) -> None:
    """Names and metadata of adapters, embeddings and others: no escape sequences, nothing turns the line round."""
    from safetensors.torch import save_file

    hostile = "\x1b[2J\x07\u202e\u2067\x9b31m\u2028x"
    state = {name.format(hostile): torch.full((2, 2), float("nan"))}
    save_file(state, tmp_path / "a.safetensors", metadata={"modelspec.title": hostile, f"ss_{hostile}": hostile})
    assert main(["inspect", "a.safetensors"]) == 2
    shown = capsys.readouterr()
    assert "modelspec.title   [2J" in shown.out
    assert all(c.isprintable() or c == "\n" for c in shown.out + shown.err)


def test_inspect_of_a_folder_says_whether_the_model_loads(tiny: Path, tmp_path: Path, capsys: Capture) -> None:
    assert main(["inspect", str(tiny), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    weights = (tiny / "unet" / "diffusion_pytorch_model.safetensors").read_bytes()
    assert (facts["kind"], facts["container"], facts["prediction"]) == ("checkpoint", "folder", "epsilon")
    assert facts["sha256"] == hashlib.sha256(weights).hexdigest()
    assert facts["matched"] == facts["tensors"] == sum(facts["precision"].values()) > 0
    shutil.copytree(tiny, tmp_path / "torn")
    (tmp_path / "torn" / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    assert main(["inspect", str(tmp_path / "torn")]) == 2
    assert "that does not load: " in capsys.readouterr().out


def test_inspect_of_an_unknown_file_ends_with_2(tmp_path: Path, capsys: Capture) -> None:
    from safetensors.torch import save_file

    save_file({"x": torch.full((2,), float("nan"))}, tmp_path / "a.safetensors")
    assert main(["inspect", "a.safetensors"]) == 2
    assert "non finite  x" in capsys.readouterr().out


def test_a_model_that_has_no_place_in_a_file_leaves_no_folder(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="keep the folder"):
        export(tiny, tmp_path / "new" / "a.safetensors")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["inspect", "none.safetensors"], "cannot read none.safetensors: No such file"),
        (["inspect", "."], ". has no model_index.json; give a file, or a model folder"),
        (["inspect", "text.safetensors", "--model", "nan"], "unknown model 'nan'"),
        (["convert", "nano", "out", "--lora", ""], "'' without a name; write NAME or NAME:0.8"),
        (["convert", "nano", "out", "--lora", "ink"], "unknown lora 'ink'"),
        (["convert", "nano", "out.ckpt"], "would be a pickle"),
        (["inspect", "text.safetensors"], "text.safetensors is a text, not a model"),
        (["inspect", "text.safetensors", "--prediction", "w"], "unknown prediction 'w'"),
        (["convert", "nano", "out", "--precision", "fp17"], "unknown precision 'fp17'; did you mean"),
        (["convert", "nan", "out"], "unknown model 'nan'"),
        (["convert", "nano", "text.safetensors"], "text.safetensors is there already"),
    ],
)
def test_faults_are_one_line(arguments: list[str], message: str, capsys: Capture) -> None:
    Path("text.safetensors").write_text("no tensors")
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert message in shown.err
    assert shown.err.count("\n") == 1
