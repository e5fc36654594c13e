"""Models by name: folders and files below SFUMATO_MODELS, and the folders of other programs."""

import json
from pathlib import Path

import pytest

from sfumato.checkpoints import extra_paths
from sfumato.checkpoints.catalogue import available, find
from sfumato.cli import main
from sfumato.errors import CheckpointError, UnknownNameError

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    for name in ("SFUMATO_MODELS", extra_paths.VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def place(*names: str) -> None:
    """Empty files."""
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"")


def names() -> list[str]:
    return [info.name for info in available()]


def test_folders_and_files_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place("m/b.safetensors", "m/old.ckpt", "m/sub/c.safetensors", "m/notes.txt", "m/x.pt", "m/1/2/3/4/deep.safetensors")
    place("m/whole/model_index.json", "m/whole/unet/diffusion_pytorch_model.safetensors")
    place("m/part/config.json", "m/part/diffusion_pytorch_model.safetensors")
    monkeypatch.setenv("SFUMATO_MODELS", str(tmp_path / "m"))
    assert names() == ["nano", "b", "old", "sub/c", "whole"]
    assert find("b") == find("b.safetensors") == tmp_path / "m/b.safetensors"
    assert find("sub/c") == tmp_path / "m/sub/c.safetensors"
    assert find("whole") == tmp_path / "m/whole"


def test_a_model_folder_itself_may_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place("m/whole/model_index.json", "m/whole/unet/x.safetensors")
    monkeypatch.setenv("SFUMATO_MODELS", str(tmp_path / "m/whole"))
    assert names() == ["nano", "whole"]


def test_of_equal_names_the_first_counts_and_the_ending_tells_them_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place("m/a.ckpt", "m/a.safetensors", "m/nano.safetensors")
    monkeypatch.setenv("SFUMATO_MODELS", str(tmp_path / "m"))
    assert find("a") == tmp_path / "m/a.ckpt"
    assert find("a.safetensors") == tmp_path / "m/a.safetensors"
    assert find("nano").is_dir()
    assert find("nano.safetensors") == tmp_path / "m/nano.safetensors"


def test_links_in_a_circle_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place("m/a.safetensors")
    Path("m/again").symlink_to(tmp_path / "m", target_is_directory=True)
    monkeypatch.setenv("SFUMATO_MODELS", str(tmp_path / "m"))
    assert names()[:3] == ["nano", "a", "again/a"]
    assert len(names()) <= 6


COMFYUI = """
comfyui:
    base_path: {base}/ComfyUI
    is_default: true
    checkpoints: models/checkpoints/
    diffusers: models/diffusers
    loras: |
        models/loras
        models/lycoris

a111:
    base_path: webui
    checkpoints: models/Stable-diffusion
    embeddings: embeddings

absolute:
    checkpoints: $ELSEWHERE/sd
nothing:
"""


def test_folders_of_other_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    place(
        "ComfyUI/models/checkpoints/xl/dream.safetensors", "ComfyUI/models/loras/l.safetensors", "elsewhere/sd/e.ckpt"
    )
    place("ComfyUI/models/diffusers/d/model_index.json", "webui/models/Stable-diffusion/real.safetensors")
    place("ComfyUI/models/lycoris/y.safetensors", "webui/embeddings/bad.pt")
    Path("extra.yaml").write_text(COMFYUI.format(base=tmp_path))
    monkeypatch.setenv("ELSEWHERE", str(tmp_path / "elsewhere"))
    monkeypatch.setenv(extra_paths.VARIABLE, str(tmp_path / "extra.yaml"))
    assert names() == ["nano", "xl/dream", "d", "real", "e"]
    assert extra_paths.folders("loras") == [tmp_path / "ComfyUI/models/loras", tmp_path / "ComfyUI/models/lycoris"]
    assert extra_paths.folders("embeddings") == [tmp_path / "webui/embeddings"]
    assert extra_paths.folders("vae") == []
    assert find("real") == tmp_path / "webui/models/Stable-diffusion/real.safetensors"
    with pytest.raises(UnknownNameError, match="did you mean real"):
        find("reel")
    assert main(["models", "--json"]) == 0
    listed = {model["name"]: model for model in json.loads(capsys.readouterr().out)["models"]}
    assert listed["xl/dream"]["description"] == "from SFUMATO_EXTRA_MODEL_PATHS"
    assert listed["xl/dream"]["family"] == "one file"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot read .*extra.yaml: No such file"),
        ("a: [", "is not YAML: "),
        ("\0", "is not YAML: "),
        ("!!python/object/apply:os.mkdir ['made']", "is not YAML: "),
        ("- a\n- b", "has no sections with folders"),
        ("", "has no sections with folders"),
        ("#" * 2**20 + "\n", "has no sections with folders"),
        ("comfyui: models", "'comfyui' in .*extra.yaml is no section"),
        ("comfyui:\n  checkpoints: [a, b]", "checkpoints of 'comfyui' in .* is no text"),
        ("comfyui:\n  checkpoints: 3", "checkpoints of 'comfyui' in .* is no text"),
        ("[" * 3000, "is not YAML: "),
    ],
)
def test_bad_files_of_folders(text: str | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if text is not None:
        Path("extra.yaml").write_text(text)
    monkeypatch.setenv(extra_paths.VARIABLE, str(tmp_path / "extra.yaml"))
    with pytest.raises(CheckpointError, match=f"^SFUMATO_EXTRA_MODEL_PATHS: .*{message}") as caught:
        available()
    assert "\n" not in str(caught.value)
    assert not Path("made").exists()


def test_a_file_of_another_kind_is_named(tmp_path: Path) -> None:
    for name, content, message in (
        ("model.h5", b"\x89HDF\r\n\x1a\n" + bytes(20), "is an HDF5 file of Keras"),
        ("model.zipped", b"\x01\x02\xff", "is no model; give a folder or a"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CheckpointError, match=message):
            find(tmp_path / name)
