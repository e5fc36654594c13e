"""Names find their files, with or without folders and endings."""

from pathlib import Path

import pytest

from sfumato.adapters.folders import Sort, find
from sfumato.errors import CheckpointError, SfumatoError
from sfumato.prompts import parse

FILES = ("style/food/Bread 1.5.safetensors", "style/Cake.safetensors", "other/Cake.pt", "Tea.safetensors", "Tea.pt")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in FILES:
        path = tmp_path / "loras" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for variable in ("SFUMATO_LORAS", "SFUMATO_EMBEDDINGS", "SFUMATO_VAES", "SFUMATO_CONTROLNETS"):
        monkeypatch.setenv(variable, str(tmp_path / "loras"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "loras"


@pytest.mark.parametrize("sort", ["lora", "embedding", "vae"])
@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("Bread 1.5", "style/food/Bread 1.5.safetensors"),
        ("Bread 1.5.safetensors", "style/food/Bread 1.5.safetensors"),
        ("food/Bread 1.5", "style/food/Bread 1.5.safetensors"),
        ("style/food/Bread 1.5", "style/food/Bread 1.5.safetensors"),
        (r"style\food\Bread 1.5", "style/food/Bread 1.5.safetensors"),
        (r"style\food\Bread 1.5.safetensors", "style/food/Bread 1.5.safetensors"),
        ("style/Cake", "style/Cake.safetensors"),
        ("other/Cake", "other/Cake.pt"),
        ("Cake.safetensors", "style/Cake.safetensors"),
        ("Tea.pt", "Tea.pt"),
        ("Tea.safetensors", "Tea.safetensors"),
        ("loras/style/Cake.safetensors", "style/Cake.safetensors"),
    ],
)
def test_folders_and_endings_may_be_told(name: str, file: str, sort: Sort, folder: Path) -> None:
    """The last one is a path from where the program runs."""
    assert find(sort, name).resolve() == folder / file
    if ":" not in name and sort == "lora":
        [network] = parse(f"toast <lora:{name}:0.5>", "a1111").networks
        assert (network.name, network.weight) == (name, 0.5)


@pytest.mark.parametrize(
    "name", ["drink/Tea", r"drink\Tea", "ea.safetensors", "food", "/Tea", "style//Cake", "Cake.pt2"]
)
def test_what_is_not_there(name: str, folder: Path) -> None:
    with pytest.raises(SfumatoError, match=r"there is no file .* below SFUMATO_LORAS; give|unknown lora"):
        find("lora", name)


def test_a_folder_in_use_holds_one_file(folder: Path) -> None:
    assert find("lora", "loras/style/food").name == "Bread 1.5.safetensors"
    with pytest.raises(CheckpointError, match="holds 2 files of weights"):
        find("lora", "loras")
