"""What the page is made of: its files, the browser's way in, and the answers that its forms come from."""

import gzip
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from starlette.testclient import TestClient

from sfumato.service import inspected
from sfumato.service.app import application, create
from sfumato.service.door import COOKIE, Door, passed
from sfumato.service.page import assets
from sfumato.service.settings import Settings
from tests.service.conftest import FAKE
from tests.service.test_app import HOME, picture


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with TestClient(create(Settings(tmp_path_factory.mktemp("data"), worker=FAKE)), base_url=HOME) as client:
        yield client


def test_the_page_asks_no_address_outside_and_runs_nothing_inline(http: TestClient) -> None:
    answer = http.get("/")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert "<style" not in answer.text
    assert answer.text.count("<script") == answer.text.count('src="/assets/') == 1
    for address, asset in assets().items():
        found = http.get(address)
        assert found.status_code == 200
        if asset.kind.startswith("text/css"):
            assert b"url(http" not in asset.plain
    assert http.get("/assets/nothing.js").status_code == 404


def test_its_script_is_small_and_sent_once(http: TestClient) -> None:
    first = http.get("/assets/page.js", headers={"Accept-Encoding": "gzip"})
    assert first.headers["Content-Encoding"] == "gzip"
    assert len(gzip.compress(first.content)) < 150_000
    again = http.get("/assets/page.js", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_browser_shows_the_token_once(tmp_path: Path) -> None:
    token = "a-token-that-was-printed"
    app = Door(application(Settings(tmp_path, worker=FAKE, token=token)), token=token)
    http = TestClient(app, base_url=HOME)
    own = {"Sec-Fetch-Site": "same-origin"}
    assert http.get("/").status_code == http.get("/assets/page.js").status_code == 200
    refused = http.get("/api/v1/models", headers=own)
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"] == "Bearer"  # a browser would ask in a window of its own for Basic
    assert http.post("/api/v1/session", headers=own).status_code == 401
    assert http.post("/api/v1/session", headers=own | {"Authorization": f"Bearer {token}"}).status_code == 204
    assert http.cookies[COOKIE] == passed(token) != token
    assert http.get("/api/v1/models", headers=own).status_code == 200
    assert http.get("/api/v1/models", headers=own | {"Origin": "http://evil.example"}).status_code == 403
    assert http.delete("/api/v1/session", headers=own).status_code == 204
    assert http.get("/api/v1/models", headers=own).status_code == 401
    http.cookies.set(COOKIE, token)
    assert http.get("/api/v1/models", headers=own).status_code == 401


def test_prompts_are_counted_as_they_are_read(http: TestClient) -> None:
    answer = http.post("/api/v1/prompts", json={"text": "a (red:1.2) apple, zeppelin"}).json()
    assert answer["windows"] == [answer["tokens"]]
    assert answer["room"] == 62
    assert answer["unknown"] == ["zeppelin"]
    plain = http.post("/api/v1/prompts", json={"text": "a red apple, zeppelin"}).json()
    assert plain["tokens"] == answer["tokens"], "weights are no words"
    assert len(http.post("/api/v1/prompts", json={"text": "apple, " * 40}).json()["windows"]) == 2
    assert http.post("/api/v1/prompts", json={"text": "a", "model": "nona"}).status_code in (404, 422)


def test_models_say_what_they_have_learned(http: TestClient) -> None:
    nano = http.get("/api/v1/models/nano").json()
    assert (nano["size"], nano["licence"]) == (256, "Apache-2.0")
    assert "flat cartoon portrait" in nano["about"]["portrait"]["style"]
    assert http.get("/api/v1/models/nona").json()["error"]["message"].startswith("unknown model 'nona'")


def test_the_machine_and_uploads_are_shown(http: TestClient) -> None:
    facts = http.get("/api/v1/status").json()
    assert facts["machine"]["disk_free_bytes"] > 0
    assert facts["worker"] == {"up": False, "peak_bytes": 0, "crashes": 0}
    digest = http.post("/api/v1/uploads", content=picture(), headers={"Content-Type": "image/png"}).json()["sha256"]
    assert http.get(f"/api/v1/uploads/{digest}").headers["Content-Type"] == "image/png"
    assert http.get(f"/api/v1/uploads/{'0' * 64}").status_code == 404
    assert http.get("/api/v1/uploads/..%2f..").status_code in (404, 422)


def test_a_prompt_is_put_in_the_models_own_words(http: TestClient) -> None:
    found = http.post("/api/v1/prompts", json={"text": "夕阳下的海边"}).json()
    assert found["caption"] == "flat illustration, beach, sunset, orange sky, low sun, palm trees"
    assert found["unknown"] == []
    assert http.post("/api/v1/prompts", json={"text": "a (lovely:1.3) beach"}).json()["caption"] == ""


def test_styles_and_wildcards_write_a_prompt(tmp_path: Path) -> None:
    with TestClient(create(Settings(tmp_path, worker=FAKE)), base_url=HOME) as http:
        assert http.get("/api/v1/words").json() == {"styles": [], "wildcards": {}}
        (tmp_path / "styles.csv").write_text(
            'name,prompt,negative_prompt\n水墨,"ink wash of {prompt}",photo\n', "utf-8"
        )
        (tmp_path / "wildcards").mkdir()
        (tmp_path / "wildcards" / "colours.txt").write_text("teal\n", "utf-8")
        known = http.get("/api/v1/words").json()
        assert known["styles"] == [{"name": "水墨", "prompt": "ink wash of {prompt}", "negative": "photo"}]
        assert known["wildcards"] == {"colours": ["teal"]}
        asked = {"prompt": "a __colours__ {fox|fox}", "styles": ["水墨"]}
        assert http.post("/api/v1/words", json=asked).json() == {
            "prompt": "ink wash of a teal fox",
            "negative": "photo",
        }
        missing = http.post("/api/v1/words", json={"prompt": "a __fruits__"})
        assert (missing.status_code, "colours" in missing.json()["error"]["message"]) == (422, True)


def test_adapters_say_what_calls_them(http: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head = json.dumps(
        {"__metadata__": {"ss_tag_frequency": json.dumps({"10_a": {"zwx cat": 20, "grass": 4}})}}
    ).encode()
    (tmp_path / "cat.safetensors").write_bytes(len(head).to_bytes(8, "little") + head)
    (tmp_path / "cat.preview.png").write_bytes(picture())
    (tmp_path / "dog.safetensors").write_bytes(b"broken")
    (tmp_path / "dog.json").write_text('{"activation text": "a dgx, running"}', "utf-8")
    monkeypatch.setenv("SFUMATO_LORAS", str(tmp_path))
    found = {each["name"]: each for each in http.get("/api/v1/adapters/loras").json()}
    cat, dog = found["cat"], found["dog"]
    assert cat["triggers"] == ["zwx cat"]
    assert (dog["triggers"], dog["preview"]) == (["a dgx", "running"], None)
    assert http.get(cat["preview"]).headers["Content-Type"] == "image/png"
    assert http.get("/api/v1/adapters/loras/dog/preview").status_code == 404
    assert http.get("/api/v1/adapters/hats").status_code in (404, 422)


def test_what_lies_at_a_path_is_looked_into(
    http: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: Path
) -> None:
    loras = tmp_path / "loras"
    (loras / "styles").mkdir(parents=True)
    ink = loras / "styles" / "ink.safetensors"
    _lora(ink)
    (tmp_path / "secret.safetensors").write_bytes(ink.read_bytes())
    (loras / "link.safetensors").symlink_to(ink)
    monkeypatch.setenv("SFUMATO_LORAS", str(loras))
    monkeypatch.setenv("SFUMATO_MODELS", str(tiny.parent))
    (model,) = (each for each in http.get("/api/v1/models").json() if each["name"] == tiny.name)
    assert model["preview"] is None
    assert http.get(f"/api/v1/models/{tiny.name}/preview").status_code == 404
    for path in (str(ink), "styles/ink.safetensors", f"{loras}/x/../styles/ink.safetensors"):
        assert http.post("/api/v1/models", json={"path": path}).json()["name"] in ("ink", "link")
    assert http.post("/api/v1/models", json={"path": str(tiny)}).json() == {"sort": "models", "name": tiny.name}
    told = []
    for path in (
        f"{loras}/../secret.safetensors",
        str(tmp_path / "secret.safetensors"),
        "/nowhere/at/all",
        "/etc/passwd",
    ):
        answer = http.post("/api/v1/models", json={"path": path})
        assert answer.status_code == 422
        told.append(answer.json()["error"]["message"].replace(repr(path), "IT"))
    assert len(set(told)) == 1
    assert "none of the folders that this service serves; put the file into one of them" in told[0]
    for path in ("../secret.safetensors", "styles", "none.safetensors", "\0", str(loras / "none")):
        answer = http.post("/api/v1/models", json={"path": path})
        assert "no model and no adapter" in answer.json()["error"]["message"]


def test_reports_hold_no_folder_of_this_machine(
    http: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: Path
) -> None:
    (tmp_path / "ink.safetensors").write_bytes(b"no weights")
    monkeypatch.setenv("SFUMATO_LORAS", str(tmp_path))
    monkeypatch.setenv("SFUMATO_MODELS", str(tiny.parent))
    told = "import json, sys; print(json.dumps({'path': sys.argv[-1], 'verdict': ' '.join(sys.argv[1:])}))"
    monkeypatch.setattr(inspected, "COMMAND", (sys.executable, "-c", told))
    report = http.get("/api/v1/adapters/loras/ink/report", params={"model": tiny.name}).json()
    assert report == {"path": "ink.safetensors", "verdict": f"--model {tiny.name} -- ink.safetensors"}
    assert http.get(f"/api/v1/models/{tiny.name}/report").json()["path"] == tiny.name
    assert (
        http.get("/api/v1/adapters/loras/inc/report").json()["error"]["message"].startswith("unknown lora 'inc'; did")
    )
    refuses = "import sys; sys.exit(f'sfumato: {sys.argv[-1]} is no weights')"
    monkeypatch.setattr(inspected, "COMMAND", (sys.executable, "-c", refuses))
    refused = http.get("/api/v1/adapters/loras/ink/report")
    assert (refused.status_code, refused.json()["error"]["message"]) == (422, "ink.safetensors is no weights")


@pytest.mark.parametrize(
    ("method", "address", "said"),
    [
        ("GET", "jobs?limit=999", "limit '999' should be less than or equal to 200"),
        ("POST", "jobs?format=gif", "format 'gif' should be 'png', 'jpeg', 'webp' or 'avif'"),
        ("POST", "words", "prompt is missing; /docs says what is asked for here"),
        ("GET", "nothing", "GET /api/v1/nothing: Not Found; /docs lists what there is"),
        ("GET", "jobs/zz", "unknown job 'zz'; the list of jobs has those that are there"),
        ("GET", "gallery/zz", "unknown picture 'zz'; the gallery lists those that are there"),
    ],
)
def test_refusals_say_what_was_given_and_what_is_allowed(
    http: TestClient, method: str, address: str, said: str
) -> None:
    answer = http.request(method, f"/api/v1/{address}", json={} if method == "POST" else None)
    assert answer.status_code in (404, 422)
    assert answer.json()["error"]["message"] == said


@pytest.mark.slow
def test_reports_are_those_of_inspect(
    http: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: Path
) -> None:
    _lora(tmp_path / "ink.safetensors")
    monkeypatch.setenv("SFUMATO_LORAS", str(tmp_path))
    monkeypatch.setenv("SFUMATO_MODELS", str(tiny.parent))
    report = http.get("/api/v1/adapters/loras/ink/report", params={"model": tiny.name}).json()
    assert (report["kind"], report["path"], report["model"]) == ("lora", "ink.safetensors", tiny.name)
    assert not report["good"]
    report = http.get(f"/api/v1/models/{tiny.name}/report").json()
    assert (report["good"], report["path"], len(report["sha256"])) == (True, tiny.name, 64)


def _lora(path: Path) -> None:
    from safetensors.torch import save_file

    save_file({f"lora_unet_mid.lora_{part}.weight": torch.ones(4, 4) for part in ("down", "up")}, path)
