"""The gallery over its API: what is painted and brought, found again, changed, erased."""

import io
import json
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw
from starlette.testclient import TestClient

from sfumato.metadata import carriers
from sfumato.service.app import create
from sfumato.service.settings import Settings
from tests.service.conftest import FAKE
from tests.service.test_app import FOX, HOME, ended

PNG = {"Content-Type": "image/png"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def http(data: Path) -> Iterator[TestClient]:
    with TestClient(create(Settings(data, worker=FAKE)), base_url=HOME) as client:
        yield client


def drawn(seed: int, *, format: str = "PNG", size: int = 96, texts: dict[str, str] | None = None) -> bytes:
    """A picture that differs from others in shape and colour."""
    image = Image.new("RGB", (96, 96), ((53 * seed) % 256, (97 * seed) % 256, (151 * seed) % 256))
    draw = ImageDraw.Draw(image)
    for i in range(4):
        x, y = (seed * (31 + 7 * i)) % 70, (seed * (17 + 11 * i)) % 70
        draw.ellipse((x, y, x + 25, y + 25), fill=((seed * 71 * i) % 256, (89 * i) % 256, (seed * 13) % 256))
    buffer = io.BytesIO()
    image.resize((size, size)).save(buffer, format)
    return carriers.put(buffer.getvalue(), texts) if texts else buffer.getvalue()


def a1111(prompt: str, seed: int = 5, **more: str) -> dict[str, str]:
    fields = {"Steps": "20", "Sampler": "Euler", "CFG scale": "7", "Seed": str(seed), "Size": "96x96", **more}
    return {carriers.PARAMETERS: f"{prompt}\n" + ", ".join(f"{name}: {value}" for name, value in fields.items())}


def brought(http: TestClient, data: bytes, **params: Any) -> dict[str, Any]:
    answer = http.post("/api/v1/gallery/import", content=data, headers=PNG, params=params)
    assert answer.status_code in (200, 201), answer.text
    found: dict[str, Any] = answer.json()
    return found


def found(http: TestClient, **params: Any) -> list[dict[str, Any]]:
    answer = http.get("/api/v1/gallery", params=params)
    assert answer.status_code == 200, answer.text
    pictures: list[dict[str, Any]] = answer.json()["pictures"]
    return pictures


def painted(http: TestClient, **options: Any) -> dict[str, Any]:
    """A job that is done, and in the gallery."""
    job = ended(http, http.post("/api/v1/jobs", json=FOX | options).json())
    assert job["state"] == "done"
    until = time.monotonic() + 30
    for each in job["pictures"]:
        while http.get(f"/api/v1/gallery/{job['id']}-{each['index']}").status_code == 404:
            assert time.monotonic() < until
            time.sleep(0.05)
    return job


def test_what_is_painted_is_there_with_its_request_and_its_descent(http: TestClient) -> None:
    job = painted(http, prompt="a grey heron", count=2, seed=40)
    second = http.get(f"/api/v1/gallery/{job['id']}-1").json()
    assert (second["prompt"], second["seed"], second["tool"], second["exact"]) == (
        "a grey heron",
        "41",
        "sfumato",
        True,
    )
    assert second["request"] | {"seed": 40, "count": 2} == job["request"]
    file = http.get(second["url"])
    assert carriers.read(file.content).texts[carriers.REQUEST]
    thumbnail = http.get(second["thumbnail"])
    assert Image.open(io.BytesIO(thumbnail.content)).format == "WEBP"
    assert "immutable" in thumbnail.headers["Cache-Control"]

    digest = http.post("/api/v1/uploads", content=file.content, headers=PNG).json()["sha256"]
    child = painted(http, task="img2img", prompt="the same heron", image={"sha256": digest}, seed=90)
    grand = http.get(f"/api/v1/pictures/{child['id']}/0").content
    digest = http.post("/api/v1/uploads", content=grand, headers=PNG).json()["sha256"]
    last = painted(http, task="img2img", prompt="its child", image={"sha256": digest}, seed=91)
    ids = [second["id"], f"{child['id']}-0", f"{last['id']}-0"]
    assert [each["id"] for each in http.get(f"/api/v1/gallery/{ids[0]}").json()["children"]] == ids[1:2]
    assert [each["id"] for each in http.get(f"/api/v1/gallery/{ids[2]}").json()["parents"]] == ids[1:2]
    family = http.get(f"/api/v1/gallery/{ids[1]}/lineage").json()
    assert {each["id"] for each in family["pictures"]} == {*ids}
    assert sorted(family["edges"]) == sorted([ids[0:2], ids[1:3]])


def test_words_are_found_in_any_language(http: TestClient) -> None:
    prompts = {
        "english": "(a red fox:1.2) in the snow, foxglove",
        "chinese": "一只红狐狸坐在雪地里，蓝色天空",
        "mixed": "anime style 女孩 with café lights",
        "japanese": "雪の中のキツネ",
    }
    ids = {name: brought(http, drawn(i, texts=a1111(text)))["id"] for i, (name, text) in enumerate(prompts.items(), 60)}

    def names(query: str) -> set[str]:
        there = {each["id"] for each in found(http, q=query)}
        return {name for name, id in ids.items() if id in there}

    assert names("狐狸") == names("狐") == names("红狐狸 天空") == {"chinese"}
    assert names("狐红") == set()
    assert names("女孩 anime") == names("cafe") == names("CAFÉ") == {"mixed"}
    assert names("キツネ") == {"japanese"}
    assert names("雪") == {"chinese", "japanese"}
    assert names("fox") == names("foxes") == names("sno") == names("snow fox") == {"english"}
    assert names('"fox red"') == set()
    assert names('"red fox"') == {"english"}
    assert names("雪 -狐狸") == {"japanese"}
    assert names("-雪") == {"english", "mixed"}
    for hostile in ('"', "AND", "NEAR(a b)", "*", "a*", "words:fox", "^fox", "-", '-"', "(", "' OR 1=1", "\0fox", "::"):
        found(http, q=hostile)


def test_filters_and_pages(http: TestClient) -> None:
    ids = [
        brought(
            http,
            drawn(i, texts=a1111(f"paging <lora:ink:{0.5 + i / 10}>", seed=2**63 + i, Model=f"m{i % 2}")),
            created=1e9 + i,
        )["id"]
        for i in range(100, 107)
    ]
    assert [each["id"] for each in found(http, q="paging")] == ids[::-1]
    assert [each["id"] for each in found(http, q="paging", sort="oldest", limit=2)] == ids[:2]
    assert {each["id"] for each in found(http, lora="ink")} == {*ids}
    assert [each["id"] for each in found(http, q="paging", model="m1")] == ids[5::-2]
    assert [each["id"] for each in found(http, seed=str(2**63 + 103))] == [ids[3]]
    assert [each["id"] for each in found(http, since=1e9 + 100, until=1e9 + 102)] == [ids[1], ids[0]]
    assert found(http, q="paging", width=95) == []
    assert len(found(http, q="paging", width=96, tool="A1111", task="txt2img")) == 7
    for id, stars in zip(ids, (1, 5, 3, 5), strict=False):
        assert http.patch(f"/api/v1/gallery/{id}", json={"rating": stars}).json()["rating"] == stars
    assert [each["id"] for each in found(http, q="paging", rating=3)] == [ids[3], ids[2], ids[1]]
    for sort in ("newest", "oldest", "rating"):
        for query in ({"q": "paging"}, {"lora": "ink"}):
            whole = [each["id"] for each in found(http, sort=sort, **query)]
            paged, after = [], {}
            while True:
                page = http.get("/api/v1/gallery", params={"sort": sort, "limit": 3, "count": True, **query, **after})
                paged += [each["id"] for each in page.json()["pictures"]]
                assert page.json()["total"] == 7
                if page.json()["next"] is None:
                    break
                after = {"after": page.json()["next"]}
            assert paged == whole
            assert len(paged) == 7
    assert [each["id"] for each in found(http, q="paging", sort="rating")][:4] == [ids[3], ids[1], ids[2], ids[0]]
    facets = http.get("/api/v1/gallery/facets").json()
    assert facets["lora"]["ink"] == 7
    assert (facets["model"]["m0"], facets["model"]["m1"]) == (4, 3)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"after": "x"}, "is no place in the order newest"),
        ({"after": "3.4"}, "is no place in the order newest"),
        ({"after": "3", "sort": "rating"}, "is no place in the order rating"),
        ({"q": "fox", "trash": True}, "not looked for in the trash"),
        ({"limit": 0}, "limit"),
        ({"seed": "-1"}, "seed"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_cannot_be_asked_for(http: TestClient, params: dict[str, Any], said: str) -> None:
    answer = http.get("/api/v1/gallery", params=params)
    assert answer.status_code == 422
    assert said in answer.json()["error"]["message"]


def test_tags_and_boards(http: TestClient) -> None:
    one, two = (brought(http, drawn(i))["id"] for i in (200, 201))
    changed = http.patch(f"/api/v1/gallery/{one}", json={"tags": ["blue", "好看"], "boards": ["自选"]}).json()
    assert (changed["tags"], changed["boards"], changed["rating"]) == (["blue", "好看"], ["自选"], 0)
    many = {"ids": [one, two], "add_tags": ["new"], "remove_tags": ["blue"], "add_boards": ["自选"], "rating": 4}
    assert http.patch("/api/v1/gallery", json=many).status_code == 204
    assert {each["id"] for each in found(http, board="自选", tag="new", rating=4)} == {one, two}
    assert http.get(f"/api/v1/gallery/{one}").json()["tags"] == ["new", "好看"]
    for wrong in ({"tags": [" "]}, {"rating": 6}, {"stars": 1}):
        assert http.patch(f"/api/v1/gallery/{one}", json=wrong).status_code == 422
    assert http.patch("/api/v1/gallery/nothing", json={"rating": 1}).status_code == 404
    assert http.patch("/api/v1/gallery", json={"ids": [one, "nothing"], "rating": 1}).status_code == 404


def test_copies_and_likenesses_are_found(http: TestClient) -> None:
    first = brought(http, drawn(300, texts=a1111("the original")))["id"]
    small = brought(http, drawn(300, size=64))["id"]
    lossy = brought(http, drawn(300, format="JPEG"))["id"]
    others = {brought(http, drawn(i))["id"] for i in range(301, 309)}
    near = http.get(f"/api/v1/gallery/{first}/similar", params={"most": 0.08}).json()
    assert {each["picture"]["id"] for each in near} == {small, lossy}
    all_ = http.get(f"/api/v1/gallery/{first}/similar", params={"limit": 200, "by": "look"}).json()
    differences = [each["difference"] for each in all_]
    assert differences == sorted(differences)
    assert others <= {each["picture"]["id"] for each in all_}
    assert http.get("/api/v1/gallery/nothing/similar").status_code == 404


def test_pictures_of_other_programs_are_brought(http: TestClient) -> None:
    graph = {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "x.safetensors"}},
        "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "a comfortable chair", "clip": ["1", 1]}},
        "3": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry", "clip": ["1", 1]}},
        "4": {"class_type": "EmptyLatentImage", "inputs": {"width": 96, "height": 96, "batch_size": 1}},
        "5": {
            "class_type": "KSampler",
            "inputs": {
                **{"model": ["1", 0], "positive": ["2", 0], "negative": ["3", 0], "latent_image": ["4", 0]},
                **{"seed": 7, "steps": 9, "cfg": 5.0, "sampler_name": "euler", "scheduler": "karras", "denoise": 1.0},
            },
        },
        "6": {"class_type": "VAEDecode", "inputs": {"samples": ["5", 0], "vae": ["1", 2]}},
        "7": {"class_type": "SaveImage", "inputs": {"images": ["6", 0]}},
    }
    comfy = brought(http, drawn(400, texts={"prompt": json.dumps(graph)}))
    assert (comfy["tool"], comfy["prompt"], comfy["negative"], comfy["seed"]) == (
        *("ComfyUI", "a comfortable chair", "blurry", "7"),
    )
    web = drawn(401, texts=a1111("<lora:ink:1> a fox", seed=3))
    shown = brought(http, web, created=5.0)
    assert (shown["tool"], shown["exact"], shown["loras"], shown["created"]) == ("A1111", False, ["ink"], 5.0)
    assert http.get(shown["url"]).content == web
    again = http.post("/api/v1/gallery/import", content=web, headers=PNG)
    assert (again.status_code, again.json()["id"]) == (200, shown["id"])
    photo = brought(http, drawn(402))
    assert (photo["tool"], photo["prompt"]) == ("", "")
    assert http.get(f"/api/v1/gallery/{photo['id']}").json()["request"] is None


def test_what_is_no_picture_leaves_nothing(http: TestClient, data: Path) -> None:
    before = sorted((data / "imports").rglob("*"))
    for bad in (b"GIF89a?", drawn(500)[:200], b""):
        answer = http.post("/api/v1/gallery/import", content=bad, headers=PNG)
        assert answer.status_code == 422
        assert "the picture is" in answer.json()["error"]["message"]
    assert [path for path in sorted((data / "imports").rglob("*")) if path.is_file()] == [
        path for path in before if path.is_file()
    ]
    assert brought(http, drawn(501))["width"] == 96


def test_export_has_everything(http: TestClient) -> None:
    id = brought(http, drawn(600, texts=a1111("an exported owl")))["id"]
    http.patch(f"/api/v1/gallery/{id}", json={"rating": 2, "tags": ["owl"]})
    other = brought(http, drawn(601))["id"]
    answer = http.get("/api/v1/gallery/export", params={"id": [id, other]})
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.testzip() is None
    assert sorted(archive.namelist()) == sorted([f"{id}.json", f"{id}.png", f"{other}.json", f"{other}.png"])
    assert archive.read(f"{id}.png") == http.get(f"/api/v1/gallery/{id}/file").content
    sidecar = json.loads(archive.read(f"{id}.json"))
    assert (sidecar["request"]["prompt"], sidecar["rating"], sidecar["tags"]) == ("an exported owl", 2, ["owl"])
    assert http.get("/api/v1/gallery/export", params={"q": "zyzzyva"}).status_code == 404


def test_pictures_become_one_that_moves(http: TestClient) -> None:
    ids = [brought(http, drawn(seed))["id"] for seed in (71, 72, 73)]
    asked = {"ids": ids, "fps": 5}
    answer = http.get("/api/v1/gallery/animation", params=asked)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/webp"), answer.text
    moving = Image.open(io.BytesIO(answer.content))
    assert (getattr(moving, "n_frames", 1), moving.size, moving.info.get("loop")) == (3, (96, 96), 0)
    larger = brought(http, drawn(74, size=128))["id"]
    for params, status, said in (
        ({"ids": [ids[0], larger]}, 422, "the pictures are 128x128 and 96x96; frames have one size"),
        ({"ids": [ids[0], "ab-0"]}, 404, "unknown picture 'ab-0'"),
        ({"ids": ids[:1]}, 422, "ids: "),
        ({"ids": ids, "fps": 0}, 422, "fps '0' should be"),
    ):
        answer = http.get("/api/v1/gallery/animation", params=params)
        assert answer.status_code == status
        assert said in answer.json()["error"]["message"]


def test_the_trash_gives_back(http: TestClient) -> None:
    id = brought(http, drawn(700, texts=a1111("quokka")))["id"]
    many = {"ids": [id]}
    for _ in range(2):
        assert http.post("/api/v1/gallery/trash", json=many).status_code == 204
    assert found(http, q="quokka") == []
    assert id not in {each["id"] for each in found(http, limit=200)}
    assert [each["id"] for each in found(http, trash=True)] == [id]
    for _ in range(2):
        assert http.post("/api/v1/gallery/restore", json=many).status_code == 204
    assert [each["id"] for each in found(http, q="quokka")] == [id]


def test_what_is_erased_is_nowhere(http: TestClient, data: Path) -> None:
    """A canary, in raw bytes: of the database and its log, of every file; in UTF-8, and as the index has it."""
    canary, chinese = "zanzibarcanary", "龘靐齉爩"
    source = http.post("/api/v1/uploads", content=drawn(800), headers=PNG).json()["sha256"]
    job = painted(
        http, task="img2img", prompt=f"{canary} {chinese}", negative=f"no {canary}", image={"sha256": source}, count=2
    )
    imported = brought(http, drawn(801, texts=a1111(f"{canary} {chinese}")))["id"]
    keeper = brought(http, drawn(802, texts=a1111("a keeper")))["id"]
    ids = [f"{job['id']}-0", f"{job['id']}-1", imported]
    http.patch("/api/v1/gallery", json={"ids": ids, "add_tags": [canary]})
    spaced = " ".join(chinese)
    needles = [each.encode() for each in (canary, "zanzibar", chinese, chinese[0], job["id"])]

    def holders() -> list[str]:
        files = [path for path in data.rglob("*") if path.is_file()]
        return [path.name for path in files if any(needle in path.read_bytes() for needle in needles)]

    assert any(name.startswith("sfumato.db") for name in holders())
    assert (data / "uploads" / f"{source}.png").is_file()
    assert http.post("/api/v1/gallery/erase", json={"ids": ids}).json() == {"erased": 3}
    assert spaced.encode() not in b"".join(path.read_bytes() for path in data.glob("sfumato.db*"))
    assert holders() == []
    assert not (data / "uploads" / f"{source}.png").exists()
    assert not [path for path in data.rglob("*") if path.is_file() and path.stem in ids]
    assert http.get(f"/api/v1/jobs/{job['id']}").status_code == 404
    assert found(http, q=canary) == []
    assert [each["id"] for each in found(http, q="keeper")] == [keeper]


@pytest.mark.slow
def test_what_is_alike_is_what_is_shown(http: TestClient) -> None:
    """A child reads thumbnails, with torch."""
    from sfumato import Studio

    studio = Studio("nano", device="cpu", precision="fp32")

    def painted(prompt: str, seed: int) -> str:
        buffer = io.BytesIO()
        studio.txt2img(prompt, seed=seed, steps=8)[0].save(buffer, "PNG")
        return str(brought(http, buffer.getvalue())["id"])

    face = "flat cartoon portrait, red curly hair, green hoodie"
    person, same, rocket = painted(face, 1), painted(face, 2), painted("a rocket, white background", 1)
    near = http.get(f"/api/v1/gallery/{person}/similar").json()
    assert [each["picture"]["id"] for each in near] == [same, rocket]
    said = http.get("/api/v1/gallery/like", params={"text": "a rocket, white background", "limit": 1}).json()
    assert [each["picture"]["id"] for each in said] == [rocket]
    unknown = brought(http, drawn(7))["id"]
    assert http.get(f"/api/v1/gallery/{unknown}/similar", params={"by": "shown"}).status_code == 422
