"""A run that is killed and resumed ends with the same weights as one that was not, to the last bit."""

import json
import os
import shutil
import signal
import traceback
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sfumato.errors import DivergedError, TrainingError, UnknownNameError
from sfumato.files import held, sha256
from sfumato.training import loop
from sfumato.training import run as running
from sfumato.training.checkpoint import load_latest
from sfumato.training.run import train
from sfumato.training.tracking import read_log
from tests.training.conftest import adversarial_toml, autoencoder_toml, denoiser_toml


def kill_at(step: int, toml: Path, run: Path) -> None:
    """Train in a process that dies by SIGKILL after `step` steps; a fork, which need not import torch again."""

    def on_step(number: int) -> None:
        if number == step:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if not child:
        try:
            setattr(running, "fit", partial(loop.fit, on_step=on_step))  # noqa: B010
            train(toml, run)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


@pytest.fixture(scope="module")
def autoencoder(squares: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted autoencoder run."""
    folder = tmp_path_factory.mktemp("autoencoder")
    (folder / "run.toml").write_text(autoencoder_toml(squares))
    train(folder / "run.toml", folder / "straight")
    return folder


@pytest.mark.slow
def test_autoencoder_resumes_exactly(autoencoder: Path) -> None:
    kill_at(3, autoencoder / "run.toml", autoencoder / "killed")
    snapshot = load_latest(autoencoder / "killed")
    assert snapshot is not None
    assert snapshot.facts["step"] == 2, "a kill costs at most one interval"
    train(autoencoder / "run.toml", autoencoder / "killed")
    name = "checkpoints/00000006/state.safetensors"
    assert sha256(autoencoder / "killed" / name) == sha256(autoencoder / "straight" / name)
    lines = map(json.loads, (autoencoder / "killed" / "log.jsonl").read_text().splitlines())
    assert [line["step"] for line in lines if "train/loss" in line] == [1, 2, 3, 4, 5, 6], "no step stands twice"


def test_what_a_kill_took_after_a_checkpoint_is_made_up_for(autoencoder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(autoencoder / "straight", run)
    sheet, log = run / "sheets" / "00000006.png", (run / "log.jsonl").read_text()
    sheet.unlink()
    kept = [line for line in log.splitlines(keepends=True) if not ('"step": 6' in line and "validation" in line)]
    (run / "log.jsonl").write_text("".join(kept) + '{"step": 6, "elap')
    train(autoencoder / "run.toml", run)
    assert sheet.is_file()
    last = read_log(run)[-1]
    assert last["validation/loss"] == read_log(autoencoder / "straight")[-1]["validation/loss"]


def test_one_run_folder_one_process(autoencoder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    with held(run / "lock"), pytest.raises(TrainingError) as caught:
        train(autoencoder / "run.toml", run)
    assert f"{run} is being trained by process {os.getpid()} on " in str(caught.value)
    assert [path.name for path in run.iterdir()] == []


@pytest.mark.slow
def test_a_contest_resumes_exactly(squares: Path, classifier: Path, tmp_path: Path) -> None:
    """The discriminator and its optimiser go on where they were, whether or not it took part already."""
    toml = tmp_path / "run.toml"
    toml.write_text(adversarial_toml(squares, classifier, start=3, accumulate=2))
    train(toml, tmp_path / "straight")
    name = "checkpoints/00000006/state.safetensors"
    state = load_file(tmp_path / "straight" / name)
    assert {key.split("/")[0] for key in state} == {
        "model",
        "ema",
        "opponent",
        "optimizer0",
        "optimizer1",
        "optimizer2",
    }
    for step in (3, 5):
        run = tmp_path / f"killed{step}"
        kill_at(step, toml, run)
        train(toml, run)
        assert sha256(run / name) == sha256(tmp_path / "straight" / name)


def test_denoiser_resumes_exactly(squares: Path, autoencoder: Path, tmp_path: Path) -> None:
    toml = tmp_path / "run.toml"
    toml.write_text(denoiser_toml(squares, autoencoder / "straight/export/vae", accumulate=2))
    train(toml, tmp_path / "straight")
    kill_at(5, toml, tmp_path / "killed")
    train(toml, tmp_path / "killed")
    name = "checkpoints/00000006/state.safetensors"
    assert sha256(tmp_path / "killed" / name) == sha256(tmp_path / "straight" / name)
    weights = load_file(tmp_path / "straight/export/unet/diffusion_pytorch_model.safetensors")
    assert any(float(value.abs().max()) > 0 for key, value in weights.items() if key.startswith("conv_out"))


def test_damaged_checkpoint_falls_back(autoencoder: Path, tmp_path: Path) -> None:
    toml = tmp_path / "run.toml"
    toml.write_text((autoencoder / "run.toml").read_text())
    train(toml, tmp_path / "run")
    newest = tmp_path / "run/checkpoints/00000006/state.safetensors"
    raw = bytearray(newest.read_bytes())
    raw[-1] ^= 1
    newest.write_bytes(raw)
    snapshot = load_latest(tmp_path / "run")
    assert snapshot is not None
    assert snapshot.facts["step"] == 4


def test_another_configuration_is_refused(squares: Path, autoencoder: Path, tmp_path: Path) -> None:
    toml = tmp_path / "run.toml"
    toml.write_text(autoencoder_toml(squares, learning_rate=5e-4))
    with pytest.raises(TrainingError, match=r"begun with another loop\.learning_rate"):
        train(toml, autoencoder / "straight")


def test_a_contest_is_another_configuration(squares: Path, classifier: Path, autoencoder: Path, tmp_path: Path) -> None:
    toml = tmp_path / "run.toml"
    toml.write_text(adversarial_toml(squares, classifier))
    with pytest.raises(TrainingError, match=r"begun with another adversarial\.channels .*adversarial\.weight \(0\.0"):
        train(toml, autoencoder / "straight")


def test_divergence_stops_and_keeps_the_last_good_weights(squares: Path, tmp_path: Path) -> None:
    toml = tmp_path / "run.toml"
    toml.write_text(autoencoder_toml(squares, steps=40, precision="fp32", clip=1e30, learning_rate=1e25))
    with pytest.raises(DivergedError, match=r"non-finite .*; there is no checkpoint from before that"):
        train(toml, tmp_path / "run")
    snapshot = load_latest(tmp_path / "run")
    assert snapshot is None or max(float(v.abs().max()) for v in snapshot.tensors.values()) < 100


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("task = 'autoencodr'", UnknownNameError, "did you mean autoencoder"),
        ("task = ", TrainingError, "not TOML"),
        ("task = 'autoencoder'", TrainingError, "data"),
        ("task = 'autoencoder'\ndata = 'x'\n[loop]\nsteps = 0\nbatch = 1\nlearning_rate = 1.0", TrainingError, "steps"),
    ],
)
def test_bad_configuration(text: str, error: type[Exception], message: str, tmp_path: Path) -> None:
    toml = tmp_path / "run.toml"
    toml.write_text(text)
    with pytest.raises(error, match=message):
        train(toml, tmp_path / "run")


def test_missing_configuration(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="cannot read"):
        train(tmp_path / "none.toml")


def test_decoder_alone(squares: Path, autoencoder: Path, tmp_path: Path) -> None:
    """With a frozen encoder the decoder moves and the latents do not."""
    toml = tmp_path / "run.toml"
    start = autoencoder / "straight/export/vae"
    extra = f"start = {json.dumps(str(start))}\nfreeze_encoder = true\n"
    toml.write_text(autoencoder_toml(squares).replace("[loop]", extra + "[loop]"))
    train(toml, tmp_path / "run")
    before = load_file(start / "diffusion_pytorch_model.safetensors")
    after = load_file(tmp_path / "run/export/vae/diffusion_pytorch_model.safetensors")
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"decoder"}
    assert (start / "config.json").read_text() == (tmp_path / "run/export/vae/config.json").read_text()
