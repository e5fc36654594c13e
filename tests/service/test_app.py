"""The native API and its door, over a fake worker."""

import asyncio
import hashlib
import io
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pydantic import BaseModel
from starlette.routing import WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from sfumato.requests import REQUESTS, Control, Lora, Source
from sfumato.service.app import application, create
from sfumato.service.asked import PATHS, request_of
from sfumato.service.described import UPLOADED
from sfumato.service.door import Door, is_open
from sfumato.service.refusals import Refusal
from sfumato.service.settings import Settings
from tests.service.conftest import FAKE

FOX = {"task": "txt2img", "prompt": "a fox", "steps": 4, "seed": 3}
HOME = "http://127.0.0.1:7860"


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("data")
    with TestClient(create(Settings(folder, worker=FAKE, queue=3)), base_url=HOME) as client:
        yield client


def ended(http: TestClient, job: dict[str, Any]) -> dict[str, Any]:
    with http.stream("GET", f"/api/v1/jobs/{job['id']}/events") as stream:
        stream.read()
    found: dict[str, Any] = http.get(f"/api/v1/jobs/{job['id']}").json()
    return found


def picture(size: tuple[int, int] = (16, 16), **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, "red").save(buffer, options.pop("format", "PNG"), **options)
    return buffer.getvalue()


def test_a_job_is_asked_for_watched_and_fetched(http: TestClient) -> None:
    answer = http.post("/api/v1/jobs", json=FOX | {"count": 2, "sampler": "DPM++ 2M"})
    assert answer.status_code == 202
    with http.stream("GET", f"/api/v1/jobs/{answer.json()['id']}/events") as stream:
        kinds = [line.removeprefix("event: ") for line in stream.iter_lines() if line.startswith("event: ")]
    assert kinds[0] == kinds[-1] == "state"
    assert {"progress", "preview", "picture"} <= set(kinds)
    job = http.get(f"/api/v1/jobs/{answer.json()['id']}").json()
    assert (job["state"], job["progress"], job["request"]["sampler"]) == ("done", 1.0, "dpmpp_2m")
    assert [each["seed"] for each in job["pictures"]] == ["3", "4"]
    file = http.get(job["pictures"][1]["url"])
    assert Image.open(io.BytesIO(file.content)).size == (16, 16)
    assert http.get(f"/api/v1/pictures/{job['id']}/2").status_code == 404
    assert job["id"] in {each["id"] for each in http.get("/api/v1/jobs", params={"state": "done"}).json()}


def test_pictures_are_named_by_their_upload(http: TestClient, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "secret place"
    data = picture(format="JPEG", exif=exif)
    digest = http.post("/api/v1/uploads", content=data, headers={"Content-Type": "image/jpeg"}).json()["sha256"]
    asked = {"task": "img2img", "prompt": "a fox", "image": {"sha256": digest}}
    job = ended(http, http.post("/api/v1/jobs", json=asked).json())
    assert job["state"] == "done"
    assert job["request"]["image"] == {"path": "", "sha256": digest}
    (tmp_path / "x.png").write_bytes(picture())
    for image in (str(tmp_path / "x.png"), {"path": str(tmp_path / "x.png")}, {"sha256": "0" * 64}):
        answer = http.post("/api/v1/jobs", json=asked | {"image": image})
        assert answer.status_code == 422, image
        assert "upload" in answer.json()["error"]["message"]
    answer = http.post("/api/v1/uploads", content=b"GIF89a?", headers={"Content-Type": "image/gif"})
    assert answer.status_code == 422
    assert "the picture is" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"model": "/etc"}, "unknown model '/etc'"),
        ({"vae": "../x.safetensors"}, "unknown vae"),
        ({"refiner": "/etc"}, "unknown refiner"),
        ({"like_model": "/etc/x", "like": {"sha256": "0" * 64}}, "unknown IP-Adapter"),
        ({"image_encoder": "/etc"}, "image_encoder is a path"),
        ({"loras": ["/etc/passwd"]}, "unknown lora"),
        ({"prompt": "a <lora:/etc/passwd:1>"}, "unknown lora"),
        ({"task": "between", "to": "a <lora:/etc/passwd:1>"}, "unknown lora"),
        ({"embeddings": ["/etc/passwd"]}, "unknown embedding"),
        ({"controls": ["/etc/passwd:/etc/hosts"]}, "unknown control"),
        ({"text_encoders": ["/etc/passwd"]}, "text_encoders is a path"),
        ({"task": "explode"}, "unknown task 'explode'"),
        ({"steps": 0}, "steps 0 must be 1 to 1000"),
        ({"stepz": 1}, "did you mean steps"),
    ],
)
def test_what_breaks_a_rule_is_told_so(http: TestClient, changed: dict[str, Any], said: str) -> None:
    answer = http.post("/api/v1/jobs", json=FOX | changed)
    assert answer.status_code == 422
    assert said in answer.json()["error"]["message"]


def test_every_field_that_can_name_a_file_is_known_to_the_door() -> None:
    """A new one needs a line in `asked.check`: this test is where that is noticed."""
    found: set[tuple[str, str]] = set()

    def look(kind: type[BaseModel]) -> None:
        for name, field in kind.model_fields.items():
            told = repr(field.annotation) + repr(field.metadata)
            inner = [each for each in (Lora, Control, Source) if each.__name__ in told]
            if "max_length=4096" in told or inner or "_names_of_files" in told:
                found.add((kind.__name__ if kind in (Lora, Control, Source) else "request", name))
            for each in inner:
                look(each)

    for kind in REQUESTS.values():
        look(kind)
    words = {("request", "kind"), ("request", "character")}  # of a model's vocabulary, and no files
    assert found - words == {
        *(
            ("request", name)
            for name in (
                "model",
                "vae",
                "refiner",
                "like",
                "like_model",
                "image_encoder",
                "palette_file",
                "upscaler",
                "method",
                "text_encoders",
                "loras",
                "embeddings",
                "controls",
                "image",
                "mask",
                "depth",
                "clean",
                "images",
            )
        ),
        *(("Lora", "name"), ("Control", "model"), ("Control", "image"), ("Source", "path")),
    }


def test_keys_limits_cancelling_and_retrying(http: TestClient) -> None:
    slow = FOX | {"prompt": "slow", "steps": 1000}
    first = http.post("/api/v1/jobs", json=slow, headers={"Idempotency-Key": "k"}).json()
    assert http.post("/api/v1/jobs", json=slow, headers={"Idempotency-Key": "k"}).json()["id"] == first["id"]
    assert http.post("/api/v1/jobs", json=FOX, headers={"Idempotency-Key": "k"}).status_code == 409
    answers = [http.post("/api/v1/jobs", json=slow) for _ in range(5)]
    full = answers[-1]
    assert full.status_code == 429
    assert int(full.headers["Retry-After"]) >= 1
    waiting = [answer.json() for answer in answers if answer.status_code == 202]
    assert waiting[-1]["position"] == 3
    moved = http.patch(f"/api/v1/jobs/{waiting[-1]['id']}", json={"priority": 3}).json()
    assert moved["position"] == 1
    for job in [*waiting, first]:
        http.post(f"/api/v1/jobs/{job['id']}/cancel")
        assert ended(http, job)["state"] == "cancelled"
    assert http.post(f"/api/v1/jobs/{first['id']}/retry").json()["state"] == "queued"
    http.post(f"/api/v1/jobs/{first['id']}/cancel")
    assert http.post("/api/v1/jobs/nothing/cancel").status_code == 404


def test_the_queue_is_paused_over_http(http: TestClient) -> None:
    assert http.patch("/api/v1/queue", json={"paused": True}).json()["paused"] is True
    job = http.post("/api/v1/jobs", json=FOX).json()
    assert http.post(f"/api/v1/jobs/{job['id']}/pause").json()["state"] == "paused"
    assert http.get("/api/v1/queue").json()["jobs"]["paused"] == 1
    assert http.patch("/api/v1/queue", json={"paused": False}).json()["paused"] is False
    assert http.get(f"/api/v1/jobs/{job['id']}").json()["state"] == "paused"
    assert http.post(f"/api/v1/jobs/{job['id']}/resume").json()["state"] in ("queued", "running", "done")
    assert ended(http, job)["state"] == "done"
    assert http.post(f"/api/v1/jobs/{job['id']}/pause").status_code == 409


def test_a_crash_is_told_with_its_reason(http: TestClient) -> None:
    job = ended(http, http.post("/api/v1/jobs", json=FOX | {"prompt": "crash"}).json())
    assert (job["state"], job["attempts"]) == ("failed", 3)
    assert "SIGKILL" in job["reason"]
    assert "sfumato_worker_crashes_total 3" in http.get("/api/v1/metrics").text


BODILESS = {
    *(f"POST /api/v1/jobs/{{id}}/{name}" for name in ("cancel", "retry", "pause", "resume")),
    *(f"POST /sdapi/v1/{name}" for name in ("skip", "interrupt", "unload-checkpoint", "reload-checkpoint")),
    *(f"POST /sdapi/v1/refresh-{name}" for name in ("checkpoints", "vae", "loras")),
    "POST /api/v1/session",
}


def test_every_body_is_described_with_an_example(http: TestClient, tmp_path: Path) -> None:
    examples = {}
    for path, methods in http.get("/openapi.json").json()["paths"].items():
        for method, operation in methods.items():
            name = f"{method.upper()} {path}"
            assert ("requestBody" in operation) == (method in ("post", "patch") and name not in BODILESS), name
            for kind, content in operation.get("requestBody", {"content": {}})["content"].items():
                if kind == "application/json":
                    one = {"": {"value": content.get("example")}}
                    examples[name] = [each["value"] for each in content.get("examples", one).values()]
    assert all(isinstance(each, dict) for several in examples.values() for each in several)
    (tmp_path / f"{UPLOADED['sha256']}.png").touch()
    assert [request_of(each, tmp_path).task for each in examples["POST /api/v1/jobs"]] == list(REQUESTS)
    read = {"PATCH /api/v1/queue": 200, "POST /api/v1/prompts": 200, "POST /api/v1/words": 200}
    for name, status in (read | {"POST /sdapi/v1/png-info": 200, "POST /prompt": 200, "POST /queue": 200}).items():
        method, path = name.split()
        assert http.request(method, path, json=examples[name][0]).status_code == status, name
    http.patch("/api/v1/queue", json={"paused": False})


def test_the_description_is_made_of_the_requests(http: TestClient) -> None:
    schema = http.get("/openapi.json").json()
    assert {kind.__name__ for kind in REQUESTS.values()} <= set(schema["components"]["schemas"])
    assert schema["components"]["schemas"]["Source"]["required"] == ["sha256"]
    tasks = http.get("/api/v1/tasks").json()
    assert list(tasks) == list(REQUESTS)
    assert tasks["txt2img"]["properties"]["count"]["maximum"] == 10_000
    for properties in (
        each.get("properties", {}) for each in (*tasks.values(), *schema["components"]["schemas"].values())
    ):
        assert not {*PATHS} & properties.keys()  # what would be refused is not offered
    assert [*tasks["img2img"]["$defs"]["Source"]["properties"]] == ["sha256"]
    assert "/api/v1/jobs/{id}/cancel" in http.get("/docs").text
    assert "/assets/page.js" in http.get("/").text
    assert "nano" in {each["name"] for each in http.get("/api/v1/models").json()}
    assert set(http.get("/api/v1/adapters").json()) == {
        "loras",
        "embeddings",
        "vaes",
        "controls",
        "ip_adapters",
        "upscalers",
    }


# ------------------------------------------------------------------------------------------------------------ the door


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "localhost.evil.example:7860"}, 421),
        ({"Host": "2130706433"}, 421),
        ({"Host": "127.0.0.1:evil"}, 421),
        ({"Host": "192.168.1.5"}, 421),
        ({"Host": "localhost:7860"}, 200),
        ({"Host": "[::1]:7860"}, 200),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "https://127.0.0.1:7860"}, 403),
        ({"Origin": HOME}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
    ],
)
def test_who_may_come_in(http: TestClient, headers: dict[str, str], status: int) -> None:
    answer = http.get("/api/v1/models", headers=headers)
    assert answer.status_code == status
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_what_a_foreign_page_can_send_is_not_read(http: TestClient, kind: str) -> None:
    answer = http.post("/api/v1/jobs", content=json.dumps(FOX), headers={"Content-Type": kind})
    assert answer.status_code == 415
    assert answer.json()["error"]["message"].endswith("send application/json")
    answer = http.post("/api/v1/uploads", content=b"GIF89a", headers={"Content-Type": kind})
    assert answer.status_code == 415
    assert answer.json()["error"]["message"].endswith("as image/png, or application/octet-stream")


def test_bodies_have_a_largest_size(http: TestClient) -> None:
    headers = {"Content-Type": "application/json"}
    assert http.post("/api/v1/jobs", content=b" " * (2**20 + 1), headers=headers).status_code == 413
    pieces = iter([b" " * 2**19] * 3)
    assert http.post("/api/v1/jobs", content=pieces, headers=headers).status_code == 413
    assert http.post("/api/v1/jobs", content=b"[" * 100_000, headers=headers).status_code == 422


def test_pictures_have_a_largest_size(http: TestClient) -> None:
    bomb = io.BytesIO()
    Image.new("1", (9000, 8000)).save(bomb, "PNG")
    answer = http.post("/api/v1/uploads", content=bomb.getvalue(), headers={"Content-Type": "image/png"})
    assert answer.status_code == 422
    assert "too large: 9000x8000" in answer.json()["error"]["message"]


def test_every_route_asks_for_the_token(tmp_path: Path) -> None:
    app = application(Settings(tmp_path, worker=FAKE))
    http = TestClient(Door(app, token="right"), base_url=HOME, raise_server_exceptions=False)
    asked = listened = 0
    for route in app.routes:
        if isinstance(route, WebSocketRoute):
            for headers in ({}, {"Authorization": "Bearer wrong"}):
                listened += 1
                address = f"ws://127.0.0.1:7860{route.path}"
                with pytest.raises(WebSocketDisconnect), http.websocket_connect(address, headers=headers):
                    pass
        for method in getattr(route, "methods", ()):
            path: str = route.path  # type: ignore[attr-defined]
            for name, value in (("{id}", "x"), ("{name:path}", "x"), ("{index}", "0"), ("{sha256}", "0" * 64)):
                path = path.replace(name, value)
            for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic eDp3cm9uZw=="}):
                asked += 1
                status = http.request(method, path, headers=headers).status_code
                assert status == 401 or is_open(path), (method, path)
    assert asked > 150
    assert listened == 4
    assert {"/api/v1/jobs", "/sdapi/v1/txt2img", "/v1/images/edits", "/prompt", "/docs", "/openapi.json"} <= {
        getattr(route, "path", "") for route in app.routes
    }
    assert set(app.openapi()["paths"]) <= {getattr(route, "path", "").replace(":path", "") for route in app.routes}
    assert http.get("/api/v1/models", headers={"Authorization": "Bearer right"}).status_code == 200
    assert http.get("/api/v1/models", auth=("anybody", "right")).status_code == 200
    assert http.get("/api/v1/health").status_code == 200


def test_other_machines_are_served_only_with_a_token(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"0\.0\.0\.0 needs a token"):
        create(Settings(tmp_path, host="0.0.0.0"))
    http = TestClient(create(Settings(tmp_path, host="0.0.0.0", token="t")), base_url="http://192.168.1.5:7860")
    assert http.get("/api/v1/health").status_code == 200
    assert http.get("/api/v1/health", headers={"Host": "3232235781"}).status_code == 421


def test_the_parent_never_imports_torch() -> None:
    code = "import sys, sfumato.service.app; print('torch' in sys.modules)"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout == "False\n"


def test_uploads_keep_what_is_transparent(tmp_path: Path) -> None:
    from sfumato.decoding import decoded
    from sfumato.service.decoder import mask, pixels

    image = Image.new("RGBA", (16, 16), (200, 40, 10, 255))
    for x in range(16):
        for y in range(16):
            image.putpixel((x, y), (200, 40, 10, min(255, 17 * x)))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    kept = pixels(buffer.getvalue())
    before, after = decoded(buffer.getvalue()), decoded(kept)
    assert before.alpha is not None
    assert after.alpha is not None
    assert before.alpha.tobytes() == after.alpha.tobytes()
    assert before.image.tobytes() == after.image.tobytes()
    assert hashlib.sha256(pixels(kept)).digest() == hashlib.sha256(kept).digest()
    assert Image.open(io.BytesIO(mask(buffer.getvalue()))).getpixel((0, 0)) == 255


def test_pictures_wait_for_each_other_and_not_for_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most two children decode at once; one that spent its CPU time took too long."""
    from sfumato.service import uploads

    running, most = 0, 0

    class Child:
        returncode: int | None = None

        async def communicate(self, data: bytes) -> tuple[bytes, bytes]:
            nonlocal running, most
            running, most = running + 1, max(most, running + 1)
            await asyncio.sleep(0.001)
            running -= 1
            self.returncode = -signal.SIGXCPU if data == b"slow" else 0
            return data, b""

    async def started(*_: object, **__: object) -> Child:
        return Child()

    async def all_of(datas: list[bytes]) -> list[bytes | BaseException]:
        return await asyncio.gather(*(uploads.handled(data, "pixels") for data in datas), return_exceptions=True)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", started)
    found = asyncio.run(all_of([b"slow", b"", *[b"picture"] * 7]))
    assert (most, found[2:]) == (2, [b"picture"] * 7)
    assert "takes too long to decode" in str(found[0])
    assert "cannot be decoded" in str(found[1]), "nothing is no picture, whatever the child says"


def test_a_sketch_is_shown_once_and_kept_nowhere(http: TestClient) -> None:
    before = {each["id"] for each in http.get("/api/v1/jobs").json()}
    sketch = http.post("/api/v1/sketches", json={"task": "txt2img", "prompt": "a fox", "count": 3})
    assert (sketch.status_code, sketch.headers["content-type"]) == (200, "image/jpeg"), sketch.text
    assert Image.open(io.BytesIO(sketch.content)).size == (16, 16)
    with ThreadPoolExecutor() as beside:
        slow = beside.submit(http.post, "/api/v1/sketches", json={"task": "txt2img", "prompt": "slow", "steps": 100})
        while http.get("/api/v1/queue").json()["jobs"].get("running") is None:
            time.sleep(0.01)
        later = http.post("/api/v1/sketches", json={"task": "txt2img", "prompt": "a hare"})
    assert (slow.result().status_code, later.status_code) == (204, 200)
    failed = http.post("/api/v1/sketches", json={"task": "txt2img", "prompt": "fail"})
    assert (failed.status_code, "the prompt asks for it" in failed.text) == (422, True)
    image = http.post("/api/v1/uploads", content=picture(), headers={"Content-Type": "image/png"}).json()
    refused = http.post("/api/v1/sketches", json={"task": "img2img", "prompt": "a fox", "image": image})
    assert (refused.status_code, "a sketch is of txt2img" in refused.text) == (422, True), refused.text
    assert {each["id"] for each in http.get("/api/v1/jobs").json()} == before
    assert http.get("/api/v1/queue").json()["jobs"].keys() <= {"done", "failed", "cancelled"}
    assert not http.get("/api/v1/gallery", params={"q": "hare"}).json()["pictures"]
