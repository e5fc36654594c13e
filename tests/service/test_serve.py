"""Whole services in processes of their own: killed, asked by `sfumato.Client` and by the command line, and compared
with a studio."""

import io
import json
import time
from pathlib import Path

import psutil
import pytest
from PIL import Image

from sfumato import Studio
from sfumato.cli import main
from sfumato.errors import SfumatoError
from sfumato.requests import Img2Img, Txt2Img
from sfumato.results import Progress
from sfumato.service.decoder import pixels
from sfumato.service.serve import alone
from tests.service.services import free_port, real, running, running_fake

SLOW = Txt2Img.build(prompt="slow", steps=20, seed=3, count=2)


def test_nothing_acknowledged_is_lost_when_the_service_is_killed(tmp_path: Path) -> None:
    port = free_port()
    with running_fake(tmp_path, port=port) as (process, client):
        first, second = client.submit(SLOW)["id"], client.submit(SLOW.changed(seed=9))["id"]
        while not client.job(first)["pictures"]:
            time.sleep(0.02)
        process.kill()
    with running_fake(tmp_path, port=port) as (_, client):
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
    with running_fake(tmp_path, port=port) as (process, client):
        id = client.submit(SLOW.changed(steps=200))["id"]
        while client.job(id)["state"] != "running":
            time.sleep(0.02)
        with pytest.raises(SfumatoError, match="another service uses"), alone(tmp_path):
            pass
        process.terminate()
    with running_fake(tmp_path, port=port) as (_, client):
        assert client.job(id)["attempts"] <= 1
        assert client.cancel(id)["state"] in ("cancelled", "cancelling")


def test_the_command_line_looks_after_jobs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with running_fake(tmp_path) as (_, client):
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
    with running(real, *options, "--device", "cpu", "--precision", "fp32", port=port) as (_, client):
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


@pytest.mark.slow
@pytest.mark.parametrize("who", ["worker", "service"])
def test_a_picture_half_sampled_goes_on_to_the_same_bytes(
    who: str, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    options = ["--port", str(port), "--data", str(tmp_path / "data"), "--models", str(tiny.parent)]
    options += ["--device", "cpu", "--precision", "fp32"]
    asked = Txt2Img.build(prompt="a red fox", model="tiny", steps=200, sampler="dpmpp_sde", seed=3)
    with running(real, *options, port=port) as (service, client):
        id = client.submit(asked)["id"]
        for kind, data in client.events(id):
            if kind == "progress" and data["step"] >= 50:
                break
        if who == "service":
            service.kill()
        else:
            (worker,) = [
                each for each in psutil.Process(service.pid).children() if "worker" in " ".join(each.cmdline())
            ]
            worker.kill()
            steps = [data["step"] for kind, data in client.events(id) if kind == "progress"]
    if who == "service":
        with running(real, *options, port=port) as (_, client):
            steps = [data["step"] for kind, data in client.events(id) if kind == "progress"]
    with running(real, *options, port=port) as (_, client):
        job = client.job(id)
    assert (job["state"], job["attempts"]) == ("done", 2)
    assert steps[-1] == 200
    assert not any((tmp_path / "data" / "unfinished").iterdir())
    monkeypatch.setenv("SFUMATO_MODELS", str(tiny.parent))
    Studio(device="cpu", precision="fp32").run(asked).save(tmp_path / "{index}.png")
    assert (tmp_path / "data" / "pictures" / id / "0001.png").read_bytes() == (tmp_path / "1.png").read_bytes()
