"""ComfyUI's API: its example script replayed over a fake worker, graphs as requests, refusals, and the door."""

import copy
import io
import json
import struct
import time
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from sfumato.requests import Img2Img, Inpaint, Source, Txt2Img, Upscale
from sfumato.service.app import create
from sfumato.service.database import Database
from sfumato.service.dialects import links, nodes
from sfumato.service.dialects.graph import translated
from sfumato.service.gallery.store import Gallery
from sfumato.service.settings import Settings
from tests.service.conftest import FAKE
from tests.service.services import running_fake

Graph = dict[str, dict[str, Any]]
HOME = "http://127.0.0.1:7860"
WS = "ws://127.0.0.1:7860/ws"
DIGEST = "0" * 64


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


SAMPLED: dict[str, Any] = {
    "seed": 5, "steps": 8, "cfg": 6, "sampler_name": "euler_ancestral", "scheduler": "karras", "denoise": 1,
    "model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0],
}  # fmt: skip
GRAPH: Graph = {
    "3": node("KSampler", **SAMPLED),
    "4": node("CheckpointLoaderSimple", ckpt_name="nano"),
    "5": node("EmptyLatentImage", batch_size=1, width=32, height=24),
    "6": node("CLIPTextEncode", clip=["4", 1], text="a (fox:1.2)"),
    "7": node("CLIPTextEncode", clip=["4", 1], text="fog"),
    "8": node("VAEDecode", samples=["3", 0], vae=["4", 2]),
    "9": node("SaveImage", filename_prefix="ComfyUI", images=["8", 0]),
}
"""The graph of ComfyUI's example, smaller."""
PICTURE: Graph = {
    "10": node("LoadImage", image=f"{DIGEST}.png"),
    "11": node("VAEEncode", pixels=["10", 0], vae=["4", 2]),
}


def graph(*more: Graph, **changed: dict[str, Any]) -> Graph:
    """The example with more nodes, and other inputs of some: ``n3={"steps": 4}``."""
    found = copy.deepcopy(GRAPH)
    for each in more:
        found |= copy.deepcopy(each)
    for name, inputs in changed.items():
        found[name[1:]]["inputs"] |= inputs
    return found


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_fake(tmp_path_factory.mktemp("data")) as (_, client):
        yield client.url.removeprefix("http://")


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with TestClient(create(Settings(tmp_path_factory.mktemp("data"), worker=FAKE)), base_url=HOME) as client:
        yield client


def heard(socket: Any, prompt: str) -> tuple[list[dict[str, Any]], list[bytes]]:
    """What is told of a job until its end, and the previews."""
    said, previews = [], []
    while True:
        message = socket.recv(timeout=30)
        if isinstance(message, bytes):
            previews.append(message)
            continue
        said.append(json.loads(message))
        if said[-1]["type"] == "executing" and said[-1]["data"] == {"node": None, "prompt_id": prompt}:
            return said, previews


def test_its_example_script(address: str) -> None:
    """What it does, by urllib, whose POST does not say that it is JSON."""
    client, prompt = str(uuid.uuid4()), str(uuid.uuid4())
    with connect(f"ws://{address}/ws?clientId={client}") as socket:
        first = json.loads(socket.recv(timeout=30))
        assert first["type"] == "status"
        assert first["data"]["sid"] == client
        body = json.dumps({"prompt": graph(n5={"batch_size": 2}), "client_id": client, "prompt_id": prompt}).encode()
        with urllib.request.urlopen(urllib.request.Request(f"http://{address}/prompt", data=body)) as answer:
            assert json.loads(answer.read()).keys() == {"prompt_id", "number", "node_errors"}
        said, previews = heard(socket, prompt)
    kinds = [each["type"] for each in said if each["type"] != "status"]
    assert kinds[:3] == ["execution_start", "execution_cached", "executing"]
    assert kinds[-4:] == ["executing", "executed", "execution_success", "executing"]
    steps = [each["data"] for each in said if each["type"] == "progress"]
    assert (steps[-1]["value"], steps[-1]["max"], steps[-1]["node"]) == (8, 8, "3")
    assert struct.unpack(">II", previews[0][:8]) == (1, 1)
    assert Image.open(io.BytesIO(previews[0][8:])).format == "JPEG"
    with urllib.request.urlopen(f"http://{address}/history/{prompt}") as answer:
        history = json.loads(answer.read())[prompt]
    assert history["status"]["completed"] is True
    assert history["prompt"][2]["3"] == GRAPH["3"]
    images = history["outputs"]["9"]["images"]
    assert len(images) == 2
    for image in images:
        with urllib.request.urlopen(f"http://{address}/view?{urllib.parse.urlencode(image)}") as answer:
            assert Image.open(io.BytesIO(answer.read())).size == (32, 24)
    assert prompt in httpx.get(f"http://{address}/history").json()


def test_its_example_of_pictures_by_the_socket(address: str) -> None:
    asked = graph({"save": node("SaveImageWebsocket", images=["8", 0])})
    del asked["9"]
    with connect(f"ws://{address}/ws?clientId=b") as socket:
        prompt = httpx.post(f"http://{address}/prompt", json={"prompt": asked, "client_id": "b"}).json()["prompt_id"]
        current, found = "", []
        while current is not None:
            message = socket.recv(timeout=30)
            if isinstance(message, bytes):
                found += [message[8:]] if current == "save" else []
            elif (said := json.loads(message))["type"] == "executing":
                current = said["data"]["node"]
    (picture,) = found
    assert Image.open(io.BytesIO(picture)).size == (32, 24)
    assert httpx.get(f"http://{address}/history/{prompt}").json()[prompt]["outputs"] == {}


def test_what_fails_and_what_is_interrupted_is_told(address: str) -> None:
    client = "me"
    with connect(f"ws://{address}/ws?clientId={client}") as socket, httpx.Client(base_url=f"http://{address}") as web:
        asked = {"prompt": graph(n6={"text": "fail"}), "client_id": client}
        prompt = web.post("/prompt", json=asked).json()["prompt_id"]
        (error,) = [each["data"] for each in heard(socket, prompt)[0] if each["type"] == "execution_error"]
        assert (error["node_id"], error["node_type"]) == ("3", "KSampler")
        assert error["exception_message"] == "the prompt asks for it"
        assert web.get(f"/history/{prompt}").json()[prompt]["status"]["status_str"] == "error"
        asked = {"prompt": graph(n6={"text": "slow"}, n3={"steps": 1000}), "client_id": client}
        prompt, waits = (web.post("/prompt", json=asked).json()["prompt_id"] for _ in range(2))
        while not (rows := web.get("/queue").json())["queue_running"]:
            time.sleep(0.05)
        assert [rows[name][0][1] for name in ("queue_running", "queue_pending")] == [prompt, waits]
        assert web.get("/prompt").json() == {"exec_info": {"queue_remaining": 2}}
        web.post("/queue", json={"delete": [waits]})
        assert web.post("/interrupt").status_code == 200
        told = heard(socket, prompt)[0]
        assert "execution_interrupted" in {each["type"] for each in told}
        assert web.get("/prompt").json() == {"exec_info": {"queue_remaining": 0}}


def test_a_later_service_still_has_the_history(tmp_path: Path) -> None:
    settings = Settings(tmp_path, worker=FAKE)
    with TestClient(create(settings), base_url=HOME) as http:
        prompt = http.post("/prompt", json={"prompt": GRAPH, "prompt_id": "mine"}).json()["prompt_id"]
        assert http.post("/prompt", json={"prompt": GRAPH, "prompt_id": "mine"}).json()["number"] == 1  # the same job
        assert http.post("/prompt", json={"prompt": graph(n3={"seed": 6}), "prompt_id": "mine"}).status_code == 409
        while prompt not in http.get("/history").json():
            time.sleep(0.05)
    with TestClient(create(settings), base_url=HOME) as http:
        assert len(http.get(f"/history/{prompt}").json()[prompt]["outputs"]["9"]["images"]) == 1

    def told() -> list[str]:
        return [each.name for each in tmp_path.rglob("*") if each.is_file() and b"a (fox:1.2)" in each.read_bytes()]

    assert "graph.json" in told()
    Gallery(Database.in_folder(tmp_path), tmp_path).expire(time.time() + 1)
    assert told() == []  # its graph is erased with it


def test_an_upload_is_painted_inside_of_its_mask(http: TestClient) -> None:
    image = Image.new("RGBA", (16, 16), (200, 0, 0, 255))
    image.paste((0, 0, 0, 0), (4, 4, 8, 8))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    files = {"image": ("a.png", buffer.getvalue(), "image/png")}
    sent = http.post("/upload/image", files=files, data={"overwrite": "true"}).json()
    assert sent.keys() == {"name", "subfolder", "type"}
    assert http.get("/view", params={"filename": sent["name"], "type": "input"}).status_code == 200
    mask: Graph = {"12": node("SetLatentNoiseMask", samples=["11", 0], mask=["10", 1])}
    asked = graph(PICTURE, mask, n10={"image": sent["name"]}, n3={"latent_image": ["12", 0], "denoise": 0.5})
    assert http.post("/prompt", json={"prompt": asked}).status_code == 200
    request = http.get("/api/v1/jobs", params={"limit": 1}).json()[0]["request"]
    assert (request["task"], request["strength"]) == ("inpaint", 0.5)
    assert request["image"]["sha256"] == sent["name"].removesuffix(".png")
    white = Image.open(io.BytesIO(http.get(f"/api/v1/uploads/{request['mask']['sha256']}").content))
    assert [white.getpixel(at) for at in ((5, 5), (0, 0))] == [255, 0]


def test_a_mask_makes_an_upload_transparent(http: TestClient) -> None:
    def png(image: Image.Image) -> dict[str, Any]:
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        return {"image": ("a.png", buffer.getvalue(), "image/png")}

    red, mask = Image.new("RGB", (16, 16), (200, 0, 0)), Image.new("RGBA", (16, 16), (0, 0, 0, 255))
    mask.paste((0, 0, 0, 0), (4, 4, 8, 8))
    name = http.post("/upload/image", files=png(red)).json()["name"]
    form = {"original_ref": json.dumps({"filename": name, "subfolder": "", "type": "input"})}
    sent = http.post("/upload/mask", files=png(mask), data=form).json()
    found = Image.open(io.BytesIO(http.get("/view", params={"filename": sent["name"], "type": "input"}).content))
    assert found.getpixel((0, 0)) == (200, 0, 0, 255)
    assert found.getpixel((5, 5)) == (200, 0, 0, 0)
    for bad, data, said in (
        (red, form, "no transparent part"),
        (mask.resize((8, 8)), form, "the mask is 8x8, and the picture 16x16"),
        (mask, {"original_ref": "{}"}, "names no upload"),
    ):
        answer = http.post("/upload/mask", files=png(bad), data=data)
        assert answer.status_code == 422
        assert said in answer.json()["error"]["message"]


# ------------------------------------------------------------------------------------------------------------ graphs


def options(asked: Graph) -> dict[str, Any]:
    found = translated(asked)
    return found.request(DIGEST).model_dump(exclude_defaults=True) | {"kind": found.kind}


def test_a_text_is_painted() -> None:
    found = options(graph({"20": node("PreviewImage", images=["8", 0])}))
    assert found["kind"] is Txt2Img
    assert (found["prompt"], found["negative"], found["prompt_syntax"]) == ("a (fox:1.2)", "fog", "comfy")
    assert (found["seed"], found["steps"], found["guidance"]) == (5, 8, 6.0)
    assert (found["sampler"], found["schedule"], found["width"], found["height"]) == ("euler_a", "karras", 32, 24)
    advanced = node(
        "KSamplerAdvanced", **SAMPLED, noise_seed=5, add_noise="enable", return_with_leftover_noise="disable"
    )
    assert options({**GRAPH, "3": advanced}) == options(GRAPH)


def test_a_picture_is_painted_anew() -> None:
    found = options(graph(PICTURE, n3={"latent_image": ["11", 0], "denoise": 0.3}))
    assert (found["kind"], found["strength"]) == (Img2Img, 0.3)
    assert int(found["steps"] * 0.3) == 8  # as many are run as there
    scaled: Graph = {
        "13": node("ImageScale", image=["10", 0], upscale_method="lanczos", width=64, height=48, crop="disabled")
    }
    found = options(graph(PICTURE, scaled, n11={"pixels": ["13", 0]}, n3={"latent_image": ["11", 0], "denoise": 0.5}))
    assert (found["width"], found["height"]) == (64, 48)


def test_inside_of_a_mask_is_painted() -> None:
    more: Graph = {
        "12": node("VAEEncodeForInpaint", pixels=["10", 0], vae=["4", 2], mask=["14", 0], grow_mask_by=6),
        "13": node("LoadImageMask", image=f"{DIGEST}.png", channel="red"),
        "14": node("InvertMask", mask=["13", 0]),
    }
    found = translated(graph(PICTURE, more, n3={"latent_image": ["12", 0]}))
    assert found.mask == links.Mask(DIGEST, "red", True)
    request = found.request(DIGEST)
    assert isinstance(request, Inpaint)
    assert (request.strength, request.fill, request.grow, request.invert) == (1.0, "zeros", 3, True)


def test_areas_are_regions() -> None:
    """As in ComfyUI's example of area composition."""
    sizes = {"width": 16, "height": 24, "y": 0, "strength": 1.0}
    more: Graph = {
        "20": node("CLIPTextEncode", clip=["4", 1], text="a bus"),
        "21": node("ConditioningSetArea", conditioning=["20", 0], x=16, **sizes),
        "22": node("ConditioningCombine", conditioning_1=["6", 0], conditioning_2=["21", 0]),
        "23": node("CLIPTextEncode", clip=["4", 1], text="a cat: asleep"),
        "24": node("ConditioningSetArea", conditioning=["23", 0], x=0, **sizes),
        "25": node("ConditioningCombine", conditioning_1=["24", 0], conditioning_2=["22", 0]),
    }
    found = options(graph(more, n3={"positive": ["25", 0]}))
    assert found["prompt"] == "a (fox:1.2)"
    assert found["regions"] == ("0,0,16,24:a cat: asleep", "16,0,16,24:a bus")
    alone = options(graph(more, n3={"positive": ["21", 0]}))
    assert (alone["prompt"], alone["regions"]) == ("", ("16,0,16,24:a bus",))
    more["21"]["inputs"]["strength"] = 0.5
    with pytest.raises(links.GraphError, match="at strength 1"):
        translated(graph(more, n3={"positive": ["25", 0]}))
    more["25"]["inputs"] |= {"conditioning_1": ["6", 0], "conditioning_2": ["23", 0]}
    with pytest.raises(links.GraphError, match="one is for the whole picture"):
        translated(graph(more, n3={"positive": ["25", 0]}))


def test_patches_of_the_model_are_guidance() -> None:
    patches: Graph = {
        "14": node("TCFG", model=["4", 0]),
        "15": node("RescaleCFG", model=["14", 0]),
        "16": node("PerturbedAttentionGuidance", model=["15", 0], scale=2.5),
    }
    found = options(graph(patches, n3={"model": ["16", 0]}))
    assert (found["guidance_method"], found["guidance_rescale"], found["pag"]) == ("tcfg", 0.7, 2.5)


def test_loras_count_in_both_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ink.safetensors").touch()
    monkeypatch.setenv("SFUMATO_LORAS", str(tmp_path))
    weights = {"strength_model": 0.5, "strength_clip": 0.25}
    more: Graph = {
        "15": node("LoraLoader", model=["4", 0], clip=["4", 1], lora_name="ink.safetensors", **weights),
        "16": node("CLIPSetLastLayer", clip=["15", 1], stop_at_clip_layer=-2),
    }
    asked = graph(more, n3={"model": ["15", 0]}, n6={"clip": ["16", 0]}, n7={"clip": ["16", 0]})
    found = options(asked)
    assert found["loras"] == ({"name": "ink.safetensors", "weight": 0.5, "text_weight": 0.25},)
    assert found["clip_skip"] == 2
    asked["7"]["inputs"]["clip"] = ["4", 1]
    with pytest.raises(links.GraphError, match="one checkpoint, LoRAs and clip layer"):
        translated(asked)


def test_pictures_are_enlarged() -> None:
    enlarging = {
        "1": {"class_type": "LoadImage", "inputs": {"image": f"{DIGEST}.png"}},
        "2": {"class_type": "UpscaleModelLoader", "inputs": {"model_name": "lanczos"}},
        "3": {"class_type": "ImageUpscaleWithModel", "inputs": {"upscale_model": ["2", 0], "image": ["1", 0]}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["3", 0]}},
    }
    found = translated(enlarging)
    assert (found.sampler, found.request(None)) == ("3", Upscale.build(image=Source(sha256=DIGEST), method="lanczos"))
    painted = graph() | {
        "2": enlarging["2"],
        "10": {"class_type": "ImageUpscaleWithModel", "inputs": {"upscale_model": ["2", 0], "image": ["8", 0]}},
    }
    painted["9"] = {"class_type": "SaveImage", "inputs": {"images": ["10", 0]}}
    request = translated(painted).request(None)
    assert isinstance(request, Txt2Img)
    assert (request.upscale, request.upscaler, translated(painted).sampler) == (2, "lanczos", "3")
    enlarging["2"]["inputs"] = {"model_name": "RealESRGAN_x4"}
    with pytest.raises(links.GraphError, match="unknown model_name 'RealESRGAN_x4'"):
        translated(enlarging)


def test_a_second_sampler_is_a_second_pass() -> None:
    more: Graph = {
        "17": node("LatentUpscaleBy", samples=["3", 0], upscale_method="bilinear", scale_by=1.5),
        "18": node("KSampler", **SAMPLED | {"latent_image": ["17", 0], "denoise": 0.6, "steps": 10}),
    }
    asked = graph(more, n8={"samples": ["18", 0]})
    found = options(asked)
    assert (found["hires"], found["hires_strength"], found["hires_steps"]) == (1.5, 0.6, 10)
    assert (found["hires_upscaler"], found["steps"]) == ("latent", 8)
    assert translated(asked).sampler == "18"
    asked["18"]["inputs"]["seed"] = 6
    with pytest.raises(links.GraphError, match="another seed than the first"):
        translated(asked)


# ---------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("asked", "node_", "type", "said"),
    [
        (graph({"30": node("FaceDetailer")}), "30", "missing_node_type", "unknown node 'FaceDetailer'"),
        (graph({"30": node("KSampler2")}), "30", "missing_node_type", "did you mean KSampler"),
        (graph(n4={"ckpt_name": "nanno"}), "4", "value_not_in_list", "did you mean nano"),
        (graph(n3={"sampler_name": "eulr"}), "3", "value_not_in_list", "did you mean euler"),
        (graph(n3={"scheduler": "bong_tangent"}), "3", "value_not_in_list", "scheduler"),
        (graph(n3={"steps": 0}), "3", "value_smaller_than_min", "steps 0 must be 1 to 1000"),
        (graph(n3={"steps": "many"}), "3", "invalid_input_type", "steps many is no INT"),
        (graph(n3={"cfg": "nan"}), "3", "value_bigger_than_max", "cfg nan"),
        (graph(n6={"other": [[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}), None, "invalid_prompt", "over 16 deep"),
        (graph(n3={"model": "nano"}), "3", "bad_linked_input", "must be a link to a MODEL"),
        (graph(n3={"model": ["99", 0]}), "3", "bad_linked_input", "no link to a node"),
        (graph(n3={"model": ["4", 1]}), "3", "return_type_mismatch", "gives CLIP"),
        (graph(n3={"latent_image": ["3", 0]}), "3", "dependency_cycle", "hangs upon itself"),
        (graph(n3={"denoise": 0.5}), "3", "unsupported_graph", "denoise 0.5 of an empty latent"),
        (graph(PICTURE, n9={"images": ["10", 0]}), "9", "unsupported_graph", "no sampler has painted"),
        (graph(n8={"samples": ["5", 0]}), "8", "unsupported_graph", "no sampler has painted"),
        (graph(PICTURE, n3={"latent_image": ["11", 0]}), "3", "value_not_in_list", "there is no upload"),
        (graph(n5={"width": 8192, "height": 8192, "batch_size": 4000}), "3", "invalid_request", "megapixels"),
        ({"9": {"inputs": {}}}, None, "invalid_prompt", "has no class_type"),
        ({"4": GRAPH["4"]}, None, "prompt_no_outputs", "add SaveImage"),
        ({}, None, "no_prompt", "prompt is missing"),
    ],
)
def test_what_is_no_request_is_refused_by_name(
    http: TestClient, asked: Graph, node_: str | None, type: str, said: str
) -> None:
    before = http.get("/api/v1/queue").json()["jobs"]
    body = json.dumps({"prompt": asked})
    answer = http.post("/prompt", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    error = answer.json()
    assert error["error"]["type"] == type
    assert said in error["error"]["message"]
    assert list(error["node_errors"]) == ([] if node_ is None else [node_])
    if node_ is not None:
        assert error["node_errors"][node_]["class_type"] == asked[node_]["class_type"]
        assert error["node_errors"][node_]["errors"][0]["type"] == type
        assert error["node_errors"][node_]["dependent_outputs"] == ["9"]
        assert f"node {node_} ({asked[node_]['class_type']})" in error["error"]["message"]
    assert sum(http.get("/api/v1/queue").json()["jobs"].values()) == sum(before.values())


@pytest.mark.parametrize(
    "body",
    [
        '{"prompt": {"9": {"class_type": "A\\ud800"}}}',
        '{"prompt": {"9": {"class_type": "A", "inputs": {"x": NaN}}}}',
        '{"prompt": ' + "[" * 5000,
        "[]",
        '{"prompt": {"8": {"class_type": ["VAEDecode"]}, "9": {"class_type": "SaveImage"}}}',
        '{"prompt": {"": {"class_type": "SaveImage"}}}',
        '{"prompt": [1], "prompt_id": {}}',
    ],
)
def test_what_is_no_graph_is_refused(http: TestClient, body: str) -> None:
    answer = http.post("/api/prompt", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.json().keys() == {"error", "node_errors"}


def test_nodes_are_told(http: TestClient) -> None:
    known = http.get("/object_info").json()
    assert known.keys() == nodes.NODES.keys()
    assert "nano" in known["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"][0]
    samplers = known["KSampler"]["input"]["required"]["sampler_name"][0]
    assert "euler_ancestral" in samplers
    for name in samplers:
        assert translated(graph(n3={"sampler_name": name})), name
    for name in known["KSampler"]["input"]["required"]["scheduler"][0]:
        assert translated(graph(n3={"scheduler": name})), name
    assert http.get("/object_info/SaveImage").json()["SaveImage"]["output_node"] is True
    assert http.get("/api/object_info/Nothing").json() == {}
    assert http.get("/system_stats").json()["devices"][0]["type"] == "cpu"


# ---------------------------------------------------------------------------------------------------------- the door


@pytest.mark.parametrize("name", ["../sfumato.db", "0123456789abcdef_00000_.png", f"../uploads/{DIGEST}.png", ""])
def test_only_pictures_are_viewed(http: TestClient, name: str) -> None:
    for type in ("output", "input", "temp", "other"):
        answer = http.get("/view", params={"filename": name, "type": type, "subfolder": ".."})
        assert answer.status_code == 404
        assert answer.json()["node_errors"] == {}


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://evil.example"}, {"Origin": HOME}, {"Sec-Fetch-Site": "same-origin"}],
)
def test_a_browser_says_that_it_sends_json(http: TestClient, headers: dict[str, str]) -> None:
    body = json.dumps({"prompt": GRAPH})
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    assert http.post("/prompt", content=body, headers=kind | headers).status_code in (403, 415)
    assert http.post("/prompt", content="{}", headers=kind).status_code == 400  # a script


@pytest.mark.parametrize(
    ("headers", "open_"),
    [
        ({"Host": "evil.example"}, False),
        ({"Origin": "http://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Origin": HOME, "Sec-Fetch-Site": "same-origin"}, True),
        ({}, True),
    ],
)
def test_who_may_listen(http: TestClient, headers: dict[str, str], open_: bool) -> None:
    if open_:
        with http.websocket_connect(WS, headers=headers) as socket:
            assert socket.receive_json()["type"] == "status"
    else:
        with pytest.raises(WebSocketDisconnect), http.websocket_connect(WS, headers=headers):
            pass


def test_listeners_show_the_token(tmp_path: Path) -> None:
    with running_fake(tmp_path, "right") as (_, client):
        url = f"{client.url.replace('http', 'ws')}/ws"
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            with pytest.raises(InvalidStatus, match="403"):
                connect(url, additional_headers=headers)
        with connect(url, additional_headers={"Authorization": "Bearer right"}) as socket:
            assert json.loads(socket.recv(timeout=30))["type"] == "status"
