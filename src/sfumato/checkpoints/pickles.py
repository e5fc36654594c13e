"""Pickled checkpoints (`.ckpt`, `.pt`, `.bin`) read by a machine of our own that cannot run code.

A pickle is a program for a stack machine; Python's machine imports what it is told and calls it. This one knows the
instructions that `torch.save` writes (protocol 2 to 5) and a short list of names, each of which stands for data: a
tensor, a storage, an ordered dictionary. Any other name stands for an inert object, as the state of a trainer beside
the weights is made of them: nothing is imported, nothing called. A name that only an attack has (`os.system`), one
that should have made a tensor, and any other instruction end the reading with a message that says which. Neither the
`pickle` module nor `torch.load` takes part; `pickletools` only cuts the bytes into instructions.

Container: a zip of stored (not compressed) entries, `NAME/data.pkl` and `NAME/data/KEY`, one a storage, as `torch.save`
writes since 1.6. Sizes, duplicates, overlaps and checksums are checked, and tensors are mapped, not copied.
"""

import mmap
import pickletools
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from sfumato.errors import CheckpointError

ZIP_MAGIC = b"PK\x03\x04"
MAX_PROGRAM = 64 * 2**20
MAX_INSTRUCTIONS = 10_000_000
MAX_ENTRIES = 100_000
MAX_RANK = 8
MAX_NESTING = 64

STORAGES = {
    "DoubleStorage": torch.float64, "FloatStorage": torch.float32, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool,
}  # fmt: skip


@dataclass(frozen=True)
class _Name:
    """A global that the program named; it stands for itself and is never imported."""

    text: str


class _Object:
    """What a name that is not known here would have made: its name, and its attributes where they are data."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.attributes: dict[Any, Any] = {}


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: torch.dtype
    count: int


ALLOWED = frozenset(
    [
        "collections OrderedDict",
        "torch._utils _rebuild_tensor_v2",
        "torch._utils _rebuild_parameter",
        *(f"torch {name}" for name in STORAGES),
    ]
)
ATTACKS = re.compile(
    r"(os|posix|nt|subprocess|sys|shutil|socket|runpy|importlib|imp|pkgutil|pickle|_pickle|dill|cloudpickle|marshal|ctypes"
    r"|multiprocessing|webbrowser|pty|asyncio|code|codeop|timeit|pdb|bdb|commands|requests|urllib|http|ftplib|telnetlib"
    r"|io|_io|operator|_operator|torch\.(hub|jit|package|serialization|utils\.cpp_extension))(\..*)? .*"
    r"|(builtins|__builtin__) (?!(set|frozenset|slice|complex|bytearray|bytes|list|dict|tuple|range|xrange|object"
    r"|int|long|float|str|unicode|bool)$).*",
    re.DOTALL,
)
"""Names that no checkpoint has a use for. They could do nothing here; whoever sent the file should be known by them."""
TENSORS = re.compile(r"torch\.?\S* (_?rebuild\w*|\w*Storage(\..*)?|\w*Tensor)", re.DOTALL)
"""Names that make tensors; those that are not known here must not be passed over."""


class _RefusedError(ValueError):
    """Why the program is not carried out."""


class _Mark:
    """Where a group on the stack begins."""


Kind = TypeVar("Kind")
Rebuild = Callable[[_Storage, int, tuple[int, ...], tuple[int, ...]], Tensor]

_PUSH: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_MAKE: dict[str, Callable[[], Any]] = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_SET": list}
"""Sets are lists here: nothing in them is looked at."""
_LITERAL = {
    "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "SHORT_BINSTRING", "BINSTRING",
}  # fmt: skip
_TUPLE = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _Machine:
    """The stack machine: data in, data out."""

    def __init__(self, rebuild: Rebuild) -> None:
        self.rebuild = rebuild
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self, program: bytes) -> object:
        """The object that the program describes.

        Raises:
            ValueError, IndexError, KeyError, TypeError: it describes something else than data that we allow.
        """
        for number, (opcode, argument, _) in enumerate(pickletools.genops(program)):
            if number > MAX_INSTRUCTIONS:
                raise _RefusedError(f"more than {MAX_INSTRUCTIONS} instructions")
            if opcode.name != "STOP":  # the last one always: without it, cutting fails
                self.step(opcode.name, argument)
        return self.stack.pop()

    def step(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in _PUSH:
            stack.append(_PUSH[name])
        elif name in _LITERAL:
            stack.append(argument)
        elif name in ("PROTO", "FRAME"):
            pass
        elif name in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif name == "MARK":
            stack.append(_Mark())
        elif name in _MAKE:
            stack.append(_MAKE[name]())
        elif name in _TUPLE:
            count = _TUPLE[name]
            stack[-count:] = [tuple(stack[-count:])]
        elif name == "TUPLE":
            group = self.group()
            stack.append(tuple(group))
        elif name == "FROZENSET":
            stack.append(self.group())
        elif name in ("APPEND", "APPENDS", "ADDITEMS"):
            items = [stack.pop()] if name == "APPEND" else self.group()
            if not isinstance(stack[-1], _Object):
                _as(list, stack[-1]).extend(items)
        elif name == "SETITEM":
            value, key = stack.pop(), stack.pop()
            _set(stack[-1], [key, value])
        elif name == "SETITEMS":
            group = self.group()
            _set(stack[-1], group)
        elif name == "GLOBAL":
            stack.append(self.named(argument))
        elif name == "STACK_GLOBAL":
            attribute, module = _as(str, stack.pop()), _as(str, stack.pop())
            stack.append(self.named(f"{module} {attribute}"))
        elif name == "BINPERSID":
            stack.append(_storage(stack.pop()))
        elif name in ("REDUCE", "NEWOBJ"):
            arguments, function = stack.pop(), stack.pop()
            stack.append(self.call(function, arguments))
        elif name == "BUILD":
            attributes = stack.pop()
            if isinstance(stack[-1], _Object):
                stack[-1].attributes |= attributes if isinstance(attributes, dict) else {}
            else:  # those of an ordered dictionary (`_metadata` of a state dict): nothing for us
                _as(dict, stack[-1])
        else:
            raise _RefusedError(f"the instruction {name}")

    def group(self) -> list[Any]:
        """What was pushed since the last mark."""
        items: list[Any] = []
        while not isinstance(item := self.stack.pop(), _Mark):
            items.append(item)
        return items[::-1]

    @staticmethod
    def named(text: str) -> _Name:
        if ATTACKS.fullmatch(text) or (TENSORS.fullmatch(text) and text not in ALLOWED):
            raise _refused_name(text)
        return _Name(text)

    def call(self, function: object, arguments: Any) -> object:
        """Make the few things that are made by a call."""
        if isinstance(function, _Object):
            return function
        name = function.text if isinstance(function, _Name) else f"a {type(function).__name__}"
        if isinstance(function, _Name) and name not in ALLOWED:
            return _Object(name)
        if name == "collections OrderedDict":
            made: dict[Any, Any] = {}
            for pair in arguments[0] if arguments else ():
                _set(made, pair)
            return made
        if name == "torch._utils _rebuild_tensor_v2":
            storage, offset, size, stride, *_ = arguments
            return self.rebuild(_as(_Storage, storage), offset, size, stride)
        if name == "torch._utils _rebuild_parameter":
            return _as(Tensor, arguments[0])
        raise _RefusedError(f"a call of {name.replace(' ', '.')}")


def _refused_name(text: str) -> _RefusedError:
    return _RefusedError(f"the name {text.replace(' ', '.')[:120]!r}")


def _as(kind: type[Kind], value: object) -> Kind:
    if not isinstance(value, kind):
        raise _RefusedError(f"a {type(value).__name__} in place of a {kind.__name__.strip('_').lower()}")
    return value


def _set(target: object, items: Sequence[Any]) -> None:
    """Keys and values in turn."""
    if isinstance(target, _Object):
        return
    into = _as(dict, target)
    for key, value in zip(items[::2], items[1::2], strict=True):
        if not isinstance(key, str | int | float | bool | bytes | tuple | _Name | _Object | type(None)):
            raise _RefusedError(f"a {type(key).__name__} as a key")
        into[key] = value


def _storage(identity: object) -> _Storage:
    """`("storage", type, key, device, count)`, which `torch.save` writes for each storage."""
    if not isinstance(identity, tuple) or len(identity) != 5 or identity[0] != "storage":
        raise _RefusedError("a reference that is no storage")
    _, kind, key, _, count = identity
    name = _as(_Name, kind).text.removeprefix("torch ")
    if name not in STORAGES:
        raise _RefusedError(f"a storage of {name}")
    return _Storage(_as(str, key), STORAGES[name], _as(int, count))


class _Archive:
    """The zip, checked in full, and its entries as spans of the mapped file."""

    def __init__(self, path: Path) -> None:
        size = path.stat().st_size
        with path.open("rb") as file:
            self.map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)  # writable for torch, private to us
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
        if len(entries) > MAX_ENTRIES:
            raise _RefusedError(f"{len(entries)} entries, at most {MAX_ENTRIES}")
        self.entries: dict[str, tuple[int, zipfile.ZipInfo]] = {}
        spans = []
        for entry in entries:
            if entry.filename in self.entries:
                raise _RefusedError(f"the entry {entry.filename[:80]!r} twice")
            if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
                raise _RefusedError(f"the compressed entry {entry.filename[:80]!r}; checkpoints are stored as they are")
            if entry.flag_bits & 1:
                raise _RefusedError(f"the encrypted entry {entry.filename[:80]!r}")
            start = self.start(entry)
            if start + entry.file_size > size:
                raise _RefusedError(f"the entry {entry.filename[:80]!r} beyond the end of the file")
            spans.append((entry.header_offset, start + entry.file_size))
            self.entries[entry.filename] = (start, entry)
        spans.sort()
        if any(end > begin for (_, end), (begin, _) in pairwise(spans)):
            raise _RefusedError("entries that overlap")
        programs = [name for name in self.entries if name == "data.pkl" or name.endswith("/data.pkl")]
        if not programs:
            raise _RefusedError("no data.pkl: it is a zip archive of other things; unpack it")
        if len(programs) != 1:
            raise _RefusedError(f"{len(programs)} programs (data.pkl) in place of one")
        self.root = programs[0].removesuffix("data.pkl")
        if f"{self.root}byteorder" in self.entries:
            start, size = self.span("byteorder")
            if self.map[start : start + size] != b"little":
                raise _RefusedError("numbers in big-endian order")

    def start(self, entry: zipfile.ZipInfo) -> int:
        """Where an entry's bytes begin, by its own header, which must name it as the directory does."""
        at = entry.header_offset
        head = self.map[at : at + 30] if at >= 0 else b""
        if len(head) < 30 or head[:4] != ZIP_MAGIC:
            raise _RefusedError(f"no entry where the directory says {entry.filename[:80]!r}")
        name_length, extra_length = struct.unpack("<HH", head[26:30])
        if self.map[at + 30 : at + 30 + name_length] != entry.orig_filename.encode("utf-8"):
            raise _RefusedError(f"two names for the entry {entry.filename[:80]!r}")
        return int(at + 30 + name_length + extra_length)

    def span(self, name: str) -> tuple[int, int]:
        """Start and size of an entry whose checksum holds."""
        if self.root + name not in self.entries:
            raise _RefusedError(f"no entry {name[:80]!r}, which the program asks for")
        start, entry = self.entries[self.root + name]
        with memoryview(self.map) as whole, whole[start : start + entry.file_size] as part:
            if zlib.crc32(part) != entry.CRC:
                raise _RefusedError(f"another checksum than written for {entry.filename[:80]!r}")
        return start, entry.file_size


def is_old_pickle(start: bytes) -> bool:
    """Whether a file that begins so is a bare pickle, as `torch.save` wrote before 1.6."""
    return start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05") and start[2:8] != bytes(6)


def read_pickle(path: Path) -> dict[str, Tensor]:
    """The tensors of a pickled checkpoint by name: those of its `state_dict` where it has one, else all, by path.

    Raises:
        CheckpointError: it holds anything else than data; the message names the instruction or name that it met.
    """
    try:
        with path.open("rb") as file:
            if is_old_pickle(file.read(16)):
                raise _RefusedError("a bare pickle, from before torch 1.6; save it anew in safetensors")
        archive = _Archive(path)
        start, size = archive.span("data.pkl")
        if size > MAX_PROGRAM:
            raise _RefusedError(f"a program of {size} bytes, at most {MAX_PROGRAM}")
        content = _Machine(_rebuilder(archive)).run(archive.map[start : start + size])
        found = dict(_tensors(content))
    except _RefusedError as error:
        raise CheckpointError(f"{path} is refused: it has {error}") from error
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise CheckpointError(f"{path} is damaged ({error}); download or copy it again") from error
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, RuntimeError) as error:
        raise CheckpointError(f"{path} is refused: its program is broken ({type(error).__name__}: {error})") from error
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from error
    return found


def _rebuilder(archive: _Archive) -> Rebuild:
    storages: dict[str, tuple[_Storage, Tensor]] = {}

    def whole(storage: _Storage) -> Tensor:
        if storage.key not in storages:
            start, size = archive.span(f"data/{storage.key}")
            if size != storage.count * storage.dtype.itemsize:
                raise _RefusedError(f"a storage of {storage.count} numbers in {size} bytes")
            if storage.count == 0:
                flat = torch.empty(0, dtype=storage.dtype)
            elif start % storage.dtype.itemsize:
                flat = torch.frombuffer(bytearray(archive.map[start : start + size]), dtype=storage.dtype)
            else:
                flat = torch.frombuffer(archive.map, dtype=storage.dtype, count=storage.count, offset=start)
            storages[storage.key] = storage, flat
        known, flat = storages[storage.key]
        if known != storage:
            raise _RefusedError(f"two descriptions of storage {storage.key[:40]!r}")
        return flat

    def rebuild(storage: _Storage, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
        numbers = [offset, *_as(tuple, size), *_as(tuple, stride)]
        if len(size) != len(stride) or len(size) > MAX_RANK or any(_as(int, n) < 0 for n in numbers):
            raise _RefusedError("a tensor of an impossible shape")
        count = prod(size)
        extent = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True)) + 1 if count else offset
        if count > storage.count or extent > storage.count:
            raise _RefusedError("a tensor larger than its storage")
        return whole(storage).as_strided(size, stride, offset)

    return rebuild


def _tensors(content: object) -> Iterator[tuple[str, Tensor]]:
    """The tensors of nested dictionaries, names joined by dots; where there are none, those of lists too."""
    if isinstance(content, _Name | _Object) and not isinstance(_inside(content), dict):
        raise _refused_name(content.text if isinstance(content, _Name) else content.name)
    if isinstance(content, dict) and isinstance(_inside(content.get("state_dict")), dict):
        content = content["state_dict"]
    found = dict(_walk("", content, set()))
    yield from (found or dict(_walk("", content, set(), lists=True))).items()


def _inside(content: object) -> object:
    """The dictionary of an object that is a module of torch (a `ParameterDict` among others), as its state is named."""
    if not isinstance(content, _Object):
        return content
    tables = [content.attributes.get(kind) for kind in ("_parameters", "_buffers", "_modules")]
    held = [table for table in tables if isinstance(table, dict)]
    return {key: value for table in held for key, value in table.items()} if held else None


def _walk(name: str, content: object, seen: set[int], *, lists: bool = False) -> Iterator[tuple[str, Tensor]]:
    inside = _inside(content)
    if lists and isinstance(inside, list | tuple):
        content, inside = inside, dict(enumerate(inside))
    if isinstance(inside, Tensor):
        yield name, inside
    elif isinstance(inside, Mapping):
        if id(content) in seen or name.count(".") > MAX_NESTING:  # shared tenfold at each depth it would never end
            raise _RefusedError("a dictionary inside itself or in two places")
        seen.add(id(content))
        for key, value in inside.items():
            yield from _walk(f"{name}.{key}" if name else str(key), value, seen, lists=lists)
