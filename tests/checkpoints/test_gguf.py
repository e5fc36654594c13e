"""GGUF files: every storage type against GGML's own package, checkpoints painted from, and files that are damaged."""

import struct
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from sfumato import Studio
from sfumato.checkpoints.blocks import TYPES, undone
from sfumato.checkpoints.gguf import ORIGINAL
from sfumato.checkpoints.inspect import inspect
from sfumato.checkpoints.single import read_file
from sfumato.checkpoints.tensor_file import numbers, open_tensors
from sfumato.errors import CheckpointError

HALVES = {
    **dict.fromkeys(("Q4_0", "Q5_0", "Q8_0", "IQ4_NL", "IQ4_XS"), (0,)),
    **dict.fromkeys(("Q4_1", "Q5_1", "Q4_K", "Q5_K"), (0, 2)),
    **{"Q2_K": (80, 82), "Q3_K": (108,), "Q6_K": (208,)},
}
"""Where blocks have their scales, which random bytes would make infinite."""
QUANTISED = {number: type for number, type in TYPES.items() if type.plain is None}


@pytest.mark.parametrize("number", QUANTISED, ids=[type.name for type in QUANTISED.values()])
def test_every_type_is_that_of_ggml(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the last bit of float16, in one go and in several."""
    type, kind = TYPES[number], gguf.GGMLQuantizationType(number)
    assert (type.name, (type.size, type.bytes)) == (kind.name, gguf.GGML_QUANT_SIZES[kind])
    rng = np.random.default_rng(number)
    blocks = rng.integers(0, 256, (70, type.bytes), dtype=np.uint8)
    for place in HALVES[type.name]:
        blocks[:, place : place + 2] = (rng.standard_normal((70, 1)) * 0.01).astype(np.float16).view(np.uint8)
    theirs = torch.from_numpy(gguf.dequantize(blocks.reshape(10, -1), kind)).half()
    assert torch.equal(undone(torch.from_numpy(blocks).flatten(), type, theirs.shape), theirs)
    monkeypatch.setattr("sfumato.checkpoints.blocks.AT_ONCE", 32 * type.size)
    assert torch.equal(undone(torch.from_numpy(blocks).flatten(), type, theirs.shape), theirs)


def written(
    path: Path,
    state: dict[str, Tensor],
    metadata: dict[str, str] | None = None,
    *,
    kind: gguf.GGMLQuantizationType | None = None,
    more: Callable[[gguf.GGUFWriter], None] = lambda writer: None,
) -> dict[str, Tensor]:
    """Write a GGUF file; what its tensors stand for. Matrices whose rows are whole blocks are quantised."""
    writer = gguf.GGUFWriter(path, "sd1")
    for name, text in (metadata or {}).items():
        writer.add_string(name, text)
    more(writer)
    stands = {}
    for name, tensor in state.items():
        array = tensor.float().numpy()
        if kind is not None and array.ndim == 2 and array.shape[1] % 32 == 0:
            data = gguf.quantize(array, kind)
            writer.add_tensor(name, data, raw_dtype=kind)
            stands[name] = torch.from_numpy(gguf.dequantize(data, kind)).half()
        else:
            writer.add_tensor(name, array)
            stands[name] = tensor.float()
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return stands


def metadata_of(file: Path) -> dict[str, str]:
    with safe_open(file, framework="pt") as opened:
        return dict(opened.metadata())


def paint(path: Path) -> bytes:
    return Studio(path, precision="fp32", device="cpu").txt2img("a red fox", steps=2, guidance=4.0, seed=3)[0].tobytes()


@pytest.mark.parametrize("kind", [None, "Q8_0", "Q5_1", "Q4_0"])
def test_a_checkpoint_paints_what_its_numbers_paint(kind: str | None, single: Path, tmp_path: Path) -> None:
    quantised = None if kind is None else gguf.GGMLQuantizationType[kind]
    stands = written(tmp_path / "model.gguf", load_file(single), metadata_of(single), kind=quantised)
    save_file({name: x.contiguous() for name, x in stands.items()}, tmp_path / "same.safetensors", metadata_of(single))
    assert paint(tmp_path / "model.gguf") == paint(tmp_path / "same.safetensors")
    assert numbers(tmp_path / "model.gguf") == numbers(single) > 0
    report = inspect(tmp_path / "model.gguf")
    assert report.good
    assert report.container == "gguf"
    assert set(report.precision) == {"F32", *([] if kind is None else [kind])}


def test_a_shape_that_was_flattened_comes_back(tmp_path: Path) -> None:
    flat = torch.randn(4, 96)
    written(tmp_path / "a.gguf", {"conv": flat}, more=lambda writer: writer.add_array(f"{ORIGINAL}conv", [4, 96, 1, 1]))
    file = open_tensors(tmp_path / "a.gguf")
    assert file.shapes == {"conv": (4, 96, 1, 1)}
    assert torch.equal(file.read()["conv"], flat[..., None, None])


# ---------------------------------------------------------------------------------------------------- damaged files


def text(words: str) -> bytes:
    return struct.pack("<Q", len(words)) + words.encode()


def made(*tensors: bytes, version: int = 3, facts: tuple[bytes, ...] = (), data: bytes = b"") -> bytes:
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(facts)) + b"".join((*facts, *tensors))
    return head + bytes(-len(head) % 32) + data


def tensor(name: str = "a", shape: tuple[int, ...] = (32,), kind: int = 0, begin: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, begin)


SOUND = made(tensor(), data=bytes(128))
DAMAGED = {
    "cut off in the header": (SOUND[:30], "ends within its header"),
    "cut off in a tensor": (SOUND[:-1], r"'a' ends at byte \d+ of \d+"),
    "version 1": (made(version=1), "version 1; 2 and 3 are read"),
    "a type for language models": (made(tensor(kind=16), data=bytes(500)), "'a' is stored as type 16; F32, F16"),
    "half a block": (made(tensor(shape=(33,), kind=8), data=bytes(500)), "not made of blocks of 32"),
    "twice": (made(tensor(), tensor(), data=bytes(500)), "stands twice"),
    "far too long": (made(tensor(shape=(1 << 40, 1 << 40)), data=bytes(64)), "is not made of|ends at byte"),
    "nine axes": (made(tensor(shape=(1,) * 9), data=bytes(64)), "has 9 axes"),
    "too many tensors": (b"GGUF" + struct.pack("<IQQ", 3, 1 << 40, 0), "1099511627776 tensors, at most"),
    "a text beyond the file": (made(facts=(struct.pack("<Q", 1 << 20),)), "ends within its header"),
    "a type of value": (made(facts=(text("a") + struct.pack("<I", 77),)), "77 is no type of a value"),
    "lists of lists": (made(facts=(text("a") + struct.pack("<IIQ", 9, 9, 1),)), "lists of lists"),
    "no alignment": (made(facts=(text("general.alignment") + struct.pack("<II", 4, 0),)), "an alignment of 0"),
    "no text": (made(facts=(struct.pack("<Q", 2) + b"\xff\xfe" + struct.pack("<II", 4, 0),)), "utf-8"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_files_are_named(kind: str, tmp_path: Path) -> None:
    content, message = DAMAGED[kind]
    (tmp_path / "a.gguf").write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as error:
        open_tensors(tmp_path / "a.gguf")
    assert "\n" not in str(error.value)


def test_a_file_that_does_not_align_is_read(tmp_path: Path) -> None:
    fact = text("general.alignment") + struct.pack("<II", 4, 1)
    values = np.array([1.0, 2.0, 3.0], np.float32)
    for pad in range(4):
        name = "a" * (pad + 1)
        head = b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + fact + tensor(name, shape=(3,))
        (tmp_path / "a.gguf").write_bytes(head + values.tobytes())
        assert open_tensors(tmp_path / "a.gguf").read()[name].tolist() == [1, 2, 3]


def test_weights_that_are_no_model_are_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(SOUND)
    with pytest.raises(CheckpointError, match="give a Stable Diffusion checkpoint"):
        read_file(tmp_path / "a.gguf")
