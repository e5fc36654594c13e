"""Weights in several files, in half precision beside the full, and in eights: read as one, or refused by name."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from sfumato.checkpoints.export import export
from sfumato.checkpoints.folder import load_folder, read_folder
from sfumato.errors import CheckpointError

CPU = torch.device("cpu")
WHOLE = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(folder, tmp_path / "model")
    return tmp_path / "model"


def cut(folder: Path, index: str = f"{WHOLE}.index.json", variant: str = "") -> Path:
    """The U-Net's weights in two files and an index, as diffusers writes them; the index."""
    whole = folder / "unet" / WHOLE
    state = load_file(whole)
    whole.unlink()
    names = sorted(state)
    places: dict[str, str] = {}
    for number, part in enumerate((names[: len(names) // 2], names[len(names) // 2 :]), start=1):
        file = f"diffusion_pytorch_model{variant}-{number:05}-of-00002.safetensors"
        save_file({name: state[name].half() if variant else state[name] for name in part}, whole.with_name(file))
        places |= dict.fromkeys(part, file)
    path = whole.with_name(index)
    path.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": places}))
    return path


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_shards_are_one(folder: Path, copy: Path, tmp_path: Path) -> None:
    cut(copy)
    assert same(read_folder(copy).state, read_folder(folder).state)
    model = load_folder(copy, dtype=torch.float32, device=CPU)
    assert len(model.hash) == 64
    assert model.hash != load_folder(folder, dtype=torch.float32, device=CPU).hash
    whole = export(copy, tmp_path / "model.safetensors")
    assert same(load_file(whole), load_file(export(folder, tmp_path / "other.safetensors")))


def test_the_variant_in_half_precision(folder: Path, copy: Path) -> None:
    half = {name: tensor.half() for name, tensor in read_folder(folder).part("unet").items()}
    save_file(half, copy / "unet" / WHOLE.replace(".safetensors", ".fp16.safetensors"))
    assert same(read_folder(copy).state, read_folder(folder).state)
    assert same(read_folder(copy, halves=True).part("unet"), half)
    assert same(read_folder(copy, halves=True).part("vae"), read_folder(folder).part("vae"))
    (copy / "unet" / WHOLE).unlink()
    assert same(read_folder(copy).part("unet"), half)


def test_shards_of_the_variant(folder: Path, copy: Path) -> None:
    cut(copy, f"{WHOLE}.index.fp16.json", ".fp16")
    half = {name: tensor.half() for name, tensor in read_folder(folder).part("unet").items()}
    assert same(read_folder(copy).part("unet"), half)


@pytest.mark.parametrize("kind", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_one_byte_floats(kind: torch.dtype, copy: Path) -> None:
    state = load_file(copy / "unet" / WHOLE)
    save_file({name: tensor.to(kind) for name, tensor in state.items()}, copy / "unet" / WHOLE)
    model = load_folder(copy, dtype=torch.float32, device=CPU)
    assert same(dict(model.network.state_dict()), {name: tensor.to(kind).float() for name, tensor in state.items()})


def lists(**places: str) -> Callable[[Path], Any]:
    def damage(index: Path) -> None:
        data = json.loads(index.read_text())
        index.write_text(json.dumps({"weight_map": data["weight_map"] | places}))

    return damage


def twice(index: Path) -> None:
    first, second = sorted(index.parent.glob("*-of-*"))
    save_file({**load_file(second), **dict([next(iter(load_file(first).items()))])}, second)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda index: index.write_text("{"), "is not JSON"),
        (lambda index: index.write_text("{}"), "has no weight_map"),
        (lambda index: index.write_text('{"weight_map": {"a": 5}}'), "has no weight_map"),
        (lists(more="nowhere.safetensors"), "'nowhere.safetensors', which is not beside it"),
        (lists(more="../vae/" + WHOLE), "which is not beside it"),
        (lambda index: sorted(index.parent.glob("*-of-*"))[1].unlink(), "which is not beside it"),
        (twice, "and so does another shard"),
        (lambda index: save_file({}, sorted(index.parent.glob("*-of-*"))[1]), "tensors are missing, first"),
    ],
)
def test_refused(damage: Callable[[Path], Any], message: str, copy: Path) -> None:
    damage(cut(copy))
    with pytest.raises(CheckpointError, match=message) as error:
        load_folder(copy, dtype=torch.float32, device=CPU)
    assert "\n" not in str(error.value)
