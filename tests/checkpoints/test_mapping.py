"""Tensors mapped from a file: every type, whatever the alignment, and pages that are given back and come again."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from sfumato.checkpoints import tensors
from sfumato.checkpoints.rules import fit
from sfumato.checkpoints.single import read_file
from sfumato.checkpoints.stand_in import write_stand_in
from sfumato.checkpoints.tensors import TYPES, read_tensors, release
from sfumato.models.autoencoder_kl import AutoencoderKLConfig
from sfumato.models.clip import CLIPTextConfig
from sfumato.models.unet import UNetConfig


def test_every_type_is_read_as_safetensors_reads_it(tmp_path: Path) -> None:
    state = {
        f"{name}.{shape}": torch.arange(24, dtype=torch.uint8).repeat(8)[: 6 * dtype.itemsize].view(dtype).view(shape)
        for name, dtype in TYPES.items()
        if name != "BOOL"
        for shape in ((6,), (2, 3))
    }
    state |= {"bool": torch.tensor([True, False, True]), "scalar": torch.tensor(1.5), "none": torch.empty(0, 4)}
    save_file(state, tmp_path / "a.safetensors")
    expected, found = load_file(tmp_path / "a.safetensors"), read_tensors(tmp_path / "a.safetensors")
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert (found[name].dtype, found[name].shape) == (tensor.dtype, tensor.shape)
        assert bytes(found[name].contiguous().view(-1).view(torch.uint8)) == bytes(tensor.view(-1).view(torch.uint8))


@pytest.mark.parametrize("padding", range(4))
def test_headers_of_any_length(padding: int, tmp_path: Path) -> None:
    header = json.dumps({"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]}}).encode() + b" " * padding
    values = torch.tensor([1.0, 2.0, 3.0])
    data = len(header).to_bytes(8, "little") + header + values.numpy().tobytes()
    (tmp_path / "a.safetensors").write_bytes(data)
    assert torch.equal(read_tensors(tmp_path / "a.safetensors")["a"], values)


def test_released_pages_come_again_and_neighbours_stay(tmp_path: Path) -> None:
    state = {name: torch.full((5000,), float(i)) for i, name in enumerate("abc")}
    save_file(state, tmp_path / "a.safetensors")
    found = read_tensors(tmp_path / "a.safetensors")
    found["a"] += 7
    found["c"] += 7
    release(found["b"])
    release(torch.ones(5000))
    assert torch.equal(found["b"], state["b"])
    assert torch.equal(found["a"], state["a"] + 7)
    assert torch.equal(found["c"], state["c"] + 7)


def test_writing_into_a_tensor_leaves_the_file(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(3)}, tmp_path / "a.safetensors")
    read_tensors(tmp_path / "a.safetensors")["a"] += 1
    assert torch.equal(read_tensors(tmp_path / "a.safetensors")["a"], torch.zeros(3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_fitted_module_has_its_numbers_with_channels_last(dtype: torch.dtype, tmp_path: Path) -> None:
    sound = torch.nn.Conv2d(8, 40, 3)
    save_file(sound.state_dict(), tmp_path / "a.safetensors")
    with torch.device("meta"):
        module = torch.nn.Conv2d(8, 40, 3)
    fit(module, read_tensors(tmp_path / "a.safetensors"), "a file", dtype)
    assert module.weight.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(module.weight, sound.weight.to(dtype))
    assert module.bias is not None
    assert sound.bias is not None
    assert torch.equal(module.bias, sound.bias.to(dtype))


def test_files_are_unmapped_with_their_tensors(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(3)}, tmp_path / "a.safetensors")
    before = len(tensors._mapped)
    found = read_tensors(tmp_path / "a.safetensors")
    assert len(tensors._mapped) == before + 1
    del found
    assert len(tensors._mapped) == before


def test_a_stand_in_has_the_names_of_a_checkpoint(tmp_path: Path, single: Path) -> None:
    configs = read_file(single).configs
    unet, vae, text = (configs[name] for name in ("unet", "vae", "text_encoder"))
    assert isinstance(unet, UNetConfig)
    assert isinstance(vae, AutoencoderKLConfig)
    assert isinstance(text, CLIPTextConfig)
    write_stand_in(tmp_path / "a.safetensors", unet=unet, vae=vae, texts={"text_encoder": text})
    expected, found = load_file(single), load_file(tmp_path / "a.safetensors")
    assert {name: tensor.shape for name, tensor in found.items()} == {k: t.shape for k, t in expected.items()}
