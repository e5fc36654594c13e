"""What goes wrong at any moment, tried many times: kills, signals, a full disk, floods, slow and vanishing clients,
wear, and requests that nobody would make.

Each trial runs a whole service in processes of its own, on loopback, raises where a promise is broken, and says in
figures what it saw. `tests/faults/test_faults.py` runs each a few times; ``make faults`` many times, for
``docs/reliability.md``. Where pictures do not matter, the worker is the one of a few lines.
"""

import concurrent.futures
import contextlib
import json
import random
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from statistics import linear_regression, quantiles
from typing import Any

import psutil
from PIL import Image

from sfumato import Client
from sfumato.errors import SfumatoError
from sfumato.requests import Txt2Img
from sfumato.service.connections import HEAD_SECONDS
from tests.service.services import ROOT, free_port, real, running, running_fake

ASKED = Txt2Img.build(prompt="slow room", steps=4, seed=3, count=2)
"""Takes the worker of a few lines 0.4 seconds; another may keep it company."""
QUICK = ASKED.changed(prompt="a fox", count=1)
MOST_GROWTH = 2**20
"""Bytes of memory that may be added by a hundred jobs."""
DISK = 8 * 2**20
"""Bytes of the disk that gets full."""


@dataclass(frozen=True)
class Trial:
    """A promise, and how it is tried.

    Attributes:
        run: takes an empty folder and how often, and says what it saw.
        few, many: how often in the fast tests, and for the page.
    """

    name: str
    what: str
    promise: str
    run: Callable[[Path, int], str]
    few: int
    many: int


def percentile(values: Sequence[float], share: int) -> float:
    """The so many-th of a hundred."""
    return quantiles(values, n=100, method="inclusive")[share - 1]


def ended(client: Client, id: str) -> dict[str, Any]:
    """A job when nothing more comes of it."""
    for _ in client.events(id):
        pass
    return client.job(id)


@contextlib.contextmanager
def watched(client: Client) -> Iterator[list[float]]:
    """Seconds that /health took, asked on and on meanwhile."""
    taken: list[float] = []
    over = threading.Event()

    def ask() -> None:
        while len(taken) < 2 or not over.is_set():
            begun = time.perf_counter()
            client.call("GET", "/api/v1/health")
            taken.append(time.perf_counter() - begun)
            over.wait(0.02)

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask)
        try:
            yield taken
        finally:
            over.set()
            asking.result()


# --------------------------------------------------------------------------------------------------------------- kills


def killed_worker(parent: int) -> bool:
    """The worker of a service ends by SIGKILL; whether it had one just now."""
    found = False
    for child in psutil.Process(parent).children():
        with contextlib.suppress(psutil.Error):
            if any("fake_worker" in word for word in child.cmdline()):
                child.kill()
                found = True
    return found


def kills(folder: Path, times: int) -> str:
    """Every second kill is of the service, the others are of its worker."""
    draw, port, acknowledged = random.Random(0), free_port(), list[str]()
    of_workers = of_services = 0
    while of_workers + of_services < times:
        with running_fake(folder, port=port) as (process, client):
            for _ in range(2):
                with contextlib.suppress(SfumatoError):  # a full queue acknowledges nothing
                    acknowledged.append(client.submit(ASKED.changed(seed=len(acknowledged)))["id"])
            time.sleep(draw.uniform(0, 1))
            of_workers += killed_worker(process.pid)
            with contextlib.suppress(SfumatoError):
                acknowledged.append(client.submit(ASKED.changed(seed=len(acknowledged)))["id"])
            time.sleep(draw.uniform(0, 1))
            process.kill()
            of_services += 1
    with running_fake(folder, port=port) as (_, client):
        jobs = [ended(client, id) for id in acknowledged]
        assert {job["state"] for job in jobs} <= {"done", "failed"}
        for job in jobs:
            files = sorted((folder / "pictures" / job["id"]).glob("*"))
            if job["state"] == "failed":
                assert "at each of 3 attempts" in str(job["reason"])
            else:
                assert [file.name for file in files if file.name != "crashed"] == ["0001.png", "0002.png"]
            for file in files:
                with Image.open(file) as image:
                    image.verify()
        done = sum(job["state"] == "done" for job in jobs)
        assert done
        until = time.monotonic() + 60
        while client.gallery(count="true")["total"] < 2 * done:  # pictures of failed jobs may be there too
            assert time.monotonic() < until
            time.sleep(0.1)
    assert len({*acknowledged}) == len(acknowledged)
    with contextlib.closing(sqlite3.connect(folder / "sfumato.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    return (
        f"{of_services} kills of the service and {of_workers} of its worker; of {len(jobs)} jobs that were "
        f"acknowledged {done} done, {len(jobs) - done} failed after three attempts, 0 lost; 0 partial files; "
        "integrity_check: ok"
    )


def terminations(folder: Path, times: int) -> str:
    """SIGTERM while a job is painted and others wait."""
    port, ids, longest = free_port(), list[str](), 0.0
    for _ in range(times):
        with running_fake(folder, port=port) as (process, client):
            while client.call("GET", "/api/v1/queue")["jobs"].get("queued", 0) < 3:
                ids.append(client.submit(ASKED.changed(seed=len(ids)))["id"])
            while client.call("GET", "/api/v1/queue")["jobs"].get("running") is None:
                time.sleep(0.02)
            begun = time.monotonic()
            process.terminate()
            longest = max(longest, time.monotonic() - begun)
    with running_fake(folder, port=port) as (_, client):
        jobs = [ended(client, id) for id in ids]
    assert [job["state"] for job in jobs] == ["done"] * len(ids)
    assert all(job["attempts"] == 1 for job in jobs)
    return f"{times} times; it ended within {longest:.1f} s; {len(ids)} jobs, all done by one attempt"


# ---------------------------------------------------------------------------------------------------------------- disk


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of its own."""
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)], check=True, stderr=subprocess.DEVNULL
    )
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def can_mount() -> bool:
    """Whether this process may mount a file system."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            with small_disk(Path(folder)):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False


def full_disks(folder: Path, times: int) -> str:
    """Fill the disk while jobs are painted, ask for more, make room; the same service goes on."""
    port, refused, failed = free_port(), 0, 0
    with small_disk(folder), running_fake(folder, port=port) as (process, client):
        first = client.submit(QUICK)["id"]
        assert ended(client, first)["state"] == "done"
        picture = (folder / "pictures" / first / "0001.png").read_bytes()
        for turn in range(times):
            running_ = client.submit(ASKED.changed(seed=turn))["id"]
            time.sleep(0.1)
            filler = folder / "filler"
            _fill(filler)
            statuses = [_posted(client, ASKED.changed(seed=turn, width=512, height=512))[0] for _ in range(3)]
            assert {*statuses} <= {202, 507}
            refused += statuses.count(507)
            assert client.call("GET", "/api/v1/health")["status"] == "ok"
            time.sleep(1)
            filler.unlink()
            failed += _ended_without_reason(client, running_)
            until = time.monotonic() + 60
            while _posted(client, QUICK.changed(seed=turn))[0] != 202:  # it recovers by itself
                assert time.monotonic() < until
                time.sleep(0.2)
            while client.call("GET", "/api/v1/queue")["jobs"].keys() & {"queued", "running"}:
                assert time.monotonic() < until
                time.sleep(0.1)
            assert client.job(client.submit(QUICK.changed(seed=100 + turn))["id"])["state"] != "failed"
        assert process.alive
        jobs = [
            job for state in ("done", "failed") for job in client.call("GET", f"/api/v1/jobs?limit=200&state={state}")
        ]
        for job in jobs:
            assert job["state"] == "done" or "space" in job["reason"] or "cannot" in job["reason"], job["reason"]
            for file in (folder / "pictures" / job["id"]).glob("*"):
                with Image.open(file) as image:
                    image.verify()
        assert (folder / "pictures" / first / "0001.png").read_bytes() == picture
    return (
        f"{times} times full: {refused} posts refused with 507, {failed} running jobs failed with that reason; then it "
        "went on without a restart; 0 partial files, old files as they were"
    )


def _fill(file: Path) -> None:
    with contextlib.suppress(OSError), file.open("wb", buffering=0) as stream:
        while True:
            stream.write(bytes(4096))


def _ended_without_reason(client: Client, id: str) -> int:
    job = ended(client, id)
    assert job["state"] in ("done", "failed")
    return int(job["state"] == "failed")


def _lower(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _posted(client: Client, request: Txt2Img) -> tuple[int, dict[str, str]]:
    """The status and the headers of the answer to a job."""
    body = request.to_json().encode()
    asked = urllib.request.Request(f"{client.url}/api/v1/jobs", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return answer.status, _lower(answer.headers)
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, _lower(refusal.headers)


# ------------------------------------------------------------------------------------------------------------- clients


def floods(folder: Path, posts: int) -> str:
    """Many more posts than the queue of 32 takes, several at a time, while it is paused."""
    port = free_port()
    with running_fake(folder, port=port) as (_, client):
        client.call("PATCH", "/api/v1/queue", {"paused": True})
        begun = time.perf_counter()
        with watched(client) as taken, concurrent.futures.ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda seed: _posted(client, ASKED.changed(seed=seed)), range(posts)))
        seconds = time.perf_counter() - begun
        statuses = sorted(status for status, _ in answers)
        assert statuses == [202] * 32 + [429] * (posts - 32)
        assert all(int(headers["retry-after"]) >= 1 for status, headers in answers if status == 429)
        assert client.call("GET", "/api/v1/queue")["jobs"] == {"queued": 32}
    return (
        f"{posts} posts, four at a time: 32 accepted, {posts - 32} answered 429 with Retry-After, "
        f"{posts / seconds:.0f} a second; /health p99 {percentile(taken, 99) * 1000:.0f} ms meanwhile"
    )


def rude_clients(folder: Path, times: int) -> str:
    """Clients that send slowly, or not to the end, or go away while they are answered."""
    port = free_port()
    with running_fake(folder, port=port) as (process, client):
        id = client.submit(ASKED.changed(steps=1000))["id"]
        before = _connections(process.pid)
        slow = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(times)]
        for connection in slow:
            connection.sendall(b"GET /api/v1/he")
        with watched(client) as taken:
            for line in (
                f"GET /api/v1/jobs/{id}/events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n",
                f"POST /api/v1/jobs HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
                "Content-Length: 1000\r\n\r\n{",
                "GET /api/v1/he",
            ):
                for _ in range(times):
                    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                        connection.sendall(line.encode())
        client.cancel(id)
        assert ended(client, id)["state"] == "cancelled"
        for connection in slow:  # they are let go
            connection.settimeout(2 * HEAD_SECONDS)
            assert connection.recv(1) == b""
            connection.close()
        until = time.monotonic() + 30
        while _connections(process.pid) > before:
            assert time.monotonic() < until
            time.sleep(0.1)
        assert client.call("GET", "/api/v1/health")["status"] == "ok"
    return (
        f"{times} that hold half a request open, let go after {HEAD_SECONDS:.0f} s, {3 * times} that go away; "
        f"/health p99 {percentile(taken, 99) * 1000:.0f} ms meanwhile; 0 connections left open"
    )


def _connections(pid: int) -> int:
    """How many connections of clients a service has."""
    return sum(each.status != "LISTEN" for each in psutil.Process(pid).net_connections("inet"))


# ---------------------------------------------------------------------------------------------------------------- wear


def wear(folder: Path, jobs: int) -> str:
    """Jobs of a tiny model, one after the other, painted by the real worker."""
    from tests.conftest import write_tiny

    write_tiny(folder / "models" / "tiny")
    port = free_port()
    command = ["--port", str(port), "--data", str(folder / "data"), "--models", str(folder / "models")]
    command += ["--device", "cpu", "--precision", "fp32"]
    asked = Txt2Img.build(prompt="a fox", model="tiny", steps=2)
    with running(real, *command, port=port) as (process, client):
        parent = psutil.Process(process.pid)
        for seed in range(20):  # until all is loaded
            client.run(asked.changed(seed=seed))
        (worker,) = [each for each in parent.children() if "sfumato.service.worker" in each.cmdline()]
        used: dict[str, list[tuple[int, int, int]]] = {"service": [], "worker": []}
        for seed in range(jobs):
            client.run(asked.changed(seed=1000 + seed))
            for name, one in (("service", parent), ("worker", worker)):
                used[name].append((seed, one.memory_info().rss, one.num_fds()))
    said = []
    for name, rows in used.items():
        half = rows[len(rows) // 2 :]
        handles = {row[2] for row in half}
        growth = 100 * linear_regression([row[0] for row in half], [row[1] for row in half]).slope
        assert growth < MOST_GROWTH, (name, growth)
        assert max(handles) - min(handles) <= 2, (name, handles)
        said.append(f"the {name} {growth / 1000:+.0f} kB a hundred jobs, {min(handles)} to {max(handles)} handles")
    return f"{jobs} jobs, of which the second half counts: {'; '.join(said)}"


# ------------------------------------------------------------------------------------------------------------ contract


def contract(folder: Path, cases: int) -> str:
    """Requests made from the service's own OpenAPI, with what it allows and what it does not."""
    port = free_port()
    with running_fake(folder, port=port) as (process, client):
        command = [sys.executable, "-m", "tests.faults.contract", client.url, str(cases)]
        found = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=3600)
        assert process.alive
        assert client.call("GET", "/api/v1/health")["status"] == "ok"
    assert found.returncode == 0, found.stdout[-4000:] + found.stderr[-2000:]
    return json.loads(found.stdout.splitlines()[-1])["said"]


TRIALS = (
    Trial(
        "kills",
        "`kill -9` of the service or its worker, at random moments under load",
        "no acknowledged job is lost, no partial file is seen",
        kills,
        few=4,
        many=200,
    ),
    Trial(
        "terminations",
        "SIGTERM while a job is painted and others wait",
        "nothing is lost, no attempt is counted, it ends within 30 s",
        terminations,
        few=1,
        many=50,
    ),
    Trial(
        "full_disks",
        "a disk of 8 MB that gets full",
        "507 while it is full; with room again the same process goes on",
        full_disks,
        few=1,
        many=20,
    ),
    Trial(
        "floods",
        "posts to a queue of 32",
        "32 are accepted, the others are told when to come back",
        floods,
        few=100,
        many=1000,
    ),
    Trial(
        "rude_clients",
        "clients that send slowly, and such as go away",
        "nobody else waits, and nothing stays open",
        rude_clients,
        few=10,
        many=200,
    ),
    Trial(
        "wear",
        "jobs without end",
        "less than 1 MB of memory a hundred jobs, and no more handles",
        wear,
        few=0,
        many=500,
    ),
    Trial("contract", "requests made from the OpenAPI", "no answer of 5xx", contract, few=0, many=10_000),
)
