"""Pickled checkpoints: what `torch.save` writes is read exactly; whatever else a pickle can do is refused, unrun."""

import argparse
import io
import pickle
import struct
import zipfile
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy
import pytest
import torch

from sfumato.checkpoints.pickles import read_pickle
from sfumato.checkpoints.tensor_file import open_tensors
from sfumato.errors import CheckpointError


def test_reads_what_torch_saves(tmp_path: Path) -> None:
    base = torch.randn(6, 4)
    state = OrderedDict(
        {
            "half": torch.randn(3, 5).half(),
            "bfloat16": torch.randn(7).bfloat16(),
            "view": base[2:4],
            "transposed": base.t(),
            "ids": torch.arange(77),
            "scalar": torch.tensor(3.5),
            "empty": torch.zeros(0, 3),
            "parameter": torch.nn.Parameter(torch.randn(2, 2)),
            "flag": torch.tensor([True, False]),
        }
    )
    for number, content in enumerate((state, {"state_dict": state, "global_step": 3, "epoch": 1.5, "loops": [None]})):
        torch.save(content, tmp_path / f"{number}.ckpt")
        read = read_pickle(tmp_path / f"{number}.ckpt")
        assert list(read) == list(state)
        for name, tensor in state.items():
            assert read[name].dtype == tensor.dtype
            assert torch.equal(read[name], tensor)
    file = open_tensors(tmp_path / "0.ckpt")
    assert (file.container, file.shapes["half"], file.dtypes["half"]) == ("pickle", (3, 5), "F16")


def test_reads_a_module_with_its_versions(tmp_path: Path) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    torch.save(module.state_dict(), tmp_path / "a.pt")
    assert list(read_pickle(tmp_path / "a.pt")) == list(module.state_dict())


def test_reads_an_embedding(tmp_path: Path) -> None:
    torch.save({"string_to_token": {"*": 265}, "string_to_param": {"*": torch.ones(2, 768)}}, tmp_path / "a.pt")
    assert read_pickle(tmp_path / "a.pt")["string_to_param.*"].shape == (2, 768)


class ModelCheckpoint:
    """As of a trainer: a key, and an object with a state."""

    def __init__(self) -> None:
        self.best = numpy.float64(0.25)
        self.folder = Path("runs")


def test_reads_the_weights_beside_a_trainer(tmp_path: Path) -> None:
    state = {"w": torch.ones(2), "b": torch.zeros(1)}
    trainer = {
        "state_dict": state,
        "callbacks": {ModelCheckpoint: {"current_score": numpy.float64(0.1), "seen": {1, 2}}},
        "last": ModelCheckpoint(),
        "arguments": argparse.Namespace(lr=numpy.float32(1e-4), precision=torch.float16, size=torch.Size([2])),
        "counts": defaultdict(int, {"a": 1}),
        "large": 2**3000,
        "time": datetime(2022, 8, 22),
    }
    for protocol in (2, 4):
        torch.save(trainer, tmp_path / "a.ckpt", pickle_protocol=protocol)
        assert read_pickle(tmp_path / "a.ckpt").keys() == state.keys()


def test_reads_modules_and_parameters_pickled_whole(tmp_path: Path) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    torch.save(module, tmp_path / "a.pt")
    read = read_pickle(tmp_path / "a.pt")
    assert all(torch.equal(read[name], value) for name, value in module.state_dict().items())
    assert read.keys() == module.state_dict().keys()
    torch.save({"string_to_param": torch.nn.ParameterDict({"*": torch.ones(2, 8)})}, tmp_path / "b.pt")
    assert read_pickle(tmp_path / "b.pt")["string_to_param.*"].shape == (2, 8)


def test_tensors_of_another_kind_are_not_passed_over(tmp_path: Path) -> None:
    torch.save({"state_dict": {"w": torch.eye(3).to_sparse()}}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=r"the name .*_rebuild_sparse_tensor"):
        read_pickle(tmp_path / "a.pt")


# ------------------------------------------------------------------------------------------------------------- evil


class Calls:
    """Pickles to a call."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[object, ...]:
        return self.call


def archive(program: bytes, **entries: bytes) -> bytes:
    """A file as torch.save makes it around any program."""
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_STORED) as file:
        file.writestr("archive/data.pkl", program)
        for name, data in entries.items():
            file.writestr(f"archive/{name.replace('__', '/')}", data)
    return memory.getvalue()


def by_call(function: object, *arguments: object) -> Callable[[str], bytes]:
    return lambda canary: archive(
        pickle.dumps({"a": Calls(function, *(canary if a is CANARY else a for a in arguments))}, 2)
    )


CANARY = object()


def system(canary: str) -> bytes:
    import os

    return archive(pickle.dumps(Calls(os.system, f"touch {canary}"), 2))


def evaluated(canary: str) -> bytes:
    return archive(pickle.dumps(Calls(eval, f"open({canary!r}, 'w')"), 2))


def nested_in_a_state(canary: str) -> bytes:
    import os

    return archive(pickle.dumps({"state_dict": OrderedDict(w=Calls(os.system, f"touch {canary}"))}, 4))


def stack_global(canary: str) -> bytes:
    return archive(
        b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c"
        + bytes([len(canary) + 6])
        + b"touch "
        + canary.encode()
        + b"\x85R."
    )


def instance(canary: str) -> bytes:
    """The old INST instruction imports and calls in one."""
    return archive(f"(S'touch {canary}'\nios\nsystem\n.".encode())


def new_object(canary: str) -> bytes:
    return archive(b"\x80\x02csubprocess\nPopen\n(X" + struct.pack("<I", len(canary)) + canary.encode() + b"t\x81.")


def object_state(canary: str) -> bytes:
    """BUILD on something that is no dictionary would call its `__setstate__` or fill its attributes."""
    return archive(b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}b.")


def extension(canary: str) -> bytes:
    return archive(b"\x80\x02\x82\x01.")


def text_reference(canary: str) -> bytes:
    return archive(b"\x80\x02Pos.system\n.")


def torch_load_inside(canary: str) -> bytes:
    return archive(pickle.dumps(Calls(torch.load, canary), 2))


def getattr_chain(canary: str) -> bytes:
    return archive(b"\x80\x02cbuiltins\ngetattr\nctorch\nhub\nX\x04\x00\x00\x00load\x86R.")


def allowed_name_dotted(canary: str) -> bytes:
    """A name that only begins like an allowed one."""
    return archive(b"\x80\x04\x8c\x05torch\x8c\x16FloatStorage.from_file\x93.")


def bare_pickle(canary: str) -> bytes:
    import os

    return pickle.dumps(Calls(os.system, f"touch {canary}"), 2)


def second_program(canary: str) -> bytes:
    return archive(pickle.dumps({}, 2), more__data_pkl=b"").replace(b"data_pkl", b"data.pkl")


def call_of_a_storage(canary: str) -> bytes:
    return archive(b"\x80\x02ctorch\nFloatStorage\nK\x05\x85R.")


EVIL = {
    "os.system": (system, "the name 'posix.system'"),
    "eval": (evaluated, "the name '__builtin__.eval'"),
    "inside a state": (nested_in_a_state, "the name 'posix.system'"),
    "STACK_GLOBAL": (stack_global, "the name 'posix.system'"),
    "INST": (instance, "the instruction"),
    "NEWOBJ": (new_object, "the name 'subprocess.Popen'"),
    "BUILD": (object_state, "in place of a dict"),
    "EXT1": (extension, "the instruction EXT1"),
    "PERSID": (text_reference, "the instruction PERSID"),
    "torch.load": (torch_load_inside, "the name 'torch.serialization.load'"),
    "getattr": (getattr_chain, "the name 'builtins.getattr'"),
    "dotted name": (allowed_name_dotted, "the name 'torch.FloatStorage.from_file'"),
    "bare pickle": (bare_pickle, "a bare pickle"),
    "two programs": (second_program, "2 programs"),
    "call of a storage": (call_of_a_storage, "a call of torch.FloatStorage"),
}


@pytest.mark.parametrize("name", EVIL)
def test_evil_programs_are_refused_unrun(name: str, tmp_path: Path) -> None:
    make, message = EVIL[name]
    canary, file = tmp_path / "canary", tmp_path / "evil.ckpt"
    file.write_bytes(make(str(canary)))
    with pytest.raises(CheckpointError, match=message) as error:
        open_tensors(file)
    assert "\n" not in str(error.value)
    assert not canary.exists()


def saved(tmp_path: Path) -> bytes:
    torch.save({"a": torch.arange(64, dtype=torch.float32)}, tmp_path / "good.pt")
    return (tmp_path / "good.pt").read_bytes()


def tensor(size: bytes, stride: bytes, count: bytes = b"K\x04", kind: bytes = b"FloatStorage") -> bytes:
    """The program of one tensor with a storage of 16 bytes."""
    storage = b"(X\x07\x00\x00\x00storagectorch\n" + kind + b"\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu" + count + b"tQ"
    start = b"\x80\x02}X\x01\x00\x00\x00actorch._utils\n_rebuild_tensor_v2\n("
    program = start + storage + b"K\x00" + size + stride + b"\x89}tRs."
    return archive(program, data__0=bytes(16))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (tensor(b"K\x05\x85", b"K\x01\x85"), "larger than its storage"),
        (tensor(b"J\xff\xff\xff\x7f\x85", b"K\x00\x85"), "larger than its storage"),
        (tensor(b"J\xff\xff\xff\xff\x85", b"K\x01\x85"), "impossible shape"),
        (tensor(b"K\x02\x85", b"J\xff\xff\xff\xff\x85"), "impossible shape"),
        (tensor(b"K\x02\x85", b")"), "impossible shape"),
        (tensor(b"K\x05\x85", b"K\x01\x85", b"K\x05"), "a storage of 5 numbers in 16 bytes"),
        (tensor(b"K\x02\x85", b"K\x01\x85", kind=b"ComplexFloatStorage"), "the name 'torch.ComplexFloatStorage'"),
        (archive(b"\x80\x02}"), "exhausted"),
        (archive(b""), "exhausted"),
        (archive(b"\x80\x02."), "broken"),
        (archive(b"\x80\x02h\x05."), "broken"),
        (archive(b"\x80\x02X\xff\xff\xff\x7f."), "broken"),
        (archive(b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s."), "inside itself"),
        (archive(b"\x80\x02" + b"(" * 10 + b"tttttttttt."), None),
        (b"PK\x03\x04 and no more", "damaged"),
    ],
)
def test_broken_programs_are_refused(content: bytes, message: str | None, tmp_path: Path) -> None:
    file = tmp_path / "a.pt"
    file.write_bytes(content)
    if message is None:
        assert read_pickle(file) == {}
        return
    with pytest.raises(CheckpointError, match=message):
        read_pickle(file)


def test_a_good_program_by_hand_is_read(tmp_path: Path) -> None:
    """The attacks above differ from this in one thing each."""
    (tmp_path / "a.pt").write_bytes(tensor(b"K\x02\x85", b"K\x02\x85"))
    assert torch.equal(read_pickle(tmp_path / "a.pt")["a"], torch.zeros(2))


def test_zip_attacks(tmp_path: Path) -> None:
    file = tmp_path / "a.pt"

    def refused(message: str) -> None:
        with pytest.raises(CheckpointError, match=message):
            read_pickle(file)

    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("archive/data.pkl", pickle.dumps({}, 2))
        bomb.writestr("archive/data/0", bytes(10_000_000))
    refused("the compressed entry")
    with zipfile.ZipFile(file, "w") as twice:
        twice.writestr("archive/data.pkl", pickle.dumps({}, 2))
        with pytest.warns(UserWarning, match="Duplicate"):
            twice.writestr("archive/data.pkl", pickle.dumps({}, 2))
    refused("twice")
    good = saved(tmp_path)
    file.write_bytes(good[:-100])
    refused("damaged")
    at = good.index(torch.arange(64, dtype=torch.float32).numpy().tobytes())
    file.write_bytes(good[: at + 9] + b"\x01" + good[at + 10 :])
    refused("another checksum")
    first = good.index(b"data.pkl")
    file.write_bytes(good[:first] + b"data.xxx" + good[first + 8 :])
    refused("two names")
    file.write_bytes(good.replace(b"little", b"bigggg"))
    refused("checksum")
