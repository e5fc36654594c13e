"""Whole services in processes of their own: killed, asked by `sfumato.Client` and by the command line, and compared
with a studio."""

import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from PIL import Image

from sfumato import Client, Studio
from sfumato.cli import main
from sfumato.errors import SfumatoError
from sfumato.requests import Img2Img, Txt2Img
from sfumato.results import Progress
from sfumato.service.uploads import pixels

ROOT = Path(__file__).parents[2]
SLOW = Txt2Img.build(prompt="slow", steps=20, seed=3, count=2)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


ONE_THREAD = {"OMP_NUM_THREADS": "1"}
"""As the tests' own studio has, so that digests of steps say the same of the machine."""


@contextlib.contextmanager
def running(command: Sequence[str], port: int) -> Iterator[tuple[subprocess.Popen[bytes], Client]]:
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, *command], env={**os.environ, "PYTHONPATH": path} | ONE_THREAD, cwd=ROOT
    )
    client = Client(f"http://127.0.0.1:{port}")
    try:
        until = time.monotonic() + 60
        while True:
            with contextlib.suppress(SfumatoError):
                client.call("GET", "/api/v1/health")
                break
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        yield process, client
    finally:
        process.terminate()
        assert process.wait(20) is not None


def fake(folder: Path, port: int) -> list[str]:
    return ["-m", "tests.service.fake_service", str(folder), str(port)]


def test_nothing_acknowledged_is_lost_when_the_service_is_killed(tmp_path: Path) -> None:
    port = free_port()
    with running(fake(tmp_path, port), port) as (process, client):
        first, second = client.submit(SLOW)["id"], client.submit(SLOW.changed(seed=9))["id"]
        while not client.job(first)["pictures"]:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
    with running(fake(tmp_path, port), port) as (_, client):
        for id, attempts in ((first, 2), (second, 1)):
            for _kind, _data in client.events(id):
                pass
            job = client.job(id)
            assert (job["state"], job["attempts"], len(job["pictures"])) == ("done", attempts, 2)
            files = sorted((tmp_path / "pictures" / id).iterdir())
            assert [file.name for file in files] == ["0001.png", "0002.png"]
            assert all(Image.open(file).size == (16, 16) for file in files)


def test_it_ends_when_told_to_and_goes_on_later(tmp_path: Path) -> None:
    port = free_port()
    with running(fake(tmp_path, port), port) as (process, client):
        id = client.submit(SLOW.changed(steps=200))["id"]
        while client.job(id)["state"] != "running":
            time.sleep(0.02)
        second = subprocess.run([sys.executable, *fake(tmp_path, port + 1)], capture_output=True, text=True, cwd=ROOT)
        assert "another service uses" in second.stderr
        process.terminate()
        process.wait(20)
    with running(fake(tmp_path, port), port) as (_, client):
        assert client.job(id)["attempts"] <= 1
        assert client.cancel(id)["state"] in ("cancelled", "cancelling")


def test_the_command_line_looks_after_jobs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    with running(fake(tmp_path, port), port) as (_, client):
        client.run(SLOW.changed(prompt="a fox", steps=2))
        with pytest.raises(SfumatoError, match="failed: the prompt asks for it"):
            client.txt2img("fail", seed=1)
        url = f"--url={client.url}"
        assert main(["jobs", "list", url]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[1:4] for line in lines] == [["failed", "txt2img", "fail"], ["done", "txt2img", "a"]]
        failed = lines[0].split()[0]
        for command, state in (("show", "failed"), ("retry", "queued"), ("cancel", None)):
            assert main(["jobs", command, failed, url]) == 0
            found = json.loads(capsys.readouterr().out)["state"]
            assert state in (None, found)
        assert main(["jobs", "show", "../x", url]) == 2
        assert main(["jobs", "show", "ab", url]) == 2
        assert "unknown job 'ab'" in capsys.readouterr().err
    assert main(["jobs", "list", url]) == 2
    assert "start one with sfumato serve" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--port", "0"], "--port 0 must be 1 to 65535"),
        (["--idle", "soon"], "must be a time, for example 90s"),
        (["--queue", "0"], "--queue 0 must be 1 to 10000"),
        (["--token", "short"], "take 16 or more"),
        (["--precision", "fp7"], "unknown precision"),
        (["--models", "/nowhere"], "is no folder"),
    ],
)
def test_options_that_make_no_sense(options: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", *options]) == 2
    assert said in capsys.readouterr().err


def test_a_client_gets_what_a_studio_gives(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the byte of the files, metadata and digests of steps among it."""
    port = free_port()
    options = ["--port", str(port), "--data", str(tmp_path / "data"), "--models", str(tiny.parent)]
    studio = Studio(tiny, device="cpu", precision="fp32")
    picture = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(picture, "PNG")
    asked = (
        Txt2Img.build(prompt="a red fox", model="tiny", steps=3, seed=3, count=2),
        Img2Img.build(prompt="a fox", model="tiny", steps=3, seed=3, image=pixels(picture.getvalue())),
    )
    steps: list[Progress] = []
    with running(["-m", "sfumato", "serve", *options, "--device", "cpu", "--precision", "fp32"], port) as (_, client):
        served = [client.run(request, steps.append) for request in asked]
        with pytest.raises(SfumatoError, match="has 2 layers"):
            client.txt2img("a fox", model="tiny", clip_skip=5)
    assert [step.index for step in steps[:6]] == [0, 1, 2, 0, 1, 2]
    assert served[0].timings["steps_per_second"] > 0
    monkeypatch.setenv("SFUMATO_MODELS", str(tiny.parent))
    for i, (request, theirs) in enumerate(zip(asked, served, strict=True)):
        for side, result in (("ours", studio.run(request)), ("theirs", theirs)):
            result.save(tmp_path / side / f"{i}-{{index}}.png")
    files = sorted((tmp_path / "ours").iterdir())
    assert len(files) == 3
    for file in files:
        assert file.read_bytes() == (tmp_path / "theirs" / file.name).read_bytes(), file.name
