"""What a file is by its first bytes, where it holds no weights: a download that went wrong, or another kind of file."""

from pathlib import Path

from sfumato.errors import CheckpointError, printable
from sfumato.files import read_regular

SNIFFED = 512
"""Bytes that are looked at."""

PAGE = (b"<!doctype html", b"<html", b"<head", b"<?xml")
MAGIC: tuple[tuple[bytes, str], ...] = (
    (
        b"version https://git-lfs.github.com/spec/",
        "is a pointer of Git LFS, not the file itself; run git lfs pull beside it, or download the file",
    ),
    (b"\x89HDF\r\n\x1a\n", "is an HDF5 file of Keras, which is not read here; get the model as .safetensors"),
    (b"\x93NUMPY", "is an array of NumPy, not a model; get the model as .safetensors"),
    (b"\x1f\x8b", "is compressed with gzip; unpack it"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7z archive; unpack it"),
    (b"Rar!", "is a RAR archive; unpack it"),
    (b"\x89PNG", "is a picture (PNG), not a model"),
    (b"\xff\xd8\xff", "is a picture (JPEG), not a model"),
    (b"RIFF", "is a picture or sound (RIFF), not a model"),
    (b"%PDF", "is a PDF, not a model"),
)


def first_bytes(path: Path) -> bytes:
    """The beginning of a regular file.

    Raises:
        CheckpointError: it cannot be read, or is a folder, a pipe or a device, which might never end.
    """
    try:
        return read_regular(path, SNIFFED)
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}; check the path") from error


def not_weights(path: Path, start: bytes) -> CheckpointError:
    """What is wrong with a file that is neither safetensors nor a pickle, and what to do."""
    return CheckpointError(f"{path} {foreign(start) or 'is not a safetensors file; give a .safetensors file'}")


def foreign(start: bytes) -> str:
    """What a file is that begins so, and what to do; empty where that is not known, as of files of weights."""
    if not start:
        return "is empty; download or copy it again"
    if not any(start):
        return "begins with zeros: a download that broke off; download it again"
    for magic, words in MAGIC:
        if start.startswith(magic):
            return words
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.lower().startswith(PAGE):
        return "is a web page (HTML), saved in place of the file; log in where it is offered and download it again"
    if text[:1] in (b"{", b"[") and all(byte >= 0x20 or byte in b"\t\r\n" for byte in start):
        said = printable(text[:80].decode("utf-8", "replace"))
        return f"is a text of JSON, an answer in place of the file ({said!r}); log in and download it again"
    if all(byte >= 0x20 or byte in b"\t\r\n" for byte in start):
        return "is a text, not a model; give a .safetensors file"
    return ""
