"""What can be said of trainings afterwards."""

import json
from pathlib import Path

import pytest

from sfumato.cli import main
from sfumato.training.run import train
from sfumato.training.runs import differences, find_run, read_run
from tests.training.conftest import autoencoder_toml


@pytest.fixture(scope="module")
def store(squares: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs that differ in their rate."""
    folder = tmp_path_factory.mktemp("store")
    for name, rate in (("slow", 1e-4), ("quick", 1e-3)):
        (folder / f"{name}.toml").write_text(autoencoder_toml(squares, learning_rate=rate, steps=4))
        train(folder / f"{name}.toml", folder / "runs" / name)
    return folder / "runs"


def test_a_run_says_what_it_was(store: Path) -> None:
    run = read_run(store / "slow")
    assert (run.name, run.task, run.state, run.step, run.steps) == ("slow", "autoencoder", "done", 4, 4)
    assert run.settings["loop"]["learning_rate"] == 1e-4
    assert [step for step, _ in run.losses] == [3, 4]
    assert run.best == min(loss for _, loss in run.losses)
    assert run.begun.startswith("20")
    assert any(path.name == "diffusion_pytorch_model.safetensors" for path in run.files)
    assert run.sheets


def test_runs_differ_in_what_was_set(store: Path) -> None:
    both = [find_run(store, name) for name in ("slow", "quick")]
    assert differences(both) == {"loop.learning_rate": (1e-4, 1e-3)}


def test_commands(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "list", "--store", str(store), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["runs"]
    assert [row["name"] for row in found] in (["slow", "quick"], ["quick", "slow"])
    assert main(["runs", "show", "slow", "--store", str(store)]) == 0
    assert "4 of 4" in capsys.readouterr().out
    target = tmp_path / "both.png"
    assert main(["runs", "compare", "slow", "quick", "--store", str(store), "-o", str(target)]) == 0
    shown = capsys.readouterr()
    assert "loop.learning_rate" in shown.out
    assert shown.out.splitlines()[-1] == str(target)
    assert target.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "slwo"], "unknown run 'slwo'; did you mean slow?"),
        (["compare", "slow"], "1 run cannot be compared"),
        (["compare", "slow", "quick", "-o", "x.txt"], "'x.txt' is no picture; name it x.png"),
    ],
)
def test_bad_input(arguments: list[str], message: str, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", *arguments, "--store", str(store)]) == 2
    assert message in capsys.readouterr().err
