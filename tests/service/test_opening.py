"""The port is open, and says so, before the application is there; and clients that keep silent are let go."""

import asyncio
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from sfumato.cli import main
from sfumato.errors import SfumatoError
from sfumato.service import connections
from sfumato.service.app import application
from sfumato.service.desk import Desk
from sfumato.service.opening import JOBS, Opening, Taker
from sfumato.service.serve import listening, serve
from sfumato.service.settings import Settings
from tests.service.conftest import FAKE


async def _said(request: Request) -> PlainTextResponse:
    return PlainTextResponse("there")


def test_health_is_told_at_once_and_everything_else_waits() -> None:
    begun, go = threading.Event(), threading.Event()

    def load(taken_by: Callable[[Taker], None]) -> Starlette:
        begun.set()
        assert go.wait(10)
        return Starlette(routes=[Route("/api/v1/health", _said), Route("/more", _said)])

    with TestClient(Opening(load, lambda: None)) as http:
        assert begun.wait(10)
        assert http.get("/api/v1/health").json()["status"] == "starting"
        asking = threading.Timer(0.05, go.set)
        asking.start()
        assert http.get("/more").text == "there"
        assert go.is_set()
        assert http.get("/api/v1/health").text == "there"


def test_jobs_are_taken_before_the_application_is_there(tmp_path: Path) -> None:
    go, taking = threading.Event(), threading.Event()
    settings = Settings(tmp_path, worker=FAKE)

    def load(taken_by: Callable[[Taker], None]) -> Starlette:
        desk = Desk.of(settings)
        taken_by(desk.take)
        taking.set()
        assert go.wait(10)
        return application(settings, desk)

    with TestClient(Opening(load, lambda: None)) as http:
        assert taking.wait(10)
        key = {"Idempotency-Key": "one"}
        first = http.post(JOBS, json={"prompt": "a fox"}, headers=key)
        assert (first.status_code, first.json()["state"], go.is_set()) == (202, "queued", False)
        assert http.post(JOBS, json={"prompt": "a fox"}, headers=key).json() == first.json()
        threading.Timer(0.05, go.set).start()
        refused = http.post(JOBS, json={"prompt": "a fox", "steps": 0})
        assert (refused.status_code, go.is_set()) == (422, True), "the application says why"
        again = http.post(JOBS, json={"prompt": "a fox"}, headers=key)
        assert again.json().keys() == first.json().keys()
        assert again.json()["id"] == first.json()["id"]


def test_what_cannot_be_loaded_ends_the_service() -> None:
    failed = threading.Event()

    def load(taken_by: Callable[[Taker], None]) -> Starlette:
        raise SfumatoError("the database is of tomorrow")

    opening = Opening(load, failed.set)
    with TestClient(opening) as http:
        assert http.get("/more").status_code == 503
        assert failed.is_set()
    assert str(opening.error) == "the database is of tomorrow"


def test_a_broken_database_is_told_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sfumato.db").write_bytes(b"no database" * 100)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert main(["serve", "--data", str(tmp_path), "--port", str(taken.getsockname()[1])]) == 2
        assert "give another --port" in capsys.readouterr().err
    (free,) = listening("127.0.0.1", 0)
    port = free.getsockname()[1]
    free.close()
    shown = list[str]()
    monkeypatch.setattr("webbrowser.open", shown.append)
    with pytest.raises(SfumatoError, match="the database cannot be"):
        serve(Settings(tmp_path), port, open=True)
    assert shown == [f"http://127.0.0.1:{port}"]


def test_a_client_that_does_not_come_to_the_point_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.2)

    async def app(scope: object, receive: object, send: object) -> None:
        await PlainTextResponse("there")(scope, receive, send)  # type: ignore[arg-type]

    async def asked(*parts: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(*address)
        try:
            for part in parts:
                writer.write(part)
                await asyncio.sleep(0.12)
            return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()

    async def run() -> list[bytes]:
        import uvicorn

        server = uvicorn.Server(uvicorn.Config(app, http=connections.Connection, lifespan="off", log_level="error"))  # type: ignore[arg-type]
        serving = asyncio.create_task(server.serve([listener]))
        head = b"GET / HTTP/1.1\r\n", b"Host: a\r\n", b"Connection: close\r\n", b"\r\n"
        found = await asyncio.gather(asked(), asked(*head), asked(b"".join(head)))
        server.should_exit = True
        await serving
        return found

    (listener,) = listening("127.0.0.1", 0)
    address = listener.getsockname()
    silent, slow, quick = asyncio.run(run())
    assert silent == b""
    assert slow == b""
    assert quick.endswith(b"there")
