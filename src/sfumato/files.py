"""Files that exist whole or not at all, and the text of bytes."""

import codecs
import contextlib
import errno
import hashlib
import os
import secrets
from pathlib import Path


def write_atomic(path: Path, data: bytes, *, replace: bool = True) -> None:
    """Write beside `path`, sync, and rename over it; at any interruption the old file or none is there.

    Args:
        replace: when False, an existing `path` is an error, also if another process makes it meanwhile.

    Raises:
        FileExistsError: when it exists and is not to be replaced.
        OSError: when the folder is missing, not writable or full; nothing is left behind.
    """
    temporary = path.with_name(f".{secrets.token_hex(6)}.tmp")
    try:
        _write_synced(temporary, data)
        if replace:
            temporary.replace(path)
        else:
            move_new(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def probe(folder: Path, size: int = 65536) -> None:
    """Write `size` bytes into a folder and remove them again.

    Raises:
        OSError: as writing there would.
    """
    temporary = folder / f".{secrets.token_hex(6)}.tmp"
    try:
        _write_synced(temporary, bytes(size))
    finally:
        temporary.unlink(missing_ok=True)


def _write_synced(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor has no Path
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def move_new(temporary: Path, path: Path) -> None:
    """Give `temporary` the name `path`, which must be free. (A hard link fails where a name is taken, a rename not.)

    Raises:
        FileExistsError: it is taken.
        OSError: as linking and renaming do.
    """
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links: look, then rename
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        temporary.replace(path)


def _sync_folder(folder: Path) -> None:
    """Make a rename last through a power cut, where the system lets folders be synced."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # the file itself is whole and synced; some file systems refuse this
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark its own begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def decoded(data: bytes) -> str:
    """The text of `data`: in the encoding that its byte order mark names, which is taken off, else in UTF-8.

    Raises:
        UnicodeDecodeError: it is in another encoding; NUL is no text either (UTF-16 without a mark is full of it).
    """
    text = data.decode(next((name for mark, name in _MARKS.items() if data.startswith(mark)), "utf-8"))
    if "\0" in text:
        place = data.index(0)
        raise UnicodeDecodeError("utf-8", data, place, place + 1, "NUL is no text")
    return text


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes.

    Raises:
        OSError: when it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
