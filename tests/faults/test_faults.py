"""What goes wrong at any moment: kills of the service and of its worker, a flood of posts, clients that go away.

The long version of each is run by ``make slow``. Everything is on loopback, over the worker of a few lines.
"""

import contextlib
import os
import random
import signal
import socket
import sqlite3
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest
from PIL import Image

from sfumato import Client
from sfumato.errors import SfumatoError
from sfumato.requests import Txt2Img
from tests.service.test_serve import fake, free_port, running

ASKED = Txt2Img.build(prompt="slow", steps=4, seed=3, count=2)


def killed_worker(parent: int) -> None:
    """The worker of a service, if it has one just now, ends by SIGKILL."""
    for child in psutil.Process(parent).children():
        with contextlib.suppress(psutil.Error):
            if any("fake_worker" in word for word in child.cmdline()):
                child.kill()


def ended(client: Client, id: str) -> dict[str, object]:
    for _ in client.events(id):
        pass
    return client.job(id)


@pytest.mark.parametrize("kills", [6, pytest.param(200, marks=pytest.mark.slow)])
def test_no_acknowledged_job_is_lost_by_kills_at_any_moment(tmp_path: Path, kills: int) -> None:
    """Every second kill is of the service, the others are of its worker."""
    draw, port, acknowledged = random.Random(0), free_port(), list[str]()
    for each in range((kills + 1) // 2):
        with running(fake(tmp_path, port), port) as (process, client):
            for _ in range(2):
                with contextlib.suppress(SfumatoError):  # a full queue acknowledges nothing
                    acknowledged.append(client.submit(ASKED.changed(seed=len(acknowledged)))["id"])
            time.sleep(draw.uniform(0, 2))
            killed_worker(process.pid)
            with contextlib.suppress(SfumatoError):
                acknowledged.append(client.submit(ASKED.changed(seed=100 + each))["id"])
            time.sleep(draw.uniform(0, 1))
            process.send_signal(signal.SIGKILL)
            process.wait()
    with running(fake(tmp_path, port), port) as (_, client):
        jobs = [ended(client, id) for id in acknowledged]
        assert {job["state"] for job in jobs} <= {"done", "failed"}
        for job in jobs:
            if job["state"] == "failed":
                assert "at each of 3 attempts" in str(job["reason"])
                continue
            files = sorted((tmp_path / "pictures" / str(job["id"])).glob("*.png"))
            assert len(files) == 2
            for file in files:
                Image.open(file).verify()
        done = sum(job["state"] == "done" for job in jobs)
        assert done
        until = time.monotonic() + 60
        while client.gallery(count="true")["total"] < 2 * done:  # pictures of failed jobs may be there too
            assert time.monotonic() < until
            time.sleep(0.1)
    assert len({*acknowledged}) == len(acknowledged) > kills
    with contextlib.closing(sqlite3.connect(tmp_path / "sfumato.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.parametrize("posts", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_a_flood_fills_the_queue_and_nothing_else(tmp_path: Path, posts: int) -> None:
    port = free_port()
    with running(fake(tmp_path, port), port) as (_, client):
        client.call("PATCH", "/api/v1/queue", {"paused": True})
        statuses, pauses, body = [], [], ASKED.to_json().encode()
        for _ in range(posts):
            asked = urllib.request.Request(f"{client.url}/api/v1/jobs", body, {"Content-Type": "application/json"})
            try:
                with urllib.request.urlopen(asked, timeout=30) as answer:
                    statuses.append(answer.status)
            except urllib.error.HTTPError as refusal:
                statuses.append(refusal.code)
                pauses.append(int(refusal.headers["Retry-After"]))
        assert statuses == [202] * 32 + [429] * (posts - 32)
        assert min(pauses) >= 1
        assert client.call("GET", "/api/v1/queue")["jobs"] == {"queued": 32}


def test_clients_that_go_away_leave_nothing_open(tmp_path: Path) -> None:
    port = free_port()
    with running(fake(tmp_path, port), port) as (process, client):
        id = client.submit(ASKED.changed(steps=400))["id"]
        for line in (
            f"GET /api/v1/jobs/{id}/events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n",
            f"POST /api/v1/jobs HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
            "Content-Length: 1000\r\n\r\n{",
            "GET /api/v1/he",
        ):
            for _ in range(10):
                with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                    connection.sendall(line.encode())
        client.cancel(id)
        assert ended(client, id)["state"] == "cancelled"
        until = time.monotonic() + 30
        while _connections(process.pid):
            assert time.monotonic() < until
            time.sleep(0.1)
        assert client.call("GET", "/api/v1/health")["status"] == "ok"


def _connections(pid: int) -> int:
    """How many connections of clients a service has."""
    return sum(each.status != "LISTEN" for each in psutil.Process(pid).net_connections("inet"))


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_sigterm_under_load_loses_nothing(tmp_path: Path) -> None:
    port = free_port()
    with running(fake(tmp_path, port), port) as (process, client):
        ids = [client.submit(ASKED.changed(seed=seed))["id"] for seed in range(3)]
        while client.job(ids[0])["state"] == "queued":
            time.sleep(0.02)
        process.terminate()
        process.wait(20)
    with running(fake(tmp_path, port), port) as (_, client):
        assert [ended(client, id)["state"] for id in ids] == ["done"] * 3
        assert all(client.job(id)["attempts"] == 1 for id in ids)
