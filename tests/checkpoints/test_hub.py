"""Models of the Hub, against a server on the loopback that answers as the Hub does."""

import importlib.util
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from sfumato.checkpoints import catalogue, hub
from sfumato.checkpoints.hub import Address
from sfumato.cli import main
from sfumato.errors import CheckpointError
from tests.checkpoints.hub_server import COMMIT, Hub, serving

Capture = pytest.CaptureFixture[str]
REPO = "org/tiny"
SNAPSHOT = f"models--org--tiny/snapshots/{COMMIT}"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HUGGINGFACE_HUB_CACHE", "SFUMATO_MODELS", "SFUMATO_EXTRA_MODEL_PATHS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "hub"


@pytest.fixture
def server(tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A Hub with a model that has more in it than painting needs."""
    with serving() as running:
        files = {path.relative_to(tiny).as_posix(): path.read_bytes() for path in tiny.rglob("*") if path.is_file()}
        half = {
            name.replace(".safetensors", ".fp16.safetensors"): data[:100]
            for name, data in files.items()
            if name.endswith(".safetensors")
        }
        surplus = {
            "README.md": b"a model",
            "whole.safetensors": b"all of it",
            "unet/diffusion_pytorch_model.bin": b"pickled",
            "safety_checker/model.safetensors": b"not for us",
            "feature_extractor/preprocessor_config.json": b"{}",
        }
        running.files[REPO] = {**files, **half, **surplus}
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


def test_a_pulled_model_is_found_by_name_and_loads(server: Hub, cache: Path, tiny: Path, capsys: Capture) -> None:
    assert main(["pull", REPO]) == 0
    shown = capsys.readouterr()
    assert shown.out == f"{cache / SNAPSHOT}\n"
    assert shown.err == ""
    pulled = {path.relative_to(cache / SNAPSHOT) for path in (cache / SNAPSHOT).rglob("*") if path.is_file()}
    assert pulled == {path.relative_to(tiny) for path in tiny.rglob("*") if path.is_file()}
    folder = catalogue.find(REPO)
    assert folder == cache / SNAPSHOT
    from sfumato.studio import Studio

    image = Studio(REPO, device="cpu", precision="fp32").txt2img("a", steps=1, seed=1, width=64, height=64).images[0]
    same = Studio(tiny, device="cpu", precision="fp32").txt2img("a", steps=1, seed=1, width=64, height=64).images[0]
    assert image.tobytes() == same.tobytes()
    assert main(["models", "--json"]) == 0
    assert [REPO, str(folder)] in [
        [model["name"], model["path"]] for model in json.loads(capsys.readouterr().out)["models"]
    ]


def test_what_is_there_is_not_fetched_again(server: Hub) -> None:
    hub.pull(Address(REPO))
    server.asked.clear()
    hub.pull(Address(REPO))
    assert server.got() == []


def test_the_variant_is_fetched_and_no_other_weights(server: Hub, cache: Path) -> None:
    hub.pull(Address(REPO), variant="fp16")
    weights = sorted(name for name in server.got() if name.endswith(".safetensors"))
    assert weights == ["diffusion_pytorch_model.fp16.safetensors"] * 2 + ["model.fp16.safetensors"]


def test_one_file_is_pulled_alone(server: Hub, cache: Path) -> None:
    path = hub.pull(Address(REPO, file="whole.safetensors"))
    assert path.read_bytes() == b"all of it"
    assert server.got() == ["whole.safetensors"]
    assert catalogue.find(f"{REPO}/whole.safetensors") == path
    assert [info.name for info in catalogue.available()] == ["nano", f"{REPO}/whole.safetensors"]


@pytest.mark.parametrize(("revision", "name"), [("v1.5", f"{REPO}@v1.5"), (COMMIT, f"{REPO}@{COMMIT}")])
def test_a_revision_has_its_own_name(revision: str, name: str, server: Hub, cache: Path, capsys: Capture) -> None:
    assert main(["pull", REPO, "--revision", revision]) == 0
    assert catalogue.find(name) == cache / SNAPSHOT
    with pytest.raises(CheckpointError, match=f"sfumato pull {REPO}$"):
        catalogue.find(REPO)


def test_a_private_model_wants_the_token(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    server.private, server.token = {REPO}, "hf_secret"
    with pytest.raises(CheckpointError, match="has no model org/tiny, or it is private"):
        hub.pull(Address(REPO))
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert hub.pull(Address(REPO)).is_dir()
    assert not server.leaked


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["org/none"], "has no model org/none, or it is private"),
        (["org/gated"], "org/gated is gated: agree to its terms at http"),
        ([REPO, "--revision", "v9"], "org/tiny has no revision 'v9'"),
        ([REPO, "--revision", "../x"], "must be a branch, a tag or a commit"),
        ([f"{REPO}@v1.5", "--revision", "main"], "and --revision another"),
        ([REPO, "--variant", "fp8"], "unknown variant 'fp8'"),
        ([f"{REPO}/none.safetensors"], "has no file none.safetensors; name one of its files: org/tiny/whole.safetens"),
        (["org/files"], "has no model_index.json; name one of its files: org/files/a.safetensors"),
        (["org/text"], "has no model_index.json; it is no Stable Diffusion model"),
        (["org/pickled"], "has pickled weights only in unet"),
        (["org/half"], "has no plain weights in unet, only of fp16; add --variant fp16"),
        (["org/empty"], "has no unet or transformer with weights"),
        (["tiny"], "'tiny' is no model on the Hub; write org/name"),
        (["org/tiny/../x.safetensors"], "is no model on the Hub"),
        (["org/tiny/readme.md"], "is no model on the Hub"),
    ],
)
def test_faults_are_one_line(arguments: list[str], message: str, server: Hub, cache: Path, capsys: Capture) -> None:
    server.files |= {
        "org/gated": server.files[REPO],
        "org/files": {"a.safetensors": b""},
        "org/text": {"config.json": b"{}", "sub/model.safetensors": b""},
        "org/pickled": {"model_index.json": b"{}", "unet/diffusion_pytorch_model.bin": b""},
        "org/half": {"model_index.json": b"{}", "unet/diffusion_pytorch_model.fp16.safetensors": b""},
        "org/empty": {"model_index.json": b"{}", "vae/config.json": b"{}"},
    }
    server.gated = {"org/gated"}
    assert main(["pull", *arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert message in shown.err
    assert shown.err.count("\n") == 1
    assert list(hub.models()) == []


def test_a_broken_off_download_goes_on_where_it_stopped(
    server: Hub, tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    server.cuts = 2
    folder = hub.pull(Address(REPO))
    name = "unet/diffusion_pytorch_model.safetensors"
    assert (folder / name).read_bytes() == (tiny / name).read_bytes()


def test_a_download_that_never_ends_leaves_no_model(
    server: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    server.cuts = 10**6
    assert main(["pull", f"{REPO}/whole.safetensors"]) == 2
    shown = capsys.readouterr().err
    assert "org/tiny/whole.safetensors is not whole: " in shown
    assert shown.count("\n") == 1
    assert hub.cached(Address(REPO, file="whole.safetensors")) is None
    assert not list(cache.rglob("*.incomplete"))


def test_a_server_in_trouble_is_named(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    server.broken = True
    with pytest.raises(CheckpointError, match="answers 503 about org/tiny; try again later"):
        hub.pull(Address(REPO))


def test_a_server_that_is_not_there_is_named(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(CheckpointError, match=r"org/tiny is not whole: .*Hub: http://127.0.0.1:9"):
        hub.pull(Address(REPO))


def test_a_full_disk_is_told_before_the_download(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sfumato.checkpoints.hub.shutil.disk_usage", lambda folder: SimpleNamespace(free=10))
    with pytest.raises(CheckpointError, match=r"needs 0.0 GB and .* has 0.0 free"):
        hub.pull(Address(REPO))
    assert server.got() == []


def test_offline_pulls_give_what_is_there(server: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match="HF_HUB_OFFLINE is set and org/tiny is not in the cache"):
        hub.pull(Address(REPO))
    assert server.asked == []
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    folder = hub.pull(Address(REPO))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert hub.pull(Address(REPO)) == folder


def test_painting_never_asks_the_network(server: Hub, cache: Path, capsys: Capture) -> None:
    assert main(["txt2img", "a", "--model", REPO]) == 2
    assert capsys.readouterr().err == (
        f"sfumato: there is no folder or file {REPO}, nor is it in the Hub's cache; sfumato pull {REPO}\n"
    )
    assert server.asked == []
    hub.pull(Address(REPO))
    with pytest.raises(CheckpointError, match=r"did you mean org/tiny\? or sfumato pull org/tinny"):
        catalogue.find("org/tinny")


def test_an_interrupt_stops_at_once_and_leaves_no_model(server: Hub, cache: Path) -> None:
    server.hold = threading.Event()
    process = subprocess.Popen(
        [sys.executable, "-m", "sfumato", "pull", REPO], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 20
    while not any("/cdn/" in path for method, path in server.asked if method == "GET"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    try:
        _, said = process.communicate(timeout=60)
    finally:
        server.hold.set()
        process.kill()
    assert process.returncode == 130
    assert "interrupted; nothing is left half-written" in said
    assert hub.cached(Address(REPO)) is None
    assert not list(cache.rglob("*.incomplete"))
    finished = set(server.got()) - {"model.safetensors"}
    server.asked.clear()
    assert hub.pull(Address(REPO)).is_dir()
    assert finished
    assert not finished & {name for name in server.got() if name == "model_index.json"}


@pytest.mark.parametrize(
    "variables",
    [
        {"HF_HUB_CACHE": "/a/b", "HF_HOME": "/c"},
        {"HF_HOME": "/c/$USER_OF_TEST"},
        {"HF_HOME": "~/x"},
        {"XDG_CACHE_HOME": "/d"},
        {"HUGGINGFACE_HUB_CACHE": "/e", "HF_HOME": "/c"},
        {},
    ],
)
def test_the_cache_is_where_huggingface_hub_has_it(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    for name in ("HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"USER_OF_TEST": "me", **variables}.items():
        monkeypatch.setenv(name, value)
    spec = importlib.util.find_spec(constants.__name__)
    assert spec is not None
    assert spec.loader is not None
    fresh = importlib.util.module_from_spec(spec)  # its variables are read once, at import
    spec.loader.exec_module(fresh)
    assert hub.cache_folder() == Path(fresh.HF_HUB_CACHE)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("org/name", Address("org/name")),
        ("org/name@v1", Address("org/name", "v1")),
        ("org/name/a/b.safetensors", Address("org/name", "main", "a/b.safetensors")),
        ("org/name@v1/b.ckpt", Address("org/name", "v1", "b.ckpt")),
        ("name", None),
        ("./name", None),
        ("/org/name", None),
        ("org/name/", None),
        ("org/name/unet", None),
        ("org/../name", None),
        ("org/na me", None),
    ],
)
def test_addresses(text: str, address: Address | None) -> None:
    assert Address.parse(text) == address
    if address is not None:
        assert str(address) == text


def test_shards_come_with_the_list_of_their_variant() -> None:
    stem = "unet/diffusion_pytorch_model"
    plain = [f"{stem}-0000{i}-of-00002.safetensors" for i in (1, 2)]
    half = [f"{stem}.fp16-0000{i}-of-00002.safetensors" for i in (1, 2)]
    lists = [f"{stem}.safetensors.index.json", f"{stem}.safetensors.index.fp16.json"]
    files = ["model_index.json", "unet/config.json", *plain, *half, *lists]
    assert set(hub.wanted(files, None, "a/b")) == {"model_index.json", "unet/config.json", *plain, lists[0]}
    assert set(hub.wanted(files, "fp16", "a/b")) == {"model_index.json", "unet/config.json", *half, lists[1]}
